"""One suite's results, read from its folder. No pandas is imported before something is read."""

import math
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.files import read_parquet
from steadytune.layout import metrics_path
from steadytune.results.model import Examples, Key, Results, ordered, to_float
from steadytune.results.scores import Score
from steadytune.results.variability import load_variability

COUNTS = ("n_examples", "truncated", "seen_in_training", "train_examples", "train_truncated")
COLUMNS = (
    "encoder",
    "method",
    "task",
    "seed",
    "status",
    "evaluation_set",
    "kind",
    "metric",
    "headline",
    "value",
    "majority_value",
    *COUNTS,
    "seconds",
)
"""What is read of `metrics.parquet`."""


def load_results(folder: Path, suite: dict[str, Any]) -> Results:
    """Load a suite's results.

    Args:
        folder: `results/<suite>`.
        suite: description of the suite. `name` is required; `title`, `description`, `encoders`, `methods`, `tasks`,
            `primary` (encoder), `baseline` (method), `comparisons`, `tables`, `figures` and `configfile` are optional.

    Raises:
        SteadyTuneError: `metrics.parquet` is absent, lacks a column, or states one score twice.
    """
    path = metrics_path(folder)
    rows = _read_metrics(path)
    cells: dict[Key, dict[int, str]] = {}
    seconds: dict[tuple[str, str, str, int], float] = {}
    points: dict[tuple[str, str, str, str], dict[int, float]] = {}
    held_out: dict[tuple[str, str, str, str], dict[int, float]] = {}
    described: dict[tuple[str, str], tuple[str, float]] = {}
    examples: dict[Key, Examples] = {}
    for row in rows:
        cell = (row["encoder"], row["method"], row["task"])
        seed = int(row["seed"])
        cells.setdefault(cell, {})[seed] = row["status"]
        seconds.setdefault((*cell, seed), to_float(row["seconds"]))
        if not row["headline"]:
            continue
        values = (held_out if row["kind"] == "held_out" else points).setdefault((*cell, row["evaluation_set"]), {})
        if seed in values:
            raise SteadyTuneError(
                f"{path}: two headline rows for {'/'.join(cell)}/seed-{seed} on {row['evaluation_set']}, expected one"
            )
        values[seed] = 100 * to_float(row["value"])
        if row["kind"] != "held_out" and math.isfinite(to_float(row["n_examples"])):
            measured_on = row["encoder"], row["task"], row["evaluation_set"]
            examples[measured_on] = Examples(*(int(row[name]) for name in COUNTS))
        majority = 100 * to_float(row["majority_value"])
        known = described.setdefault((row["task"], row["evaluation_set"]), (row["metric"], majority))
        # A cell that never ran cannot know the majority rate, so the first that does speaks for the set.
        if math.isnan(known[1]):
            described[row["task"], row["evaluation_set"]] = (known[0], majority)
    encoders = ordered(suite.get("encoders", ()), {cell[0] for cell in cells})
    tasks = ordered(suite.get("tasks", ()), {cell[2] for cell in cells})
    return Results(
        folder=folder,
        suite=suite,
        cells={cell: dict(sorted(seeds.items())) for cell, seeds in sorted(cells.items())},
        seconds=seconds,
        scores=_scores(cells, points, described),
        held_out={key[:3]: score for key, score in _scores(cells, held_out, described).items()},
        encoders=encoders,
        methods=ordered(suite.get("methods", ()), {cell[1] for cell in cells}),
        tasks=tasks,
        examples=examples,
        variability=tuple(load_variability(folder, encoders, suite.get("measured_tasks", tasks))),
    )


def rows_of(results: Results, path: Path) -> list[tuple[Key, dict[str, Any]]]:
    """The rows of a table of cells, each with the cells that it belongs to; nothing where there is no such file."""
    if not path.is_file():
        return []
    shown = {(encoder, variant, task): method for (encoder, method, task), variant in results.variants.items()}
    rows = []
    for row in read_parquet(path).to_dict("records"):
        variant = (row["encoder"], row["method"], row["task"])
        key = (row["encoder"], shown.get(variant, "") if shown else row["method"], row["task"])
        if key in results.cells:
            rows.append((key, {str(column): value for column, value in row.items()}))
    return rows


def _scores(
    cells: dict[Key, dict[int, str]],
    points: dict[tuple[str, str, str, str], dict[int, float]],
    described: dict[tuple[str, str], tuple[str, float]],
) -> dict[tuple[str, str, str, str], Score]:
    """A score for every planned cell on every set its task is evaluated on: also where no seed got that far."""
    sets: dict[tuple[str, str], set[str]] = {}
    for encoder, _, task, evaluation_set in points:
        sets.setdefault((encoder, task), set()).add(evaluation_set)
    scores = {}
    for (encoder, method, task), statuses in sorted(cells.items()):
        for evaluation_set in sorted(sets.get((encoder, task), ())):
            metric, majority = described[task, evaluation_set]
            values = points.get((encoder, method, task, evaluation_set), {})
            scores[encoder, method, task, evaluation_set] = Score(
                metric=metric,
                majority=majority,
                statuses=dict(sorted(statuses.items())),
                points={seed: value for seed, value in sorted(values.items()) if math.isfinite(value)},
            )
    return scores


def _read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.parquet`."""
    if not path.is_file():
        raise SteadyTuneError(f"{path}: not found; the suite's cells have to be collected before they are rendered")
    frame = read_parquet(path)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise SteadyTuneError(f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}")
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]

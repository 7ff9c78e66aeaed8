"""One suite's results, read from its folder. No pandas is imported before something is read."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError
from steadytune.files import read_parquet
from steadytune.layout import metrics_path, record_path, results_folder
from steadytune.results.description import Description, describe
from steadytune.results.model import Accuracies, Examples, Key, Results, ordered, to_float
from steadytune.results.scores import Score
from steadytune.results.variability import load_variability
from steadytune.suite.suite import Suite

if TYPE_CHECKING:
    import pandas as pd

    from steadytune.cells.freshness import CellStatus

COUNTS = tuple(field.name for field in fields(Examples))
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
    "majority",
    *COUNTS,
    "seconds",
    "stale",
)
"""What is read of `metrics.parquet`."""


def load_or_empty(suite: Suite, found: "list[CellStatus] | None" = None) -> Results:
    """A suite's results; empty ones if it has no record.

    If records have not been collected, have changed since, or the table is damaged or gone, they are gathered; what is
    written stays as it is.

    `found`: the statuses of the cells, `scores` among them, if they are known already.
    """
    from steadytune.results.collect import gather, is_current

    collected = metrics_path(suite).exists()
    if not collected and not any(record_path(suite, cell).exists() for cell in suite.cells):
        return empty_results(suite)
    rows = None if collected and is_current(suite, found) else gather(suite, found)
    return load_results(results_folder(suite), describe(suite), rows)


def empty_results(suite: Suite) -> Results:
    """The results of a suite before anything has run."""
    return Results(results_folder(suite), describe(suite), {}, {}, {}, (), (), (), ())


def load_results(folder: Path, suite: Description, table: "pd.DataFrame | None" = None) -> Results:
    """Load a suite's results.

    Args:
        folder: `results/<suite>`.
        suite: names that it lists keep its order; others that the results have follow, sorted.
        table: the content of `metrics.parquet`; read by default.

    Raises:
        SteadyTuneError: `metrics.parquet` is absent, lacks a column, or states one score twice.
    """
    # Imports numpy.
    from steadytune.evaluation.transfer import TWO_WAY_METRIC

    path, wanted = metrics_path(folder), ("accuracy", TWO_WAY_METRIC)
    rows = _rows(_read_metrics(path) if table is None else table)
    stale: dict[tuple[str, str, str, int], str] = {}
    cells: dict[Key, dict[int, str]] = {}
    seconds: dict[tuple[str, str, str, int], float] = {}
    values: dict[tuple[str, str, str, str], dict[int, float]] = {}
    held_out: dict[tuple[str, str, str, str], dict[int, float]] = {}
    described: dict[tuple[str, str], tuple[str, float]] = {}
    described_held_out: dict[tuple[str, str], tuple[str, float]] = {}
    accuracies: Accuracies = {}
    examples: dict[Key, Examples] = {}
    for row in rows:
        cell = (row["encoder"], row["method"], row["task"])
        seed = int(row["seed"])
        cells.setdefault(cell, {})[seed] = row["status"]
        seconds.setdefault((*cell, seed), to_float(row["seconds"]))
        if row["stale"]:
            stale[*cell, seed] = row["stale"]
        is_held_out, place = row["kind"] == "held_out", (*cell, row["evaluation_set"])
        value, majority = to_float(row["value"]), to_float(row["majority"])
        if row["metric"] in wanted and not is_held_out and math.isfinite(value):
            accuracies.setdefault(place, {}).setdefault(row["metric"], {})[seed] = value, majority
        if not row["headline"]:
            continue
        of_set = (held_out if is_held_out else values).setdefault(place, {})
        if seed in of_set:
            raise SteadyTuneError(
                f"{path}: two headline rows for {'/'.join(cell)}/seed-{seed} on {row['evaluation_set']}, expected one"
            )
        of_set[seed] = value
        if not is_held_out and math.isfinite(to_float(row["n"])):
            measured_on = row["encoder"], row["task"], row["evaluation_set"]
            examples[measured_on] = Examples(*(int(row[name]) for name in COUNTS))
        of_sets = described_held_out if is_held_out else described
        known = of_sets.setdefault((row["task"], row["evaluation_set"]), (row["metric"], majority))
        # A cell that never ran cannot know the majority rate, so the first that does speaks for the set.
        if math.isnan(known[1]):
            of_sets[row["task"], row["evaluation_set"]] = (known[0], majority)
    encoders = ordered(suite.encoders, {cell[0] for cell in cells})
    tasks = ordered(suite.tasks, {cell[2] for cell in cells})
    measured = tasks if suite.measured_tasks is None else suite.measured_tasks
    return Results(
        folder=folder,
        suite=suite,
        cells={cell: dict(sorted(seeds.items())) for cell, seeds in sorted(cells.items())},
        seconds=seconds,
        scores=_scores(cells, values, described, stale),
        held_out={key[:3]: score for key, score in _scores(cells, held_out, described_held_out, stale).items()},
        encoders=encoders,
        methods=ordered(suite.methods, {cell[1] for cell in cells}),
        tasks=tasks,
        examples=examples,
        stale=stale,
        accuracies=accuracies,
        variability=tuple(
            found
            for found in load_variability(folder, encoders, measured)
            if suite.measured is None or (found.encoder, found.task) in suite.measured
        ),
    )


def rows_of(results: Results, path: Path) -> list[tuple[Key, dict[str, Any]]]:
    """The rows of a table of cells, each with the cells that it belongs to; nothing where there is no such file."""
    if not path.is_file():
        return []
    rows = []
    for row in read_parquet(path).to_dict("records"):
        method = results.method_of(row["encoder"], row["method"], row["task"], *seeds_of(row))
        key = (row["encoder"], method or "", row["task"])
        if key in results.cells:
            rows.append((key, {str(column): value for column, value in row.items()}))
    return rows


def seeds_of(row: Mapping[str, Any]) -> list[int]:
    """The seeds of the cells that a row of a table is about: one, two, or none before fine-tuning."""
    return [int(seed) for name in ("seed", "other_seed") if math.isfinite(seed := to_float(row.get(name)))]


def _scores(
    cells: dict[Key, dict[int, str]],
    values: dict[tuple[str, str, str, str], dict[int, float]],
    described: dict[tuple[str, str], tuple[str, float]],
    stale: Collection[tuple[str, str, str, int]],
) -> dict[tuple[str, str, str, str], Score]:
    """A score for every planned cell on every set its task is evaluated on: also where no seed got that far."""
    sets: dict[tuple[str, str], set[str]] = {}
    for encoder, _, task, evaluation_set in values:
        sets.setdefault((encoder, task), set()).add(evaluation_set)
    scores = {}
    for (encoder, method, task), statuses in sorted(cells.items()):
        old = frozenset(seed for seed in statuses if (encoder, method, task, seed) in stale)
        for evaluation_set in sorted(sets.get((encoder, task), ())):
            key = encoder, method, task, evaluation_set
            scores[key] = Score.in_points(*described[task, evaluation_set], statuses, values.get(key, {}), old)
    return scores


def _rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _read_metrics(path: Path) -> "pd.DataFrame":
    """`metrics.parquet`, with every column that is needed."""
    if not path.is_file():
        raise SteadyTuneError(f"{path}: not found; the suite's cells have to be collected before they are rendered")
    frame = read_parquet(path)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise SteadyTuneError(f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}")
    return frame

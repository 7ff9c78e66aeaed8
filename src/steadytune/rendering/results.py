"""The inputs of every table and figure: one suite's results, loaded once and grouped by cell.

Scores are in points (metric x 100) from here on. This module, and the tables and figures that build on it, import
neither pandas nor matplotlib until they are asked for something, so that a suite's names can be checked cheaply.
"""

import csv
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.files import read_parquet
from steadytune.rendering.scores import Score
from steadytune.rendering.variability import Variability, load_variability

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

HISTORY_COLUMNS = ("epoch", "step", "train_loss", "learning_rate")
"""The columns of `history.csv` that are no evaluation metric."""


Key = tuple[str, str, str]
"""(encoder, method, task)."""


@dataclass(frozen=True)
class Examples:
    """What the scores of an encoder, trained on one task, on one evaluation set were measured on: `COUNTS`."""

    n: int
    truncated: int
    """Cut to the maximum length."""
    seen: int
    """With the texts of a training example."""
    train: int
    """Training examples."""
    train_truncated: int


@dataclass(frozen=True)
class Results:
    """One suite's results. Order of encoders, methods and tasks: the suite's; names it does not list follow, sorted."""

    folder: Path
    suite: dict[str, Any]
    cells: dict[Key, dict[int, str]]
    """(encoder, method, task) -> seed -> status."""
    seconds: dict[tuple[str, str, str, int], float]
    scores: dict[tuple[str, str, str, str], Score] = field(repr=False)
    """(encoder, method, task, evaluation set) -> score by the headline metric."""
    encoders: tuple[str, ...]
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    variability: tuple[Variability, ...]
    held_out: dict[Key, Score] = field(default_factory=dict, repr=False)
    """Scores on the share of the training split that was kept from training."""
    variants: dict[Key, str] = field(default_factory=dict, repr=False)
    """The variant that stands for (encoder, method, task), where `selection.select` has chosen among several."""
    examples: dict[Key, Examples] = field(default_factory=dict, repr=False)
    """(encoder, task, evaluation set) -> counts, where a cell came to its end."""
    choices: dict[Key, int] = field(default_factory=dict, repr=False)
    """How many variants it was chosen among."""
    rule: str = ""
    """How it was chosen."""

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.suite["name"]

    @property
    def primary(self) -> str:
        """The encoder that the figures show."""
        return self.suite.get("primary") or self.encoders[0]

    @property
    def baseline(self) -> str:
        """The method that the others are held against."""
        return self.suite.get("baseline") or self.methods[0]

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Every planned seed."""
        return tuple(sorted({seed for statuses in self.cells.values() for seed in statuses}))

    def score(self, encoder: str, method: str, task: str, evaluation_set: str | None = None) -> Score | None:
        """The score on `evaluation_set` (default: the task itself); None where the suite plans no such cell."""
        return self.scores.get((encoder, method, task, evaluation_set or task))

    def methods_of(self, encoder: str) -> list[str]:
        """Methods that the suite plans for an encoder."""
        return [method for method in self.methods if any((encoder, method, task) in self.cells for task in self.tasks)]

    def tasks_of(self, encoder: str) -> list[str]:
        """Tasks that the suite plans for an encoder."""
        return [task for task in self.tasks if any((encoder, method, task) in self.cells for method in self.methods)]

    def transfer_sets(self, encoder: str, task: str) -> list[str]:
        """Evaluation sets, besides its own, of a model of `encoder` trained on `task`."""
        found = {key[3] for key in self.scores if key[0] == encoder and key[2] == task and key[3] != task}
        return list(_ordered(self.tasks, found, only_found=True))

    def planned(self) -> list[tuple[Key, dict[int, str]]]:
        """(encoder, method, task) and its seeds' statuses, in the suite's order."""
        keys = [(e, m, t) for e in self.encoders for m in self.methods for t in self.tasks]
        return [(key, self.cells[key]) for key in keys if key in self.cells]

    def metric(self, task: str) -> str:
        """The headline metric of a task, empty where nothing states it."""
        return next((score.metric for key, score in self.scores.items() if key[2] == key[3] == task), "")

    def cell_path(self, encoder: str, method: str, task: str, seed: int) -> Path:
        """A cell's folder under the results' folder."""
        variant = self.variants.get((encoder, method, task), method)
        return self.folder / "cells" / encoder / variant / task / f"seed-{seed}"

    def record(self, encoder: str, method: str, task: str, seed: int) -> dict[str, Any]:
        """A cell's record, empty where there is none or a damaged one (its status says which)."""
        path = self.cell_path(encoder, method, task, seed) / "record.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}

    def history(self, encoder: str, method: str, task: str, seed: int) -> dict[str, list[tuple[float, float]]]:
        """A cell's curves: column of `history.csv` -> (epoch, finite value), the last one logged in each epoch."""
        path = self.cell_path(encoder, method, task, seed) / "history.csv"
        curves: dict[str, dict[float, float]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as handle:
                for row in csv.DictReader(handle):
                    for column, text in row.items():
                        if column != "epoch" and math.isfinite(value := _number(text)):
                            curves.setdefault(column, {})[float(row["epoch"])] = value
        return {column: sorted(points.items()) for column, points in curves.items()}


def load_results(folder: Path, suite: dict[str, Any]) -> Results:
    """Load a suite's results.

    Args:
        folder: `results/<suite>`.
        suite: description of the suite. `name` is required; `title`, `description`, `encoders`, `methods`, `tasks`,
            `primary` (encoder), `baseline` (method), `comparisons`, `tables`, `figures` and `configfile` are optional.

    Raises:
        SteadyTuneError: `metrics.parquet` is absent, lacks a column, or states one score twice.
    """
    path = folder / "metrics.parquet"
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
        seconds.setdefault((*cell, seed), _number(row["seconds"]))
        if not row["headline"]:
            continue
        values = (held_out if row["kind"] == "held_out" else points).setdefault((*cell, row["evaluation_set"]), {})
        if seed in values:
            raise SteadyTuneError(
                f"{path}: two headline rows for {'/'.join(cell)}/seed-{seed} on {row['evaluation_set']}, expected one"
            )
        values[seed] = 100 * _number(row["value"])
        if row["kind"] != "held_out" and math.isfinite(_number(row["n_examples"])):
            measured_on = row["encoder"], row["task"], row["evaluation_set"]
            examples[measured_on] = Examples(*(int(row[name]) for name in COUNTS))
        majority = 100 * _number(row["majority_value"])
        known = described.setdefault((row["task"], row["evaluation_set"]), (row["metric"], majority))
        # A cell that never ran cannot know the majority rate, so the first that does speaks for the set.
        if math.isnan(known[1]):
            described[row["task"], row["evaluation_set"]] = (known[0], majority)
    encoders = _ordered(suite.get("encoders", ()), {cell[0] for cell in cells})
    tasks = _ordered(suite.get("tasks", ()), {cell[2] for cell in cells})
    return Results(
        folder=folder,
        suite=suite,
        cells={cell: dict(sorted(seeds.items())) for cell, seeds in sorted(cells.items())},
        seconds=seconds,
        scores=_scores(cells, points, described),
        held_out={key[:3]: score for key, score in _scores(cells, held_out, described).items()},
        encoders=encoders,
        methods=_ordered(suite.get("methods", ()), {cell[1] for cell in cells}),
        tasks=tasks,
        examples=examples,
        variability=tuple(load_variability(folder, encoders, suite.get("measured_tasks", tasks))),
    )


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


def _ordered(listed: Any, found: set[str], *, only_found: bool = False) -> tuple[str, ...]:
    """`listed` in its order, then what else was `found`, sorted."""
    listed = tuple(name for name in listed if not only_found or name in found)
    return (*listed, *sorted(found - set(listed)))


def _number(value: Any) -> float:
    """A float; NaN for None and for text that is no number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan

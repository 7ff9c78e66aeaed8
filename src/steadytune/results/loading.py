"""One suite's results, read from its folder. pandas is imported only when something is read."""

import math
from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError
from steadytune.files import read_parquet
from steadytune.layout import metrics_path, record_path, results_folder
from steadytune.results.description import Description, describe
from steadytune.results.model import Accuracies, ExampleCounts, Key, Results, SeedKey, SetKey, ordered, to_float
from steadytune.results.scores import Score
from steadytune.results.variability import load_variability
from steadytune.suite.suite import Suite

if TYPE_CHECKING:
    import pandas as pd

    from steadytune.cells.freshness import CellStatus

COUNTS = tuple(field.name for field in fields(ExampleCounts))
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
"""The columns read from `metrics.parquet`."""


def load_or_empty(suite: Suite, found: "list[CellStatus] | None" = None) -> Results:
    """A suite's results; empty if it has neither records nor `metrics.parquet`.

    If `metrics.parquet` is missing, damaged or out of date, records are gathered in memory; the file is not changed.

    `found`: the result of `statuses` with `scores`, if the caller has it.
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
        suite: the names that it lists come first, in its order; other names in the results follow, sorted.
        table: the content of `metrics.parquet`; read by default.

    Raises:
        SteadyTuneError: `metrics.parquet` is absent, lacks a column, or has two rows for one score.
    """
    path = metrics_path(folder)
    found = _Gathered()
    for row in as_rows(_read_metrics(path) if table is None else table):
        found.add(row, path)
    encoders = ordered(suite.encoders, {cell[0] for cell in found.cells})
    tasks = ordered(suite.tasks, {cell[2] for cell in found.cells})
    measured = tasks if suite.measured_tasks is None else suite.measured_tasks
    return Results(
        folder=folder,
        suite=suite,
        cells={cell: dict(sorted(seeds.items())) for cell, seeds in sorted(found.cells.items())},
        seconds=found.seconds,
        scores=found.headlines.scores(found.cells, found.stale),
        held_out={key[:3]: score for key, score in found.held_out.scores(found.cells, found.stale).items()},
        encoders=encoders,
        methods=ordered(suite.methods, {cell[1] for cell in found.cells}),
        tasks=tasks,
        examples=found.examples,
        stale=found.stale,
        accuracies=found.accuracies,
        variability=tuple(
            study
            for study in load_variability(folder, encoders, measured)
            if suite.measured is None or (study.encoder, study.task) in suite.measured
        ),
    )


class _Headlines:
    """Scores by the headline metric: on evaluation sets, or on held-out training data."""

    def __init__(self) -> None:
        self._values: dict[SetKey, dict[int, float]] = {}
        self._metrics: dict[tuple[str, str], tuple[str, float]] = {}
        """(task, evaluation set) -> metric and the majority class's value."""

    def add(self, key: SetKey, seed: int, row: Mapping[str, Any], path: Path) -> None:
        """Add a headline row."""
        by_seed = self._values.setdefault(key, {})
        if seed in by_seed:
            raise SteadyTuneError(
                f"{path}: two headline rows for {'/'.join(key[:3])}/seed-{seed} on {key[3]}, expected one"
            )
        by_seed[seed] = to_float(row["value"])
        majority = to_float(row["majority"])
        metric, known = self._metrics.setdefault(key[2:], (row["metric"], majority))
        # A cell that never ran does not know the majority class's value; the first known one is used for the set.
        if math.isnan(known):
            self._metrics[key[2:]] = (metric, majority)

    def scores(self, cells: Mapping[Key, Mapping[int, str]], stale: Collection[SeedKey]) -> dict[SetKey, Score]:
        """A score for every planned method on every set its task is evaluated on, even if no seed got that far."""
        sets: dict[tuple[str, str], set[str]] = {}
        for encoder, _, task, evaluation_set in self._values:
            sets.setdefault((encoder, task), set()).add(evaluation_set)
        scores = {}
        for (encoder, method, task), statuses in sorted(cells.items()):
            old = frozenset(seed for seed in statuses if (encoder, method, task, seed) in stale)
            for evaluation_set in sorted(sets.get((encoder, task), ())):
                key = encoder, method, task, evaluation_set
                metric, majority = self._metrics[task, evaluation_set]
                scores[key] = Score.in_points(metric, majority, statuses, self._values.get(key, {}), old)
        return scores


class _Gathered:
    """The contents of `metrics.parquet`, by cell and evaluation set."""

    def __init__(self) -> None:
        # Imported here, because it imports numpy.
        from steadytune.evaluation.transfer import TWO_WAY_METRIC

        self._accuracies = ("accuracy", TWO_WAY_METRIC)
        self.cells: dict[Key, dict[int, str]] = {}
        self.seconds: dict[SeedKey, float] = {}
        self.stale: dict[SeedKey, str] = {}
        self.accuracies: Accuracies = {}
        self.examples: dict[Key, ExampleCounts] = {}
        self.headlines, self.held_out = _Headlines(), _Headlines()

    def add(self, row: Mapping[str, Any], path: Path) -> None:
        """Add a row of the table at `path`."""
        cell, seed = (row["encoder"], row["method"], row["task"]), int(row["seed"])
        self.cells.setdefault(cell, {})[seed] = row["status"]
        self.seconds.setdefault((*cell, seed), to_float(row["seconds"]))
        if row["stale"]:
            self.stale[*cell, seed] = row["stale"]
        key = (*cell, row["evaluation_set"])
        if row["kind"] == "held_out":
            if row["headline"]:
                self.held_out.add(key, seed, row, path)
            return
        value = to_float(row["value"])
        if row["metric"] in self._accuracies and math.isfinite(value):
            by_metric = self.accuracies.setdefault(key, {})
            by_metric.setdefault(row["metric"], {})[seed] = value, to_float(row["majority"])
        if row["headline"]:
            self.headlines.add(key, seed, row, path)
            if math.isfinite(to_float(row["n"])):
                self.examples[row["encoder"], row["task"], row["evaluation_set"]] = ExampleCounts(
                    *(int(row[name]) for name in COUNTS)
                )


def rows_of(results: Results, path: Path) -> list[tuple[Key, dict[str, Any]]]:
    """The rows of a table of cells, each with its (encoder, method, task); empty if there is no such file."""
    if not path.is_file():
        return []
    rows = []
    for row in as_rows(read_parquet(path)):
        method = results.method_of(row["encoder"], row["method"], row["task"], *seeds_of(row))
        key = (row["encoder"], method or "", row["task"])
        if key in results.cells:
            rows.append((key, row))
    return rows


def seeds_of(row: Mapping[str, Any]) -> list[int]:
    """The seeds of the cells that a row of a table is about: one, two, or none before fine-tuning."""
    return [int(seed) for name in ("seed", "other_seed") if math.isfinite(seed := to_float(row.get(name)))]


def as_rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows of a table, each as a dict by column."""
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _read_metrics(path: Path) -> "pd.DataFrame":
    """`metrics.parquet`, checked to have every required column."""
    if not path.is_file():
        raise SteadyTuneError(f"{path}: not found: collect the suite's cells first (`steadytune collect SUITE`)")
    frame = read_parquet(path)
    missing = [column for column in COLUMNS if column not in frame.columns]
    if missing:
        raise SteadyTuneError(f"{path}: no column '{missing[0]}'; expected {', '.join(COLUMNS)}")
    return frame

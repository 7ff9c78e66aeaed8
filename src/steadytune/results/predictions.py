"""Results from single predictions, as tables read them: slices of evaluation sets, calibration, churn.

For a method with several variants, they are those of the variant that the results show, under the method's name.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from steadytune.layout import calibration_path, slices_path
from steadytune.results.loading import rows_of
from steadytune.results.model import Key, Results, SetKey
from steadytune.results.scores import Score

ALL = ""
"""Stands for the gold label if a slice has all gold labels."""


class Slice(NamedTuple):
    """The examples of an evaluation set with one value in a column, and perhaps one gold label."""

    evaluation_set: str
    column: str
    value: str
    gold: str
    n: int


@dataclass(frozen=True)
class Slices:
    """Accuracies on slices."""

    scores: dict[Slice, dict[Key, Score]]
    """Slice, in file order -> planned (encoder, method, task) -> score in points."""

    def of(self, column: str) -> dict[str, list[Slice]]:
        """Evaluation set -> its slices by a column."""
        found: dict[str, list[Slice]] = {}
        for part in self.scores:
            if part.column == column:
                found.setdefault(part.evaluation_set, []).append(part)
        return found


class Calibration(NamedTuple):
    """Expected calibration error and Brier score by seed, and the churn of every pair of seeds."""

    ece: dict[int, float]
    brier: dict[int, float]
    churn: list[float]


def load_slices(results: Results) -> Slices:
    """The slices of the cells that the results show, from `analysis/slices.parquet`; empty if it does not exist."""
    accuracies: dict[Slice, dict[Key, dict[int, float]]] = {}
    for key, row in rows_of(results, slices_path(results.folder)):
        part = Slice(row["evaluation_set"], row["column"], row["slice"], row["gold"], row["n"])
        accuracies.setdefault(part, {}).setdefault(key, {})[row["seed"]] = row["accuracy"]
    scores: dict[Slice, dict[Key, Score]] = {}
    for part, by_cell in accuracies.items():
        trained = {(encoder, task) for encoder, _, task in by_cell}
        # A method without a finished cell keeps its place among the others, without points.
        scores[part] = {
            key: Score.in_points("accuracy", math.nan, statuses, by_cell.get(key, {}))
            for key, statuses in results.cells.items()
            if (key[0], key[2]) in trained
        }
    return Slices(scores)


def load_calibration(results: Results) -> dict[SetKey, Calibration]:
    """(encoder, method, task, evaluation set) -> the calibration and churn of its predictions."""
    found: dict[SetKey, Calibration] = {}
    for key, row in rows_of(results, calibration_path(results.folder)):
        measured = found.setdefault((*key, row["evaluation_set"]), Calibration({}, {}, []))
        if row["measure"] == "churn":
            measured.churn.append(row["value"])
        else:
            getattr(measured, row["measure"])[row["seed"]] = row["value"]
    return found

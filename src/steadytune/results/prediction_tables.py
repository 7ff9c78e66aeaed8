"""What single predictions show beyond a score: slices of evaluation sets, calibration, and churn between seeds.

`slices.parquet` has the accuracy on each value of the columns that the task table names (the heuristics of HANS, the
constructions of AdvGLUE), over all examples with that value (`gold` empty) and by gold label. `calibration.parquet` has
the expected calibration error and Brier score of every cell on every set, and for each pair of seeds of a method the
share of examples that they answer differently. Labels are compared as for scores (`tasks/labels.py`), but calibration
always adds the probabilities of finer classes, because an arg-max has none. Regression and question answering have
neither slices nor calibration.
"""

import logging
from collections.abc import Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steadytune.cells.freshness import CellStatus, statuses
from steadytune.evaluation.calibration import brier_score, expected_calibration_error
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.evaluation.transfer import Alignment, align
from steadytune.files import write_parquet
from steadytune.layout import calibration_path, predictions_path, slices_path
from steadytune.results.churn import churn
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.tasks.data import read_columns
from steadytune.tasks.table import Task

log = logging.getLogger(__name__)

Row = dict[str, Any]
CELL = {"encoder": "string", "method": "string", "task": "string", "seed": "int64"}
SLICES = CELL | {
    "evaluation_set": "string",
    "column": "string",
    "slice": "string",
    "gold": "string",
    "n": "int64",
    "accuracy": "float64",
}
CALIBRATION = CELL | {
    "other_seed": "Int64",
    "evaluation_set": "string",
    "measure": "string",
    "value": "float64",
}


def analyse_predictions(suite: Suite) -> None:
    """Write `slices.parquet` and `calibration.parquet`, for every cell that has predictions.

    Raises:
        SteadyTuneError: an evaluation set with slices is no longer staged.
    """
    slices: list[Row] = []
    calibration: list[Row] = []
    columns = cache(lambda name: _columns(suite.task(name), suite.file.store))
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    found = {status.cell: status for status in statuses(suite, scores=True)}
    for cell in suite.cells:
        groups.setdefault((cell.encoder, cell.method, cell.task), []).append(cell)
    for (encoder, method, task), cells in groups.items():
        names = {"encoder": encoder, "method": method, "task": task}
        answers: dict[int, dict[str, Alignment]] = {}
        for cell in cells:
            for name, table in _predictions(suite, found[cell]):
                tasks = suite.task(cell.task), suite.task(name)
                aligned = _aligned(*tasks, table, suite.spec(cell).protocol.collapse)
                answers.setdefault(cell.seed, {})[name] = aligned
                key = {**names, "seed": cell.seed, "evaluation_set": name}
                calibration += [key | row for row in _calibration(_aligned(*tasks, table, "sum"))]
                slices += [key | row for row in _slices(aligned, columns(name), table["row"].to_numpy())]
        calibration += [{**names, **row} for row in _churn(answers)]
    _write(slices, SLICES, slices_path(suite))
    _write(calibration, CALIBRATION, calibration_path(suite))


def _predictions(suite: Suite, status: CellStatus) -> Iterator[tuple[str, pd.DataFrame]]:
    """A cell's class predictions, by evaluation set; none if the cell's scores are not shown.

    Held-out data are left out, and so are sets with outputs that are not finite, which have no score.
    """
    if not status.shown or not status.record:
        return
    cell = status.cell
    source = suite.task(cell.task)
    if status.record["evaluations"] and not source.regression and not source.span:
        table = pd.read_parquet(predictions_path(suite, cell))
        for name, rows in table.groupby("evaluation_set", sort=False):
            if name != HELD_OUT and np.isfinite(_logits(source, rows)).all():
                yield str(name), rows


def _aligned(source: Task, target: Task, table: pd.DataFrame, rule: str) -> Alignment:
    return align(source, target, _logits(source, table), table["label"].to_numpy().astype(np.int64), rule)


def _logits(source: Task, table: pd.DataFrame) -> np.ndarray:
    return table[[f"logit_{i}" for i in range(source.num_labels)]].to_numpy()


def _columns(task: Task, store: Path) -> pd.DataFrame:
    """The columns by which an evaluation set is sliced, as far as its files have them, by row number."""
    return pd.DataFrame(read_columns(task, task.evaluation, store, task.slices) if task.slices else {})


def _calibration(aligned: Alignment) -> Iterator[Row]:
    yield {"measure": "ece", "value": expected_calibration_error(aligned.scores, aligned.gold)}
    yield {"measure": "brier", "value": brier_score(aligned.scores, aligned.gold)}


def _slices(aligned: Alignment, columns: pd.DataFrame, rows: np.ndarray) -> Iterator[Row]:
    """The accuracy on every slice, overall and by gold label."""
    right = aligned.scores.argmax(axis=1) == aligned.gold
    names = np.array(aligned.labels)[aligned.gold]
    for column in columns:
        values = columns[column].loc[rows].to_numpy()
        for value in dict.fromkeys(values[np.argsort(rows)]):
            inside = values == value
            for gold in ("", *aligned.labels):
                chosen = inside & (names == gold) if gold else inside
                if chosen.any():
                    identity = {"column": column, "slice": value, "gold": gold}
                    yield identity | {"n": int(chosen.sum()), "accuracy": float(right[chosen].mean())}


def _churn(answers: dict[int, dict[str, Alignment]]) -> Iterator[Row]:
    """The share of differing answers, for each pair of seeds of one method and each set that both have."""
    for one, other in combinations(sorted(answers), 2):
        for name in [name for name in answers[one] if name in answers[other]]:
            first, second = (answers[seed][name] for seed in (one, other))
            share = churn(first.scores.argmax(axis=1), second.scores.argmax(axis=1), first.gold).all
            yield {"seed": one, "other_seed": other, "evaluation_set": name, "measure": "churn", "value": share}


def _write(rows: list[Row], columns: dict[str, str], path: Path) -> None:
    table = pd.DataFrame(rows, columns=list(columns)).astype(columns)
    write_parquet(path, table)
    log.info("%s: %d rows", path, len(table))

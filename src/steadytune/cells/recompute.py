"""Scores, computed again from the predictions beside a record: a record that they refute is not believed."""

import math
from pathlib import Path

import numpy as np

from steadytune.cells.record import Evaluation, Record
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.formulas import METRICS, TEXT_METRICS
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.evaluation.transfer import TWO_WAY_METRIC, Alignment, align, read_two_ways
from steadytune.layout import PREDICTIONS
from steadytune.suite.cell import Spec

TOLERANCE = 1e-9
"""Sums over other numbers of threads or by other versions of numpy differ by less."""


def refuted(record: Record, folder: Path, spec: Spec) -> str:
    """Which score of a record its predictions refute, and how; empty if they agree.

    spec: that of the record's cell, of the same tasks.
    """
    import pyarrow.parquet as pq

    path = folder / PREDICTIONS
    if record.status in ("ok", "degenerate") and {e.set for e in record.evaluations} < {spec.task, *spec.transfer}:
        return f"{folder}: the record lacks evaluation sets"
    try:
        # Not pandas, which takes several times as long for a small file.
        table = pq.ParquetFile(path).read(use_threads=False)
        columns = {name: table[name].to_numpy() for name in table.column_names}
        for evaluation in record.evaluations:
            if found := _difference(evaluation, columns, spec):
                return f"{folder}: {evaluation.set}: {found}"
    except (KeyError, ValueError, IndexError, OSError, SteadyTuneError) as error:
        return f"{path}: its predictions cannot be scored ({error!s})".replace("\n", " ")
    return ""


def _difference(evaluation: Evaluation, columns: dict[str, np.ndarray], spec: Spec) -> str:
    held_out = evaluation.kind == "held_out"
    rows = columns["evaluation_set"] == (HELD_OUT if held_out else evaluation.set)
    if held_out and not rows.any():
        # Of a record whose code did not keep them.
        return ""
    own = {name: values[rows] for name, values in columns.items()}
    if int(rows.sum()) != evaluation.n:
        return f"n is {evaluation.n}, {int(rows.sum())} predictions"
    for name, value in _metrics(evaluation, own, spec).items():
        said = evaluation.metrics.get(name)
        if not _equal(math.nan if said is None else said, value):
            return f"{name} is {said}, its predictions give {value:.6g}"
    return ""


def _metrics(evaluation: Evaluation, columns: dict[str, np.ndarray], spec: Spec) -> dict[str, float]:
    """The record's metrics of one evaluation set, from its predictions."""
    source, target = spec.tasks[spec.task], spec.tasks[evaluation.set]
    names = list(evaluation.metrics)
    logits = np.stack([values for name, values in columns.items() if name.startswith("logit_")], axis=1)
    if source.span:
        broken = np.isnan(logits).any()
        return {name: math.nan if broken else float(columns[name].mean()) for name in names if name in TEXT_METRICS}
    if not np.isfinite(logits).all():
        return dict.fromkeys(names, math.nan)
    gold = columns["label"] if target.regression else columns["label"].astype(np.int64)
    aligned = align(source, target, logits, gold, spec.protocol.collapse)
    coarse = read_two_ways(aligned, spec.protocol.collapse) if TWO_WAY_METRIC in names else aligned
    return {name: _score("accuracy", coarse) if name == TWO_WAY_METRIC else _score(name, aligned) for name in names}


def _score(name: str, aligned: Alignment) -> float:
    answers = aligned.scores.argmax(axis=1) if aligned.labels else aligned.scores[:, 0]
    return (_matthews if name == "matthews" else METRICS[name])(answers, aligned.gold)


def _matthews(predictions: np.ndarray, gold: np.ndarray) -> float:
    """`METRICS["matthews"]` of class indices, without scikit-learn: its checks take ten times as long as the rest."""
    classes = 1 + max(predictions.max(), gold.max())
    table = np.bincount(classes * gold + predictions, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    said, true, n = table.sum(axis=0), table.sum(axis=1), table.sum()
    scale = math.sqrt((n**2 - said @ said) * (n**2 - true @ true))
    return float(np.trace(table) * n - said @ true) / scale if scale else 0.0


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE or (math.isnan(one) and math.isnan(other))

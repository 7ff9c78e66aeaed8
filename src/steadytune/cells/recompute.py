"""Recompute scores from the predictions next to a record, to reject a record that its predictions refute.

The predictions themselves are compared with the staged data: they must be of the same examples and gold labels.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from steadytune.cells.gold import StagedGold
from steadytune.cells.predictions import read_predictions
from steadytune.cells.record import Evaluation, Record
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.formulas import METRICS, PROBABILITY_METRICS, TEXT_METRICS
from steadytune.evaluation.metrics import majority_rate, majority_value
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.evaluation.transfer import TWO_WAY_METRIC, Alignment, align, read_two_ways
from steadytune.layout import HISTORY, PREDICTIONS
from steadytune.suite.cell import Spec

TOLERANCE = 1e-9
"""Sums with another thread count or numpy version differ by less."""


def refuted(record: Record, folder: Path, spec: Spec) -> str:
    """Which score or status of a record the files next to it refute, and how; empty if they agree.

    spec: of the record's cell, with the same tasks as the record.
    """
    path = folder / PREDICTIONS
    told = {e.set for e in record.evaluations if e.kind != "held_out"}
    if record.status in ("ok", "degenerate") and not {spec.task, *spec.transfer} <= told:
        return f"{folder}: the record lacks evaluation sets"
    try:
        columns = read_predictions(path)
        if record.status == "diverged" and _came_to_an_end(record, folder, columns, spec):
            return f"{folder}: the record says diverged, but training finished with finite outputs"
        for evaluation in record.evaluations:
            if found := _difference(evaluation, columns, spec):
                return f"{folder}: {evaluation.set}: {found}"
    except (KeyError, ValueError, IndexError, OSError, SteadyTuneError) as error:
        return f"{path}: its predictions cannot be scored ({error!s})".replace("\n", " ")
    return ""


def _came_to_an_end(record: Record, folder: Path, columns: Mapping[str, np.ndarray], spec: Spec) -> bool:
    """Whether a cell's training finished and no output on its own evaluation set shows that it diverged.

    A cell diverges either in training, which leaves no history and no counts, or by outputs that are not finite.
    """
    with (folder / HISTORY).open(encoding="utf-8") as handle:
        epochs = sum(1 for _ in handle) - 1
    own = columns["evaluation_set"] == spec.task
    logits = [values[own] for name, values in columns.items() if name.startswith("logit_")]
    # For a question without a valid span, -inf is a valid output.
    broken = np.isnan if spec.tasks[spec.task].span else lambda values: ~np.isfinite(values)
    return not any(broken(values).any() for values in logits) and (epochs > 0 or record.training is not None)


def data_mismatch(folder: Path, spec: Spec, gold: StagedGold) -> str:
    """Which predictions do not match the staged examples and labels; empty if all do."""
    columns = read_predictions(folder / PREDICTIONS)
    for name in dict.fromkeys(columns["evaluation_set"]):
        if name not in (HELD_OUT, *spec.tasks):
            return f"{folder}: {name}: predictions on a set that the cell is not evaluated on"
        of, (rows, labels) = columns["evaluation_set"] == name, gold(spec, name)
        if not np.array_equal(columns["row"][of], rows):
            return f"{folder}: {name}: its predictions are of other examples than the staged ones"
        if not spec.tasks[spec.task].span and not np.array_equal(columns["label"][of], labels):
            return f"{folder}: {name}: the gold labels of its predictions differ from the staged ones"
    return ""


def _difference(evaluation: Evaluation, columns: dict[str, np.ndarray], spec: Spec) -> str:
    held_out = evaluation.kind == "held_out"
    rows = columns["evaluation_set"] == (HELD_OUT if held_out else evaluation.set)
    if held_out and not rows.any():
        # The code that wrote this record did not keep held-out predictions.
        return ""
    own = {name: values[rows] for name, values in columns.items()}
    if int(rows.sum()) != evaluation.n:
        return f"n is {evaluation.n}, {int(rows.sum())} predictions"
    logits = np.stack([values for name, values in own.items() if name.startswith("logit_")], axis=1)
    if spec.tasks[spec.task].span:
        broken = np.isnan(logits).any()
        names = [name for name in evaluation.metrics if name in TEXT_METRICS]
        found = {name: math.nan if broken else float(own[name].mean()) for name in names}
        return _first_difference(evaluation.metrics, found)
    answers = logits.argmax(axis=1) if logits.shape[1] > 1 else logits[:, 0]
    if not np.array_equal(own["prediction"], answers.astype(np.float64), equal_nan=True):
        return "its answers are not those of its logits"
    aligned = _aligned(evaluation, own["label"], logits, spec)
    finite = bool(np.isfinite(logits).all())
    scores = {name: _score(of, by) if finite else math.nan for name, (of, by) in aligned.items()}
    constant = {name: majority_value(of, by.gold) for name, (of, by) in aligned.items()}
    rate = majority_rate(next(iter(aligned.values()))[1].gold) if aligned else math.nan
    return (
        _first_difference(evaluation.metrics, scores)
        or _first_difference(evaluation.majority, constant, "the majority's ")
        or _first_difference({"majority_rate": evaluation.majority_rate}, {"majority_rate": rate})
    )


def _first_difference(said: Mapping[str, float | None], found: Mapping[str, float], of: str = "") -> str:
    """The first recorded value that differs from the recomputed one; empty if all agree."""
    for name, value in found.items():
        there = said.get(name)
        if not _equal(math.nan if there is None else there, value):
            return f"{of}{name} is {there}, its predictions give {value:.6g}"
    return ""


def _aligned(
    evaluation: Evaluation, labels: np.ndarray, logits: np.ndarray, spec: Spec
) -> dict[str, tuple[str, Alignment]]:
    """For each metric in a record, by name: the formula that computes it, and its inputs."""
    source, target = spec.tasks[spec.task], spec.tasks[evaluation.set]
    gold = labels if target.regression else labels.astype(np.int64)
    aligned = align(source, target, logits, gold, spec.protocol.collapse)
    found = {name: (name, aligned) for name in evaluation.metrics if name != TWO_WAY_METRIC}
    if TWO_WAY_METRIC in evaluation.metrics:
        found[TWO_WAY_METRIC] = "accuracy", read_two_ways(aligned, spec.protocol.collapse)
    return found


def _score(name: str, aligned: Alignment) -> float:
    if name in PROBABILITY_METRICS:
        return PROBABILITY_METRICS[name](aligned.scores, aligned.gold)
    answers = aligned.scores.argmax(axis=1) if aligned.labels else aligned.scores[:, 0]
    return (_matthews if name == "matthews" else METRICS[name])(answers, aligned.gold)


def _matthews(predictions: np.ndarray, gold: np.ndarray) -> float:
    """`METRICS["matthews"]` of class indices, without scikit-learn, whose checks take ten times as long as the rest."""
    classes = 1 + max(predictions.max(), gold.max())
    table = np.bincount(classes * gold + predictions, minlength=classes**2).reshape(classes, classes).astype(np.float64)
    said, true, n = table.sum(axis=0), table.sum(axis=1), table.sum()
    scale = math.sqrt((n**2 - said @ said) * (n**2 - true @ true))
    return float(np.trace(table) * n - said @ true) / scale if scale else 0.0


def _equal(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE or (math.isnan(one) and math.isnan(other))

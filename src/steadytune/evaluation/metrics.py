"""A task's metrics, and the same metrics of an uninformed predictor for comparison."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from steadytune.errors import unknown
from steadytune.evaluation.formulas import METRICS, PROBABILITY_METRICS, SCORE_METRICS, TEXT_METRICS
from steadytune.tasks.table import Task


def compute(task: Task, scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """All metrics that the task logs, for a model's outputs `scores` (n, C) against the gold `labels` (n,).

    The prediction is the arg-max over the C classes (the first if tied), or the single output for regression. If any
    score is not finite, as for a diverged model, every metric is NaN.
    """
    if scores.shape != (len(labels), task.num_labels):
        raise ValueError(f"scores of shape {scores.shape} for {len(labels)} examples of task '{task.name}'")
    if not np.isfinite(scores).all():
        return dict.fromkeys(task.metrics, math.nan)
    answers = [name for name in task.metrics if name not in PROBABILITY_METRICS]
    values = score(answers, scores[:, 0] if task.regression else scores.argmax(axis=1), labels)
    values |= {name: PROBABILITY_METRICS[name](scores, labels) for name in task.metrics if name in PROBABILITY_METRICS}
    return {name: values[name] for name in task.metrics}


def score(metrics: Sequence[str], predictions: Any, labels: Any) -> dict[str, float]:
    """The named metrics of predictions against gold labels, arrays (n,), or of texts against lists of gold answers.

    They are computed through `evaluate`.

    Raises:
        SteadyTuneError: an unknown metric.
    """
    for name in metrics:
        if name not in METRICS:
            raise unknown("metric", name, METRICS)
    from steadytune.evaluation.glue_metrics import load_metric

    values: dict[str, float] = {}
    for name in metrics:
        inputs = {"predictions": predictions, "references": labels}
        if name not in TEXT_METRICS:
            kind = np.float64 if name in SCORE_METRICS else np.int64
            inputs = {key: values.astype(kind) for key, values in inputs.items()}
        values |= load_metric(name).compute(**inputs) or {}
    return values


def majority_value(metric: str, labels: np.ndarray) -> float:
    """The metric of a predictor that always gives the most frequent of the gold labels (n,), the lowest if tied.

    For a correlation it always gives the mean label, and the value is 0. For AUROC it gives all classes the same
    probability, and the value is 0.5.
    """
    if metric in PROBABILITY_METRICS:
        return METRICS[metric](np.full((len(labels), int(labels.max()) + 2), 0.5), labels)
    if metric in SCORE_METRICS:
        predictions = np.full(len(labels), labels.mean())
    else:
        predictions = np.full(len(labels), np.bincount(labels).argmax())
    return METRICS[metric](predictions, labels)


def majority_rate(labels: np.ndarray) -> float:
    """The share of the most frequent class among gold labels (n,); NaN for regression, whose labels are floats."""
    if np.issubdtype(labels.dtype, np.floating):
        return math.nan
    return float(np.bincount(labels).max() / len(labels))

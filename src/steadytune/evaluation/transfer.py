"""Evaluate a model on a data set that it was not trained on, on the labels that both share.

The same functions evaluate a model in domain, where the two label spaces are the same.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.evaluation.metrics import compute, majority_rate, majority_value
from steadytune.tasks.labels import TWO_WAY, coarsening, collapse_gold, project, shared_space
from steadytune.tasks.table import Task

TWO_WAY_METRIC = "accuracy_two_way"
"""Accuracy of a three-label comparison after collapsing it to (entailment, not_entailment), as in HyPe's Table 7."""


@dataclass(frozen=True)
class Alignment:
    """A model's outputs and a set's gold labels in one label space; n examples."""

    labels: tuple[str, ...]
    """Names of the C classes; empty for regression."""
    scores: np.ndarray
    """(n, C) float64: probabilities, NaN in rows without finite logits; for regression, the output itself."""
    gold: np.ndarray
    """(n,): class indices into `labels`, or numbers."""


def align(source: Task, target: Task, logits: np.ndarray, labels: np.ndarray, rule: str = "sum") -> Alignment:
    """Map the logits (n, C_source) of a model of `source` and the gold labels (n,) of `target` to one label space.

    The space is the coarser of the two (`tasks/labels.py`); `rule` says how finer classes become coarser ones.

    Raises:
        SteadyTuneError: the tasks' label spaces are not comparable, or the rule is unknown.
    """
    try:
        space = shared_space(source.labels, target.labels)
    except SteadyTuneError as error:
        raise SteadyTuneError(f"transfer from '{source.name}' to '{target.name}': {error}") from error
    logits = np.asarray(logits, dtype=np.float64)
    if target.regression:
        return Alignment(space, logits, labels)
    scores = project(_softmax(logits), source.labels, space, rule)
    return Alignment(space, scores, collapse_gold(labels, target.labels, space))


def evaluate_transfer(
    source: Task, target: Task, logits: np.ndarray, labels: np.ndarray, rule: str = "sum"
) -> dict[str, Any]:
    """Every metric of a model of `source`, with logits (n, C_source), on a split of `target` with gold labels (n,).

    The headline is the target's metric if source and target have the same label names (in domain, and on shifted and
    adversarial sets). If names had to be translated or collapsed, it is accuracy, as in HyPe's Tables 6 and 7. In the
    target's label space, all of the target's metrics are included; in a coarser space, only accuracy. Three-way
    entailment also has `accuracy_two_way`.

    Returns:
        `labels` (names of the space), `n` (examples), `headline` (metric name), `metrics` (by name), `majority` (the
        same metrics of a predictor that always gives the most frequent gold label) and `majority_rate`.

    Raises:
        SteadyTuneError: see `align`.
    """
    aligned = align(source, target, logits, labels, rule)
    headline = headline_metric(source, target)
    logged = tuple(dict.fromkeys((headline, *target.metrics))) if aligned.labels == target.labels else (headline,)
    metrics, majority = _score(aligned, replace(target, metrics=logged))
    if len(aligned.labels) > len(TWO_WAY) and coarsening(aligned.labels, TWO_WAY) is not None:
        coarse = read_two_ways(aligned, rule)
        values, constant = _score(coarse, replace(target, metrics=("accuracy",)))
        metrics[TWO_WAY_METRIC] = values["accuracy"]
        majority[TWO_WAY_METRIC] = constant["accuracy"]
    return {
        "labels": list(aligned.labels),
        "n": len(aligned.gold),
        "headline": headline,
        "metrics": metrics,
        "majority_rate": majority_rate(aligned.gold),
        "majority": majority,
    }


def read_two_ways(aligned: Alignment, rule: str) -> Alignment:
    """Collapse three-way entailment to (entailment, not_entailment)."""
    return Alignment(
        TWO_WAY,
        project(aligned.scores, aligned.labels, TWO_WAY, rule),
        collapse_gold(aligned.gold, aligned.labels, TWO_WAY),
    )


def headline_metric(source: Task, target: Task) -> str:
    """The metric that tables show for a model of `source` on `target`; see `evaluate_transfer`."""
    return target.metric if set(source.labels) == set(target.labels) else "accuracy"


def _score(aligned: Alignment, target: Task) -> tuple[dict[str, float], dict[str, float]]:
    """The target's metrics in the shared space: the model's values and the majority predictor's."""
    task = replace(target, labels=aligned.labels, values=())
    majority = {name: majority_value(name, aligned.gold) for name in task.metrics}
    return compute(task, aligned.scores, aligned.gold), majority


def _softmax(logits: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    powers[~np.isfinite(logits).all(axis=1)] = np.nan
    return powers / powers.sum(axis=1, keepdims=True)

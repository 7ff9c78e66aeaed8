"""The metrics' formulas over predictions and gold labels, both of shape (n,); `answers.py` has those of texts.

If a formula is undefined, the value is 0: F1 without a predicted or gold positive, Matthews with a single class, and
correlations with a constant side (scikit-learn does the same for the first two). Degenerate predictions are detected
elsewhere (`Predictions.judge`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from steadytune.evaluation.answers import exact_match, span_f1

Formula = Callable[[Any, Any], float]


def accuracy(predictions: np.ndarray, references: np.ndarray) -> float:
    """Share of predictions that equal the gold class."""
    return float(np.mean(predictions == references))


def f1(predictions: np.ndarray, references: np.ndarray) -> float:
    """F1 of class 1, as GLUE scores MRPC and QQP: 2 TP / (2 TP + FP + FN)."""
    hits = np.sum((predictions == 1) & (references == 1))
    total = np.sum(predictions == 1) + np.sum(references == 1)
    return float(2 * hits / total) if total else 0.0


def accuracy_f1(predictions: np.ndarray, references: np.ndarray) -> float:
    """Mean of accuracy and F1, GLUE's single score for MRPC and QQP."""
    return (accuracy(predictions, references) + f1(predictions, references)) / 2


def matthews(predictions: np.ndarray, references: np.ndarray) -> float:
    """Matthews correlation coefficient for two or more classes."""
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(references, predictions))


def macro_f1(predictions: np.ndarray, references: np.ndarray) -> float:
    """Mean F1 over the classes that occur."""
    from sklearn.metrics import f1_score

    return float(f1_score(references, predictions, average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]


def balanced_accuracy(predictions: np.ndarray, references: np.ndarray) -> float:
    """Mean recall over the gold classes."""
    from sklearn.metrics import recall_score

    return float(recall_score(references, predictions, labels=np.unique(references), average="macro", zero_division=0))  # pyright: ignore[reportArgumentType]


def auroc(probabilities: np.ndarray, references: np.ndarray) -> float:
    """Area under the ROC curve for probabilities (n, C): of class 1 if C = 2, else the mean of each class vs the rest.

    Only classes that occur count; 0.5 if only one class occurs.
    """
    from sklearn.metrics import roc_auc_score

    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    areas = [roc_auc_score(references == c, probabilities[:, c]) for c in classes if 0 < np.mean(references == c) < 1]
    return float(np.mean(areas)) if areas else 0.5


def pearson(predictions: np.ndarray, references: np.ndarray) -> float:
    """Pearson correlation."""
    if np.ptp(predictions) == 0 or np.ptp(references) == 0:
        return 0.0
    return float(np.corrcoef(predictions, references)[0, 1])


def spearman(predictions: np.ndarray, references: np.ndarray) -> float:
    """Spearman correlation: Pearson correlation of ranks, with mean ranks for ties."""
    from scipy.stats import rankdata

    return pearson(rankdata(predictions), rankdata(references))


def pearson_spearman(predictions: np.ndarray, references: np.ndarray) -> float:
    """Mean of Pearson and Spearman correlation, GLUE's single score for STS-B."""
    return (pearson(predictions, references) + spearman(predictions, references)) / 2


CLASS_METRICS: dict[str, Formula] = {
    "accuracy": accuracy,
    "f1": f1,
    "accuracy_f1": accuracy_f1,
    "macro_f1": macro_f1,
    "balanced_accuracy": balanced_accuracy,
    "matthews": matthews,
}
"""Metrics of class indices, int64."""

SCORE_METRICS: dict[str, Formula] = {
    "pearson": pearson,
    "spearman": spearman,
    "pearson_spearman": pearson_spearman,
}
"""Metrics of numbers, float64."""

TEXT_METRICS: dict[str, Formula] = {
    "span_f1": span_f1,
    "exact_match": exact_match,
}
"""Metrics of texts against the gold answers of each."""

PROBABILITY_METRICS: dict[str, Formula] = {"auroc": auroc}
"""Metrics of class probabilities, (n, C) float64."""

METRICS = CLASS_METRICS | PROBABILITY_METRICS | SCORE_METRICS | TEXT_METRICS

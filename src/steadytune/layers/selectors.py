"""Other ways to choose a layer from the same pooled features, for comparison with nu. Larger scores are better."""

import logging
import math
from collections.abc import Callable

import numpy as np

from steadytune.layers.inside.cka import SMALLEST, cka, gram
from steadytune.results.variability import Choice

logger = logging.getLogger(__name__)

FOLDS = 5
# For standardised features. C = 1, the usual value, overfits hundreds of features on a thousand examples.
LOGISTIC_C = 0.01
# From weak to strong regularisation; the leave-one-out error chooses.
RIDGE_PENALTIES = tuple(10.0**power for power in range(5))


def choose_layers(features: np.ndarray, labels: np.ndarray, classes: np.ndarray, seed: int) -> dict[str, Choice]:
    """The choice of every selector, by name.

    Args:
        features: pooled hidden states (layers, n, width).
        labels: class indices (n,), or floating-point scores for regression.
        classes: the classes that nu uses (n,), 0 to k - 1; for regression, scores binned by its rule.
        seed: for the probe's folds, which are the same for every layer.
    """
    regression = np.issubdtype(labels.dtype, np.floating)
    targets = labels[:, None] if regression else np.eye(classes.max() + 1)[classes]
    measures: dict[str, Callable[[np.ndarray], float]] = {
        "cka": lambda layer: label_cka(layer, targets),
        "probe": _probe(labels, regression, seed),
        "h_score": lambda layer: h_score(layer, classes),
    }
    return {
        name: _choice(name, [measure(layer.astype(np.float64)) for layer in features])
        for name, measure in measures.items()
    }


def label_cka(features: np.ndarray, targets: np.ndarray) -> float:
    """Linear CKA of features (n, width) and targets (n, k); NaN if one of them is constant or n is below 4."""
    return cka(gram(features), gram(targets)) if len(features) >= SMALLEST else math.nan


def h_score(features: np.ndarray, classes: np.ndarray) -> float:
    """The regularised H-score of features (n, width) for classes (n,); NaN if the features are constant.

    Bao et al. (ICIP 2019): tr(cov(f)^-1 cov(E[f|y])). Regularised as in Ibrahim et al. (arXiv 2110.06893): cov(f) is
    shrunk by Ledoit and Wolf's coefficient alpha, and cov(E[f|y]) multiplied by 1 - alpha.
    """
    from scipy.linalg import cho_factor, cho_solve
    from sklearn.covariance import ledoit_wolf

    covariance, shrinkage = ledoit_wolf(features)
    if not np.diag(covariance).max() > 0:
        return math.nan
    counts = np.bincount(classes)
    means = np.stack([features[classes == y].mean(axis=0) for y in range(len(counts))]) - features.mean(axis=0)
    solved = cho_solve(cho_factor(covariance), means.T).T
    return float((1 - shrinkage) * (counts / len(classes)) @ (means * solved).sum(axis=1))


def _probe(labels: np.ndarray, regression: bool, seed: int) -> Callable[[np.ndarray], float]:
    """Return a function that scores a layer's features with a cross-validated linear model: mean accuracy, or mean R^2.

    Classes with fewer examples than folds are left out. NaN for every layer if too few examples or classes remain.
    """
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind, model, scoring = StratifiedKFold, LogisticRegression(C=LOGISTIC_C, max_iter=2000), "accuracy"
    rows = np.arange(len(labels))
    if regression:
        kind, model, scoring = KFold, RidgeCV(RIDGE_PENALTIES), "r2"
    else:
        _, indices, counts = np.unique(labels, return_inverse=True, return_counts=True)
        rows = np.flatnonzero(counts[indices] >= FOLDS)
    if len(rows) < 2 * FOLDS or len(np.unique(labels[rows])) < 2:
        return lambda _: math.nan
    # As a list of rows, so that every layer has the same folds.
    folds = list(kind(FOLDS, shuffle=True, random_state=seed).split(rows, labels[rows]))
    pipeline = make_pipeline(StandardScaler(), model)
    return lambda features: float(
        cross_val_score(pipeline, features[rows], labels[rows], cv=folds, scoring=scoring).mean()
    )


def _choice(name: str, scores: list[float]) -> Choice:
    """The layer with the highest score among 1..L, the lowest of ties; None if no layer has a score."""
    scored = [layer for layer in range(1, len(scores)) if not math.isnan(scores[layer])]
    if not scored:
        logger.warning("%s scores no layer", name)
    return Choice(tuple(scores), max(scored, key=scores.__getitem__) if scored else None)

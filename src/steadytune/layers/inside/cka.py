"""How alike two layers represent the same examples: linear CKA, from Gram matrices alone, so in numpy and of any width.

Kornblith et al. 2019 (arXiv 1905.00414), with the unbiased estimator of HSIC (Song et al. 2012) in the place of the
plain one, whose CKA comes near 1 for unrelated features as soon as they are wider than there are examples:

    CKA(K, L) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),     K = X X^T,  L = Y Y^T
    HSIC(K, L) ~ tr(K~ L~) + (1^T K~ 1)(1^T L~ 1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1^T K~ L~ 1

with K~, L~ the matrices with a diagonal of 0. It can fall a little below 0.
"""

import math

import numpy as np

SMALLEST = 4
"""Examples that the estimator needs."""


def gram(features: np.ndarray) -> np.ndarray:
    """Inner products of centred features: (..., n, d) -> (..., n, n) float64.

    CKA does not depend on the centre; taken near the data it keeps the products from cancelling.
    """
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=-2, keepdims=True)
    return centred @ centred.swapaxes(-1, -2)


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear CKA of two Gram matrices (n, n) over the same n >= 4 examples; NaN where one side tells none apart."""
    size = len(first)
    if size < SMALLEST:
        raise ValueError(f"CKA of {size} examples, expected at least {SMALLEST}")
    own = _hsic(first, first) * _hsic(second, second)
    return _hsic(first, second) / math.sqrt(own) if own > 0 else math.nan


def _hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate times n (n - 3), which CKA does without."""
    size = len(first)
    first, second = (matrix * (1.0 - np.eye(size)) for matrix in (first, second))
    totals = first.sum() * second.sum() / ((size - 1) * (size - 2))
    return float((first * second).sum() + totals - 2 / (size - 2) * first.sum(axis=0) @ second.sum(axis=0))

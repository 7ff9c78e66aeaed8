"""Linear CKA: how similarly two layers represent the same examples. Needs only Gram matrices, so any width, in numpy.

Kornblith et al. 2019 (arXiv 1905.00414), with the unbiased estimator of HSIC (Song et al. 2012) instead of the plain
one, whose CKA approaches 1 even for unrelated features if their width exceeds the number of examples:

    CKA(K, L) = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),     K = X X^T,  L = Y Y^T
    HSIC(K, L) ~ tr(K~ L~) + (1^T K~ 1)(1^T L~ 1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1^T K~ L~ 1

with K~, L~ the matrices with their diagonals set to 0. The estimate can be slightly negative.
"""

import math

import numpy as np

SMALLEST = 4
"""Minimum number of examples for the estimator."""


def gram(features: np.ndarray) -> np.ndarray:
    """Inner products of centred features: (..., n, d) -> (..., n, n) float64.

    CKA does not depend on the centre; a centre near the data avoids cancellation in the products.
    """
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=-2, keepdims=True)
    return centred @ centred.swapaxes(-1, -2)


def cka(first: np.ndarray, second: np.ndarray) -> float:
    """Linear CKA of two Gram matrices (n, n) over the same n >= 4 examples; NaN if either is of constant features."""
    size = len(first)
    if size < SMALLEST:
        raise ValueError(f"CKA of {size} examples, expected at least {SMALLEST}")
    own = _hsic(first, first) * _hsic(second, second)
    return _hsic(first, second) / math.sqrt(own) if own > 0 else math.nan


def _hsic(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate times n (n - 3), a factor that cancels in CKA."""
    size = len(first)
    first, second = (matrix * (1.0 - np.eye(size)) for matrix in (first, second))
    totals = first.sum() * second.sum() / ((size - 1) * (size - 2))
    return float((first * second).sum() + totals - 2 / (size - 2) * first.sum(axis=0) @ second.sum(axis=0))

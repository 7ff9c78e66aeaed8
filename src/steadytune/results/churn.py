"""How often two seeds of one method answer an example differently."""

from typing import NamedTuple

import numpy as np


class Churn(NamedTuple):
    """Shares of the examples, 0 to 1."""

    all: float
    """Share on which the two answers differ."""
    one_right: float
    """Share on which they differ and one is right; if both are wrong, nothing is lost by a change of answer."""


def churn(first: np.ndarray, second: np.ndarray, labels: np.ndarray, *, regression: bool = False) -> Churn:
    """The churn between two seeds' answers (n,) to the same examples with gold labels (n,).

    Regression has no exactly right answers, so outputs and labels are rounded to the nearest integer, halves up. This
    is this project's own rule.
    """
    if regression:
        first, second, labels = (np.floor(values + 0.5) for values in (first, second, labels))
    differ = first != second
    right = (first == labels) | (second == labels)
    return Churn(float(differ.mean()), float((differ & right).mean()))

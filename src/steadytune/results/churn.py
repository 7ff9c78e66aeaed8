"""How often two seeds of one method give one example different answers."""

from typing import NamedTuple

import numpy as np


class Churn(NamedTuple):
    """Shares of the examples, 0 to 1."""

    all: float
    """On which the two answers differ."""
    one_right: float
    """On which they differ and one of them is right: where both are wrong, neither answer was worth having."""


def churn(first: np.ndarray, second: np.ndarray, labels: np.ndarray, *, regression: bool = False) -> Churn:
    """The churn between two seeds' answers (n,) to the same examples with gold labels (n,).

    A regression target has no answers that are right: its scores and labels are rounded to the nearest integer, halves
    up, which is this project's rule.
    """
    if regression:
        first, second, labels = (np.floor(values + 0.5) for values in (first, second, labels))
    differ = first != second
    right = (first == labels) | (second == labels)
    return Churn(float(differ.mean()), float((differ & right).mean()))

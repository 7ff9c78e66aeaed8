"""How far a classifier's probabilities can be believed.

Two measures of probabilities (n, C) against gold class indices (n,):

* the expected calibration error (Guo et al. 2017): examples are put into bins of equal width by the probability of the
  predicted class, and the distances between mean probability and accuracy in each bin are averaged, weighted by size;
* the Brier score (Brier 1950): the mean squared distance between the probabilities and the gold class's 1 and 0s,
  summed over classes, so from 0 to 2.
"""

import numpy as np

BINS = 15
"""Bins of equal width from 0 to 1; a value on the border of two belongs to the lower one."""


def expected_calibration_error(probabilities: np.ndarray, gold: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error, from 0 to 1."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    # The sum over a bin of (right - confidence) is its size times the distance between accuracy and mean confidence.
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    sums = np.bincount(np.searchsorted(edges, confidence, side="left"), weights=right - confidence, minlength=bins)
    return float(np.abs(sums).sum() / len(gold))


def brier_score(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """The Brier score, from 0 to 2."""
    return float(np.square(probabilities - np.eye(probabilities.shape[1])[gold]).sum(axis=1).mean())

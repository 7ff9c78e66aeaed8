"""Calibration: how well a classifier's probabilities match its accuracy.

Two measures of probabilities (n, C) against gold class indices (n,):

* the expected calibration error (Guo et al. 2017): examples are binned by the probability of the predicted class, in
  bins of equal width, and the distances between mean probability and accuracy are averaged, weighted by bin size;
* the Brier score (Brier 1950): the mean squared distance between the probabilities and the one-hot gold class, summed
  over classes and therefore between 0 and 2.
"""

import numpy as np

BINS = 15
"""Number of equal-width bins from 0 to 1; a value on a border belongs to the lower bin."""


def expected_calibration_error(probabilities: np.ndarray, gold: np.ndarray, bins: int = BINS) -> float:
    """The expected calibration error, from 0 to 1."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == gold
    # The sum of (right - confidence) over a bin is its size times the difference of accuracy and mean confidence.
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    sums = np.bincount(np.searchsorted(edges, confidence, side="left"), weights=right - confidence, minlength=bins)
    return float(np.abs(sums).sum() / len(gold))


def brier_score(probabilities: np.ndarray, gold: np.ndarray) -> float:
    """The Brier score, from 0 to 2."""
    return float(np.square(probabilities - np.eye(probabilities.shape[1])[gold]).sum(axis=1).mean())

"""Sampled softmax: part of the vocabulary represents all of it, as the full softmax is half of a small model's work."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """The pieces that a step's softmax runs over."""

    numbers: np.ndarray
    """(candidates,) int64: numbers of the pieces, the step's targets first."""
    log_weights: np.ndarray
    """(candidates,) float32: log of the number of vocabulary pieces that each represents, added to its score."""
    targets: np.ndarray
    """(masked,) int64: index of each target in `numbers`."""


def draw_candidates(rng: np.random.Generator, targets: np.ndarray, vocabulary: int, count: int) -> Candidates:
    """Return every target of the step, plus other pieces drawn uniformly and weighted to represent the rest.

    The sum in the softmax is then right in expectation. Its variance is small, because pieces that are not among a
    step's targets are rare. With `count` = `vocabulary` the softmax is exact.

    Args:
        rng: draws the other pieces.
        targets: (masked,) numbers of pieces.
        vocabulary: number of pieces.
        count: number of candidates, at least the number of distinct targets.
    """
    absent = np.ones(vocabulary, bool)
    absent[targets] = False
    own, others = np.flatnonzero(~absent), np.flatnonzero(absent)
    drawn = rng.choice(others, count - len(own), replace=False)
    weights = np.zeros(count, np.float32)
    weights[len(own) :] = np.log(len(others) / max(1, len(drawn)))
    return Candidates(np.concatenate([own, drawn]), weights, np.searchsorted(own, targets))

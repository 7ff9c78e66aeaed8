"""A part of the vocabulary that stands for all of it in a step's softmax, which is half of a small model's work."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Candidates:
    """The pieces among which a step's masked tokens are to be found."""

    numbers: np.ndarray
    """(candidates,) int64: numbers of the pieces, all of the step's targets first."""
    log_weights: np.ndarray
    """(candidates,) float32: the log of how many pieces of the vocabulary each stands for, added to its score."""
    targets: np.ndarray
    """(masked,) int64: where in `numbers` each target is."""


def draw_candidates(rng: np.random.Generator, targets: np.ndarray, vocabulary: int, count: int) -> Candidates:
    """Every target of the step, and others drawn uniformly, each standing for its share of those that were not.

    The softmax's sum over the vocabulary is then met in expectation. It varies little, because what a step's targets
    leave out is rare. With `count` = `vocabulary` the softmax is exact.

    Args:
        rng: draws the others.
        targets: (masked,) numbers of pieces.
        vocabulary: number of pieces.
        count: number of candidates, at least that of the different targets.
    """
    absent = np.ones(vocabulary, bool)
    absent[targets] = False
    own, others = np.flatnonzero(~absent), np.flatnonzero(absent)
    drawn = rng.choice(others, count - len(own), replace=False)
    weights = np.zeros(count, np.float32)
    weights[len(own) :] = np.log(len(others) / max(1, len(drawn)))
    return Candidates(np.concatenate([own, drawn]), weights, np.searchsorted(own, targets))

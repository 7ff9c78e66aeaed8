"""The p-values of a mean difference: for a claim, against it, against its size, and of the mean if tasks disagree."""

from typing import Any, NamedTuple

import numpy as np

from steadytune.claims import significance
from steadytune.claims.claim import ALPHA
from steadytune.claims.statistics import cautious_mean, constant


class PValues(NamedTuple):
    """Of a difference: what `Finding` has, each a number, or an array of studies."""

    for_it: Any
    against: Any
    size: Any
    worse: Any
    by_mean: Any
    """Whether the t test of the mean speaks at 0.05, and the claim's own test does not."""


def difference_p(
    test: significance.OneSided,
    gains: np.ndarray,
    size: float,
    bound: float,
    *,
    by_mean: bool,
    either: bool,
    extra: float = 0.0,
) -> PValues:
    """The p-values of a difference.

    Sign flips ask whether the two sides can be told apart at all: they miss a plain mean of tasks that disagree, which
    a t test sees. It speaks against a claim, and, if the claim has no direction, for it.

    Args:
        test: the claim's own.
        gains: differences on the claimed side, or on the observed one, (..., tasks, pairs).
        size: the claimed one.
        bound: what the claim is to exceed.
        by_mean: whether the t test may speak. Its p-values do not hold however often one looks; it takes runs of
            different tasks for independent, and differences for more than their ranks.
        either: whether the claim has no direction.
        extra: a standard error of another source, such as the choice of examples, that enters the t test too.
    """
    own, against = doubled(test(gains - bound)), doubled(test(bound - gains))
    mean = cautious_mean(gains - bound, extra)
    known = ~constant(gains).all(axis=-1) & by_mean
    of_mean = np.where(known, doubled(mean.p if either else 1 - mean.p), 1.0)[()]
    speaks = (of_mean <= ALPHA) & ((own if either else against) > ALPHA)
    return PValues(
        for_it=np.minimum(own, of_mean) if either else own,
        against=against,
        size=doubled(test(size - gains)),
        worse=1.0 if either else of_mean,
        by_mean=speaks,
    )


def doubled(p: Any) -> Any:
    """A one-sided p-value on the two-sided scale, on which all are."""
    return np.minimum(1.0, 2 * p)

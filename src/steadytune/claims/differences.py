"""The p-values of a mean difference: for a claim, against it, against its size, and, by a t test, of its mean."""

from typing import Any, NamedTuple

import numpy as np

from steadytune.claims import significance
from steadytune.claims.claim import ALPHA
from steadytune.claims.statistics import cautious_mean, constant


class PValues(NamedTuple):
    """The p-values of a difference that `Finding` holds; each a number, or an array over studies."""

    for_it: Any
    against: Any
    size: Any
    worse: Any
    by_mean: Any
    """Whether the t test of the mean is significant at 0.05 while the claim's own test is not."""


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

    Sign flips test whether the two sides can be told apart at all. If tasks disagree, they can miss a clear mean, which
    a t test detects. The t test counts against a claim with a direction, and for a claim without one.

    Args:
        test: the claim's own test.
        gains: (..., tasks, pairs), with the claimed direction positive; if none is claimed, the observed direction.
        size: the claimed size.
        bound: the bound that the claim says is exceeded.
        by_mean: whether to use the t test of the mean too. It is not valid for repeated looks, treats runs of different
            tasks as independent, and uses more than the ranks of differences.
        either: whether the claim has no direction.
        extra: a standard error from another source, such as the choice of examples, that enters the t test too.
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
    """A one-sided p-value on the two-sided scale that all p-values here use."""
    return np.minimum(1.0, 2 * p)

"""The jackknife for statistics in which the other runs choose for each run, such as an epoch or a grid's point.

A choice is no smooth function of the runs, so half of them are left out instead of one (Shao and Wu 1989, A General
Theory for Jackknife Variance Estimation): leaving out one can make the error several times too large or too small.
"""

from functools import cache
from itertools import combinations

import numpy as np
from scipy import special

LEAST_RUNS = 3
"""Without one of them, each run must still have another one to choose for it."""
MOST_PARTS = 100
"""Largest number of parts of the runs that are evaluated."""


def _kept(runs: int) -> int:
    """How many runs a part has: half of them, but at least two, so that each has another one."""
    return max(2, runs - runs // 2)


@cache
def halves(runs: int) -> list[list[int]]:
    """The places of the runs in each part: all parts, or random ones if there are many."""
    if special.comb(runs, _kept(runs)) <= MOST_PARTS:
        return [list(places) for places in combinations(range(runs), _kept(runs))]
    generator = np.random.default_rng(0)
    return [generator.permutation(runs)[: _kept(runs)].tolist() for _ in range(MOST_PARTS)]


def variance(of_parts: np.ndarray, runs: int) -> float:
    """The jackknife's variance of a statistic, from its values on parts of the runs."""
    return _kept(runs) / (runs - _kept(runs)) * float(of_parts.var())

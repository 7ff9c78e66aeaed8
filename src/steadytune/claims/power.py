"""What a number of seeds can and cannot show, before a cell has run: attainable p-values, detectable effects, seeds.

Everything is about a mean over `tasks` strata of `seeds` runs each; `sd` is the standard deviation of their paired
differences on every task. The power of the sign-flip test is taken to be the t test's, to which it tends; besides, its
smallest attainable p-value has to be small enough.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Literal

import numpy as np
from scipy import optimize, stats

from steadytune.claims.significance import DRAWS, brown_forsythe

Goal = Literal["difference", "bound", "equivalence"]
"""What is to be shown of a mean difference: that it is not 0 (two-sided sign-flip test); that it is above minus a bound
(one-sided t test), or within a bound on both sides (two one-sided t tests), where in truth it is 0."""

POWER = 0.8
"""The chance of showing an effect that is there, at which a design is called powered."""
MOST_SEEDS = 1000
"""Where the search for a number of seeds ends."""
SIMULATIONS = 2000
SLICE = 200
"""Simulations at a time: what many strata of many seeds leave room for."""


def chance_of_each(count: int) -> float:
    """The chance that each of `count` effects needs, so that all of them are shown with a chance of `POWER` at least.

    Whatever the tests have in common: the chances to miss one add up to no more than 1 - `POWER`.
    """
    return 1 - (1 - POWER) / count


def smallest_p(seeds: int, tasks: int = 1) -> float:
    """The smallest two-sided p-value that the paired sign-flip test can give: all signs alike, or all opposite."""
    pairs = seeds * tasks
    return max(2.0 ** (1 - pairs), 2 / (DRAWS + 1) if 2**pairs > DRAWS else 0.0)


def power_of_mean(effect: float, sd: float, seeds: int, tasks: int, alpha: float, goal: Goal = "difference") -> float:
    """The chance of reaching the goal.

    Args:
        effect: the true mean difference, or the bound; above 0.
        sd: standard deviation of a paired difference within a task; 0 makes the chance 1.
        seeds: pairs on each task.
        tasks: how many.
        alpha: significance level.
        goal: what is to be shown.
    """
    df = tasks * (seeds - 1)
    if df < 1:
        return 0.0
    if sd == 0:
        return 1.0
    shift = effect * np.sqrt(seeds * tasks) / sd
    threshold = stats.t.isf(alpha / (2 if goal == "difference" else 1), df)
    chance = float(stats.nct.sf(threshold, df, shift))
    # Far off in a tail scipy gives NaN.
    chance = chance if np.isfinite(chance) else float(shift > threshold)
    return max(0.0, 2 * chance - 1) if goal == "equivalence" else chance


def detectable_effect(
    sd: float, seeds: int, tasks: int, alpha: float, goal: Goal = "difference", *, chance: float = POWER
) -> float:
    """The smallest effect, or bound, that has such a chance; infinite for one run in all."""
    if tasks * (seeds - 1) < 1:
        return float("inf")
    if sd == 0:
        return 0.0

    def missing(effect: float) -> float:
        return power_of_mean(effect, sd, seeds, tasks, alpha, goal) - chance

    high = sd
    while missing(high) < 0:
        high *= 2
    return float(optimize.brentq(missing, 0, high))  # pyright: ignore[reportArgumentType]


def seeds_for_mean(
    effect: float,
    sd: float,
    tasks: int,
    alpha: float,
    goal: Goal = "difference",
    *,
    chance: float = POWER,
    unequal: Fraction = Fraction(1),
) -> int | None:
    """The fewest seeds with which the effect has such a chance; None above 1,000.

    unequal: the share of pairs whose sides differ; the sign-flip test does without the others.
    """

    def enough(seeds: int) -> bool:
        attainable = goal != "difference" or smallest_p(int(seeds * tasks * unequal)) <= alpha
        return attainable and power_of_mean(effect, sd, seeds, tasks, alpha, goal) >= chance

    return _fewest(enough, 2)


@cache
def power_of_ratio(ratio: float, seeds: int, tasks: int, alpha: float) -> float:
    """The chance that the Brown-Forsythe test finds a smaller spread where the deviations' true ratio is `ratio` < 1.

    Simulated with normal scores: with few seeds the test is far more careful than any formula for many says.
    """
    generator = np.random.default_rng(seeds)
    found = []
    for _ in range(SIMULATIONS // SLICE):
        first, second = generator.standard_normal((2, SLICE, tasks, seeds))
        found.append((2 * brown_forsythe(ratio * first, second, "less") <= alpha).mean())
    return float(np.mean(found))


def detectable_ratio(seeds: int, tasks: int, alpha: float, *, chance: float = POWER) -> float:
    """The mildest ratio of deviations, in steps of 0.05, that is found with such a chance; 0 where none is."""
    ratios = np.arange(19, 0, -1) / 20
    return next((float(ratio) for ratio in ratios if power_of_ratio(float(ratio), seeds, tasks, alpha) >= chance), 0.0)


def seeds_for_ratio(ratio: float, tasks: int, alpha: float, *, chance: float = POWER) -> int | None:
    """The fewest seeds with which a ratio of deviations is found with such a chance; None above 1,000."""
    return _fewest(lambda seeds: power_of_ratio(ratio, seeds, tasks, alpha) >= chance, 3)


def _fewest(enough: Callable[[int], bool], least: int) -> int | None:
    """The smallest number from `least` to MOST_SEEDS that is enough, taken to be enough from there on."""
    low, high = least - 1, least
    while not enough(high):
        if high >= MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high

"""What a number of seeds can and cannot show: attainable p-values, detectable effects, seeds needed.

Everything is about a mean over tasks; `variances` (tasks,) are those of a paired difference on each task. The power of
the sign-flip test is taken to be the t test's, to which it tends; besides, its smallest attainable p-value has to be
small enough, and likely where it is the only one that is. All tests are one-sided at alpha / 2, that is, two-sided at
alpha.
"""

from collections.abc import Callable
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np
from scipy import optimize, special, stats

from steadytune.claims.sign_flips import DRAWS, EXACT
from steadytune.claims.spread import Deviations, spread_p
from steadytune.claims.statistics import combined

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
    return 2.0 ** (1 - pairs) if pairs <= EXACT else 2 / (DRAWS + 1)


def careful(variances: np.ndarray, seeds: int, confidence: float = POWER) -> np.ndarray:
    """Variances as large as they are with a confidence of 80 % at most: so a plan holds in 80 % of cases.

    Estimated from few seeds they are too low half of the time; df / chi2.ppf(1 - confidence, df) makes the estimate an
    upper confidence limit (Browne 1995).
    """
    _, df = combined(variances / seeds, np.full(len(variances), seeds - 1.0))
    return variances * df / stats.chi2.ppf(1 - confidence, df)


def power_of_mean(effect: float, variances: np.ndarray, seeds: int, alpha: float, *, both: bool = False) -> float:
    """The chance that a one-sided t test at alpha / 2 finds the effect, with Welch's degrees of freedom.

    Args:
        effect: the true mean difference from what is tested: from 0, or from a bound; above 0.
        variances: of a paired difference on each task, (tasks,); all 0 makes the chance 1.
        seeds: pairs on each task.
        alpha: significance level, two-sided.
        both: whether two bounds at this distance have to be shown (equivalence).
    """
    if seeds < 2:
        return 0.0
    error, df = combined(np.asarray(variances) / seeds, np.full(len(variances), seeds - 1.0))
    if error == 0:
        return 1.0
    # As `stats.t.isf` has it, whose checks take a hundred times as long.
    shift, threshold = effect / error, -float(special.stdtrit(df, alpha / 2))
    chance = float(stats.nct.sf(threshold, df, shift))
    # Far off in a tail scipy gives NaN.
    chance = chance if np.isfinite(chance) else float(shift > threshold)
    return max(0.0, 2 * chance - 1) if both else chance


def detectable_effect(
    variances: np.ndarray, seeds: int, alpha: float, *, chance: float = POWER, both: bool = False
) -> float:
    """The smallest effect, or distance of a bound, that has such a chance; infinite for one seed."""
    if seeds < 2:
        return float("inf")
    high = float(np.sqrt(np.mean(variances)))
    if high == 0:
        return 0.0

    def missing(effect: float) -> float:
        return power_of_mean(effect, variances, seeds, alpha, both=both) - chance

    while missing(high) < 0:
        high *= 2
    return float(optimize.brentq(missing, 0, high))  # pyright: ignore[reportArgumentType]


def seeds_for_mean(
    effect: float,
    variances: np.ndarray,
    alpha: float,
    *,
    chance: float = POWER,
    both: bool = False,
    unequal: Fraction | None = None,
) -> int | None:
    """The fewest seeds with which the effect has such a chance; None above 1,000.

    unequal: for sign flips, the share of pairs whose sides differ, which are all that the test goes by.
    """

    def enough(seeds: int) -> bool:
        signs = 1.0 if unequal is None else _chance_of_signs(effect, variances, seeds * unequal, alpha)
        return min(signs, power_of_mean(effect, variances, seeds, alpha, both=both)) >= chance

    return fewest(enough, 3)


def _chance_of_signs(effect: float, variances: np.ndarray, seeds: Fraction, alpha: float) -> float:
    """What sign flips leave of any chance: nothing of few pairs, the chance that all signs are alike if all have to be.

    seeds: on each task, whose sides differ.
    """
    smallest = smallest_p(int(seeds * len(variances)))
    if smallest > alpha:
        return 0.0
    # The next p-value is twice the smallest.
    if 2 * smallest <= alpha:
        return 1.0
    with np.errstate(divide="ignore"):
        return float(np.prod(special.ndtr(effect / np.sqrt(variances))) ** float(seeds))


def power_of_ratio(ratio: float, seeds: int, tasks: int, alpha: float) -> float:
    """The chance that the Brown-Forsythe test finds a smaller spread where the deviations' true ratio is `ratio` < 1.

    Simulated with normal scores: with few seeds the test is far more careful than any formula for many says.
    """
    return float((_simulated_p(ratio, seeds, tasks) <= alpha).mean())


@lru_cache(maxsize=500)
def _simulated_p(ratio: float, seeds: int, tasks: int) -> np.ndarray:
    """The p-values of the simulated studies: every claim of a suite asks for those of the same ratios."""
    first, second = _simulated(seeds, tasks)
    return 2 * spread_p(first.times(ratio), second, "less")


@cache
def _simulated(seeds: int, tasks: int) -> tuple[Deviations, Deviations]:
    """Deviations of `SIMULATIONS` studies, both sides alike: every ratio and level asks the same ones."""
    generator = np.random.default_rng(seeds)
    slices = [
        [Deviations.of(side) for side in generator.standard_normal((2, SLICE, tasks, seeds))]
        for _ in range(SIMULATIONS // SLICE)
    ]
    first, second = (
        Deviations(np.concatenate([side.mean for side in sides]), np.concatenate([side.sd for side in sides]), seeds)
        for sides in zip(*slices, strict=True)
    )
    return first, second


def detectable_ratio(seeds: int, tasks: int, alpha: float, *, chance: float = POWER) -> float:
    """The mildest ratio of deviations, in steps of 0.05, that is found with such a chance; 0 where none is."""
    ratios = np.arange(19, 0, -1) / 20
    return next((float(ratio) for ratio in ratios if power_of_ratio(float(ratio), seeds, tasks, alpha) >= chance), 0.0)


def seeds_for_ratio(ratio: float, tasks: int, alpha: float, *, chance: float = POWER) -> int | None:
    """The fewest seeds with which a ratio of deviations is found with such a chance; None above 1,000."""
    return fewest(lambda seeds: power_of_ratio(ratio, seeds, tasks, alpha) >= chance, 3)


def fewest(enough: Callable[[int], bool], least: int, most: int = MOST_SEEDS) -> int | None:
    """The smallest number from `least` to `most` that is enough, taken to be enough from there on; None if none is."""
    low, high = least - 1, least
    while high > most or not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high

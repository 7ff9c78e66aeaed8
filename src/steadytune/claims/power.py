"""What a number of seeds can and cannot show: attainable p-values, detectable effects, seeds needed.

Everything is about a mean over tasks; `variances` (tasks,) are the variances of a paired difference on each task. The
power of the sign-flip test is approximated by the t test's, to which it converges. In addition, its smallest attainable
p-value must be small enough; if few others are, the power is also limited by what simulated sign flips find. All tests
are one-sided at alpha / 2, that is, two-sided at alpha, of a study that looks once, at all the seeds it has planned.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np
from scipy import optimize, special, stats

from steadytune.claims.sign_flips import DRAWS, EXACT, sign_flips
from steadytune.claims.spread import Deviations, spread_p
from steadytune.claims.statistics import combined

POWER = 0.8
"""The chance of detecting a true effect at which a design counts as powered."""
MOST_SEEDS = 1000
"""Upper limit of the search for a number of seeds."""
SIMULATIONS = 2000
FEW_PATTERNS = 8
"""With fewer sign patterns than this below alpha / 2, sign flips have clearly less power than a t test."""
SLICE = 200
"""Simulations at a time, few enough for many strata with many seeds to fit in memory."""


def chance_of_each(count: int) -> float:
    """The power that each of `count` tests needs for all effects to be detected with a chance of at least `POWER`.

    This holds for any dependence between the tests: the chances of missing an effect add up to at most 1 - `POWER`.
    """
    return 1 - (1 - POWER) / count


def smallest_p(seeds: int, tasks: int = 1) -> float:
    """The smallest two-sided p-value of the paired sign-flip test, attained if all signs are equal."""
    pairs = seeds * tasks
    return 2.0 ** (1 - pairs) if pairs <= EXACT else 2 / (DRAWS + 1)


def upper_variances(variances: np.ndarray, seeds: int, confidence: float = POWER) -> np.ndarray:
    """Upper confidence limits of variances, 80 % by default, so a plan holds in 80 % of cases.

    Variances estimated from few seeds are too low more than half of the time; the factor
    df / chi2.ppf(1 - confidence, df) turns an estimate into an upper confidence limit (Browne 1995).
    """
    _, df = combined(variances / seeds, np.full(len(variances), seeds - 1.0))
    return variances * df / stats.chi2.ppf(1 - confidence, df)


def power_of_mean(
    effect: float, variances: np.ndarray, seeds: int, alpha: float, *, both: bool = False, cautious: bool = False
) -> float:
    """The power of a one-sided t test at alpha / 2, with Welch's degrees of freedom.

    Args:
        effect: the true mean difference from the tested value, 0 or a bound; above 0.
        variances: variances of a paired difference on each task, (tasks,); if all are 0, the power is 1.
        seeds: pairs on each task.
        alpha: significance level, two-sided.
        both: whether two bounds at this distance must be shown (equivalence).
        cautious: whether the test has only the degrees of freedom of a single task, as in `cautious_mean`.
    """
    if seeds < 2:
        return 0.0
    error, df = combined(np.asarray(variances) / seeds, np.full(len(variances), seeds - 1.0))
    if error == 0:
        return 1.0
    if cautious:
        df = seeds - 1.0
    # Equals `stats.t.isf`, whose argument checks take a hundred times as long.
    shift, threshold = effect / error, -float(special.stdtrit(df, alpha / 2))
    chance = float(stats.nct.sf(threshold, df, shift))
    # scipy returns NaN far out in the tail.
    chance = chance if np.isfinite(chance) else float(shift > threshold)
    return max(0.0, 2 * chance - 1) if both else chance


def detectable_effect(
    variances: np.ndarray, seeds: int, alpha: float, *, chance: float = POWER, both: bool = False
) -> float:
    """The smallest effect, or distance to a bound, detected with this chance; infinite for one seed."""
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
    either: bool = False,
) -> int | None:
    """The fewest seeds that detect the effect with this chance; None above 1,000.

    unequal: for sign flips, the share of pairs whose sides differ: only those enter the test.
    either: whether a t test of the mean can show the effect too, as for a claim without a direction.
    """

    def enough(seeds: int) -> bool:
        if either and power_of_mean(effect, variances, seeds, alpha, cautious=True) >= chance:
            return True
        # Sign flips last, because they may have to be simulated.
        return power_of_mean(effect, variances, seeds, alpha, both=both) >= chance and (
            unequal is None or _power_of_signs(effect, variances, seeds * unequal, alpha) >= chance
        )

    return fewest(enough, 3)


def _power_of_signs(effect: float, variances: np.ndarray, seeds: Fraction, alpha: float) -> float:
    """The limit that the number of sign patterns sets on power: 0 with too few pairs, 1 if there are plenty.

    seeds: pairs on each task whose sides differ.
    """
    pairs = int(seeds * len(variances))
    smallest = smallest_p(pairs)
    if smallest > alpha:
        return 0.0
    if FEW_PATTERNS * smallest <= alpha:
        return 1.0
    with np.errstate(divide="ignore"):
        effects = effect / np.sqrt(variances)
    # The next p-value is twice the smallest: all signs have to agree.
    if 2 * smallest > alpha:
        return float(np.prod(special.ndtr(effects)) ** float(seeds))
    return _simulated_signs(tuple(effects), pairs, alpha)


@lru_cache(maxsize=500)
def _simulated_signs(effects: tuple[float, ...], pairs: int, alpha: float) -> float:
    """The power of sign flips, simulated with normal scores.

    Args:
        effects: the true effect on each task, in standard deviations.
        pairs: on all tasks together, spread over them as evenly as possible.
        alpha: significance level, two-sided.
    """
    generator = np.random.default_rng(pairs)
    tasks = len(effects)
    shape = (SLICE, tasks, math.ceil(pairs / tasks))
    absent = np.arange(math.prod(shape[1:])).reshape(shape[1:], order="F") >= pairs
    # A difference without any spread has an infinite effect.
    shifts = np.where(absent, np.nan, np.minimum(effects, 1e6)[:, None])
    found = [2 * sign_flips(generator.standard_normal(shape) + shifts) <= alpha for _ in range(SIMULATIONS // SLICE)]
    return float(np.mean(found))


def power_of_ratio(ratio: float, seeds: int, tasks: int, alpha: float) -> float:
    """The power of the Brown-Forsythe test for a smaller spread, if the true ratio of deviations is `ratio` < 1.

    Simulated with normal scores: with few seeds the test is far more conservative than large-sample formulas say.
    """
    return float((_simulated_p(ratio, seeds, tasks) <= alpha).mean())


@lru_cache(maxsize=500)
def _simulated_p(ratio: float, seeds: int, tasks: int) -> np.ndarray:
    """The p-values of the simulated studies, cached because a suite's claims share their ratios."""
    first, second = _simulated(seeds, tasks)
    return 2 * spread_p(first.times(ratio), second, "less")


@cache
def _simulated(seeds: int, tasks: int) -> tuple[Deviations, Deviations]:
    """Deviations of `SIMULATIONS` studies with equal spread on both sides, shared by every ratio and level."""
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
    """The ratio of deviations nearest to 1, in steps of 0.05, that is detected with this chance; 0 if none is."""
    ratios = np.arange(19, 0, -1) / 20
    return next((float(ratio) for ratio in ratios if power_of_ratio(float(ratio), seeds, tasks, alpha) >= chance), 0.0)


def seeds_for_ratio(ratio: float, tasks: int, alpha: float, *, chance: float = POWER) -> int | None:
    """The fewest seeds that detect a ratio of deviations with this chance; None above 1,000."""
    return fewest(lambda seeds: power_of_ratio(ratio, seeds, tasks, alpha) >= chance, 3)


def fewest(enough: Callable[[int], bool], least: int, most: int = MOST_SEEDS) -> int | None:
    """The smallest number from `least` to `most` that is enough, assuming larger ones are too; None if none is."""
    low, high = least - 1, least
    while high > most or not enough(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high

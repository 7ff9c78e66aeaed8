"""Tests over seeds, and corrections for many of them. Arrays are (tasks, runs), as in `statistics`.

Tests of paired differences give the one-sided p-value that their mean is above 0: negate the differences for the other
side, and subtract a bound to test against it. NaN stands for a pair that is left out on its task.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy import optimize, stats

from steadytune.claims.statistics import LEVEL, stratified_mean

Alternative = Literal["two-sided", "greater", "less"]
OneSided = Callable[[np.ndarray], Any]
EXACT = 20
"""Up to 2^20 sign patterns are enumerated; above, `DRAWS` of them are drawn, seeded."""
DRAWS = 99_999
CHUNK = 4_000
"""Subsets drawn at a time; a multiple of eight, so that the generator gives the same ones as all at once."""
BITS = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
BETS = 2.0 ** np.arange(-6, 3)
"""The rates of `e_value`, for each point of difference."""


def sign_flips(differences: np.ndarray, *, exact: int = EXACT, draws: int = DRAWS) -> Any:
    """Exact paired test, stratified by task: if the two sides are exchangeable in every pair, signs are random.

    The statistic is the mean over tasks of the means over pairs. Outcomes within 1e-9 of the sum of absolute
    differences count as ties. Signs of more than `exact` unequal pairs are sampled; the observed ones then count too.

    Args:
        differences: (..., tasks, pairs).
        exact: up to 2^exact patterns are enumerated.
        draws: of more, so many are drawn.
    """
    values = _weighted(differences)[0]
    differ = (values != 0).reshape(-1, values.shape[-1]).any(axis=0)
    # Of many, equal pairs stay: they add nothing, and the same random subsets then serve every comparison of a suite.
    values = values[..., differ] if differ.sum() <= exact else values
    near = 1e-9 * np.abs(values).sum(axis=-1, keepdims=True)
    if values.size and (values > near).all():
        # No subset lowers the statistic: their number is all that counts.
        return np.full(values.shape[:-1], 1 / (1 + _count_subsets(values.shape[-1], exact, draws)))[()]
    sums = _subset_sums(values, exact, draws)
    # Flipping a subset lowers the statistic by twice the subset's sum.
    return (1 + (sums <= near).sum(axis=-1)) / (1 + sums.shape[-1])


def flip_interval(differences: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The shifts that the two-sided sign-flip test does not reject; infinite if too few pairs could reject any.

    The test of `differences - shift` rejects by its rank among the means over all subsets of the pairs (Hartigan 1969).
    """
    means = np.sort(np.divide(*map(_subset_sums, _weighted(differences))))
    rank = int((1 - level) / 2 * (1 + len(means)))
    return (float(means[rank - 1]), float(means[-rank])) if rank else (-np.inf, np.inf)


def signed_ranks(differences: np.ndarray) -> float:
    """Sign flips of ranks: absolute differences are ranked within each task (Wilcoxon's test, stratified)."""
    ranks = stats.rankdata(np.abs(differences), axis=-1, nan_policy="omit")
    return sign_flips(np.sign(differences) * ranks)


def e_value(differences: np.ndarray) -> Any:
    """Evidence, at any time, that differences (in points) lie above 0; expected to be at most 1 if they are symmetric.

    The mean over rates of the product over all pairs of exp(rate d) / cosh(rate d), which is a test martingale under
    random signs; 1 / E is a p-value however often one looks (Ville's inequality).
    """
    # A pair that is left out is like one without a difference: neither changes the product.
    values = np.nan_to_num(differences)
    logs = [
        (rate * values - np.logaddexp(rate * values, -rate * values) + np.log(2)).sum(axis=(-2, -1)) for rate in BETS
    ]
    return np.exp(np.logaddexp.reduce(logs) - np.log(len(BETS)))


def anytime(differences: np.ndarray) -> Any:
    """One-sided p-value that stays valid if one looks after every seed: 1 / `e_value`."""
    return np.minimum(1.0, 1 / np.maximum(e_value(differences), 1e-300))


def by_seed(differences: np.ndarray) -> Any:
    """One-sided t test of each seed's mean over tasks: valid also if a seed's luck is shared by all tasks."""
    return t_test(np.nanmean(differences, axis=-2, keepdims=True))


def t_test(differences: np.ndarray, extra: float = 0.0) -> Any:
    """One-sided t test of the mean over tasks; with several, Welch-Satterthwaite's degrees of freedom.

    Pairs that all agree on each task, as a few with coarse scores do, tell nothing of the spread: signs are flipped.

    Args:
        differences: (..., tasks, pairs), at least two pairs each.
        extra: a standard error of another source, such as the choice of examples, that is added to that over seeds.
    """
    found = stratified_mean(differences, extra)
    alike = found.error == 0
    return np.where(alike, sign_flips(differences), found.p)[()] if np.any(alike) else found.p


def t_interval(differences: np.ndarray, extra: float = 0.0, level: float = LEVEL) -> tuple[float, float]:
    """The shifts of one study, (tasks, pairs), that `t_test` does not reject on either side."""
    found = stratified_mean(differences, extra)
    return flip_interval(differences, level) if found.error == 0 else found.interval(level)


def inverted(test: OneSided, differences: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The shifts that a test rejects on neither side; its p-value has to rise with the shift."""
    tail, reach = (1 - level) / 2, 8 * float(np.nanmax(np.abs(differences))) + 1

    def end(sign: int) -> float:
        def excess(shift: float) -> float:
            return test(sign * (differences - shift)) - tail

        far, near = -sign * reach, float(np.nanmean(differences))
        if excess(far) > 0:
            return -sign * np.inf
        if excess(near) <= 0:
            return near
        return float(optimize.bisect(excess, far, near, xtol=1e-6))  # pyright: ignore[reportArgumentType]

    return end(1), end(-1)


def brown_forsythe(first: np.ndarray, second: np.ndarray, alternative: Alternative = "two-sided") -> np.ndarray:
    """Whether the runs of `first` spread less (`less`) or more (`greater`) about their median than those of `second`.

    Brown and Forsythe's test on each task, its direction that of the mean absolute deviations from the median, and the
    one-sided p-values combined over tasks with equal weights (Stouffer). With 3 runs it can hardly reject at all.

    Args:
        first: (..., tasks, n), n above 2.
        second: (..., tasks, m), m above 2.
        alternative: which side.

    Returns:
        (...,).
    """
    return spread_p(Deviations.of(first), Deviations.of(second), alternative)


@dataclass(frozen=True)
class Deviations:
    """Absolute deviations of a side's runs from their median: all that Brown and Forsythe's test asks for."""

    mean: np.ndarray
    """(..., tasks)."""
    sd: np.ndarray
    """(..., tasks)."""
    runs: int

    @classmethod
    def of(cls, runs: np.ndarray) -> "Deviations":
        """Those of runs (..., tasks, n)."""
        found = np.abs(runs - np.median(runs, axis=-1, keepdims=True))
        return cls(found.mean(axis=-1), found.std(axis=-1, ddof=1), runs.shape[-1])

    def times(self, scale: float) -> "Deviations":
        """Those of the same runs, multiplied by a positive number."""
        return Deviations(scale * self.mean, scale * self.sd, self.runs)


def spread_p(first: Deviations, second: Deviations, alternative: Alternative = "two-sided") -> np.ndarray:
    """`brown_forsythe` of runs whose deviations are known."""
    less = np.asarray(stats.combine_pvalues(_spreads_less(first, second), "stouffer", axis=-1))[1]
    return {"less": less, "greater": 1 - less, "two-sided": 2 * np.minimum(less, 1 - less)}[alternative]


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values (tests,): at most alpha where Holm's procedure rejects at family-wise error alpha."""
    order = np.argsort(p_values)
    steps = (len(p_values) - np.arange(len(p_values))) * np.asarray(p_values)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def _weighted(differences: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What each pair adds to the mean over tasks, and its weight, both (..., pairs); those of no study are left out."""
    there = np.isfinite(differences)
    weights = there / (there.sum(axis=-1, keepdims=True) * differences.shape[-2])
    flat = (*differences.shape[:-2], -1)
    kept = there.reshape(flat).reshape(-1, there.shape[-2] * there.shape[-1]).any(axis=0)
    values = np.nan_to_num(differences) * weights
    return values.reshape(flat)[..., kept], weights.reshape(flat)[..., kept]


def _subset_sums(values: np.ndarray, exact: int = EXACT, draws: int = DRAWS) -> np.ndarray:
    """Sums of the values (..., pairs) over all subsets but the empty one, or over random ones: (..., subsets)."""
    pairs = values.shape[-1]
    if pairs > exact:
        if values.ndim > 1:
            return _sampled_sums(values, draws)
        # A study's tests ask for the same sums again, or for their negatives.
        negative = values[0] < 0
        sums = _known_sums((0.0 - values if negative else values + 0.0).tobytes(), draws)
        return -sums if negative else sums
    sums = np.zeros((*values.shape[:-1], 1))
    for pair in range(pairs):
        sums = np.concatenate([sums, sums + values[..., pair, None]], axis=-1)
    return sums[..., 1:]


@lru_cache(maxsize=8)
def _known_sums(values: bytes, draws: int) -> np.ndarray:
    """Sums of the float64 values of one study over random subsets of them, (draws,)."""
    found = _sampled_sums(np.frombuffer(values), draws)
    found.flags.writeable = False
    return found


def _sampled_sums(values: np.ndarray, draws: int) -> np.ndarray:
    pairs = values.shape[-1]
    drawn = _random_subsets(pairs, draws)
    # Eight pairs at a time: a table has the sums of all 256 subsets of each eight.
    eights = np.zeros((*values.shape[:-1], 8 * len(drawn)))
    eights[..., :pairs] = values
    tables = eights.reshape(*values.shape[:-1], -1, 8) @ BITS.T
    total = np.zeros((*values.shape[:-1], drawn.shape[1]))
    for place, subsets in enumerate(drawn):
        total += tables[..., place, :].take(subsets, axis=-1)
    return total


def _count_subsets(pairs: int, exact: int, draws: int) -> int:
    return 2**pairs - 1 if pairs <= exact else _random_subsets(pairs, draws).shape[1]


@lru_cache(maxsize=4)
def _random_subsets(pairs: int, draws: int) -> np.ndarray:
    """Random subsets of so many pairs, without the empty one: (pairs / 8, draws) uint8, a bit for each pair.

    The same as `default_rng(0).integers(0, 2, dtype=int8)` gives, which takes the highest bit of each random byte.
    """
    random, packed = np.random.default_rng(0).bit_generator, []
    for start in range(0, draws, CHUNK):
        count = min(CHUNK, draws - start)
        raw = random.random_raw(-(-count * pairs // 8)).astype("<u8").view(np.uint8)[: count * pairs]
        # Turned while it is in the processor's cache.
        packed.append(np.ascontiguousarray(np.packbits((raw & 128).reshape(count, pairs), axis=1).T))
    found = np.concatenate(packed, axis=1)
    there = found.any(axis=0)
    return found if there.all() else found[:, there]


def _spreads_less(first: Deviations, second: Deviations) -> np.ndarray:
    """One-sided p-values (...,) that `first` spreads less than `second`: of two groups, Levene's test is a t test."""
    with np.errstate(divide="ignore", invalid="ignore"):
        less = stats.ttest_ind_from_stats(
            first.mean, first.sd, first.runs, second.mean, second.sd, second.runs, alternative="less"
        )[1]
    # Within what a normal score can hold: a p-value of 0 or 1 would silence the other tasks.
    return np.clip(np.nan_to_num(np.asarray(less), nan=0.5), 1e-12, 1 - 1e-12)

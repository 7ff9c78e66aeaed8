"""Tests over seeds, and corrections for many of them. Arrays are (tasks, runs), as in `statistics`.

Every test takes `alternative` and gives one p-value. Where the exact null distribution is small it is enumerated;
otherwise it is drawn, seeded, and the observed data count as one more draw, so that no p-value is 0.
"""

from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
from scipy import stats

from steadytune.claims.statistics import CENTRES, Centre, stratified_mean

Alternative = Literal["two-sided", "greater", "less"]
DRAWS = 9999
"""Monte Carlo draws; as many outcomes or fewer are enumerated."""


def sign_flip(
    differences: np.ndarray,
    alternative: Alternative = "two-sided",
    *,
    centre: Centre = "mean",
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Paired test, stratified by task: were first and second exchangeable in every pair, signs would be random.

    Args:
        differences: first - second of each pair, (tasks, pairs).
        alternative: `greater` where the centre of the differences is to be above 0.
        centre: what is taken of each task's pairs before the mean over tasks.
        draws: as many sign patterns are looked at, all of them where there are no more.
        seed: of the draws.
    """
    if not differences.any():
        return 1.0

    def statistic(values: np.ndarray, axis: int) -> np.ndarray:
        values = np.moveaxis(values, axis, -1)
        return CENTRES[centre](values.reshape(*values.shape[:-1], *differences.shape), axis=-1).mean(axis=-1)

    found = stats.permutation_test(
        (differences.ravel(),),
        statistic,
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        alternative=alternative,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def permutation(
    first: np.ndarray,
    second: np.ndarray,
    alternative: Alternative = "two-sided",
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> float:
    """Unpaired test of the mean over tasks of the difference of means, runs exchanged within each task.

    scipy's permutation_test has no strata; with one task this is the same test.

    Args:
        first: (tasks, n).
        second: (tasks, m).
        alternative: `greater` where `first` is to be above.
        draws: as many splits are looked at, all of them where there are no more.
        seed: of the draws.
    """
    tasks, n = first.shape
    pooled = np.concatenate([first, second], axis=1)
    runs = pooled.shape[1]
    exact = comb(runs, n) ** tasks <= draws
    if exact:
        chosen = np.array(list(combinations(range(runs), n)))
        null = np.zeros(1)
        for row in pooled:
            null = np.add.outer(null, row[chosen].sum(axis=1)).ravel()
    else:
        generator = np.random.default_rng(seed)
        null = np.zeros(draws)
        for row in pooled:
            null += generator.permuted(np.tile(row, (draws, 1)), axis=1)[:, :n].sum(axis=1)
    # The sum over first's runs orders the splits as the difference of means does.
    centre = n * pooled.mean(axis=1).sum()
    return _tail(null - centre, float(first.sum() - centre), alternative, exact=exact)


def wilcoxon(differences: np.ndarray, alternative: Alternative = "two-sided") -> float:
    """Wilcoxon's signed-rank test over the pairs of all tasks, (tasks, pairs); pairs that are equal are left out."""
    values = differences.ravel()
    if not values.any():
        return 1.0
    return float(stats.wilcoxon(values, alternative=alternative).pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided exact McNemar test on two models' predictions: the unit is the example, and not the seed.

    Args:
        first: whether each example was answered rightly, (examples,), bool.
        second: the same examples by the other model.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


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
    less = np.asarray(stats.combine_pvalues(_spreads_less(first, second), "stouffer", axis=-1))[1]
    return {"less": less, "greater": 1 - less, "two-sided": 2 * np.minimum(less, 1 - less)}[alternative]


def t_test(differences: np.ndarray, bound: float = 0, alternative: Alternative = "two-sided") -> float:
    """Whether the mean over tasks of differences (tasks, pairs), two pairs or more, is above or below `bound`.

    With one task it is the one-sample t test; with several, the error is the strata's and the degrees of freedom are
    Welch-Satterthwaite's.
    """
    found = stratified_mean(differences)
    if found.error == 0:
        greater = {True: 0.0, False: 1.0}[found.mean > bound] if found.mean != bound else 0.5
    else:
        greater = float(stats.t.sf((found.mean - bound) / found.error, found.df))
    return {"greater": greater, "less": 1 - greater, "two-sided": 2 * min(greater, 1 - greater)}[alternative]


def above(differences: np.ndarray, bound: float, centre: Centre = "mean") -> float:
    """One-sided p-value that the centre of differences (tasks, pairs) is above a bound: t for means, or sign flips."""
    if centre == "mean":
        return t_test(differences, bound, "greater")
    return sign_flip(differences - bound, "greater", centre=centre)


def tost(differences: np.ndarray, margin: float, centre: Centre = "mean") -> float:
    """Equivalence: two one-sided tests of a difference at most -margin and at least margin; (tasks, pairs)."""
    return max(above(differences, -margin, centre), above(-differences, -margin, centre))


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values (tests,): at most alpha where Holm's procedure rejects at family-wise error alpha."""
    order = np.argsort(p_values)
    steps = (len(p_values) - np.arange(len(p_values))) * np.asarray(p_values)[order]
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def benjamini_hochberg(p_values: np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p-values (tests,): at most q where the false discovery rate q rejects."""
    return stats.false_discovery_control(p_values, method="bh")


def _spreads_less(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """One-sided p-values (...,) that `first` (..., n) spreads less than `second` (..., m)."""
    deviations = [np.abs(runs - np.median(runs, axis=-1, keepdims=True)).mean(axis=-1) for runs in (first, second)]
    with np.errstate(divide="ignore", invalid="ignore"):
        two_sided = np.asarray(stats.levene(first, second, center="median", axis=-1))[1]
    # Within what a normal score can hold: a p-value of 0 or 1 would silence the other tasks.
    half = np.clip(np.nan_to_num(two_sided, nan=1.0) / 2, 1e-12, 0.5)
    return np.where(deviations[0] < deviations[1], half, 1 - half)


def _tail(null: np.ndarray, observed: float, alternative: Alternative, *, exact: bool) -> float:
    """The share of a null distribution (outcomes,) about 0 that is as extreme as what was observed."""
    near = 1e-10 * max(1.0, float(np.abs(null).max()))
    counts = {"greater": (null >= observed - near).sum(), "less": (null <= observed + near).sum()}
    shares = {side: (count + (not exact)) / (len(null) + (not exact)) for side, count in counts.items()}
    return float(min(1, 2 * min(shares.values())) if alternative == "two-sided" else shares[alternative])

"""How much more one side's runs vary over seeds than another's, with an interval and a test.

Arrays are (tasks, runs), as in `statistics`.
"""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from scipy import stats

from steadytune.claims.statistics import LEVEL

Alternative = Literal["two-sided", "greater", "less"]
DRAWS = 100_000
"""Simulated errors of a log ratio, from which its interval is computed."""


def spread_ratio(first: np.ndarray, second: np.ndarray) -> float:
    """The ratio of standard deviations over runs, first / second, as a geometric mean over tasks.

    Both are (tasks, runs), and not `constant` on any task: one constant task would make the ratio 0 or infinite.
    """
    ratios = np.log(first.std(axis=1, ddof=1)) - np.log(second.std(axis=1, ddof=1))
    return float(np.exp(ratios.mean()))


def spread_interval(ratio: float, tasks: int, runs: int) -> tuple[float, float]:
    """The 95 % interval around `spread_ratio`, for normal scores on both sides.

    The log of a ratio of two sample deviations differs from the true log ratio by half the log of an F variable,
    which does not depend on the deviations. The mean of `tasks` such errors is simulated here. With one task this is
    the textbook F interval.

    Args:
        ratio: geometric mean over tasks of sd / sd.
        tasks: number of tasks in the mean.
        runs: number of runs on each side.
    """
    low, high = _ratio_errors(tasks, runs)
    return ratio * float(np.exp(-high)), ratio * float(np.exp(-low))


def brown_forsythe(first: np.ndarray, second: np.ndarray, alternative: Alternative = "two-sided") -> np.ndarray:
    """Test whether runs of `first` spread less (`less`) or more (`greater`) about their median than those of `second`.

    This is Brown and Forsythe's test on each task, with a direction: the sign of the difference of mean absolute
    deviations from the median. One-sided p-values are combined over tasks with equal weights (Stouffer). With 3 runs
    it can hardly reject at all.

    Args:
        first: (..., tasks, n), n above 2.
        second: (..., tasks, m), m above 2.
        alternative: the side to test for.

    Returns:
        p-values, (...,).
    """
    return spread_p(Deviations.of(first), Deviations.of(second), alternative)


@dataclass(frozen=True)
class Deviations:
    """Absolute deviations of a side's runs from their median: all that Brown and Forsythe's test needs."""

    mean: np.ndarray
    """(..., tasks)."""
    sd: np.ndarray
    """(..., tasks)."""
    runs: int

    @classmethod
    def of(cls, runs: np.ndarray) -> "Deviations":
        """The deviations of runs (..., tasks, n)."""
        found = np.abs(runs - np.median(runs, axis=-1, keepdims=True))
        return cls(found.mean(axis=-1), found.std(axis=-1, ddof=1), runs.shape[-1])

    def times(self, scale: float) -> "Deviations":
        """The deviations of the same runs multiplied by a positive number."""
        return Deviations(scale * self.mean, scale * self.sd, self.runs)


def spread_p(first: Deviations, second: Deviations, alternative: Alternative = "two-sided") -> np.ndarray:
    """`brown_forsythe` from precomputed deviations."""
    less = np.asarray(stats.combine_pvalues(_spreads_less(first, second), "stouffer", axis=-1))[1]
    return {"less": less, "greater": 1 - less, "two-sided": 2 * np.minimum(less, 1 - less)}[alternative]


@cache
def _ratio_errors(tasks: int, runs: int) -> tuple[float, float]:
    """Lower and upper quantile of the error of a log ratio."""
    squares = np.random.default_rng(0).chisquare(runs - 1, size=(2, DRAWS, tasks))
    off = (np.log(squares[0]) - np.log(squares[1])).mean(axis=1) / 2
    low, high = np.quantile(off, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _spreads_less(first: Deviations, second: Deviations) -> np.ndarray:
    """One-sided p-values (..., tasks) that `first` spreads less: with two groups, Levene's test is a t test."""
    with np.errstate(divide="ignore", invalid="ignore"):
        less = stats.ttest_ind_from_stats(
            first.mean, first.sd, first.runs, second.mean, second.sd, second.runs, alternative="less"
        )[1]
    # Clipped, because a p-value of 0 or 1 has an infinite normal score, which would silence the other tasks.
    return np.clip(np.nan_to_num(np.asarray(less), nan=0.5), 1e-12, 1 - 1e-12)

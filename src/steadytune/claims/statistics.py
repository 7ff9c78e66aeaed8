"""Scores over seeds: what describes them, and how sure that is.

Arrays of scores are (tasks, runs): a row for each task (more generally: for each stratum), a column for each seed. Runs
vary and tasks do not: whatever is said here is about other seeds on the same tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

from steadytune.claims.judged import Summary

Centre = Literal["mean", "median"]
CENTRES: dict[Centre, Callable[..., np.ndarray]] = {"mean": np.mean, "median": np.median}
LEVEL = 0.95
RESAMPLES = 5000


@dataclass(frozen=True)
class Estimate:
    """A mean over tasks and runs, with what a t statistic of it needs."""

    mean: float
    error: float
    """Its standard error; tasks are fixed, so that only the runs' spread within each task enters."""
    df: float
    """Degrees of freedom (Welch-Satterthwaite)."""

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The two-sided t interval."""
        reach = float(stats.t.ppf((1 + level) / 2, self.df)) * self.error
        return self.mean - reach, self.mean + reach


def summarise(scores: np.ndarray) -> Summary:
    """Describe the scores of one cell, (runs,)."""
    scores = np.asarray(scores, dtype=np.float64)
    return Summary(
        runs=len(scores),
        mean=float(scores.mean()),
        sd=float(scores.std(ddof=1)) if len(scores) > 1 else float("nan"),
        median=float(np.median(scores)),
        interquartile_mean=float(stats.trim_mean(scores, 0.25)),
        best=float(scores.max()),
        worst=float(scores.min()),
    )


def mean_of_tasks(scores: np.ndarray, centre: Centre = "mean") -> float:
    """The unweighted mean over tasks of each task's mean, or median, over runs; scores (tasks, runs)."""
    return float(CENTRES[centre](scores, axis=-1).mean())


def stratified_mean(scores: np.ndarray) -> Estimate:
    """The mean over tasks of the means over runs, with its standard error; scores (tasks, runs), at least two runs.

    With one task it is the usual mean with runs - 1 degrees of freedom.
    """
    tasks, runs = scores.shape
    variances = np.where(constant(scores), 0, scores.var(axis=1, ddof=1) / runs)
    total = variances.sum()
    df = total**2 / (variances**2).sum() * (runs - 1) if total > 0 else tasks * (runs - 1)
    return Estimate(float(scores.mean()), float(np.sqrt(total)) / tasks, float(df))


def constant(scores: np.ndarray) -> np.ndarray:
    """Where the runs of a task agree to the last digits of their numbers, (tasks,) bool; scores (tasks, runs)."""
    rounding = np.finfo(np.float64).eps * np.abs(scores).max(axis=1)
    return scores.var(axis=1, ddof=1) <= scores.shape[1] * rounding**2


def bootstrap_interval(
    scores: np.ndarray, centre: Centre = "mean", *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Stratified bootstrap: runs are drawn anew within each task, and the percentiles of the centre are the interval.

    With few runs it is too narrow, by a factor of sqrt((runs - 1) / runs) and more (docs/claims.md has numbers); the t
    interval of `stratified_mean` is not.

    Args:
        scores: (tasks, runs).
        centre: what is taken of each task's runs before the mean over tasks.
        level: coverage aimed at.
        resamples: how many.
        seed: of the resampling.
    """

    def statistic(*rows: np.ndarray, axis: int) -> np.ndarray:
        return np.mean([CENTRES[centre](row, axis=axis) for row in rows], axis=0)

    found = stats.bootstrap(
        tuple(scores),
        statistic,
        confidence_level=level,
        n_resamples=resamples,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def spread_ratio(first: np.ndarray, second: np.ndarray) -> float:
    """The ratio of standard deviations over runs, first / second, as a geometric mean over tasks.

    Both (tasks, runs), and neither `constant` on any task: a single one would make it 0 or infinite.
    """
    ratios = np.log(first.std(axis=1, ddof=1)) - np.log(second.std(axis=1, ddof=1))
    return float(np.exp(ratios.mean()))


def spread_interval(
    ratio: float, tasks: int, runs: int, *, level: float = LEVEL, draws: int = 100_000, seed: int = 0
) -> tuple[float, float]:
    """An interval around `spread_ratio`, for normal scores on both sides.

    The log of a ratio of two sample deviations is off its true value by half the log of an F variable, whatever the
    deviations are; the mean of `tasks` of those is drawn here. One task gives the F interval of the textbooks.

    Args:
        ratio: geometric mean over tasks of sd / sd.
        tasks: how many it is the mean of.
        runs: on each side.
        level: coverage.
        draws: how many.
        seed: of the draws.
    """
    squares = np.random.default_rng(seed).chisquare(runs - 1, size=(2, draws, tasks))
    off = (np.log(squares[0]) - np.log(squares[1])).mean(axis=1) / 2
    low, high = np.quantile(off, [(1 - level) / 2, (1 + level) / 2])
    return ratio * float(np.exp(-high)), ratio * float(np.exp(-low))


def probability_of_improvement(first: np.ndarray, second: np.ndarray) -> float:
    """P(a run of `first` scores above one of `second`), ties counted half, averaged over tasks.

    Args:
        first: (tasks, n).
        second: (tasks, m).
    """
    gaps = first[:, :, None] - second[:, None, :]
    return float((gaps > 0).mean() + (gaps == 0).mean() / 2)


def violation_ratio(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How far `first` is from being stochastically larger: 0 where it is, 1 where `second` is.

    The squared distance between the two quantile functions, where that of `first` lies below, as a share of the whole
    (Dror, Shlomov and Reichart 2019, eq. 3). Equal samples have no order: 0.5.

    Args:
        first: (..., n).
        second: (..., m).

    Returns:
        (...,).
    """
    n, m = first.shape[-1], second.shape[-1]
    # Both quantile functions are constant between neighbours of these: integers over n * m, so that none is missed.
    edges = np.unique(np.concatenate([np.arange(n + 1) * m, np.arange(m + 1) * n]))
    gaps = np.sort(first)[..., edges[:-1] // m] - np.sort(second)[..., edges[:-1] // n]
    squares = np.diff(edges) * gaps**2
    below, whole = np.where(gaps < 0, squares, 0).sum(axis=-1), squares.sum(axis=-1)
    return np.where(whole > 0, below / np.where(whole > 0, whole, 1), 0.5)


def almost_stochastic_order(
    first: np.ndarray, second: np.ndarray, *, level: float = LEVEL, resamples: int = 1000, seed: int = 0
) -> float:
    """eps_min: an upper bound, at `level`, of `violation_ratio`; below 0.5, `first` is almost stochastically larger.

    The bootstrap estimate of its spread is that of Dror, Shlomov and Reichart 2019 (sec. 4).

    Args:
        first: scores (n,).
        second: scores (m,).
        level: of the bound.
        resamples: of both samples.
        seed: of the resampling.
    """
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(sample, size=(resamples, len(sample))) for sample in (first, second)]
    spread = violation_ratio(*drawn).std()
    return float(np.clip(violation_ratio(first, second) + stats.norm.ppf(level) * spread, 0, 1))

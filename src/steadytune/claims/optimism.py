"""How far the score that is printed, chosen in the usual ways, exceeds what another run would score.

The ways are the best epoch of each run, the best of the seeds, their median, and the best point of a grid, all computed
from the same runs. Tasks count equally. Intervals are 95 %, over other seeds on the same tasks and evaluation examples.
Where the other runs choose for each run, runs are not independent, and the interval is a jackknife's. For a best run it
is exact if scores are normal. For a median of few runs it is wider than necessary: with 3 to 5 runs of one task it
always contains 0.

All methods of an encoder are compared on the tasks that are planned for every method; if there is no such task, each
method uses its own tasks.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy import integrate, special, stats

from steadytune.claims.jackknife import LEAST_RUNS, halves, variance
from steadytune.claims.statistics import LEVEL, combined
from steadytune.results.epochs import by_other_seeds, epoch_scores
from steadytune.results.model import Key, Results
from steadytune.results.selection import select

DRAWS = 20_000
WAYS = {
    "stopping": "epoch by other seeds",
    "best_epoch": "best epoch",
    "median": "median of seeds",
    "best_seed": "best seed",
    "best_seed_and_epoch": "best seed and epoch",
    "grid": "best grid point",
}
"""The names that tables use for the fields of `Optimism`."""


@dataclass(frozen=True)
class Gain:
    """A difference in points, with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Optimism:
    """One method on one encoder, with at least two runs on each task.

    A gain is None unless every task provides it; `stopping`, `best_epoch` and `grid` need three runs on each.
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    """Number of runs with a score, by task."""
    last: float
    """The mean over seeds after the last epoch: what this project reports."""
    stopping: Gain | None = None
    """The mean over seeds after the epoch that is best for the other seeds, minus `last`: early stopping's gain."""
    best_epoch: Gain | None = None
    """The mean of each run's best epoch, minus the mean after the epoch that is best for the other seeds."""
    median: Gain | None = None
    """The median run minus the mean."""
    best_seed: Gain | None = None
    """The best run minus the mean."""
    best_seed_and_epoch: Gain | None = None
    """The best run at its best epoch, minus `last`."""
    grid: Gain | None = None
    """The point of a grid that is best on the reported set, minus the point other seeds choose on held-out data."""


def optimism_of(results: Results) -> dict[tuple[str, str], Optimism]:
    """(encoder, method) -> how optimistic each way of reporting is; `results` must hold every variant of a grid.

    A method with fewer than two scored runs on some task shared by all methods is left out.
    """
    shown, choices = select(results), _Choices(results)
    found = {}
    for encoder in shown.encoders:
        shared = shown.shared_tasks(encoder)
        for method in shown.methods_of(encoder):
            scores = {task: shown.score(encoder, method, task) for task in shared or shown.tasks_of(encoder)}
            points = {t: np.array(list(s.points.values())) for t, s in scores.items() if s and len(s.points) > 1}
            if not points or len(points) < len(shared):
                continue
            curves = [np.array(list(epoch_scores(shown, encoder, method, task).values())) for task in points]
            whole = all(len(curve) == len(runs) for curve, runs in zip(curves, points.values(), strict=True))
            found[encoder, method] = Optimism(
                tasks=tuple(points),
                seeds=tuple(map(len, points.values())),
                last=float(np.mean([runs.mean() for runs in points.values()])),
                median=median_gain(list(points.values())),
                best_seed=best_gain(list(points.values()), list(points.values())),
                grid=choices.gain([(encoder, method, task) for task in points]),
                **(_of_epochs(curves) if whole else {}),
            )
    return found


def _of_epochs(curves: Sequence[np.ndarray]) -> dict[str, Gain]:
    """The gains that need scores by epoch; each curve is (runs, epochs), for one task."""
    last, best = [curve[:, -1] for curve in curves], [curve.max(axis=1) for curve in curves]
    found = {"best_seed_and_epoch": best_gain(best, last)}
    if min(map(len, curves)) >= LEAST_RUNS:
        found["stopping"] = jackknife_gain(lambda curve: by_other_seeds(curve) - curve[:, -1], curves)
        found["best_epoch"] = jackknife_gain(lambda curve: curve.max(axis=1) - by_other_seeds(curve), curves)
    return found


class _Choices:
    """What choosing a grid's point on the reported set adds, with all seeds and without each of them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.selected = cache(self._selected)

    def gain(self, keys: Sequence[Key]) -> Gain | None:
        """The mean over tasks; None if a task lacks held-out scores, a third run or a second point."""
        whole = [self._differences(key) for key in keys]
        if not all(len(found) >= LEAST_RUNS for found in whole):
            return None
        found = []
        for key, differences in zip(keys, whole, strict=True):
            seeds = sorted(differences)
            parts = [frozenset(seeds) - {seeds[place] for place in half} for half in halves(len(seeds))]
            of_parts = np.array([np.mean(list(self._differences(key, part).values())) for part in parts])
            found.append((float(np.mean(list(differences.values()))), variance(of_parts, len(seeds)), len(seeds)))
        return _gain(found)

    def _selected(self, left_out: frozenset[int]) -> tuple[Results, Results]:
        results = _without(self.results, left_out) if left_out else self.results
        return select(results, "published"), select(results, "nested")

    def _differences(self, key: Key, left_out: frozenset[int] = frozenset()) -> Mapping[int, float]:
        """Seed -> published minus nested score; empty if there is nothing to choose, or nothing to choose by."""
        if not self.results.held_out:
            return {}
        published, nested = self.selected(left_out)
        if key not in nested.held_out or published.choices.get(key, 1) < 2:
            return {}
        sides = [published.score(*key), nested.score(*key)]
        if not all(sides):
            return {}
        one, other = (side.points for side in sides if side)
        return {seed: value - other[seed] for seed, value in one.items() if seed in other}


def _without(results: Results, seeds: frozenset[int]) -> Results:
    """The results as if these seeds had never been planned."""
    return replace(
        results,
        cells={key: {at: status for at, status in of.items() if at not in seeds} for key, of in results.cells.items()},
        scores={key: score.on(score.points.keys() - seeds) for key, score in results.scores.items()},
        held_out={key: score.on(score.points.keys() - seeds) for key, score in results.held_out.items()},
    )


def jackknife_gain(of_runs: Callable[[np.ndarray], np.ndarray], tables: Sequence[np.ndarray]) -> Gain:
    """The mean over tasks of a mean over runs, in which the value of a run depends on the others.

    A t interval of the runs' values would cover only about 80 %; the jackknife's covers 97 % or more.

    Args:
        of_runs: values of a task's runs, (runs,), from a table, (runs, ...), of at least two runs.
        tables: one table for each task, of at least three runs.
    """
    found = []
    for table in tables:
        of_parts = np.array([of_runs(table[half]).mean() for half in halves(len(table))])
        found.append((float(of_runs(table).mean()), variance(of_parts, len(table)), len(table)))
    return _gain(found)


def _gain(found: Sequence[tuple[float, float, int]]) -> Gain:
    """The mean over tasks, with the degrees of freedom of a single task; of each: the value, its variance and runs."""
    values, variances, runs = zip(*found, strict=True)
    value, error = float(np.mean(values)), float(np.sum(variances)) ** 0.5 / len(found)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, min(runs) - 1)) * error
    return Gain(value, value - reach, value + reach)


def median_gain(runs: Sequence[np.ndarray]) -> Gain:
    """The median minus the mean, averaged over tasks."""
    value = float(np.mean([np.median(row) - row.mean() for row in runs]))
    sizes = np.array(list(map(len, runs)))
    variances = np.array([normal_order(len(row))[1] * row.var(ddof=1) for row in runs])
    error, df = combined(variances, sizes - 1.0)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, df)) * error
    return Gain(value, value - reach, value + reach)


def best_gain(runs: Sequence[np.ndarray], base: Sequence[np.ndarray]) -> Gain:
    """The best of a task's runs minus the mean of `base`, averaged over tasks.

    The interval is for the expected gain with this number of runs. For normal scores that is c x sigma plus the mean of
    `runs` - `base`, where c is the expected maximum of as many standard normal draws. Sigma is drawn from the
    distribution behind its chi-square interval, and the mean of `runs` - `base` from that behind its t interval.

    Args:
        runs: (runs,) for each task.
        base: the same runs, scored in another way, such as after the last epoch.
    """
    rng, drawn, value = np.random.default_rng(0), np.zeros(DRAWS), 0.0
    for row, other in zip(runs, base, strict=True):
        df, shift = len(row) - 1, row - other
        drawn += normal_order(len(row))[0] * row.std(ddof=1) * np.sqrt(df / rng.chisquare(df, DRAWS))
        drawn += shift.mean() + shift.std(ddof=1) / len(row) ** 0.5 * rng.standard_t(df, DRAWS)
        value += float(row.max() - other.mean())
    low, high = np.quantile(drawn / len(runs), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Gain(value / len(runs), float(low), float(high))


@cache
def normal_order(runs: int) -> tuple[float, float]:
    """For `runs` standard normal draws: the expected maximum, and the variance of median minus mean."""

    def density(x: float) -> float:
        return float(x * runs * stats.norm.pdf(x) * stats.norm.cdf(x) ** (runs - 1))

    drawn = np.random.default_rng(0).standard_normal((100_000, runs))
    return float(integrate.quad(density, -8, 8)[0]), float((np.median(drawn, axis=1) - drawn.mean(axis=1)).var())


def expected_best(scores: np.ndarray) -> np.ndarray:
    """The expected maximum of 1, 2, …, n scores drawn without replacement from n scores, (n,).

    Dodge et al. 2019 (Show Your Work) draw with replacement, which is biased low; this is the unbiased form (Tang et
    al. 2020, Showing Your Work Doesn't Always Work).
    """
    ordered, n = np.sort(scores), len(scores)
    below = np.arange(n)
    return np.array([(special.comb(below, k - 1) * ordered).sum() / special.comb(n, k) for k in range(1, n + 1)])

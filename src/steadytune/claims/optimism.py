"""How far the score that is printed, chosen in the usual ways, exceeds what another run would score.

The ways are the best epoch of each run, the best of the seeds, their median, and the best point of a grid, all computed
from the same runs. Tasks count equally. Intervals are 95 %, over other seeds on the same tasks and evaluation examples.
For a mean they are t intervals; for a best run they are exact if scores are normal. For a median of few runs they are
wider than necessary: with 3 to 5 runs of one task they always contain 0.

All methods of an encoder are compared on the tasks that are planned for every method; if there is no such task, each
method uses its own tasks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import integrate, special, stats

from steadytune.claims.statistics import LEVEL, combined, stratified_mean
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
    """One method on one encoder, with at least two runs on each task. A gain is None unless every task provides it."""

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
    shown, published = select(results), select(results, "published")
    nested = select(results, "nested") if results.held_out else None
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
            choices = [_choices(published, nested, (encoder, method, task)) for task in points]
            found[encoder, method] = Optimism(
                tasks=tuple(points),
                seeds=tuple(map(len, points.values())),
                last=float(np.mean([runs.mean() for runs in points.values()])),
                median=median_gain(list(points.values())),
                best_seed=best_gain(list(points.values()), list(points.values())),
                grid=mean_gain(choices) if all(map(len, choices)) else None,
                **(_of_epochs(curves) if whole else {}),
            )
    return found


def _of_epochs(curves: Sequence[np.ndarray]) -> dict[str, Gain]:
    """The gains that need scores by epoch; each curve is (runs, epochs), for one task."""
    last, best = [curve[:, -1] for curve in curves], [curve.max(axis=1) for curve in curves]
    honest = [by_other_seeds(curve) for curve in curves]
    return {
        "stopping": mean_gain([one - other for one, other in zip(honest, last, strict=True)]),
        "best_epoch": mean_gain([one - other for one, other in zip(best, honest, strict=True)]),
        "best_seed_and_epoch": best_gain(best, last),
    }


def _choices(published: Results, nested: Results | None, key: Key) -> np.ndarray:
    """Published minus nested score, (seeds,); empty if held-out scores, a second seed or a second point is lacking."""
    if nested is None or key not in nested.held_out or published.choices.get(key, 1) < 2:
        return np.array([])
    sides = [published.score(*key), nested.score(*key)]
    if not all(sides):
        return np.array([])
    one, other = (side.points for side in sides if side)
    found = np.array([one[seed] - other[seed] for seed in one if seed in other])
    return found if len(found) > 1 else np.array([])


def mean_gain(differences: Iterable[np.ndarray]) -> Gain:
    """The mean over tasks of paired differences; each task has an array (runs,), with at least two runs."""
    rows = list(differences)
    table = np.full((len(rows), max(map(len, rows))), np.nan)
    for place, row in enumerate(rows):
        table[place, : len(row)] = row
    found = stratified_mean(table)
    return Gain(found.mean, *found.interval())


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

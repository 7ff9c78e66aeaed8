"""The numbers that tables and figures print: a method on an evaluation set, over its planned seeds, in points."""

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

STATUSES = ("ok", "degenerate", "diverged", "out_of_memory", "missing", "stale", "quarantined")
"""How a cell can end, from good to absent; stale: other settings or inputs; quarantined: damaged or refuted record."""

ABSENT = frozenset({"missing", "stale", "quarantined"})
"""The statuses of cells that have not run, or whose record does not count."""

METRIC_NAMES = {
    "auroc": "AUROC",
    "f1": "F1",
    "macro_f1": "Macro F1",
    "matthews": "Matthews corr.",
    "pearson": "Pearson corr.",
    "spearman": "Spearman corr.",
    "pearson_spearman": "Pearson/Spearman",
    "span_f1": "F1 of words",
}


def in_order(statuses: Iterable[str]) -> list[str]:
    """Statuses, each once, from good to absent; statuses unknown to this module come last."""
    found = set(statuses)
    return [*(status for status in STATUSES if status in found), *sorted(found - set(STATUSES))]


def metric_name(metric: str) -> str:
    """A metric as printed: `accuracy`, `F1`, `Matthews corr.`."""
    return METRIC_NAMES.get(metric, metric.replace("_", " "))


@dataclass(frozen=True)
class Score:
    """Scores of one encoder and method, trained on one task, on one evaluation set, for every planned seed."""

    metric: str
    majority: float
    """Points of a predictor that always says the most frequent class; NaN if undefined."""
    statuses: dict[int, str]
    """Seed -> status, all planned seeds."""
    points: dict[int, float]
    """Seed -> points, only the seeds that have a score. A degenerate run has one; a missing run has none."""
    stale: frozenset[int] = frozenset()
    """Seeds whose record is from other code, or from inputs that are no longer staged; tables mark their scores."""

    @classmethod
    def in_points(
        cls,
        metric: str,
        majority: float,
        statuses: Mapping[int, str],
        values: Mapping[int, float],
        stale: frozenset[int] = frozenset(),
    ) -> "Score":
        """A score from the metric's own values by seed, usually 0 to 1; values that are not finite are left out.

        The only place that multiplies by 100: claims, published numbers, tables and figures all use points.
        """
        points = {seed: 100 * value for seed, value in sorted(values.items()) if math.isfinite(value)}
        return cls(metric, 100 * majority, dict(sorted(statuses.items())), points, stale)

    @property
    def planned(self) -> int:
        """Number of seeds that the suite plans."""
        return len(self.statuses)

    @property
    def ok(self) -> int:
        """Number of seeds that ended `ok`."""
        return sum(status == "ok" for status in self.statuses.values())

    @property
    def sound(self) -> int:
        """Number of seeds that ended `ok` and have a score here: a run has none on a set with non-finite outputs."""
        return sum(status == "ok" and seed in self.points for seed, status in self.statuses.items())

    @property
    def complete(self) -> bool:
        """Whether every planned seed has a score."""
        return len(self.points) == self.planned

    @property
    def at_majority(self) -> bool:
        """Whether every run that has a score gives one answer for every example, or scores no more than that would.

        With F1 only the first counts: a model may learn something and still have a lower F1 than always saying yes.
        """
        beatable = math.isfinite(self.majority) and self.metric not in ("f1", "accuracy_f1")
        return bool(self.points) and all(
            self.statuses.get(seed) == "degenerate" or (beatable and value <= self.majority + 1e-9)
            for seed, value in self.points.items()
        )

    def on(self, seeds: Collection[int]) -> "Score":
        """The score with the points of these seeds alone."""
        return replace(self, points={seed: value for seed, value in self.points.items() if seed in seeds})

    @property
    def mean(self) -> float:
        """Mean over the scored seeds; NaN if there are none."""
        return statistics.fmean(self.points.values()) if self.points else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation (divisor n - 1) over the scored seeds; NaN for fewer than two."""
        return statistics.stdev(self.points.values()) if len(self.points) > 1 else math.nan


@dataclass(frozen=True)
class Paired:
    """Differences first - second over the seeds that both sides have."""

    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean difference in points; NaN without a pair."""
        return statistics.fmean(self.differences) if self.differences else math.nan

    @property
    def error(self) -> float:
        """Standard error of the mean difference, std(d) / sqrt(n); NaN for fewer than two pairs."""
        return (
            statistics.stdev(self.differences) / math.sqrt(len(self.differences))
            if len(self.differences) > 1
            else math.nan
        )


def paired(first: Score, second: Score) -> Paired:
    """Seed by seed, `first` minus `second`: equal seeds share the order of the data, so they are compared as pairs."""
    return Paired(
        tuple(first.points[seed] - second.points[seed] for seed in sorted(first.points) if seed in second.points)
    )


def mean_over(scores: Sequence[Score]) -> Score:
    """The unweighted mean of one model's scores on several sets, for every seed that has them all.

    Its metric is that of the scores, or empty if they differ.
    """
    seeds = set.intersection(*(set(score.points) for score in scores))
    metrics = {score.metric for score in scores}
    return Score(
        metric=metrics.pop() if len(metrics) == 1 else "",
        majority=statistics.fmean(score.majority for score in scores),
        statuses=scores[0].statuses,
        points={seed: statistics.fmean(score.points[seed] for score in scores) for seed in sorted(seeds)},
        stale=frozenset().union(*(score.stale for score in scores)),
    )

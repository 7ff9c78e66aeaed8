"""The content of every export: a finished suite's records, the aggregates over its seeds, and its verdicts."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from scipy import stats

from steadytune.cells.record import Evaluation, EvaluationKind, Record, read_record
from steadytune.claims.judged import Judged, load_verdicts
from steadytune.claims.statistics import LEVEL
from steadytune.errors import SteadyTuneError
from steadytune.layout import record_path
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite


@dataclass(frozen=True)
class Aggregate:
    """One metric of an encoder, method (each variant separately) and task on one evaluation set, over the seeds."""

    encoder: str
    method: str
    task: str
    set: str
    kind: EvaluationKind
    metric: str
    headline: bool
    """Whether tables print this metric."""
    values: dict[int, float]
    """Scores by seed, in the metric's own unit; seeds without a score are left out."""
    planned: int
    """Number of seeds that the suite plans."""
    n: int
    """Number of examples."""
    majority: float | None
    """The score of always predicting the most frequent class."""

    @property
    def name(self) -> str:
        """`encoder/method/task`."""
        return f"{self.encoder}/{self.method}/{self.task}"

    @property
    def mean(self) -> float:
        """Mean over the seeds with a score."""
        return statistics.fmean(self.values.values())

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds, with divisor n - 1; None for one seed."""
        return statistics.stdev(self.values.values()) if len(self.values) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The two-sided 95 % interval of the mean over seeds, by Student's t; None for one seed."""
        if self.sd is None:
            return None
        n = len(self.values)
        half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * self.sd / math.sqrt(n)
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Content:
    """A suite's records and verdicts."""

    suite: Suite
    records: dict[Cell, Record]
    claims: tuple[Judged, ...]
    """The claims that the suite names, and each method's comparison with the baseline."""

    @classmethod
    def load(cls, suite: Suite) -> "Content":
        """Load the records and verdicts of a finished suite.

        Raises:
            SteadyTuneError: a cell has no record.
        """
        check_finished(suite)
        judged = load_verdicts(suite.results)
        named = judged.claims if suite.file.claims else ()
        return cls(suite, _read(suite, suite.cells), (*named, *judged.comparisons))

    @classmethod
    def of_cells(cls, suite: Suite, cells: Iterable[Cell]) -> "Content":
        """Load the records of the cells that have one, without verdicts."""
        return cls(suite, _read(suite, [cell for cell in cells if record_path(suite, cell).is_file()]), ())

    @cached_property
    def aggregates(self) -> list[Aggregate]:
        """Every metric on every evaluation set for which at least one seed has a score, in the suite's order."""
        seeds: dict[str, list[Cell]] = {}
        for cell in self.records:
            seeds.setdefault(cell.group, []).append(cell)
        return [found for cells in seeds.values() for found in self._of(cells)]

    @cached_property
    def _planned(self) -> Counter[str]:
        """Number of seeds that the suite plans, by group."""
        return Counter(cell.group for cell in self.suite.cells)

    def _of(self, cells: list[Cell]) -> Iterator[Aggregate]:
        """Yield the aggregates of cells that differ only in their seed."""
        found: dict[tuple[str, EvaluationKind, str], dict[int, float]] = {}
        described: dict[tuple[str, EvaluationKind, str], Evaluation] = {}
        for cell in cells:
            for evaluation in self.records[cell].evaluations:
                for metric, value in evaluation.metrics.items():
                    if value is not None:
                        key = evaluation.set, evaluation.kind, metric
                        found.setdefault(key, {})[cell.seed] = value
                        described[key] = evaluation
        for (name, kind, metric), values in found.items():
            of = described[name, kind, metric]
            yield Aggregate(
                *(getattr(cells[0], part) for part in ("encoder", "method", "task")),
                set=name,
                kind=kind,
                metric=metric,
                headline=metric == of.headline,
                values=values,
                planned=self._planned[cells[0].group],
                n=of.n,
                majority=of.majority[metric],
            )


def _read(suite: Suite, cells: Iterable[Cell]) -> dict[Cell, Record]:
    return {cell: read_record(record_path(suite, cell)) for cell in cells}


def check_finished(suite: Suite) -> None:
    """Refuse a suite if any of its cells has no record."""
    missing = [cell for cell in suite.cells if not record_path(suite, cell).is_file()]
    if missing:
        raise SteadyTuneError(
            f"{suite.name}: {len(missing)} of {len(suite.cells)} cells have no record, {missing[0]} first; "
            "only a finished suite can be exported"
        )

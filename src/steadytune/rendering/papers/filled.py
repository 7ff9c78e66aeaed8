"""A paper's table filled in: at each place, the number printed in the paper and the one a suite measured."""

import math
from dataclasses import dataclass
from functools import cached_property

from steadytune.claims.published import Row as Printed
from steadytune.claims.published import load_published
from steadytune.rendering.entries import plain_mean
from steadytune.rendering.papers.layout import Average, Column, Group, Layout, Row
from steadytune.results.model import Results
from steadytune.results.scores import ABSENT, Score
from steadytune.results.selection import chosen_variants, select
from steadytune.results.two_way import two_way_scores


@dataclass(frozen=True)
class Place:
    """One place in a table, at a row and a column."""

    group: Group
    row: Row
    column: Column | Average
    printed: Printed | None
    score: Score | None = None
    """None for an average."""
    statuses: tuple[str, ...] = ()
    """Statuses of the planned cells; empty for an average."""
    variant: str = ""
    """The variant that stands for the row's method."""
    choices: int = 1
    """Number of variants that it was chosen from."""
    mean: float = math.nan
    """Ours, in points; for an average, NaN unless all its scores are there."""

    @property
    def difference(self) -> float:
        """Ours minus the paper's; NaN if either is missing."""
        return self.mean - float(self.printed.mean) if self.printed else math.nan

    @property
    def not_run(self) -> bool:
        """Whether cells are planned, but none has a record that counts."""
        return bool(self.statuses) and set(self.statuses) <= ABSENT


class Filled:
    """A layout filled in from a suite's results, which have every variant of a grid as a method."""

    def __init__(self, layout: Layout, results: Results) -> None:
        self.layout = layout
        # Two-label scores are looked up by variant, so each variant must stand for only one method.
        self.results = select(results, every=not layout.two_labels)
        self._printed = _printed(layout)
        self._scores = two_way_scores(self.results) if layout.two_labels else self.results.scores
        self.lines = [(group, [(row, self._line(group, row)) for row in group.rows]) for group in layout.groups]

    @property
    def compared(self) -> bool:
        """Whether any of the printed numbers is known."""
        return bool(self._printed)

    @cached_property
    def places(self) -> list[Place]:
        """Every place in the table's order, including averages."""
        return [place for _, lines in self.lines for _, line in lines for place in line]

    @cached_property
    def scores(self) -> list[Place]:
        """Every place except averages."""
        return [place for place in self.places if isinstance(place.column, Column)]

    def _line(self, group: Group, row: Row) -> tuple[Place, ...]:
        columns = self.layout.columns_of(group)
        scores = {c.printed: self._score(group, row, c) for c in columns if isinstance(c, Column)}
        return tuple(
            scores[column.printed] if isinstance(column, Column) else self._average(group, row, column, scores)
            for column in columns
        )

    def _score(self, group: Group, row: Row, column: Column) -> Place:
        key = (group.encoder, row.method, column.task)
        score = self._scores.get((*key, column.set))
        return Place(
            group,
            row,
            column,
            self._printed_at(group, row, column),
            score,
            tuple(self.results.cells.get(key, {}).values()),
            "; ".join(chosen_variants(self.results, key)) or row.method,
            self.results.choices.get(key, 1),
            score.mean if score else math.nan,
        )

    def _average(self, group: Group, row: Row, column: Average, scores: dict[str, Place]) -> Place:
        mean = plain_mean([scores[name].mean for name in column.of])
        return Place(group, row, column, self._printed_at(group, row, column), mean=mean)

    def _printed_at(self, group: Group, row: Row, column: Column | Average) -> Printed | None:
        return self._printed.get((group.model or group.encoder, row.printed, column.printed))


def _printed(layout: Layout) -> dict[tuple[str, str, str], Printed]:
    """(model, row, task) -> the number that the paper prints in this table."""
    rows = load_published(layout.paper) if layout.number else ()
    return {(row.model, row.row, row.task): row for row in rows if row.table == layout.number}

"""A paper's table with everything in it: what is printed, and what a suite has found, place by place."""

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
    """Where a row and a column meet."""

    group: Group
    row: Row
    column: Column | Average
    printed: Printed | None
    score: Score | None = None
    """Of a column."""
    statuses: tuple[str, ...] = ()
    """Of its planned cells."""
    variant: str = ""
    """The one that stands for the row's method."""
    choices: int = 1
    """How many it was chosen among."""
    mean: float = math.nan
    """Ours, in points; of an average only where every score behind it is there."""

    @property
    def difference(self) -> float:
        """Ours minus the paper's, NaN where one is not there."""
        return self.mean - float(self.printed.mean) if self.printed else math.nan

    @property
    def not_run(self) -> bool:
        """Whether cells are planned of which none has a record."""
        return bool(self.statuses) and set(self.statuses) <= ABSENT


class Filled:
    """A layout filled in from a suite's results, in which every variant of a grid is a method."""

    def __init__(self, layout: Layout, results: Results) -> None:
        self.layout = layout
        # On two labels scores are looked up by single variants, of which each must stand for one method.
        self.results = select(results, every=not layout.two_labels)
        self._printed = _printed(layout)
        self._scores = two_way_scores(self.results) if layout.two_labels else self.results.scores
        self.lines = [(group, [(row, self._line(group, row)) for row in group.rows]) for group in layout.groups]

    @property
    def compared(self) -> bool:
        """Whether anything printed is known."""
        return bool(self._printed)

    @cached_property
    def places(self) -> list[Place]:
        """Every place in the order of the table, averages included."""
        return [place for _, lines in self.lines for _, line in lines for place in line]

    @cached_property
    def scores(self) -> list[Place]:
        """Every place of a column."""
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
    """(model, row, task) -> what the paper prints in this table."""
    rows = load_published(layout.paper) if layout.number else ()
    return {(row.model, row.row, row.task): row for row in rows if row.table == layout.number}

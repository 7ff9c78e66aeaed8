"""Mistakes in the rows of a suite's own task; the same mistake in many rows is reported in one line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from steadytune.errors import nearest
from steadytune.text import counted, listed

SHOWN_LINES = 20
SHOWN_VALUES = 3


@dataclass
class _Rows:
    first: int
    count: int = 0


@dataclass
class _Mistake:
    known: Sequence[str]
    """Valid values, from which a message suggests the nearest."""
    values: dict[str, _Rows] = field(default_factory=dict)


class RowProblems:
    """Mistakes grouped by their column and what was expected there; true if there are any."""

    def __init__(self) -> None:
        self._mistakes: dict[tuple[str, str], _Mistake] = {}
        self._columns: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._mistakes or self._columns)

    def add(self, column: str, row: int, value: str, expected: str, known: Sequence[str] = ()) -> None:
        """Add a value that is not what was expected.

        Args:
            column: the column, with its file.
            row: the number of the value's row.
            value: the value as messages show it.
            expected: what was expected, starting with the word "expected".
            known: valid values, from which the message suggests the nearest.
        """
        mistake = self._mistakes.setdefault((column, expected), _Mistake(known))
        mistake.values.setdefault(value, _Rows(row)).count += 1

    def add_column(self, problem: str) -> None:
        """Add a problem of a column, or of a file, as a whole."""
        self._columns.append(problem)

    def __str__(self) -> str:
        """The number of problems, and one line per mistake."""
        lines = [*self._columns, *self._lines()]
        more = len(lines) - SHOWN_LINES
        shown = [*lines[:SHOWN_LINES], *([f"… and {more} more problems"] if more > 0 else [])]
        rows = (rows.count for mistake in self._mistakes.values() for rows in mistake.values.values())
        total = len(self._columns) + sum(rows)
        return f"{counted(total, 'problem', ',')}\n  " + "\n  ".join(shown)

    def _lines(self) -> Iterator[str]:
        for (column, expected), mistake in self._mistakes.items():
            shown = list(mistake.values)[:SHOWN_VALUES]
            others = len(mistake.values) - len(shown)
            values = listed([*shown, *([counted(others, "other value")] if others else [])])
            hint = nearest(shown[0].strip("'\""), mistake.known) if len(mistake.values) == 1 else ""
            more = sum(rows.count for rows in mistake.values.values()) - len(shown)
            rows = listed([*(f"{mistake.values[value].first}" for value in shown), *([f"{more:,} more"] * bool(more))])
            yield f"{column}: {values}, {expected}{hint} (row{'s' * (len(shown) > 1)} {rows})"

"""What is wrong in the rows of a suite's own task: the same mistake in many rows is one line."""

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
    """What a wrong value may have been meant to be."""
    values: dict[str, _Rows] = field(default_factory=dict)


class RowProblems:
    """Mistakes by the column that they are in and what was expected there; true if there is one."""

    def __init__(self) -> None:
        self._mistakes: dict[tuple[str, str], _Mistake] = {}
        self._columns: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._mistakes or self._columns)

    def add(self, column: str, row: int, value: str, expected: str, known: Sequence[str] = ()) -> None:
        """A value that is not what was expected.

        Args:
            column: with its file.
            row: that has the value.
            value: as it is shown.
            expected: what was, beginning with that word.
            known: names of which the value may be a misspelt one.
        """
        mistake = self._mistakes.setdefault((column, expected), _Mistake(known))
        mistake.values.setdefault(value, _Rows(row)).count += 1

    def add_column(self, problem: str) -> None:
        """What is wrong with a column, or a file, as a whole."""
        self._columns.append(problem)

    def __str__(self) -> str:
        """How many values are wrong, and a line for each mistake."""
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

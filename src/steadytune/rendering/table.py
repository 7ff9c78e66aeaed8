"""A table as data, whatever the format."""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
"""What stands in a note between single backticks: a command, a file's name."""
NOTHING = "–"
"""What stands where a suite plans no cell, or where a number is undefined."""


@dataclass(frozen=True)
class Entry:
    """One score as printed."""

    main: str
    spread: str = ""
    """After a plus-minus sign."""
    count: str = ""
    """`2/3` where not every planned seed ended ok."""
    best: bool = False

    def __str__(self) -> str:
        """`61.2 ± 3.0 (2/3)`."""
        return self.main + (f" ± {self.spread}" if self.spread else "") + (f" ({self.count})" if self.count else "")


Value = Entry | str | int
Line = tuple[Value, ...]


@dataclass(frozen=True)
class Block:
    """Rows under one heading; `reference` rows stand apart at the end (a majority-class baseline, say)."""

    rows: tuple[Line, ...]
    title: str = ""
    reference: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table, whatever the format."""

    name: str
    title: str
    caption: str
    columns: tuple[str | tuple[str, str], ...]
    """Headings; a pair has a second line, a metric say."""
    blocks: tuple[Block, ...]
    align: str = ""
    """One of `l`, `r`, `c`, or `w` for text in several lines, a column; default: the first left, the rest right."""
    notes: tuple[str, ...] = ()
    data: tuple[dict[str, object], ...] = ()
    """The numbers behind the table, one dict a row: the csv. Without them the csv holds the printed text."""

    @property
    def lines(self) -> list[Line]:
        """Every row in order, without the blocks' headings."""
        return [line for block in self.blocks for line in (*block.rows, *block.reference)]

    @property
    def headings(self) -> list[tuple[str, str]]:
        """Both lines of every heading, the second one perhaps empty."""
        return [(column, "") if isinstance(column, str) else column for column in self.columns]

    @property
    def lead(self) -> str:
        """The title as it stands before the caption."""
        return self.title if self.title.endswith("?") else f"{self.title}."

    @property
    def alignment(self) -> str:
        """`align`, or its default."""
        return self.align or "l" + "r" * (len(self.columns) - 1)


def prose_and_code(note: str) -> list[str]:
    """A note on one line in pieces, prose and code in turns: ``see `a b` `` -> `see `, `a b`, and nothing."""
    return CODE.split(" ".join(note.split()))


def number(value: float, decimals: int = 1, *, sign: bool = False) -> str:
    """A number as printed, with a true minus sign and no negative zero; a dash for NaN."""
    if not math.isfinite(value):
        return NOTHING
    value = rounded(value, decimals)
    text = f"{value:{'+' if sign and value else ''}.{decimals}f}"
    return text.replace("-", "−")


def rounded(value: float, decimals: int) -> float:
    """A finite number rounded as people do it: halves away from zero.

    What binary fractions add after the ninth decimal is dropped first, so that two ways to compute one number print
    alike: 100 x 0.7525 is 75.25, and 75.3, however it was summed up.
    """
    exact = Decimal(f"{value:.9f}").quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return float(exact) or 0.0

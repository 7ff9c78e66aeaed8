"""Tables as data, independent of the output format."""

import math
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
"""Code in a note, between single backticks: a command, a file name."""
NOTHING = "–"
"""Printed if a suite plans no such cell, or if a number is undefined."""


@dataclass(frozen=True)
class Entry:
    """One score as printed."""

    main: str
    spread: str = ""
    """After a plus-minus sign."""
    count: str = ""
    """`2/3` if some planned seed did not end ok with a score, and a dagger if a score's record is not fresh."""
    best: bool = False

    def __str__(self) -> str:
        """`61.2 ± 3.0 (2/3)`."""
        return self.main + (f" ± {self.spread}" if self.spread else "") + (f" ({self.count})" if self.count else "")


Value = Entry | str | int
Line = tuple[Value, ...]


@dataclass(frozen=True)
class Block:
    """Rows under one heading; `reference` rows, such as a majority-class baseline, are set apart at the end."""

    rows: tuple[Line, ...]
    title: str = ""
    reference: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table, independent of the output format."""

    name: str
    title: str
    caption: str
    columns: tuple[str | tuple[str, str], ...]
    """Headings; the second item of a pair is a second line, such as a metric."""
    blocks: tuple[Block, ...]
    align: str = ""
    """A letter per column: `l`, `r`, `c`, or `w` for wrapped text; by default the first left, the rest right."""
    notes: tuple[str, ...] = ()
    data: tuple[dict[str, object], ...] = ()
    """The numbers behind the table for its csv, one dict per row. If empty, the csv has the printed text."""

    @property
    def lines(self) -> list[Line]:
        """Every row in order, without the blocks' headings."""
        return [line for block in self.blocks for line in (*block.rows, *block.reference)]

    @property
    def headings(self) -> list[tuple[str, str]]:
        """Both lines of every heading; the second may be empty."""
        return [(column, "") if isinstance(column, str) else column for column in self.columns]

    @property
    def lead(self) -> str:
        """The title with the punctuation it has before the caption."""
        return self.title if self.title.endswith("?") else f"{self.title}."

    @property
    def alignment(self) -> str:
        """`align`, or its default."""
        return self.align or "l" + "r" * (len(self.columns) - 1)


def prose_and_code(note: str) -> list[str]:
    """A note on one line, split into prose and code by turns: ``see `a b` `` -> `see `, `a b`, and the empty string."""
    return CODE.split(" ".join(note.split()))


def number(value: float, decimals: int = 1, *, sign: bool = False) -> str:
    """A number as printed, with a true minus sign and no negative zero; a dash if it is not finite."""
    if not math.isfinite(value):
        return NOTHING
    value = rounded(value, decimals)
    text = f"{value:{'+' if sign and value else ''}.{decimals}f}"
    return text.replace("-", "−")


def rounded(value: float, decimals: int) -> float:
    """Round a finite number the usual way: halves away from zero.

    Floating-point error beyond the ninth decimal is dropped first, so the printed number does not depend on the order
    of computation: 100 x 0.7525 counts as 75.25 and rounds to 75.3.
    """
    exact = Decimal(f"{value:.9f}").quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return float(exact) or 0.0

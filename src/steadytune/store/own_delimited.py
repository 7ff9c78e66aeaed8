"""Read the columns of a user's csv and tsv files, and recognise files that were written in another way."""

import csv
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import short
from steadytune.store.own_json import Columns
from steadytune.suite.own import OwnTask

if TYPE_CHECKING:
    from _csv import Reader

SEPARATORS = {"csv": ",", "tsv": "\t"}
BYTE_ORDER_MARK = "\ufeff"
EXCEL_SEPARATOR = re.compile(rb'(?:\xef\xbb\xbf)?"?sep=([\x09\x20-\x7e])"?\r?\n?', re.IGNORECASE)
MOST_CHARACTERS = 2**31 - 1
"""Maximum length of a field, in characters."""


def read_delimited(path: Path, wanted: Sequence[str], entry: OwnTask, form: str) -> Columns:
    """The columns of a csv or tsv file by the names in its first line.

    Raises:
        ValueError: the number of a bad row, and what is wrong with it.
    """
    quoted = form == "csv" if entry.quoted is None else entry.quoted
    # The csv module's limit applies to the whole process, and its default is shorter than some documents.
    csv.field_size_limit(MOST_CHARACTERS)
    with path.open(encoding=entry.encoding, newline="") as handle:
        if handle.read(1) != BYTE_ORDER_MARK:
            handle.seek(0)
        rows = _numbered_rows(
            csv.reader(
                handle,
                delimiter=entry.separator or SEPARATORS[form],
                quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
                strict=True,
            )
        )
        _, names = next(rows, (0, []))
        check_repeats(wanted, names)
        columns: list[list[str]] = [[] for _ in names]
        for number, (line, row) in enumerate(rows):
            if problem := _row_problem(row, names, wanted, form if entry.quoted is None else ""):
                raise ValueError(f"row {number} (line {line}): {problem}")
            for column, field in zip(columns, row, strict=True):
                column.append(field)
    return dict(zip(names, columns, strict=True))


def _row_problem(row: list[str], names: list[str], wanted: Sequence[str], unsaid: str) -> str:
    """What is wrong with a row; empty if nothing is.

    Args:
        row: the fields.
        names: the names of all columns.
        wanted: the names of the columns that the task asks for.
        unsaid: the format, if the suite does not say whether quotation marks enclose fields; else empty.
    """
    if len(row) != len(names):
        hint = "; `quoted: true` reads fields with line ends" if unsaid == "tsv" and '"' in "".join(row) else ""
        return f"expected {len(names)} fields as in the header, found {len(row)}{hint}"
    if row == names:
        return "the header once more, as joined files have it: remove it"
    for name, field in zip(names, row, strict=True) if unsaid else ():
        inside = field.strip()
        if name not in wanted or len(inside) < 2 or not inside[0] == inside[-1] == '"':
            continue
        if unsaid == "tsv" and '""' in inside[1:-1]:
            return f"{short(field)}: say `quoted: true` if quotation marks enclose fields, `quoted: false` if not"
        if unsaid == "csv" and field[0] != '"':
            return f"{short(field)}: a blank before the quotation mark: remove it, or say `quoted: true` to keep both"
    return ""


def _numbered_rows(lines: "Reader") -> Iterator[tuple[int, list[str]]]:
    """The rows of a csv file without blank ones, each with the number of the line that it begins on."""
    while True:
        line = lines.line_num + 1
        try:
            row = next(lines)
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(
                f"line {line}: {error}: expected doubled quotation marks inside a quoted field; `quoted: false` reads "
                "them as characters"
            ) from None
        if len(row) > 1 or "".join(row).strip():
            yield line, row


def separator_hint(path: Path, entry: OwnTask, form: str | None) -> str:
    """A hint that a file's first line suggests another separator than it was read with; empty if it does not."""
    if form not in SEPARATORS:
        return ""
    # As bytes, because the file may not be in the declared encoding.
    with path.open("rb") as handle:
        head = handle.readline()
    if said := EXCEL_SEPARATOR.fullmatch(head):
        mark = json.dumps(said[1].decode())
        return f": its first line is Excel's `sep=`: remove that line and say `separator: {mark}`"
    if entry.separator:
        return ""
    counts = {separator: head.count(separator.encode()) for separator in (";", "\t", "|", ",")}
    likely = max(counts, key=counts.__getitem__)
    if likely == SEPARATORS[form] or not counts[likely]:
        return ""
    return f": its first line has {counts[likely]} {likely!r}: say `separator: {json.dumps(likely)}`"


def check_repeats(wanted: Iterable[str], names: Sequence[str]) -> None:
    """Check that no column that the task asks for occurs twice.

    Raises:
        ValueError: the name, and how many columns have it.
    """
    for name in wanted:
        if names.count(name) > 1:
            raise ValueError(f"it has {names.count(name)} columns named '{name}', expected one")

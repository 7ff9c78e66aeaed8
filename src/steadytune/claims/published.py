"""The numbers that the papers print (`published/`).

Numbers are decimals that keep the printed digits, because rounding decides whether an average adds up.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, unknown
from steadytune.layout import project_file
from steadytune.safe_yaml import read_yaml

PUBLISHED = Path("published")
SELECTIONS = ("lr", "lr+sigma", "lr+own", "dev", "copied", "unstated", "")


@dataclass(frozen=True)
class Row:
    """One printed number, in points; `published/README.md` describes the columns."""

    table: str
    model: str
    row: str
    task: str
    metric: str
    mean: Decimal
    std: Decimal | None
    split: str
    seeds: int | None
    selection: str
    source: str
    note: str


def load_published(paper: str, folder: Path | None = None) -> tuple[Row, ...]:
    """The printed numbers of a paper, from `<paper>.csv`.

    Raises:
        SteadyTuneError: no such file, an unexpected header, a value that is not a number, or an unknown selection.
    """
    folder = folder or project_file(PUBLISHED)
    path = folder / f"{paper}.csv"
    if not path.is_file():
        raise unknown("paper", paper, (file.stem for file in folder.glob("*.csv")), str(folder))
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        expected = list(Row.__dataclass_fields__)
        if reader.fieldnames != expected:
            raise SteadyTuneError(f"{path}: header {reader.fieldnames}: expected {expected}")
        return tuple(_row(path, reader.line_num, fields) for fields in reader)


def load_inconsistencies(folder: Path | None = None) -> list[dict[str, Any]]:
    """Known inconsistencies within the papers."""
    return read_yaml((folder or project_file(PUBLISHED)) / "inconsistencies.yaml")


def printed_means(rows: Iterable[Row], *, table: str, model: str, row: str) -> dict[str, Row]:
    """The numbers of one printed row, by task.

    Raises:
        SteadyTuneError: the table has no such row.
    """
    rows = [entry for entry in rows if entry.table == table]
    found = {entry.task: entry for entry in rows if (entry.model, entry.row) == (model, row)}
    if not found:
        known = {f"{entry.model} {entry.row}" for entry in rows}
        raise unknown("printed row", f"{model} {row}", known, f"published table {table}")
    return found


def printed_difference(
    rows: Sequence[Row], *, table: str, model: str, row: str, against: str, tasks: Iterable[str | Sequence[str]]
) -> Decimal:
    """`row` minus `against`, averaged over tasks, in points; the mean of a group of tasks counts as one task.

    Raises:
        SteadyTuneError: the table lacks one of the numbers.
    """
    first, second = (printed_means(rows, table=table, model=model, row=name) for name in (row, against))

    def difference(task: str) -> Decimal:
        if task not in first or task not in second:
            raise unknown("printed task", task, first.keys() & second.keys(), f"published table {table}, {row}")
        return first[task].mean - second[task].mean

    groups = [[task] if isinstance(task, str) else task for task in tasks]
    return _mean([_mean([difference(task) for task in group]) for group in groups])


def _mean(numbers: Sequence[Decimal]) -> Decimal:
    return sum(numbers, Decimal()) / len(numbers)


def _row(path: Path, line: int, fields: dict[str, str]) -> Row:
    try:
        mean, std = Decimal(fields["mean"]), Decimal(fields["std"]) if fields["std"] else None
        seeds = int(fields["seeds"]) if fields["seeds"] else None
    except (ArithmeticError, ValueError):
        raise SteadyTuneError(f"{path}: line {line}: mean, std or seeds is not a number: {fields}") from None
    if fields["selection"] not in SELECTIONS:
        raise unknown("selection", fields["selection"], SELECTIONS, f"{path}: line {line}")
    return Row(**(fields | {"mean": mean, "std": std, "seeds": seeds}))  # pyright: ignore[reportArgumentType]

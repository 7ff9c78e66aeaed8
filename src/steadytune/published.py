"""The numbers that the papers print (`published/`), and whether they add up.

Digits are kept as printed, as decimals, because rounding is what decides whether an average adds up.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, unknown
from steadytune.schema import read_yaml

PUBLISHED = Path("published")
SELECTIONS = ("lr", "lr+sigma", "lr+own", "dev", "copied", "unstated", "")
AVERAGES = {
    "AVG4": ("STS-B", "CoLA", "MRPC", "RTE"),
    "AVG-large4": ("SST-2", "QNLI", "QQP", "MNLI"),
    "AVG-ALL": ("CoLA", "STS-B", "MRPC", "RTE", "SST-2", "QNLI", "QQP", "MNLI-m", "MNLI-mm"),
}
"""What each printed average is the mean of."""


@dataclass(frozen=True)
class Row:
    """One printed number, in points; README.md of `published/` describes the columns."""

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


@dataclass(frozen=True)
class Average:
    """A printed average beside that of its scores, None where not all of them are at hand."""

    table: str
    model: str
    row: str
    task: str
    printed: Decimal
    recomputed: Decimal | None
    tolerance: Decimal
    """How far rounding alone can take the two apart: half a unit of the average's last digit and of the scores'."""

    @property
    def adds_up(self) -> bool:
        """Whether rounding explains the difference; also where there is nothing to check it with."""
        return self.recomputed is None or abs(self.printed - self.recomputed) <= self.tolerance


def load_published(paper: str, folder: Path = PUBLISHED) -> tuple[Row, ...]:
    """The printed numbers of a paper, by the name of its file.

    Raises:
        SteadyTuneError: no such file, another header, or a value that is no number.
    """
    path = folder / f"{paper}.csv"
    if not path.is_file():
        raise unknown("paper", paper, (file.stem for file in folder.glob("*.csv")), str(folder))
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        expected = list(Row.__dataclass_fields__)
        if reader.fieldnames != expected:
            raise SteadyTuneError(f"{path}: header {reader.fieldnames}: expected {expected}")
        return tuple(_row(path, reader.line_num, fields) for fields in reader)


def load_inconsistencies(folder: Path = PUBLISHED) -> list[dict[str, Any]]:
    """What is known not to fit together inside the papers."""
    return read_yaml(folder / "inconsistencies.yaml")


def printed_means(rows: Iterable[Row], *, table: str, model: str, row: str) -> dict[str, Row]:
    """The scores of one printed row by task.

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
    rows: Sequence[Row], *, table: str, model: str, row: str, against: str, tasks: Iterable[str]
) -> Decimal:
    """`row` minus `against`, averaged over tasks, in points.

    Raises:
        SteadyTuneError: the table lacks one of the numbers.
    """
    first, second = (printed_means(rows, table=table, model=model, row=name) for name in (row, against))
    differences = []
    for task in tasks:
        if task not in first or task not in second:
            raise unknown("printed task", task, first.keys() & second.keys(), f"published table {table}, {row}")
        differences.append(first[task].mean - second[task].mean)
    return sum(differences, Decimal()) / len(differences)


def recompute_averages(rows: Iterable[Row]) -> list[Average]:
    """Every printed average beside the one that its scores give."""
    found = []
    for (table, model, row), entries in _groups(rows):
        scores = {entry.task: entry.mean for entry in entries}
        for task in AVERAGES.keys() & scores.keys():
            parts = [scores[name] for name in AVERAGES[task] if name in scores]
            whole = len(parts) == len(AVERAGES[task])
            recomputed = sum(parts, Decimal()) / len(parts) if whole else None
            tolerance = _half_unit(scores[task]) + (sum(map(_half_unit, parts), Decimal()) / len(parts) if whole else 0)
            found.append(Average(table, model, row, task, scores[task], recomputed, tolerance))
    return found


def differing_repeats(rows: Iterable[Row]) -> list[tuple[Row, Row]]:
    """Pairs of rows of two tables that print one number differently: the mean, or a deviation that both print."""
    first: dict[tuple[str, ...], Row] = {}
    found = []
    for entry in rows:
        other = first.setdefault((entry.model, entry.row, entry.task, entry.metric, entry.split), entry)
        deviates = entry.std is not None and other.std is not None and entry.std != other.std
        if entry.mean != other.mean or deviates:
            found.append((other, entry))
    return found


def _groups(rows: Iterable[Row]) -> Iterable[tuple[tuple[str, str, str], list[Row]]]:
    """Rows by table, model and name."""

    def key(entry: Row) -> tuple[str, str, str]:
        return entry.table, entry.model, entry.row

    return ((name, list(entries)) for name, entries in groupby(sorted(rows, key=key), key))


def _half_unit(number: Decimal) -> Decimal:
    """Half a unit of a number's last printed digit: 0.005 for 79.31."""
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "printed numbers are finite"
    return Decimal(5).scaleb(exponent - 1)


def _row(path: Path, line: int, fields: dict[str, str]) -> Row:
    try:
        mean, std = Decimal(fields["mean"]), Decimal(fields["std"]) if fields["std"] else None
        seeds = int(fields["seeds"]) if fields["seeds"] else None
    except (ArithmeticError, ValueError):
        raise SteadyTuneError(f"{path}: line {line}: mean, std or seeds is no number: {fields}") from None
    if fields["selection"] not in SELECTIONS:
        raise unknown("selection", fields["selection"], SELECTIONS, f"{path}: line {line}")
    return Row(**(fields | {"mean": mean, "std": std, "seeds": seeds}))  # pyright: ignore[reportArgumentType]

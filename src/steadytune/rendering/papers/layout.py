"""A paper's table as data, read from `layouts.yaml`: its rows and columns in order, and our names for them."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from steadytune.safe_yaml import read_yaml
from steadytune.schema import StrictModel, check

FILE = Path(__file__).parent / "layouts.yaml"


class Column(StrictModel):
    """A column of scores on one evaluation set."""

    printed: str
    """The task as `published/` spells it."""
    task: str = ""
    """Our training task; empty if no suite can have the score."""
    evaluation_set: str = ""
    """The evaluation set, if it is not the task's own."""
    heading: str = ""
    """The table's heading, if it is not `printed`."""

    @property
    def set(self) -> str:
        """The evaluation set."""
        return self.evaluation_set or self.task


class Average(StrictModel):
    """A column that is the unweighted mean of others; the paper prints it too."""

    printed: str
    of: tuple[str, ...]
    heading: str = "Average"


class Row(StrictModel):
    """A row: one method."""

    printed: str
    """The method as spelled in the paper and in `published/`."""
    method: str
    """Our name: a method, a composition, or a variant as named in a suite's grid."""


class Group(StrictModel):
    """Rows under one heading, on one encoder."""

    encoder: str
    """Our name."""
    rows: tuple[Row, ...]
    title: str = ""
    model: str = ""
    """The encoder as spelled in `published/`, if that is not our name."""
    columns: tuple[Column | Average, ...] = ()
    """The group's columns, if not the table's; as many, under the same headings."""


class Layout(StrictModel):
    """A table of a paper."""

    name: str
    """The name used in a suite's `tables`."""
    paper: str
    """The paper's file in `published/`, if there is one."""
    where: str
    """Its place in the paper, for readers: `Table 5`."""
    title: str
    groups: tuple[Group, ...]
    columns: tuple[Column | Average, ...]
    number: str = ""
    """The table's name in `published/`; empty if none of its numbers is known."""
    notes: tuple[str, ...] = ()
    inconsistencies: tuple[str, ...] = ()
    """Ids in `published/inconsistencies.yaml`, besides the entries that name the table."""
    two_labels: bool = False
    """Whether scores are accuracies on two labels, entailment or not."""

    def columns_of(self, group: Group) -> tuple[Column | Average, ...]:
        """The columns of a group's rows."""
        return group.columns or self.columns


@cache
def load_layouts() -> dict[str, Layout]:
    """Every table of the papers by name, in the file's order.

    Raises:
        SteadyTuneError: the file does not match the schema; one line.
    """
    tables = read_yaml(FILE)["tables"]
    return {name: check(Layout, _layout(name, entry), FILE) for name, entry in tables.items()}


def _layout(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the file with its shorthand expanded."""
    number = re.fullmatch(r"(\w+)-table-(\d+)", name)
    usual = {"paper": number[1], "number": number[2], "where": f"Table {number[2]}"} if number else {}
    groups = [
        {**group, "rows": [{"printed": printed, "method": method} for printed, method in group["rows"].items()]}
        | {"columns": _columns(group.get("columns", {}))}
        for group in entry["groups"]
    ]
    return {"name": name, **usual, **entry, "groups": groups, "columns": _columns(entry["columns"])}


def _columns(entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"printed": printed, **({"task": entry} if isinstance(entry, str) else entry)}
        for printed, entry in entries.items()
    ]

"""A paper's table as data, read from `layouts.yaml`: its rows and columns in order, and what each is called here."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from steadytune.safe_yaml import read_yaml
from steadytune.schema import StrictModel, check

FILE = Path(__file__).parent / "layouts.yaml"


class Column(StrictModel):
    """Scores of one task."""

    printed: str
    """The task as `published/` spells it."""
    task: str = ""
    """Ours that is trained on; empty where no suite can have the score."""
    evaluation_set: str = ""
    """The evaluation set, where it is not the task's own."""
    heading: str = ""
    """As the table heads it, where that is not `printed`."""

    @property
    def set(self) -> str:
        """What is evaluated on."""
        return self.evaluation_set or self.task


class Average(StrictModel):
    """The plain mean of the columns named, which the paper prints too."""

    printed: str
    of: tuple[str, ...]
    heading: str = "Average"


class Row(StrictModel):
    """One method."""

    printed: str
    """As the paper, and `published/`, spells it."""
    method: str
    """Ours: a method, a composition or a variant as a suite's grid names it."""


class Group(StrictModel):
    """Rows under one heading, on one encoder."""

    encoder: str
    """Ours."""
    rows: tuple[Row, ...]
    title: str = ""
    model: str = ""
    """As `published/` spells it, where that is not the encoder's name."""
    columns: tuple[Column | Average, ...] = ()
    """Where they are not those of the table; as many, under the same headings."""


class Layout(StrictModel):
    """A table of a paper."""

    name: str
    """What a suite's `tables` calls it."""
    paper: str
    """The paper's file in `published/`, where it has one."""
    where: str
    """Where it stands, as read by people: `Table 5`."""
    title: str
    groups: tuple[Group, ...]
    columns: tuple[Column | Average, ...]
    number: str = ""
    """The table's name in `published/`; empty where nothing of it could be read."""
    notes: tuple[str, ...] = ()
    inconsistencies: tuple[str, ...] = ()
    """Ids in `published/inconsistencies.yaml`, besides those that name the table."""
    two_labels: bool = False
    """Whether entailment is told from the rest, and accuracy is all there is."""

    def columns_of(self, group: Group) -> tuple[Column | Average, ...]:
        """The columns of a group's rows."""
        return group.columns or self.columns


@cache
def load_layouts() -> dict[str, Layout]:
    """Every table of the papers, by name, in the order of the file.

    Raises:
        SteadyTuneError: the file says something else; one line.
    """
    tables = read_yaml(FILE)["tables"]
    return {name: check(Layout, _layout(name, entry), FILE) for name, entry in tables.items()}


def _layout(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of the file with everything that is short in it written out."""
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

"""A paper's table as data: its rows and columns in its order, and what each is called here."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """Scores of one task."""

    printed: str
    """The task as `published/` spells it."""
    task: str = ""
    """Ours that is trained on; empty where no suite can have the score."""
    on: str = ""
    """The evaluation set, where it is not the task's own."""
    heading: str = ""
    """As the table heads it, where that is not `printed`."""

    @property
    def set(self) -> str:
        """What is evaluated on."""
        return self.on or self.task


@dataclass(frozen=True)
class Average:
    """The plain mean of the columns named, which the paper prints too."""

    printed: str
    of: tuple[str, ...]
    heading: str = "Average"


@dataclass(frozen=True)
class Row:
    """One method."""

    printed: str
    """As the paper, and `published/`, spells it."""
    method: str
    """Ours: a method, a composition or a variant as a suite's grid names it."""


@dataclass(frozen=True)
class Group:
    """Rows under one heading, on one encoder."""

    encoder: str
    """Ours."""
    rows: tuple[Row, ...]
    title: str = ""
    model: str = ""
    """As `published/` spells it, where that is not the encoder's name."""
    columns: tuple[Column | Average, ...] = ()
    """Where they are not those of the table; as many, under the same headings."""


@dataclass(frozen=True)
class Layout:
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


def rows(pairs: Iterable[tuple[str, str]]) -> tuple[Row, ...]:
    """Rows from (as printed, as it is called here)."""
    return tuple(Row(printed, method) for printed, method in pairs)


def columns(pairs: Iterable[tuple[str, str]], suffix: str = "") -> tuple[Column, ...]:
    """Columns from (as printed, our task), the latter with a suffix: `@1k`."""
    return tuple(Column(printed, task + suffix) for printed, task in pairs)

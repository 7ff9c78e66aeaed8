"""HTML from templates that escape everything: tables, and the self-contained pages around them."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from steadytune.rendering.table import Table, prose_and_code

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
CLASSES = {"l": "", "w": "text", "r": "num", "c": "mid", "k": "code"}
"""A column's letter -> its class; `k`: names and hashes in monospace, which may wrap anywhere."""


class Listing(NamedTuple):
    """A plain table of text, of which the first column names the row."""

    name: str
    """What it lists, for people who do not see it."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    alignment: str
    """A letter for each column: a key of `CLASSES`."""


@cache
def environment() -> "Environment":
    """The templates. Autoescaping is on for all of them; a name that is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {"classes": CLASSES, "prose_and_code": prose_and_code}
    return made


def fill(template: str, **values: object) -> str:
    """A template of this package with values filled in."""
    return environment().get_template(template).render(**values)


def to_html(table: Table) -> str:
    """The table as one `<figure>`, for a page or notebook that brings its own style sheet."""
    return str(environment().get_template("macros.html.j2").module.table(table))  # pyright: ignore


def to_page(table: Table) -> str:
    """The table as a page of its own."""
    return fill("table.html.j2", title=table.title, table=table)

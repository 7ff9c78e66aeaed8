"""Tables and self-contained pages as HTML, from templates that escape everything."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from steadytune.rendering.table import Table, prose_and_code

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
CLASSES = {"l": "", "w": "text", "r": "num", "c": "mid", "k": "code"}
"""Column letter -> CSS class; `k` is for names and hashes in monospace, which may wrap anywhere."""


class Listing(NamedTuple):
    """A plain table of text; the first column names each row."""

    name: str
    """What it lists, for screen readers."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    alignment: str
    """A letter for each column: a key of `CLASSES`."""


@cache
def environment() -> "Environment":
    """The Jinja environment of the templates. Autoescaping is always on, and an undefined variable is an error."""
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
    """Render a template of this package with these values."""
    return environment().get_template(template).render(**values)


def to_html(table: Table) -> str:
    """The table as one `<figure>`, for a page or notebook with its own style sheet."""
    return str(environment().get_template("macros.html.j2").module.table(table))  # pyright: ignore


def to_page(table: Table) -> str:
    """The table as a standalone page."""
    return fill("table.html.j2", title=table.title, table=table)

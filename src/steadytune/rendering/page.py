"""The report as data for `templates/report.html.j2`: the contents of each section."""

import base64
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from steadytune.layout import listed_cells_path
from steadytune.rendering import provenance, summary, verdicts
from steadytune.rendering.entries import SHARED
from steadytune.rendering.figures import caption, draw, versions
from steadytune.rendering.learning import nothing_learned
from steadytune.rendering.sections import ALWAYS, MOST_CELLS, SECTIONS, Section, placed
from steadytune.rendering.style import COLUMN, NOTHING, PAGE, POINTS, to_svg
from steadytune.rendering.table import Table
from steadytune.rendering.tables import make_table
from steadytune.rendering.web import Listing
from steadytune.results.model import Results
from steadytune.results.selection import select
from steadytune.text import counted

MOST_SVG = 1_000_000
"""In bytes. A larger SVG, with a mark for each of thousands of runs, is replaced by its PNG if there is one."""


@dataclass(frozen=True)
class Plot:
    """A figure on the page."""

    name: str
    title: str
    caption: str
    source: str
    """The drawing as a data URI."""
    wide: bool


@dataclass(frozen=True)
class ShownSection:
    """A section and its contents."""

    key: str
    title: str
    text: str
    tables_and_figures: tuple[Table | Plot, ...]
    listings: tuple[Listing, ...]


def contents(results: Results, drawn: Path | None = None) -> dict[str, Any]:
    """Everything the report shows about a suite, by variable name in its template. drawn: see `figure_of`."""
    groups = provenance.cells(results)
    sentences, tally, claims = summary.sentences(results), verdicts.tally(results), verdicts.by_source(results)
    waiting = verdicts.not_judged(results)
    sizes = ((results.encoders, "encoder"), (results.methods, "method"), (results.tasks, "task"))
    grid = [*(counted(len(names), word) for names, word in sizes), counted(len(results.seeds), "seed")]
    cells, unfinished = sum(map(len, results.cells.values())), provenance.unfinished(results)
    shown = [_shown(section, results, drawn) for section in SECTIONS]
    own = {"short", "reading", "again", *(["claims"] if claims or waiting else [])}
    used = {
        note for made in shown for item in made.tables_and_figures if isinstance(item, Table) for note in item.notes
    }
    return {
        "title": results.suite.title or results.name,
        "results": results,
        "grid": f"{', '.join(grid)}; {counted(cells, 'cell')}",
        "sections": [made for made in shown if made.key in own or made.tables_and_figures or made.listings],
        "nothing_learned": nothing_learned(select(results)),
        "sentences": sentences,
        "tally": tally,
        "claims": claims,
        "not_judged": waiting,
        "shared": [note for note in (*SHARED, *results.suite.notes) if note in used],
        "gaps": provenance.gaps(results),
        "unfinished": unfinished[:MOST_CELLS],
        "unfinished_count": len(unfinished),
        "whence": provenance.whence(results),
        "commands": provenance.commands(results),
        "cells": groups,
        "cell_count": cells,
        "few": provenance.FEW_CELLS,
        "cells_elsewhere": listed_cells_path(Path()).name if cells > MOST_CELLS else "",
    }


def _shown(section: Section, results: Results, drawn: Path | None) -> ShownSection:
    """A section with the tables and figures that every report has and those that the suite names."""
    named = [*(f"table {name}" for name in results.suite.tables), *(f"figure {name}" for name in results.suite.figures)]
    if section.key == "further":
        items = [item for item in named if placed(item) == "further"]
    else:
        items = [item for item in section.items if item in ALWAYS or item in named]
    makers = {"table": _table, "figure": partial(figure_of, drawn=drawn)}
    made = (
        makers[kind](version, results)
        for kind, name in map(str.split, items)
        for version in (versions([name], results.suite) if kind == "figure" else [name])
    )
    listings = {
        "cost": provenance.totals,
        "environment": provenance.environment,
        "inputs": provenance.inputs,
    }
    listing = listings[section.key](results) if section.key in listings else None
    return ShownSection(
        section.key,
        section.title,
        section.text,
        tuple(item for item in made if item is not None),
        (listing,) if listing and listing.rows else (),
    )


def _table(name: str, results: Results) -> Table | None:
    """A table by name; None if it has no rows."""
    made = make_table(name, results)
    return made if made.lines else None


def figure_of(version: str, results: Results, drawn: Path | None = None) -> Plot | None:
    """A figure by one of its names (see `versions`); None if there is nothing to draw.

    drawn: the folder to which the figures stage wrote the suite's figures. They are reused, because drawing takes
        longer than the rest of the page.
    """
    name = version.partition("@")[0]
    written = drawn / f"{version}.svg" if drawn and name in results.suite.figures else None
    svg = written.read_bytes() if written and written.is_file() else to_svg(draw(version, results))
    if f'id="{NOTHING}"'.encode() in svg:
        return None
    width = re.search(rb'<svg [^>]*width="([\d.]+)pt"', svg)
    kind, image = "svg+xml", svg
    if len(svg) > MOST_SVG and written and (pixels := written.with_suffix(".png")).is_file():
        kind, image = "png", pixels.read_bytes()
    source = f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
    # A figure is about as wide as a column or a page, so the midpoint separates the two.
    wide = width is not None and float(width[1]) > (COLUMN + PAGE) / 2 * POINTS
    return Plot(name, name.replace("-", " ").capitalize(), caption(version, results), source, wide)

"""The tables by name. To add one, decorate a function in this package with `@table("name")`."""

from dataclasses import replace

from steadytune.rendering.entries import start_notes
from steadytune.rendering.registry import Registry
from steadytune.rendering.table import Table
from steadytune.results.model import Results
from steadytune.results.selection import selection_notes

TABLES: Registry[Table] = Registry("table")
table = TABLES.register


def make_table(name: str, results: Results) -> Table:
    """The table `name` of a suite's results, with notes on chosen variants, on parents and from the suite appended.

    Raises:
        SteadyTuneError: no table has that name.
    """
    made, shown = TABLES.make(name, results)
    listed = TABLES[name]
    chosen = () if listed.every_variant else selection_notes(shown)
    own = made.notes if made.lines or not listed.empty else (listed.empty,)
    return replace(made, notes=(*own, *chosen, *start_notes(shown), *results.suite.notes))

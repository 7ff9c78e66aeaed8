"""The tables by name. A new one is one function under `@table("name")` in this package."""

from collections.abc import Callable
from dataclasses import replace

from steadytune.errors import unknown
from steadytune.rendering.results import Results
from steadytune.rendering.selection import select, selection_notes
from steadytune.rendering.table import Table

Maker = Callable[[Results], Table]

TABLES: dict[str, Maker] = {}


def table(name: str, *, every_variant: bool = False) -> Callable[[Maker], Maker]:
    """Register a function as the table `name`.

    Args:
        name: what a suite's `tables` calls it.
        every_variant: whether it shows every variant of a grid, and not the one that the suite's selection picks.
    """

    def register(maker: Maker) -> Maker:
        if name in TABLES:
            raise ValueError(f"table '{name}' is registered twice")
        TABLES[name] = maker if every_variant else lambda results: _selected(maker, results)
        return maker

    return register


def make_table(name: str, results: Results) -> Table:
    """The table `name` of a suite's results, the suite's own notes below its own.

    Raises:
        SteadyTuneError: no table has that name.
    """
    if name not in TABLES:
        raise unknown("table", name, TABLES, where=f"suite '{results.name}'")
    made = TABLES[name](results)
    return replace(made, notes=(*made.notes, *results.suite.get("notes", ())))


def _selected(maker: Maker, results: Results) -> Table:
    chosen = select(results)
    made = maker(chosen)
    return replace(made, notes=(*made.notes, *selection_notes(chosen)))

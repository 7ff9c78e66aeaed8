"""The tables by name. A new one is one function under `@table("name")` in this package."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from steadytune.errors import unknown
from steadytune.rendering.table import Table
from steadytune.results.model import Results
from steadytune.results.selection import select, selection_notes

Maker = Callable[[Results], Table]


class Listed(NamedTuple):
    """A registered table."""

    make: Maker
    every_variant: bool
    reads_predictions: bool
    empty: str


TABLES: dict[str, Listed] = {}


def table(
    name: str, *, every_variant: bool = False, reads_predictions: bool = False, empty: str = ""
) -> Callable[[Maker], Maker]:
    """Register a function as the table `name`.

    Args:
        name: what a suite's `tables` calls it.
        every_variant: whether it shows every variant of a grid, and not the one that the suite's selection picks.
        reads_predictions: whether it shows what is computed from single predictions (`results/predictions.py`): the
            workflow computes that for the suites that name such a table.
        empty: the note that stands alone if the table has no rows.
    """

    def register(maker: Maker) -> Maker:
        if name in TABLES:
            raise ValueError(f"table '{name}' is registered twice")
        TABLES[name] = Listed(maker, every_variant, reads_predictions, empty)
        return maker

    return register


def make_table(name: str, results: Results) -> Table:
    """The table `name` of a suite's results, the suite's own notes below its own.

    Raises:
        SteadyTuneError: no table has that name.
    """
    if name not in TABLES:
        raise unknown("table", name, TABLES, where=f"suite '{results.name}'")
    listed = TABLES[name]
    shown = results if listed.every_variant else select(results)
    made = listed.make(shown)
    chosen = () if listed.every_variant else selection_notes(shown)
    own = made.notes if made.lines or not listed.empty else (listed.empty,)
    return replace(made, notes=(*own, *chosen, *results.suite.notes))

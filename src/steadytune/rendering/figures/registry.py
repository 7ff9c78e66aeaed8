"""The figures by name. A new one is one function under `@figure("name")` in this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from steadytune.errors import unknown
from steadytune.rendering import style
from steadytune.results.model import Results
from steadytune.results.selection import select

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Drawer = Callable[[Results], "Figure"]


class Plot(NamedTuple):
    """A registered figure."""

    draw: Drawer
    caption: str
    every_variant: bool


FIGURES: dict[str, Plot] = {}


def figure(name: str, caption: str = "", *, every_variant: bool = False) -> Callable[[Drawer], Drawer]:
    """Register a function as the figure `name`; `every_variant` as for tables."""

    def register(drawer: Drawer) -> Drawer:
        if name in FIGURES:
            raise ValueError(f"figure '{name}' is registered twice")
        FIGURES[name] = Plot(drawer, caption, every_variant)
        return drawer

    return register


def draw(name: str, results: Results, page: style.Theme = style.LIGHT) -> Figure:
    """The figure `name` of a suite's results, on a light or a dark page.

    Raises:
        SteadyTuneError: no figure has that name.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES, where=f"suite '{results.name}'")
    plot = FIGURES[name]
    with style.drawing(page):
        return plot.draw(results if plot.every_variant else select(results))

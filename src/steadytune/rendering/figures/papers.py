"""The papers' figures that no other figure is: a table's scores as points, the paper's beside ours.

HyPe's Figures 3 and 4, the variability paper's curves and LNSR's Figure 1 are the figures `task-generalisation`,
`token-similarity`, `variability` and `noise-propagation`: of theirs no number could be read.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, limits, marker
from steadytune.rendering.papers.filled import Filled, Place
from steadytune.rendering.papers.layout import Column
from steadytune.rendering.table import number
from steadytune.rendering.tables.papers import LAYOUTS
from steadytune.results.model import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = (
    "Open: as the paper prints it, with its deviation where it prints one. Filled: ours, mean and sample standard "
    "deviation over seeds, none where nothing has run."
)
FIGURES_OF = {
    "hype-figure-2": ("hype-table-16", "HyPe-N with other methods, and these alone: HyPe's Figure 2 by its Table 16."),
    "hype-figure-5": ("hype-table-17", "Noise between layers, inside them, or in both places: HyPe's Table 17, to go "
                      "with its Figure 5."),
}  # fmt: skip
"""Figures by name: the table that has their numbers, and what they show."""


def dots(table: str, results: Results) -> Figure:
    """A panel for each encoder and column of a paper's table, a row for each method."""
    filled = Filled(LAYOUTS[table], results)
    columns = len(filled.layout.columns)
    rows = max(len(lines) for _, lines in filled.lines)
    plot, panels = style.canvas(len(filled.lines) * columns, columns=columns, height=0.19 * rows + 0.85)
    handles: dict[str, Any] = {}
    for index, axes in enumerate(panels):
        group, lines = filled.lines[index // columns]
        at = index % columns
        handles |= _panel(axes, [places[at] for _, places in lines])
        axes.set_yticks(range(len(lines)), [row.printed for row, _ in lines] if at == 0 else [""] * len(lines))
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
        column = lines[0][1][at].column
        name = column.heading or column.printed if isinstance(column, Column) else column.heading
        axes.set_title(f"{group.encoder}\n{name}" if at == 0 else name)
        if index // columns == len(filled.lines) - 1:
            axes.set_xlabel("points")
    legend(plot, handles)
    return plot


def _panel(axes: Axes, places: list[Place]) -> dict[str, Any]:
    """One column's scores, row by row; returns what the legend has to explain."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    theme, colour = style.theme(), style.method_colour(1)
    handles, ends = {}, []
    for row, place in enumerate(places):
        if place.printed:
            mean, std = float(place.printed.mean), float(place.printed.std or 0)
            bar = {"color": theme.muted, "markerfacecolor": theme.paper, "markersize": 3.4, "elinewidth": 0.8}
            axes.errorbar(mean, row - 0.16, xerr=std or None, fmt="o", **bar)
            handles["paper"] = marker(face=theme.paper, edge=theme.muted)
            ends += [mean - std, mean + std]
        if math.isfinite(place.mean):
            std = place.score.std if place.score and len(place.score.points) > 1 else 0.0
            axes.errorbar(
                place.mean, row + 0.16, xerr=std or None, fmt="o", color=colour, markersize=3.4, elinewidth=0.8
            )
            handles["ours"] = marker(face=colour)
            ends += [place.mean - std, place.mean + std]
    limits(axes.set_xlim, ends)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=3))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value, 0 if value == round(value) else 1)))
    return handles


for _name, (_table, _says) in FIGURES_OF.items():
    figure(_name, f"{_says} {POINTS}", every_variant=True)(partial(dots, _table))

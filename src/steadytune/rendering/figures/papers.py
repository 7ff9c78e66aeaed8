"""The papers' figures that other modules do not draw: a table's scores as points, the paper's next to ours.

HyPe's Figures 3 and 4, the variability paper's curves and LNSR's Figure 1 are the figures `task-generalisation`,
`token-similarity`, `variability` and `noise-propagation`; the papers print no numbers for them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.papers.filled import Filled
from steadytune.rendering.papers.layout import Column
from steadytune.rendering.tables.papers import LAYOUTS
from steadytune.results.model import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = (
    "Open: as the paper prints it, with its deviation if it prints one. Filled: ours, mean and sample standard "
    "deviation over seeds, if anything has run."
)
FIGURES_OF = {
    "hype-figure-2": ("hype-table-16", "HyPe-N with other methods, and those alone: HyPe's Figure 2 by its Table 16."),
    "hype-figure-5": ("hype-table-17", "Noise between layers, inside them, or in both places: HyPe's Table 17, to go "
                      "with its Figure 5."),
}  # fmt: skip
"""Figures by name: the table that has their numbers, and what they show."""
LOOKS: dict[str, dict[str, Any]] = {
    "paper": {"color": style.MUTED, "markerfacecolor": style.PAPER, "markeredgewidth": 0.9},
    "ours": {"color": style.HUES[0]},
}


def dots(table: str, results: Results) -> Figure:
    """A panel for each encoder and column of a paper's table, with a row for each method."""
    filled = Filled(LAYOUTS[table], results)
    rows: panels.Rows = []
    for group, lines in filled.lines:
        for row, (method, places) in enumerate(lines):
            for place in places:
                column, printed, score = place.column, place.printed, place.score
                name = column.heading or (column.printed if isinstance(column, Column) else "")
                at = {"panel": f"{group.encoder}\n{name}" if len(filled.lines) > 1 else name, "row": method.printed}
                paper = (float(printed.mean), float(printed.std or 0)) if printed else (math.nan, 0.0)
                ours = place.mean, score.std if score and len(score.points) > 1 else 0.0
                for who, (mean, std), aside in (("paper", paper, -0.16), ("ours", ours, 0.16)):
                    rows.append(at | {"who": who, "mean": mean, "std": std, "y": row + aside})
    names = list(dict.fromkeys(row["row"] for row in rows))
    layout = {"columns": len(filled.layout.columns), "height": 0.19 * len(names) + 0.7, "sharey": True}
    plot, parts = panels.facets(rows, "panel", "this table has no rows", **layout)
    for axes, _, _, frame in parts:
        for who, part in frame.dropna(subset="mean").groupby("who", sort=False):
            axes.errorbar("mean", "y", xerr="std", data=part, fmt="o", elinewidth=0.8, **LOOKS[who])
        axes.set(xlabel="points", ylabel="", ylim=(len(names) - 0.4, -0.6), yticks=range(len(names)), yticklabels=names)
        axes.locator_params(axis="x", nbins=3)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
    found = {row["who"] for row in rows if math.isfinite(row["mean"])}
    panels.legend(plot, {who: panels.handle(marker="o", **look) for who, look in LOOKS.items() if who in found})
    return plot


for _name, (_table, _says) in FIGURES_OF.items():
    figure(_name, f"{_says} {POINTS}", every_variant=True)(partial(dots, _table))

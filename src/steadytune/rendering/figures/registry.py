"""The figures by name. A new one is one function under `@figure("name", "caption")` in this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering.figures.panels import NothingToDraw, message
from steadytune.rendering.figures.words import fit_titles, shorten_names
from steadytune.rendering.registry import Registry
from steadytune.rendering.style import NOTHING, drawing
from steadytune.results.model import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: Registry[Figure] = Registry("figure")
figure = FIGURES.register


def primary(results: Results) -> str:
    """The encoder that most figures of one encoder show."""
    return results.primary


def caption(name: str, results: Results) -> str:
    """A figure's caption; of several encoders, it names the one that the figure shows."""
    shown = FIGURES[name]
    named = f" Encoder: {shown.encoder(results)}." if shown.encoder and len(results.encoders) > 1 else ""
    return shown.caption + named


def draw(name: str, results: Results) -> Figure:
    """The figure `name` of a suite's results, laid out; what has not begun to run has no row and no panel.

    Raises:
        SteadyTuneError: no figure has that name.
    """
    with drawing():
        try:
            plot, _ = FIGURES.make(name, results.begun())
        except NothingToDraw as reason:
            plot = message(str(reason))
        if not any(axes.axison for axes in plot.axes):
            plot.set_gid(NOTHING)
        # Here, and not again for each format: this measures every text. The second pass knows the panels' ticks.
        shorten_names(plot)
        for laid_out in (False, True):
            fit_titles(plot, laid_out=laid_out)
            if engine := plot.get_layout_engine():
                engine.execute(plot)
        fit_titles(plot, laid_out=True)
        plot.set_layout_engine("none")
    return plot

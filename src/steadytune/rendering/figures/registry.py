"""The figures by name. To add one, decorate a function in this package with `@figure("name", "caption")`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from steadytune.rendering.figures.panels import NothingToDraw, message
from steadytune.rendering.figures.words import fit_titles, shorten_names
from steadytune.rendering.registry import OneEncoder, Registry
from steadytune.rendering.style import NOTHING, drawing
from steadytune.results.description import Description
from steadytune.results.inside import inside_encoder
from steadytune.results.model import Results
from steadytune.text import listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES: Registry[Figure] = Registry("figure")
figure = FIGURES.register


COMPARED = OneEncoder(lambda suite: suite.compared, lambda results: results.primary)
INSIDE = OneEncoder(lambda suite: suite.inside or (), inside_encoder)


def versions(names: Iterable[str], suite: Description) -> list[str]:
    """The names under which figures are drawn.

    If there are several encoders, a single-encoder figure has a name for each: `transfer@minilm`.
    """
    found = []
    for name in names:
        shown = FIGURES[name].encoder
        encoders = shown.planned(suite) if shown else ()
        found += [f"{name}@{encoder}" for encoder in encoders] if len(encoders) > 1 else [name]
    return found


def caption(version: str, results: Results) -> str:
    """A figure's caption; if the suite has several encoders, it names the one that a single-encoder figure shows.

    It also names what has only one method and is not drawn.
    """
    name, _, encoder = version.partition("@")
    shown = FIGURES[name]
    text = f"{shown.caption}{_tasks_not_drawn(name, replace(results, focus=encoder)) if shown.compares else ''}"
    if not shown.encoder or len(results.encoders) == 1:
        return text
    compared = results.suite.compared if shown.encoder is COMPARED else ()
    others = [name for name in results.encoders if compared and name not in compared]
    without = f" Not drawn: {listed(others)}, with one method." if others else ""
    return f"{text} Encoder: {encoder or shown.encoder.found(results)}.{without}"


def _tasks_not_drawn(name: str, results: Results) -> str:
    """A sentence on the tasks that a figure leaves out, because they have nothing to compare; empty if there are none.

    Tasks that have not begun have no panel either, but are not named.
    """
    shown = FIGURES.shown(name, results.begun())
    encoders = [shown.primary] if FIGURES[name].encoder else shown.encoders_begun
    tasks = [task for task in shown.tasks if any(task in shown.tasks_of(encoder) for encoder in encoders)]
    left_out = [task for task in tasks if task not in shown.compared_tasks(encoders)]
    return f" Tasks with one method, not drawn: {listed(left_out)}." if left_out else ""


def draw(version: str, results: Results) -> Figure:
    """Draw a figure of a suite's results, by one of its names (see `versions`), and lay it out.

    Methods and tasks of which no cell has run have no row or panel.

    Raises:
        SteadyTuneError: no figure has that name.
    """
    name, _, encoder = version.partition("@")
    with drawing():
        try:
            if encoder and encoder not in results.encoders_begun:
                raise NothingToDraw(f"nothing of {encoder} has run")
            plot, _ = FIGURES.make(name, replace(results, focus=encoder).begun())
        except NothingToDraw as reason:
            plot = message(str(reason))
        if not any(axes.axison for axes in plot.axes):
            plot.set_gid(NOTHING)
        # Laid out once, not for each format, because this measures every text. The second pass knows the panels' ticks.
        shorten_names(plot)
        for laid_out in (False, True):
            fit_titles(plot, laid_out=laid_out)
            if engine := plot.get_layout_engine():
                engine.execute(plot)
        fit_titles(plot, laid_out=True)
        plot.set_layout_engine("none")
    return plot

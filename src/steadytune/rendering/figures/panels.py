"""What figures are made of: panels, curves over seeds, reference lines and legends, all on top of seaborn.

A figure starts as rows (dicts) that become one tidy data frame; seaborn computes means and standard deviations. Its
axes-level functions draw on our own grid, because `FacetGrid` lays out the whole figure again after every layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from steadytune.rendering import style
from steadytune.rendering.figures.words import LONGEST, note
from steadytune.rendering.table import number
from steadytune.results.model import Results
from steadytune.suite.variants import stand_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
FEW = 13
"""A curve of so few points has markers and error bars, one of more points a band."""
ERRORS: dict[str, Any] = {"errorbar": "sd", "legend": False}
BAND: dict[str, Any] = {**ERRORS, "markers": False, "err_kws": {"alpha": 0.14, "linewidth": 0}}
BARS: dict[str, Any] = {**ERRORS, "err_style": "bars", "err_kws": {"elinewidth": 0.8}, "markersize": 4.5}
BARS |= {"markeredgecolor": style.PAPER, "markeredgewidth": 0.5}
"""Means, and one sample standard deviation to either side, in seaborn's terms."""


class NothingToDraw(Exception):
    """A suite lacks what a figure shows; the message is drawn instead."""


class Panel(NamedTuple):
    """One part of a figure."""

    axes: Any
    name: Any
    level: str
    """Which of the panels stacked under one name."""
    frame: Any
    """Its rows, as a data frame."""


def canvas(rows: int, columns: int, height: float, width: float = 0, **shared: Any) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure and its grid of axes, `height` inches each; a single one is as wide as a paper's column."""
    from matplotlib.figure import Figure

    width = width or (style.COLUMN if columns == 1 else style.PAGE)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared).tolist()


def facets(
    rows: Rows, by: str, nothing: str, *, stack: str = "", columns: int = 3, height: float = 1.9, **shared: Any
) -> tuple[Figure, list[Panel]]:
    """A figure with a titled panel for each value of the column `by`, and those panels that have something to show.

    Args:
        rows: of one data frame; its order is the order of panels.
        by: the column whose values are the panels' titles.
        nothing: the message if there are no rows.
        stack: a second column; its values stand below each other in every column of panels.
        columns: at most so many panels beside each other.
        height: of a panel, in inches.
        shared: `width` of the figure; `sharex` and `sharey` of matplotlib's `subplots`.

    Raises:
        NothingToDraw: there are no rows.
    """
    import pandas as pd

    if not rows:
        raise NothingToDraw(nothing)
    frame: Any = pd.DataFrame(rows)
    names = list(dict.fromkeys(frame[by]))
    levels = list(dict.fromkeys(frame[stack])) if stack else [""]
    blocks = -(-len(names) // columns)
    across = -(-len(names) // blocks)
    figure, grid = canvas(blocks * len(levels), across, height, **shared)
    panels = []
    for place in range(blocks * across):
        for depth, level in enumerate(levels):
            axes = grid[place // across * len(levels) + depth][place % across]
            if place >= len(names):
                axes.remove()
                continue
            # Labels first: seaborn asks for every tick's text before it adds one that is not there.
            axes.set(title="" if depth else names[place], xlabel=" ", ylabel=" ")
            part = frame[(frame[by] == names[place]) & ((frame[stack] == level) if stack else True)]
            if part.empty:
                axes.set_axis_off()
                axes.text(0.5, 0.5, "not measured", ha="center", color=style.MUTED, style="italic")
            else:
                panels.append(Panel(axes, names[place], level, part))
    return figure, panels


def label_below(panels: list[Panel], text: str) -> None:
    """Label the horizontal axis of the lowest panel of each name, and of no other."""
    lowest = {panel.name: panel.axes for panel in panels}
    for panel in panels:
        panel.axes.set_xlabel(text if panel.axes is lowest[panel.name] else "")


def curves(axes: Axes, frame: Any, x: str, y: str, *, hue: str, looks: Mapping[str, Any], log: bool = False) -> None:
    """A line for each value of `hue`: mean over seeds, one sample standard deviation to either side.

    Lines of few points stand a little apart, so that none hides another.
    """
    import numpy as np
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    places = np.sort(frame[x].unique())
    if len(places) > FEW:
        sns.lineplot(frame, x=x, y=y, hue=hue, style=hue, ax=axes, **{**looks, **BAND})
    else:
        names = [name for name in looks["palette"] if name in set(frame[hue])]
        at_places = np.log(places) if log else places
        # Of two places only, a third of the way from one to the other would look like a place of its own.
        room = min(0.3 * np.diff(at_places).min(initial=1), 0.12 * max(float(np.ptp(at_places)), 1))
        step = room / max(len(names), 2)
        aside = frame[hue].map({name: step * (at - (len(names) - 1) / 2) for at, name in enumerate(names)})
        frame = frame.assign(**{x: frame[x] * np.exp(aside) if log else frame[x] + aside})
        sns.lineplot(frame, x=x, y=y, hue=hue, style=hue, ax=axes, **looks, **BARS)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    if len(places) == 1:
        axes.set(xlim=(places[0] - 0.6, places[0] + 0.6), xticks=places)
    axes.grid(True, axis="y")


def score_axis(axes: Axes, side: str, metric: str, scores: Iterable[Any]) -> bool:
    """Finish an axis of scores: its label, at least two points, and the majority class's score.

    Returns:
        Whether that score is a dotted line, which the legend has to explain; if it is far away, it is a text.
    """
    low, high = _room_for_scores(axes, side)
    majority = next((score.majority for score in scores if score), math.nan)
    line = abs(majority - (low + high) / 2) <= 1.5 * max(high - low, 4)
    if line:
        room = 0.04 * (max(high, majority) - min(low, majority))
        low, high = min(low, majority - room), max(high, majority + room)
        (axes.axvline if side == "x" else axes.axhline)(
            majority, color=style.MUTED, linewidth=1, linestyle=":", zorder=1
        )
    elif math.isfinite(majority):
        arrows = "◂▸" if side == "x" else "▾▴"
        note(axes, f"{arrows[int(majority > high)]} majority {number(majority)}")
    axes.set(**{f"{side}lim": (low, high), f"{side}label": f"{metric} (points)"})
    return line


def _room_for_scores(axes: Axes, side: str) -> tuple[float, float]:
    """The range of an axis of scores, at least two points; equal scores at an end of the scale have room inside it."""
    least, most = axes.dataLim.intervalx if side == "x" else axes.dataLim.intervaly
    # Around equal values Matplotlib leaves a twentieth of their size.
    low, high = (least, most) if least == most else axes.get_xlim() if side == "x" else axes.get_ylim()
    if high - low >= 2:
        return low, high
    lowest, highest = min(low, -0.1), max(high, 100.1)
    low = min(max((low + high) / 2 - 1, lowest), highest - 2)
    return low, low + 2


def handle(color: str = style.MUTED, marker: str = "", dashes: Any = "", **more: Any) -> Any:
    """A legend's entry: a marker, a line (`dashes` is a pattern, or `-`), or both."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=color, marker=marker, linestyle=(0, dashes) if isinstance(dashes, tuple) else dashes, **more
    )


def looks(results: Results, names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """The looks of methods, in every figure of a suite the same: first those that tables show, then their variants.

    names: those of the figure; the methods of `results` by default.
    """
    shown = stand_for(results.suite.methods, results.suite.named)
    return style.looks(list(dict.fromkeys([*shown, *(names or results.methods)])))


def handles(looks: Mapping[str, Any], names: Iterable[str], *, lines: bool = True) -> dict[str, Any]:
    """Legend entries of lines, or of markers alone, by name."""
    return {
        name: handle(looks["palette"][name], looks["markers"][name], (looks["dashes"][name] or "-") if lines else "")
        for name in names
    }


def legend(figure: Figure, entries: dict[str, Any], *, majority: bool = False) -> None:
    """One legend for all panels, below them, in as many columns as fit; more than two rows make the figure higher."""
    figure.align_ylabels()
    if majority:
        entries = entries | {"majority class": handle(dashes=":")}
    if entries:
        # In inches: a handle with its gap, and the mean width of a letter.
        columns = int(figure.get_figwidth() / (0.5 + 0.065 * min(max(map(len, entries)), LONGEST)))
        columns = max(1, min(len(entries), columns))
        rows = -(-len(entries) // columns)
        figure.set_figheight(figure.get_figheight() + 0.215 * max(0, rows - 2))
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, handletextpad=0.5)


def legends_below(panels: list[Panel], by: str, entries: Mapping[str, tuple[str, Any]]) -> None:
    """A legend below the lowest panel of each name, of the values of the column `by` that it shows."""
    for axes, _, _, frame in {panel.name: panel for panel in panels}.values():
        shown = [entries[name] for name in entries if name in set(frame[by])]
        place = {"loc": "upper left", "bbox_to_anchor": (-0.03, -0.32), "borderaxespad": 0}
        axes.legend([entry for _, entry in shown], [name for name, _ in shown], fontsize=5.5, **place)
    panels[0].axes.figure.align_ylabels()


def message(text: str) -> Figure:
    """A figure that says why there is nothing to see."""
    figure, [[axes]] = canvas(1, 1, 0.7)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=style.MUTED)
    return figure


def plain_log(axes: Axes, side: str = "y") -> None:
    """A logarithmic axis with plain numbers: 1, 2, 5, 10 over few decades, 1, 10, 100 over many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set(**{f"{side}scale": "log"})
    low, high = axes.get_xlim() if side == "x" else axes.get_ylim()
    subs = (1, 1.2, 1.5, *range(2, 10)) if high / low < 4 else (1, 2, 5) if high / low < 300 else (1,)
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())


def left(axes: Any, label: str) -> str:
    """The label for a panel in the first column, none for the others."""
    return label if axes.get_subplotspec().is_first_col() else ""

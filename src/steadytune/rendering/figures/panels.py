"""Building blocks of figures, on top of seaborn: panels, curves over seeds, reference lines and legends.

A figure starts as rows (dicts) that become one tidy data frame; seaborn computes means and standard deviations. Its
axes-level functions draw on our grid, because `FacetGrid` repeats the layout of the whole figure after every layer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from steadytune.rendering import style
from steadytune.rendering.figures.words import LONGEST, note
from steadytune.rendering.table import number
from steadytune.results.model import Results
from steadytune.suite.variants import variants_by_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = list[dict[str, Any]]
FEW = 13
"""A curve with up to this many points has markers and error bars; a longer one has a band."""
ERRORS: dict[str, Any] = {"errorbar": "sd", "legend": False}
BAND: dict[str, Any] = {**ERRORS, "markers": False, "err_kws": {"alpha": 0.14, "linewidth": 0}}
BARS: dict[str, Any] = {**ERRORS, "err_style": "bars", "err_kws": {"elinewidth": 0.8}, "markersize": 4.5}
BARS |= {"markeredgecolor": style.PAPER, "markeredgewidth": 0.5}
"""Seaborn arguments for means with one sample standard deviation to either side."""


class NothingToDraw(Exception):
    """Raised if a suite lacks the data of a figure; the message is drawn instead."""


class Panel(NamedTuple):
    """One part of a figure."""

    axes: Any
    name: Any
    level: str
    """Its value of `stack` among the panels stacked under one name."""
    frame: Any
    """Its rows, as a data frame."""


def canvas(rows: int, columns: int, height: float, width: float = 0, **shared: Any) -> tuple[Figure, list[list[Axes]]]:
    """An empty figure and its axes, each `height` inches high; a single column of axes is as wide as a paper's."""
    from matplotlib.figure import Figure

    width = width or (style.COLUMN if columns == 1 else style.PAGE)
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared).tolist()


def facets(
    rows: Rows, by: str, nothing: str, *, stack: str = "", columns: int = 3, height: float = 1.9, **shared: Any
) -> tuple[Figure, list[Panel]]:
    """A figure with a titled panel for each value of the column `by`, and a list of the panels that have data.

    Args:
        rows: the rows of one data frame, in the order of the panels.
        by: the column whose values are the panels' titles.
        nothing: the message if there are no rows.
        stack: a second column; panels for its values are stacked vertically.
        columns: maximum number of panels side by side.
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
            # Set labels first: before seaborn adds a missing one, it computes the text of every tick.
            axes.set(title="" if depth else names[place], xlabel=" ", ylabel=" ")
            part = frame[(frame[by] == names[place]) & ((frame[stack] == level) if stack else True)]
            if part.empty:
                axes.set_axis_off()
                axes.text(0.5, 0.5, "not measured", ha="center", color=style.MUTED, style="italic")
            else:
                panels.append(Panel(axes, names[place], level, part))
    return figure, panels


def label_below(panels: list[Panel], text: str) -> None:
    """Label the horizontal axis of only the lowest panel of each name."""
    lowest = {panel.name: panel.axes for panel in panels}
    for panel in panels:
        panel.axes.set_xlabel(text if panel.axes is lowest[panel.name] else "")


def curves(axes: Axes, frame: Any, x: str, y: str, *, hue: str, looks: Mapping[str, Any], log: bool = False) -> None:
    """Draw a line for each value of `hue`: mean over seeds, and one sample standard deviation to either side.

    Lines with few points are shifted slightly sideways so that none hides another.
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
        # With only two places, points a third of the way between them would look like another place.
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
    """Finish a score axis: set its label and a range of at least two points, and show the majority class's score.

    Returns:
        Whether that score is a dotted line, which the legend must explain; if it is far away, a note shows it.
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
    """The limits of a score axis, at least two points apart; a widened range does not extend beyond the scale."""
    least, most = axes.dataLim.intervalx if side == "x" else axes.dataLim.intervaly
    # If all values are equal, Matplotlib's margin would be a twentieth of their magnitude.
    low, high = (least, most) if least == most else axes.get_xlim() if side == "x" else axes.get_ylim()
    if high - low >= 2:
        return low, high
    lowest, highest = min(low, -0.1), max(high, 100.1)
    low = min(max((low + high) / 2 - 1, lowest), highest - 2)
    return low, low + 2


def handle(color: str = style.MUTED, marker: str = "", dashes: Any = "", **more: Any) -> Any:
    """A legend entry: a marker, a line (`dashes` is a pattern or `-`), or both."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=color, marker=marker, linestyle=(0, dashes) if isinstance(dashes, tuple) else dashes, **more
    )


def looks(results: Results, names: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Looks by method, the same in every figure of a suite: methods that tables show come first, then their variants.

    names: the methods of the figure; by default those of `results`.
    """
    shown = variants_by_name(results.suite.methods, results.suite.named)
    return style.looks(list(dict.fromkeys([*shown, *(names or results.methods)])))


def handles(looks: Mapping[str, Any], names: Iterable[str], *, lines: bool = True) -> dict[str, Any]:
    """Name -> legend entry, with a line and a marker or with the marker alone."""
    return {
        name: handle(looks["palette"][name], looks["markers"][name], (looks["dashes"][name] or "-") if lines else "")
        for name in names
    }


def legend(figure: Figure, entries: dict[str, Any], *, majority: bool = False) -> None:
    """Add one legend below all panels, in as many columns as fit; more than two rows increase the figure's height."""
    figure.align_ylabels()
    if majority:
        entries = entries | {"majority class": handle(dashes=":")}
    if entries:
        # In inches: 0.5 for a handle with its gap, 0.065 for the average letter.
        columns = int(figure.get_figwidth() / (0.5 + 0.065 * min(max(map(len, entries)), LONGEST)))
        columns = max(1, min(len(entries), columns))
        rows = -(-len(entries) // columns)
        figure.set_figheight(figure.get_figheight() + 0.215 * max(0, rows - 2))
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, handletextpad=0.5)


def legends_below(panels: list[Panel], by: str, entries: Mapping[str, tuple[str, Any]]) -> None:
    """Add a legend below the lowest panel of each name, with the values of the column `by` that the panel shows."""
    for axes, _, _, frame in {panel.name: panel for panel in panels}.values():
        shown = [entries[name] for name in entries if name in set(frame[by])]
        place = {"loc": "upper left", "bbox_to_anchor": (-0.03, -0.32), "borderaxespad": 0}
        axes.legend([entry for _, entry in shown], [name for name, _ in shown], fontsize=5.5, **place)
    panels[0].axes.figure.align_ylabels()


def message(text: str) -> Figure:
    """A figure that only says why there is nothing to draw."""
    figure, [[axes]] = canvas(1, 1, 0.7)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=style.MUTED)
    return figure


def plain_log(axes: Axes, side: str = "y") -> None:
    """Make an axis logarithmic, with plain numbers: 1, 2, 5, 10 over few decades, 1, 10, 100 over many."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set(**{f"{side}scale": "log"})
    low, high = axes.get_xlim() if side == "x" else axes.get_ylim()
    subs = (1, 1.2, 1.5, *range(2, 10)) if high / low < 4 else (1, 2, 5) if high / low < 300 else (1,)
    axis = axes.xaxis if side == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())


def left(axes: Any, label: str) -> str:
    """The label if the panel is in the first column, else an empty string."""
    return label if axes.get_subplotspec().is_first_col() else ""

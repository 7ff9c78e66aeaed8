"""What the figures share: limits, reference lines, legends."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

FAR = 1.0
"""A majority line further off than this many times the scores' range is named above the panel instead of drawn."""


def limits(setter: Callable[..., object], values: list[float]) -> None:
    """Set an axis to its values and a margin, two points wide at the least."""
    if not values:
        setter(0, 100)
        return
    low, high = min(values), max(values)
    margin = max(0.08 * (high - low), (2 - (high - low)) / 2)
    setter(low - margin, high + margin)


def majority_line(axes: Axes, side: str, values: list[float], majority: float) -> dict[str, Any]:
    """A dotted line at the majority class's score, or its value above; returns what the legend explains."""
    if not math.isfinite(majority):
        return {}
    setter, getter = (axes.set_xlim, axes.get_xlim) if side == "x" else (axes.set_ylim, axes.get_ylim)
    low, high = getter()
    reach = FAR * max(high - low, 4.0)
    colour = style.theme().muted
    if values and not low - reach <= majority <= high + reach:
        arrow = {"x": "◂▸", "y": "▾▴"}[side][int(majority > high)]
        axes.set_title(
            f"{arrow} majority {number(majority)}", loc="right", fontsize=6, fontweight="normal", color=colour
        )
        return {}
    room = 0.04 * (max(high, majority) - min(low, majority))
    setter(min(low, majority - room), max(high, majority + room))
    (axes.axvline if side == "x" else axes.axhline)(majority, color=colour, linewidth=1.0, linestyle=":", zorder=2)
    return {"majority class": line(colour, ":")}


def marker(shape: str = "o", face: str | None = None, edge: str | None = None, size: float = 4) -> Line2D:
    """A legend's marker."""
    from matplotlib.lines import Line2D

    face = face or style.theme().muted
    edge = edge or (style.theme().muted if face == "none" else face)
    return Line2D([], [], linestyle="", marker=shape, markersize=size, markerfacecolor=face, markeredgecolor=edge)


def line(colour: Any, dashes: Any = "-", marker: str = "") -> Line2D:
    """A legend's line."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=colour, linestyle=dashes, linewidth=1.2, marker=marker, markersize=3)


def patch() -> Patch:
    """A legend's band."""
    from matplotlib.patches import Patch

    return Patch(facecolor=style.theme().muted, alpha=0.25, linewidth=0)


LEGEND_ROW = 0.215
"""Inches of a legend's row."""

ROWS_WITHIN = 2
"""Rows of a legend for which a figure's height leaves room; more would be taken from the panels."""


def legend(plot: Figure, handles: dict[str, Any]) -> None:
    """One legend for all panels, below them, in as many columns as the width holds; its rows make the figure higher."""
    if not handles:
        return
    # In inches, at the legend's size: a letter's mean width, and a handle with the gap after it.
    widest = 0.5 + 0.065 * max(map(len, handles))
    columns = max(1, min(len(handles), int(plot.get_figwidth() / widest)))
    rows = -(-len(handles) // columns)
    plot.set_figheight(plot.get_figheight() + LEGEND_ROW * max(0, rows - ROWS_WITHIN))
    plot.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns, handletextpad=0.5)


def band(axes: Axes, position: int, values: dict[float, list[float]]) -> list[float]:
    """A method's mean by x, and one sample standard deviation to either side; returns the band's edges.

    Args:
        axes: the panel.
        position: the method's among the suite's, which gives its colour, dashes and marker.
        values: x -> one value a seed; nothing is drawn where it is empty.
    """
    if not values:
        return []
    xs = sorted(values)
    means = [statistics.fmean(values[x]) for x in xs]
    spread = [statistics.stdev(values[x]) if len(values[x]) > 1 else 0.0 for x in xs]
    colour, shape = style.method_colour(position), style.method_marker(position) if len(xs) <= 12 else ""
    axes.plot(xs, means, color=colour, linestyle=style.method_dashes(position), marker=shape, markersize=2.4)
    low, high = ([mean + side * std for mean, std in zip(means, spread, strict=True)] for side in (-1, 1))
    axes.fill_between(xs, low, high, color=colour, alpha=0.14, linewidth=0)
    return [*low, *high]


def message(text: str) -> Figure:
    """A figure that says why there is nothing to see."""
    plot, (axes,) = style.canvas(1, columns=1, height=0.7)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", color=style.theme().muted)
    return plot


def row_text(axes: Axes, row: int, text: str) -> None:
    """What stands where a row has no points."""
    place = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
    axes.text(0.5, row, text, color=style.theme().muted, style="italic", **place)


def plain_log(axes: Axes) -> None:
    """A logarithmic y axis with ticks as plain numbers: 1, 2, 5, 10 over few decades, 1, 10, 100 over many.

    Over a small part of a decade every digit has one.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    subs = (1, 1.2, 1.5, *range(2, 10)) if high / low < 4 else (1, 2, 5) if high / low < 300 else (1,)
    axes.yaxis.set_major_locator(LogLocator(subs=subs))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())

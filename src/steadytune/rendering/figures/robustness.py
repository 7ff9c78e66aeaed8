"""Whether l* survives class imbalance and scarce data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, line, message
from steadytune.results.model import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = ":"
"""The dashes of what a layer chosen blindly would reach."""


@figure(
    "variability-robustness",
    "How often l* from few examples is l* of all data. Left: draws of one size in which the most frequent class has a "
    "growing share. Right: draws of growing size, classes as in the data. Dotted: a layer chosen blindly. A stable "
    "choice need not be a right one: ν of few examples favours wide layers, in every draw.",
)
def variability_robustness(results: Results) -> Figure:
    """Two panels for each encoder, agreement against imbalance and against size; a line for each task."""
    measured = [item for item in results.variability if item.imbalance or item.scarcity]
    if not measured:
        return message("no robustness of variability measured in this suite")
    encoders = [encoder for encoder in results.encoders if any(item.encoder == encoder for item in measured)]
    plot, panels = style.canvas(2 * len(encoders), columns=2, height=2.3, sharey=True)
    handles, tasks = {}, list(dict.fromkeys(item.task for item in measured))
    for encoder, left, right in zip(encoders, panels[::2], panels[1::2], strict=True):
        shown = [item for item in measured if item.encoder == encoder]
        for item in shown:
            position = tasks.index(item.task)
            colour, shape = style.task_colour(position, len(tasks)), style.MARKERS[position % len(style.MARKERS)]
            look = {"color": colour, "marker": shape, "markersize": 3, "label": item.task}
            imbalance, scarcity = item.imbalance, item.scarcity
            left.plot([100 * at.share for at in imbalance], [100 * at.agreement for at in imbalance], **look)
            right.plot([at.examples for at in scarcity], [100 * at.agreement for at in scarcity], **look)
            handles[item.task] = line(colour, marker=shape)
        prefix = f"{encoder}: " if len(encoders) > 1 else ""
        _finish(left, f"{prefix}class imbalance", "share of the most frequent class (%)", len(shown[0].nu) - 1)
        _finish(right, f"{prefix}scarce data", "examples (log scale)", len(shown[0].nu) - 1)
        left.set_ylabel("same l* (% of draws)")
        _count_axis(right)
    legend(plot, handles | {"blind choice": line(style.theme().muted, CHANCE)})
    return plot


def _finish(axes: Axes, title: str, label: str, layers: int) -> None:
    axes.axhline(100 / layers, color=style.theme().muted, linestyle=CHANCE, linewidth=1.0, zorder=1)
    axes.set(title=title, xlabel=label, ylim=(-4, 104))
    axes.grid(True, axis="y")


def _count_axis(axes: Axes) -> None:
    """A logarithmic axis of numbers of examples, 10 and 1,000 rather than powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())

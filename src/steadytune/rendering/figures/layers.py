"""How variable the classes are at every layer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, line, marker, message, patch, plain_log
from steadytune.rendering.table import number
from steadytune.results.model import Results
from steadytune.results.variability import Variability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REACH = 4.0
"""A band that goes on, or has no end, is cut at so many times the largest nu."""


@figure(
    "variability",
    "Hidden-state variability ν by layer, before fine-tuning; layer 0 is the embedding output. Ringed: l*; above "
    "each panel, the share of resamples whose least corrected ν is there. Dashed: ν corrected for its bias, since few "
    "examples make it too low; band: the 95 % interval of that, from resamples of the examples. Where either reaches "
    "the top of its panel, the examples may show no separation beyond chance.",
)
def variability(results: Results) -> Figure:
    """A panel for each encoder and task: nu by layer, its band, and l* marked."""
    measured = [item for item in results.variability if any(_drawable(value) for value in item.nu)]
    if not measured:
        return message("no variability measured in this suite")
    from matplotlib.ticker import MaxNLocator

    plot, panels = style.canvas(len(measured), columns=3, height=1.9)
    tasks = list(dict.fromkeys(item.task for item in measured))
    for axes, item in zip(panels, measured, strict=True):
        colour = style.task_colour(tasks.index(item.task), len(tasks))
        layers = [layer for layer, value in enumerate(item.nu) if _drawable(value)]
        axes.plot(layers, [item.nu[layer] for layer in layers], color=colour, marker="o", markersize=2)
        if item.best_layer in layers:
            ring = {"facecolors": style.theme().paper, "edgecolors": [colour], "linewidths": 1.4, "zorder": 4}
            axes.scatter(item.best_layer, item.nu[item.best_layer], s=34, **ring)
        # Before the band fixes the top: limits of a linear axis may reach below 0, where a logarithm has no place.
        axes.set_yscale("log")
        _band(axes, item, layers, colour)
        plain_log(axes)
        several = len({other.encoder for other in measured}) > 1
        axes.set(title=f"{item.encoder}, {item.task}" if several else item.task, xlabel="layer")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(True, axis="y")
    for axes in panels[::3]:
        axes.set_ylabel("ν (log scale)")
    handles = {"ν": line(style.theme().muted), "l*": marker(face="none", size=5.5)}
    banded = any(item.bands for item in measured)
    bands = {"ν corrected for its bias": line(style.theme().muted, "--"), "95 % interval": patch()} if banded else {}
    legend(plot, handles | bands)
    return plot


def _drawable(value: float) -> bool:
    """Whether a logarithmic axis has a place for it."""
    return math.isfinite(value) and value > 0


def _band(axes: Axes, item: Variability, layers: list[int], colour: object) -> None:
    """The interval of every layer that has one, and the share of l* above the panel."""
    bands = item.bands
    if bands is None:
        return
    top = REACH * max(item.nu[layer] for layer in layers)
    there = [layer for layer in layers if _drawable(bands.low[layer])]
    low = [min(bands.low[layer], top) for layer in there]
    high = [min(bands.high[layer], top) if _drawable(bands.high[layer]) else top for layer in there]
    axes.fill_between(there, low, high, color=colour, alpha=0.16, linewidth=0)
    corrected = [min(value, top) if _drawable(value := bands.corrected[layer]) else top for layer in layers]
    axes.plot(layers, corrected, color=colour, linestyle="--", linewidth=1)
    if max(high, default=0) == top:
        axes.set_ylim(top=top)
    text = f"l* = {item.best_layer} ({number(100 * bands.share[item.best_layer], 0)} %)"
    axes.set_title(text, loc="right", fontsize=6.5, fontweight="normal", color=style.theme().muted)

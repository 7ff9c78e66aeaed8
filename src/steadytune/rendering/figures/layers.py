"""Hidden-state variability by layer, and whether the choice of a layer survives imbalance and few examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.figures.words import note
from steadytune.rendering.table import number
from steadytune.results.model import Results
from steadytune.results.variability import Variability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DASHED = (3, 1.5)
SHARE, EXAMPLES = "most frequent class (%)", "examples (log scale)"
REACH = 4.0
"""Corrected values and intervals are cut at this multiple of the largest nu."""


@figure(
    "variability",
    "Hidden-state variability ν by layer, before fine-tuning. Ringed: l*, the layer of least ν, or of least corrected "
    "ν if the suite chooses by that; layer 0, the embedding output, is no candidate and drawn hollow. Above each "
    "panel: the share of resamples whose least corrected ν is at l*. Dashed: ν corrected for its bias, since few "
    "examples make it too low; band: the 95 % interval of that, from resamples of the examples. If either reaches the "
    "top of its panel, the examples may show no separation beyond chance.",
)
def variability(results: Results) -> Figure:
    """A panel for each encoder and task: nu by layer, its interval, and l* marked."""
    several = len({item.encoder for item in results.variability}) > 1
    measured = {f"{item.encoder}, {item.task}" if several else item.task: item for item in results.variability}
    rows = [row for name, item in measured.items() for row in _by_layer(name, item)]
    plot, parts = panels.facets(rows, "panel", "no variability measured in this suite")
    for axes, name, _, frame in parts:
        _draw(axes, frame, measured[name])
    hollow = {"marker": "o", "markerfacecolor": "none"}
    entries = {
        "ν": panels.handle(style.HUES[0], dashes="-"),
        "l*": panels.handle(style.HUES[0], markersize=6, markeredgewidth=1.4, **hollow),
        "layer 0: no candidate": panels.handle(style.HUES[0], markeredgewidth=0.8, **hollow),
    }
    if any(item.bands for item in measured.values()):
        entries["ν corrected for its bias"] = panels.handle(style.HUES[0], dashes=DASHED)
        entries["95 % interval"] = panels.handle(
            style.HUES[0], dashes="-", linewidth=6, alpha=0.2, solid_capstyle="butt"
        )
    panels.legend(plot, entries)
    return plot


def _by_layer(name: str, item: Variability) -> panels.Rows:
    """Rows for the layers that a log axis can show; values that are too high or infinite are cut at the panel's top."""
    shown = [layer for layer, value in enumerate(item.nu) if math.isfinite(value) and value > 0]
    top = REACH * max((item.nu[layer] for layer in shown), default=0)
    rows: panels.Rows = [{"panel": name, "layer": layer, "nu": item.nu[layer]} for layer in shown]
    for row in rows if item.bands else ():
        for column in ("corrected", "low", "high"):
            value = getattr(item.bands, column)[row["layer"]]
            row[column] = min(value, top) if math.isfinite(value) and value > 0 else top
    return rows


def _draw(axes: Axes, frame: Any, item: Variability) -> None:
    """Draw one encoder on one task."""
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    colour = style.HUES[0]
    line = {"x": "layer", "color": colour, "errorbar": None, "ax": axes}
    sns.lineplot(frame, y="nu", marker="o", markeredgewidth=0, **line)
    point = {"x": "layer", "y": "nu", "facecolor": style.PAPER, "edgecolor": colour, "zorder": 4, "ax": axes}
    sns.scatterplot(frame[frame["layer"] == item.best_layer], s=34, linewidth=1.4, **point)
    sns.scatterplot(frame[frame["layer"] == 0], s=11, linewidth=0.8, **point)
    axes.set_yscale("log")
    if bands := item.bands:
        sns.lineplot(frame, y="corrected", linestyle=(0, DASHED), linewidth=1, **line)
        axes.fill_between(frame["layer"], frame["low"], frame["high"], color=colour, alpha=0.16, linewidth=0)
        if frame["high"].max() == (top := REACH * frame["nu"].max()):
            axes.set_ylim(top=top)
        note(axes, f"l* = {item.best_layer} ({number(100 * bands.share[item.best_layer], 0)} %)")
    panels.plain_log(axes)
    axes.set(xlabel="layer", ylabel=panels.left(axes, "ν (log scale)"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, axis="y")


@figure(
    "variability-robustness",
    "How often l* from few examples is l* of all data. Above: draws of one size in which the most frequent class has a "
    "growing share. Below: draws of growing size, with classes as in the data. Dotted: a layer chosen blindly. A "
    "stable choice need not be right: with few examples, ν favours layers of many effective dimensions in every draw.",
)
def variability_robustness(results: Results) -> Figure:
    """Agreement against imbalance above agreement against size for each task, with a line for each encoder."""
    rows: panels.Rows = []
    for item in sorted(results.variability, key=lambda item: results.tasks.index(item.task)):
        row = {"task": item.task, "encoder": item.encoder, "blind": 100 / (len(item.nu) - 1)}
        for draws, x in ((item.imbalance, SHARE), (item.scarcity, EXAMPLES)):
            found = [(100 * at.share if x == SHARE else at.examples, 100 * at.agreement) for at in draws]
            rows += [row | {"level": x, "x": value, "y": agreement} for value, agreement in found]
    nothing = "no robustness of variability measured in this suite"
    plot, parts = panels.facets(rows, "task", nothing, stack="level", columns=4, height=1.5, sharey=True)
    encoders = list(dict.fromkeys(row["encoder"] for row in rows))
    look = style.looks(encoders, first=1)
    for axes, _, level, frame in parts:
        panels.curves(axes, frame, "x", "y", hue="encoder", looks=look, log=level == EXAMPLES)
        for blind in frame["blind"].unique():
            axes.axhline(blind, color=style.MUTED, linestyle=":", linewidth=1, zorder=1)
        if level == EXAMPLES:
            panels.plain_log(axes, "x")
        axes.set(xlabel=level, ylabel=panels.left(axes, "same l*\n(% of draws)"), ylim=(-5, 105))
    entries = panels.handles(look, encoders) if len(encoders) > 1 else {}
    panels.legend(plot, entries | {"layer chosen blindly": panels.handle(dashes=":")})
    return plot

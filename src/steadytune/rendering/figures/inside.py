"""What fine-tuning does inside, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, line, message, plain_log
from steadytune.rendering.table import number
from steadytune.results.inside import BEFORE, Inside, Point, load_inside
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING = "nothing was measured inside an encoder in this suite"
LINES = "Mean over seeds, the band one sample standard deviation to either side; layer 0 is the embedding output."
WRITTEN = 6
"""A heat map of so few layers has its numbers written into it."""


@figure(
    "task-generalisation",
    "Score of a fresh linear head on the sentence token of every layer of a frozen encoder: fine-tuned on one task "
    f"(left of the arrow), probed on another (right of it). {LINES}",
)
def task_generalisation(results: Results) -> Figure:
    """A panel for each pair of fine-tuned and probed task, a line for each method and one before fine-tuning."""
    inside = load_inside(results)
    pairs = [(task, probe) for task in inside.tasks for probe in inside.probes(task)] if inside else []
    if inside is None or not pairs:
        return message("no probes in this suite")
    plot, panels = style.canvas(len(pairs), columns=3, height=1.75)
    for axes, (task, probe) in zip(panels, pairs, strict=True):
        _lines(axes, results, inside, lambda method, at=(task, probe): inside.curve("probe", method, *at), scale=100)
        metric = metric_name(inside.probes(task)[probe])
        axes.set(title=f"{task} → {probe}", xlabel="layer", ylabel=f"{metric}\n(points)")
    _legend(plot, results, inside)
    return plot


@figure(
    "token-similarity",
    f"Mean cosine between two tokens of one text, by layer: at 1 all point the same way. {LINES}",
)
def token_similarity(results: Results) -> Figure:
    """A panel for each task, a line for each method and one before fine-tuning."""
    return _by_task(results, "token_similarity", "mean cosine of two tokens")


@figure(
    "variability-after",
    "Hidden-state variability ν by layer before and after fine-tuning, on examples that were not trained on: low where "
    f"the classes lie apart. {LINES}",
)
def variability_after(results: Results) -> Figure:
    """A panel for each task, a line for each method and one before fine-tuning."""
    return _by_task(results, "nu", "ν (log scale)", plain_log)


@figure(
    "layer-drift",
    "How far fine-tuning moves each layer from the pretrained encoder. Above: similarity of its representations of the "
    "same examples (unbiased linear CKA; 1 is equal but for rotation and scale). Below: distance of its parameters, "
    f"as a share of their norm. {LINES}",
)
def layer_drift(results: Results) -> Figure:
    """Two panels for each task, similarity above distance; a line for each method."""
    inside = load_inside(results)
    if inside is None:
        return message(NOTHING)
    columns = min(3, len(inside.tasks))
    rows = 2 * -(-len(inside.tasks) // columns)
    plot, panels = style.canvas(rows * columns, columns=columns, height=1.75)
    used = set()
    for index, task in enumerate(inside.tasks):
        at = index // columns * 2 * columns + index % columns
        above, below = panels[at], panels[at + columns]
        for axes, measure, scale in ((above, "cka", 1), (below, "parameter_distance", 100)):
            _lines(axes, results, inside, lambda method, of=measure, on=task: inside.curve(of, method, on), scale=scale)
        above.set(title=task, ylabel="CKA with the\npretrained layer")
        below.set(xlabel="layer", ylabel="distance of\nparameters (%)")
        used |= {above, below}
    plot.align_ylabels()
    for axes in panels:
        if axes not in used:
            axes.remove()
    _legend(plot, results, inside, before=False)
    return plot


@figure(
    "noise-propagation",
    "Noise of 5 % of a state's norm enters one layer (upwards); the relative change that it makes of the states of the "
    "layers above (rightwards), before fine-tuning and after, a mean over examples and seeds. On the diagonal nothing "
    "has happened to the noise yet. One colour scale for all panels: orange is louder than at first, purple fainter.",
)
def noise_propagation(results: Results) -> Figure:
    """A row for each task, a heat map before fine-tuning and one for each method."""
    inside = load_inside(results)
    if inside is None:
        return message(NOTHING)
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import CenteredNorm
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    columns = (BEFORE, *inside.methods)
    maps = {(task, name): inside.matrix(name, task) for task in inside.tasks for name in columns}
    strongest = max((abs(_doublings(value)) for cells in maps.values() for *_, value in cells), default=0)
    colours = ScalarMappable(CenteredNorm(0, strongest or 1), "PuOr_r")
    plot, panels = style.canvas(len(maps), columns=len(columns), height=1.5, sharex=True, sharey=True)
    layers = max((layer for cells in maps.values() for layer, *_ in cells), default=0) + 1
    for axes, ((task, name), cells) in zip(panels, maps.items(), strict=True):
        _heat(axes, cells, layers, colours)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        if task == inside.tasks[0]:
            axes.set_title(inside.label(name))
        if task == inside.tasks[-1]:
            axes.set_xlabel("layer")
        if name == BEFORE:
            axes.set_ylabel(f"{task}\nnoise enters layer")
    bar = plot.colorbar(colours, ax=panels, shrink=0.8, pad=0.01, label="relative change (%)")
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{5 * 2**value:.2g}"))
    bar.outline.set_visible(False)  # type: ignore[operator]
    return plot


def _heat(axes: Axes, cells: list[tuple[int, int, float]], layers: int, colours: Any) -> None:
    """One heat map of so many layers; `cells` as (layer that the noise enters, layer, relative change)."""
    axes.set(xlim=(-0.5, layers - 0.5), ylim=(-0.5, layers - 0.5), aspect="equal")
    if not cells:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", style="italic")
    changes = [[math.nan] * layers for _ in range(layers)]
    for layer, other, value in cells:
        changes[layer][other] = _doublings(value)
        if layers <= WRITTEN:
            red, green, blue, _ = colours.to_rgba(_doublings(value))
            # By the ground's luminance, which is the same on a light and on a dark page.
            ink = style.LIGHT.ink if 0.3 * red + 0.59 * green + 0.11 * blue > 0.6 else style.LIGHT.paper
            place = {"ha": "center", "va": "center", "fontsize": 5.5}
            axes.text(other, layer, number(100 * value), color=ink, **place)
    edges = [layer - 0.5 for layer in range(layers + 1)]
    axes.pcolormesh(edges, edges, changes, norm=colours.norm, cmap=colours.cmap)


def _doublings(change: float) -> float:
    """How often a relative change is twice the 5 % that entered; a change of 0 counts as a thousandth of them."""
    return math.log2(max(change / 0.05, 1e-3))


def _by_task(results: Results, measure: str, label: str, finish: Callable[[Axes], None] | None = None) -> Figure:
    """A panel for each task, a line for each method and one before fine-tuning."""
    inside = load_inside(results)
    if inside is None:
        return message(NOTHING)
    plot, panels = style.canvas(len(inside.tasks), columns=3, height=2.1)
    for axes, task in zip(panels, inside.tasks, strict=True):
        _lines(axes, results, inside, lambda method, on=task: inside.curve(measure, method, on))
        if finish:
            finish(axes)
        axes.set(title=task, xlabel="layer")
    panels[0].set_ylabel(label)
    _legend(plot, results, inside)
    return plot


def _lines(
    axes: Axes, results: Results, inside: Inside, curve: Callable[[str], list[Point]], *, scale: float = 1
) -> None:
    """A curve for each method, and one before fine-tuning where there is one."""
    from matplotlib.ticker import MaxNLocator

    for method in (BEFORE, *inside.methods):
        if points := curve(method):
            layers, means, spreads = zip(*points, strict=True)
            colour, dashes = _look(results, method)
            # Seeds share order and dropout, so lines may coincide: the first one shows on both sides of the next.
            width = 2.4 if method == inside.methods[0] else 1.2
            look = {"color": colour, "linestyle": dashes, "linewidth": width, "zorder": 3 if method == BEFORE else 2}
            look |= {"marker": "o", "markersize": 2}
            axes.plot(layers, [scale * mean for mean in means], **look)
            low, high = (
                [scale * (mean + side * spread) for mean, spread in zip(means, spreads, strict=True)]
                for side in (-1, 1)
            )
            axes.fill_between(layers, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(True, axis="y")


def _look(results: Results, method: str) -> tuple[str, Any]:
    """Colour and dashes of a line."""
    if method == BEFORE:
        return style.theme().ink, (0, (1, 1.2))
    position = results.methods.index(method)
    return style.method_colour(position), style.method_dashes(position)


def _legend(plot: Figure, results: Results, inside: Inside, *, before: bool = True) -> None:
    """Every line of the figure, and how many models are behind it where some are missing."""
    names = (BEFORE, *inside.methods) if before else inside.methods
    legend(plot, {inside.label(name): line(*_look(results, name)) for name in names})

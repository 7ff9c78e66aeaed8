"""How training went, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import band, legend, line
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@figure(
    "learning-curves",
    "Training loss and score on the evaluation split by epoch: mean over seeds, the band one sample standard "
    "deviation to either side. Seeds without a score are left out and counted in the legend.",
)
def learning_curves(results: Results) -> Figure:
    """Two panels for each task, loss above score; a line for each method, a band over its seeds."""
    encoder, tasks = results.primary, results.tasks_of(results.primary)
    columns = min(3, len(tasks))
    rows = 2 * -(-len(tasks) // columns)
    plot, panels = style.canvas(rows * columns, columns=columns, height=1.65)
    found, planned = dict.fromkeys(results.methods_of(encoder), 0), dict.fromkeys(results.methods_of(encoder), 0)
    used = set()
    for index, task in enumerate(tasks):
        at = index // columns * 2 * columns + index % columns
        pair = panels[at], panels[at + columns]
        used |= set(pair)
        metric = results.metric(task)
        for method in found:
            score = results.score(encoder, method, task)
            if not score:
                continue
            histories = [results.history(encoder, method, task, seed) for seed in score.points]
            found[method] += sum(bool(history) for history in histories)
            planned[method] += score.planned
            for axes, column, scale in zip(pair, ("train_loss", metric), (1, 100), strict=True):
                _band(axes, results.methods.index(method), [history.get(column, []) for history in histories], scale)
        for axes in pair:
            if not axes.lines:
                axes.text(0.5, 0.5, "not logged", transform=axes.transAxes, ha="center", style="italic")
        pair[0].set(title=task, ylabel="training loss")
        pair[1].set(xlabel="epoch", ylabel=f"{metric_name(metric)}\n(points)")
    for axes in panels:
        if axes not in used:
            axes.remove()
    # After that: it keeps the panels that it aligns, and those that are removed later cannot be drawn with the rest.
    plot.align_ylabels()
    handles = {}
    for method, count in found.items():
        position = results.methods.index(method)
        label = method if count == planned[method] else f"{method} ({count}/{planned[method]} curves)"
        handles[label] = line(style.method_colour(position), style.method_dashes(position))
    legend(plot, handles)
    return plot


def _band(axes: Axes, position: int, curves: list[list[tuple[float, float]]], scale: float) -> None:
    """Mean and standard deviation over seeds, epoch by epoch."""
    from matplotlib.ticker import MaxNLocator

    by_epoch: dict[float, list[float]] = {}
    for curve in curves:
        for epoch, value in curve:
            by_epoch.setdefault(epoch, []).append(scale * value)
    if not by_epoch:
        return
    band(axes, position, by_epoch)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(True, axis="y")

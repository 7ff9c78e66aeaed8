"""The figures. A new one is one function under `@figure("name")`; a suite's `figures` names those it wants."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from steadytune.errors import unknown
from steadytune.rendering import style
from steadytune.rendering.marks import (
    legend,
    limits,
    line,
    majority_line,
    marker,
    message,
    name_ends,
    plain_log,
    row_text,
)
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, metric_name
from steadytune.rendering.selection import select

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Drawer = Callable[[Results], "Figure"]


class Plot(NamedTuple):
    """A registered figure."""

    draw: Drawer
    caption: str


FIGURES: dict[str, Plot] = {}


def figure(name: str, caption: str = "") -> Callable[[Drawer], Drawer]:
    """Register a function as the figure `name`."""

    def register(drawer: Drawer) -> Drawer:
        if name in FIGURES:
            raise ValueError(f"figure '{name}' is registered twice")
        FIGURES[name] = Plot(drawer, caption)
        return drawer

    return register


def draw(name: str, results: Results, page: style.Theme = style.LIGHT) -> Figure:
    """The figure `name` of a suite's results, on a light or a dark page.

    Raises:
        SteadyTuneError: no figure has that name.
    """
    if name not in FIGURES:
        raise unknown("figure", name, FIGURES, where=f"suite '{results.name}'")
    with style.drawing(page):
        return FIGURES[name].draw(select(results))


@figure(
    "seed-spread",
    "Every seed is a point; below each cloud its mean and sample standard deviation. "
    "Beside a row, how many of the planned seeds ended ok where some did not.",
)
def seed_spread(results: Results) -> Figure:
    """A panel for each task that methods can be compared on, a row for each method, a point for each seed."""
    methods, tasks = results.methods_of(results.primary), results.tasks_of(results.primary)
    # A task planned for one method alone shows no comparison, and its panel would be empty rows.
    tasks = [
        task for task in tasks if sum(bool(results.score(results.primary, method, task)) for method in methods) > 1
    ] or tasks
    plot, panels = style.canvas(len(tasks), columns=3, height=0.34 * len(methods) + 0.72, sharey=True)
    handles: dict[str, Any] = {}
    for axes, task in zip(panels, tasks, strict=True):
        scores = {method: results.score(results.primary, method, task) for method in methods}
        for row, (method, score) in enumerate(scores.items()):
            if score:
                handles |= _seed_row(axes, row, results.methods.index(method), score)
            else:
                row_text(axes, row, "not planned")
        values = [value for score in scores.values() if score for value in _reach(score)]
        limits(axes.set_xlim, values)
        handles |= majority_line(
            axes, "x", values, next((score.majority for score in scores.values() if score), math.nan)
        )
        axes.set(title=task, xlabel=f"{metric_name(results.metric(task))} (points)")
        axes.set_yticks(range(len(methods)), methods)
        axes.set_ylim(len(methods) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
    order = ("seed", "degenerate seed", "mean", "mean ± std", "majority class")
    legend(plot, {label: handles[label] for label in order if label in handles})
    return plot


def _seed_row(axes: Axes, row: int, position: int, score: Score) -> dict[str, Any]:
    """One method's seeds, mean and deviation; returns what the legend has to explain."""
    ink, colour = style.theme().ink, style.method_colour(position)
    offsets = dict(zip(score.statuses, style.spread_out(score.planned), strict=True))
    handles = {}
    for label, degenerate in (("seed", False), ("degenerate seed", True)):
        seeds = [seed for seed in score.points if (score.statuses[seed] == "degenerate") == degenerate]
        if seeds:
            xs, ys = [score.points[seed] for seed in seeds], [row - 0.12 + 0.4 * offsets[seed] for seed in seeds]
            face = "none" if degenerate else colour
            axes.scatter(xs, ys, s=13, facecolors=face, edgecolors=colour, linewidths=0.8, alpha=0.8, zorder=3)
            handles[label] = marker(face="none" if degenerate else style.theme().muted)
    if score.points:
        spread = score.std if len(score.points) > 1 else None
        bar = {"fmt": "D", "markersize": 3.4, "capsize": 2, "elinewidth": 0.9, "capthick": 0.9}
        axes.errorbar(score.mean, row + 0.27, xerr=spread, color=ink, label="mean", zorder=4, **bar)
        handles["mean ± std" if spread is not None else "mean"] = marker(shape="D", face=ink, edge=ink, size=3.4)
    else:
        row_text(axes, row, "no score")
    if score.ok < score.planned:
        text = f"{score.ok}/{score.planned} ok"
        place = {"transform": axes.get_yaxis_transform(), "ha": "left", "va": "center", "fontsize": 6}
        axes.text(1.01, row, text, color=style.theme().muted, **place)
    return handles


def _reach(score: Score) -> list[float]:
    """What a row has to have room for: its seeds and both ends of its bar."""
    ends = [score.mean - score.std, score.mean + score.std] if len(score.points) > 1 else []
    return [*score.points.values(), *ends]


@figure(
    "transfer",
    "Score on a set that the model was not trained on, against the score on its own task. Small points: seeds; "
    "large ones: means. On the dashed line both scores are equal.",
)
def transfer(results: Results) -> Figure:
    """A panel for each pair of trained task and other set; seed clouds by method."""
    encoder = results.primary
    methods = results.methods_of(encoder)
    pairs = [(task, other) for task in results.tasks_of(encoder) for other in results.transfer_sets(encoder, task)]
    if not pairs:
        return message("no other evaluation sets in this suite")
    plot, panels = style.canvas(len(pairs), columns=3, height=2.3)
    handles: dict[str, Any] = {}
    drawn = set()
    for axes, (task, other) in zip(panels, pairs, strict=True):
        xs: list[float] = []
        ys: list[float] = []
        majority = math.nan
        for method in methods:
            own, far = results.score(encoder, method, task), results.score(encoder, method, task, other)
            if not own or not far:
                continue
            majority = far.majority
            both = [(own.points[seed], far.points[seed]) for seed in own.points if seed in far.points]
            if both:
                drawn.add(method)
                _cloud(axes, results.methods.index(method), both)
                xs += [x for x, _ in both]
                ys += [y for _, y in both]
        limits(axes.set_xlim, xs)
        limits(axes.set_ylim, ys)
        guides = majority_line(axes, "y", ys, majority)
        (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
        # A stub of the line in a corner would only puzzle.
        if min(right, top) - max(left, bottom) > 0.15 * (right - left):
            axes.axline((left, left), slope=1, color=style.theme().muted, linewidth=0.8, dashes=(4, 3))
            guides["no drop"] = line(style.theme().muted, (0, (4, 3)))
        handles |= guides
        axes.set(xlabel=f"{task} (points)", ylabel=f"{other} (points)")
        axes.grid(True)
    clouds = {}
    for method in methods:
        position = results.methods.index(method)
        label = method if method in drawn else f"{method} (no score)"
        clouds[label] = marker(style.method_marker(position), style.method_colour(position), size=5)
    legend(plot, clouds | handles)
    return plot


def _cloud(axes: Axes, position: int, both: list[tuple[float, float]]) -> None:
    """One method's seeds and, larger, their mean."""
    colour, shape, paper = style.method_colour(position), style.method_marker(position), style.theme().paper
    xs, ys = [x for x, _ in both], [y for _, y in both]
    axes.scatter(xs, ys, s=10, color=colour, marker=shape, alpha=0.5, linewidths=0, zorder=3)
    mean = statistics.fmean(xs), statistics.fmean(ys)
    axes.scatter(*mean, s=42, color=colour, marker=shape, edgecolors=paper, linewidths=0.9, zorder=4)


@figure(
    "variability",
    "Hidden-state variability ν by layer, before fine-tuning; layer 0 is the embedding output. "
    "The ringed layer of each line is l*, where ν is least.",
)
def variability(results: Results) -> Figure:
    """A panel for each encoder, a line for each task, l* marked."""
    encoders = [encoder for encoder in results.encoders if any(v.encoder == encoder for v in results.variability)]
    if not encoders:
        return message("no variability measured in this suite")
    from matplotlib.ticker import MaxNLocator

    plot, panels = style.canvas(len(encoders), columns=2, height=2.5, sharey=True)
    for axes, encoder in zip(panels, encoders, strict=True):
        ends = []
        for item in (item for item in results.variability if item.encoder == encoder):
            layers = [layer for layer, value in enumerate(item.nu) if math.isfinite(value) and value > 0]
            if not layers:
                continue
            colour = style.task_colour(results.tasks.index(item.task), len(results.tasks))
            nu = [item.nu[layer] for layer in layers]
            axes.plot(layers, nu, color=colour, marker="o", markersize=2, label=item.task)
            if item.best_layer in layers:
                ring = {"facecolors": style.theme().paper, "edgecolors": [colour], "linewidths": 1.4, "zorder": 4}
                axes.scatter(item.best_layer, item.nu[item.best_layer], s=34, **ring)
            ends.append((nu[-1], layers[-1], item.task, colour))
        plain_log(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set(title=encoder, xlabel="layer")
        axes.grid(True, axis="y")
        name_ends(axes, ends)
    panels[0].set_ylabel("ν (log scale)")
    legend(plot, {"l*, the layer of least ν": marker(face="none", size=5.5)})
    return plot


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
    plot.align_ylabels()
    for axes in panels:
        if axes not in used:
            axes.remove()
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
    epochs = sorted(by_epoch)
    means = [statistics.fmean(by_epoch[epoch]) for epoch in epochs]
    spread = [statistics.stdev(by_epoch[epoch]) if len(by_epoch[epoch]) > 1 else 0.0 for epoch in epochs]
    colour = style.method_colour(position)
    dot = "o" if len(epochs) <= 12 else ""
    axes.plot(epochs, means, color=colour, linestyle=style.method_dashes(position), marker=dot, markersize=2.4)
    low, high = ([mean + side * std for mean, std in zip(means, spread, strict=True)] for side in (-1, 1))
    axes.fill_between(epochs, low, high, color=colour, alpha=0.14, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.grid(True, axis="y")

"""Every seed's score."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, limits, majority_line, marker, row_text
from steadytune.results.model import Results
from steadytune.results.scores import Score, metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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

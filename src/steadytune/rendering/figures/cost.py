"""What a score costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, limits, majority_line, message
from steadytune.results.costs import costs
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[str, float, float, float]
"""Method, FLOPs as a share of the baseline's, mean score and its standard deviation in points."""


@figure(
    "score-cost",
    "Mean score and sample standard deviation over the seeds against the FLOPs of training, one point a method, "
    "named at the right, best first.",
    every_variant=True,
)
def score_cost(results: Results) -> Figure:
    """A panel for each task: score against FLOPs as a multiple of the baseline's."""
    encoder = results.primary
    found = {task: _points(results, encoder, task) for task in results.tasks_of(encoder)}
    shown = [task for task, points in found.items() if points]
    if not shown:
        return message("no cell of this suite has come to its end")
    rows = max(len(found[task]) for task in shown)
    plot, panels = style.canvas(len(shown), columns=2, height=max(2.4, 0.13 * rows + 0.6))
    handles = {}
    for axes, task in zip(panels, shown, strict=True):
        points = found[task]
        ys = [end for _, _, mean, std in points for end in (mean - std, mean + std)]
        limits(axes.set_ylim, ys)
        score = results.score(encoder, points[0][0], task)
        handles |= majority_line(axes, "y", ys, score.majority if score else math.nan)
        xs = [x for _, x, _, _ in points]
        axes.set_xlim(0, 1.08 * max(xs))
        _draw(axes, points, results)
        axes.set(title=task, ylabel=f"{metric_name(results.metric(task))} (points)")
        axes.set_xlabel(f"training FLOPs\n(multiple of {results.baseline}'s)")
        axes.grid(True)
    legend(plot, handles)
    return plot


def _points(results: Results, encoder: str, task: str) -> list[Point]:
    """Every method with a score and a cost, best first."""
    points = []
    for method in results.methods_of(encoder):
        score, found = results.score(encoder, method, task), costs(results, encoder, method, task)
        if score and found and math.isfinite(score.mean + found["flops_ratio"]):
            points.append((method, found["flops_ratio"], score.mean, score.std if math.isfinite(score.std) else 0.0))
    return sorted(points, key=lambda point: -point[2])


def _draw(axes: Axes, points: list[Point], results: Results) -> None:
    """The points, and beside the panel their markers and names, best first."""
    for place, (method, x, mean, std) in enumerate(points):
        position = results.methods.index(method)
        mark = {"color": style.method_colour(position), "marker": style.method_marker(position), "markersize": 4}
        axes.errorbar(x, mean, yerr=std, linewidth=0.8, **mark)
        height = 1 - (place + 0.5) / len(points)
        axes.plot(1.05, height, transform=axes.transAxes, clip_on=False, linestyle="", **mark)
        axes.text(1.09, height, method, transform=axes.transAxes, fontsize=6, va="center")

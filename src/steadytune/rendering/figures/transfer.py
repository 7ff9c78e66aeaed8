"""In domain against out of domain, seed by seed."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import legend, limits, line, majority_line, marker, message
from steadytune.results.model import Results
from steadytune.results.scores import Score, mean_over

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 12


class Panel(NamedTuple):
    """A trained task against another set, or against the mean of several."""

    task: str
    sets: tuple[str, ...]

    @property
    def name(self) -> str:
        """What the vertical axis shows."""
        return self.sets[0] if len(self.sets) == 1 else f"mean of {len(self.sets)} sets"

    def scores(self, results: Results, method: str) -> tuple[Score, Score] | None:
        """The score in domain and that out of domain, of the encoder that figures show."""
        own = results.score(results.primary, method, self.task)
        far = [score for name in self.sets if (score := results.score(results.primary, method, self.task, name))]
        return (own, mean_over(far)) if own and len(far) == len(self.sets) else None


@figure(
    "transfer",
    "Score on a set that the model was not trained on, against the score on its own task; first the mean over all of "
    "a task's other sets. Small points: seeds; large ones: means. On the dashed line both scores are equal.",
)
def transfer(results: Results) -> Figure:
    """A panel for the mean over each task's other sets, then one for each set while there is room; seed clouds."""
    methods = results.methods_of(results.primary)
    panels = _panels(results)
    if not panels:
        return message("no other evaluation sets in this suite")
    shown, left_out = panels[:MOST_PANELS], len(panels) - MOST_PANELS
    plot, grid = style.canvas(len(shown), columns=3, height=2.3)
    handles: dict[str, Any] = {}
    drawn: set[str] = set()
    for axes, panel in zip(grid, shown, strict=True):
        both = {method: found for method in methods if (found := panel.scores(results, method))}
        handles |= _draw(axes, panel, both, results)
        drawn |= {method for method, (own, far) in both.items() if own.points.keys() & far.points.keys()}
    clouds = {}
    for method in methods:
        position = results.methods.index(method)
        label = method if method in drawn else f"{method} (no score)"
        clouds[label] = marker(style.method_marker(position), style.method_colour(position), size=5)
    if left_out > 0:
        handles[f"{left_out} more sets: table transfer-sets"] = marker("none")
    legend(plot, clouds | handles)
    return plot


def _panels(results: Results) -> list[Panel]:
    """Means over several sets first, then single sets."""
    sets = {task: tuple(results.transfer_sets(results.primary, task)) for task in results.tasks_of(results.primary)}
    means = [Panel(task, names) for task, names in sets.items() if len(names) > 1]
    return means + [Panel(task, (name,)) for task, names in sets.items() for name in names]


def _draw(axes: Axes, panel: Panel, both: dict[str, tuple[Score, Score]], results: Results) -> dict[str, Any]:
    """The clouds of a panel and its guides; returns what the legend has to explain."""
    clouds = {
        method: [(own.points[seed], far.points[seed]) for seed in own.points if seed in far.points]
        for method, (own, far) in both.items()
    }
    for method, points in clouds.items():
        if points:
            _cloud(axes, results.methods.index(method), points)
    xs, ys = ([point[side] for points in clouds.values() for point in points] for side in (0, 1))
    limits(axes.set_xlim, xs)
    limits(axes.set_ylim, ys)
    majority = next((far.majority for _, far in both.values()), math.nan)
    guides = majority_line(axes, "y", ys, majority)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    # A stub of the line in a corner would only puzzle.
    if min(right, top) - max(left, bottom) > 0.15 * (right - left):
        axes.axline((left, left), slope=1, color=style.theme().muted, linewidth=0.8, dashes=(4, 3))
        guides["no drop"] = line(style.theme().muted, (0, (4, 3)))
    axes.set(xlabel=f"{panel.task} (points)", ylabel=f"{panel.name} (points)")
    axes.grid(True)
    return guides


def _cloud(axes: Axes, position: int, both: list[tuple[float, float]]) -> None:
    """One method's seeds and, larger, their mean."""
    colour, shape, paper = style.method_colour(position), style.method_marker(position), style.theme().paper
    xs, ys = [x for x, _ in both], [y for _, y in both]
    axes.scatter(xs, ys, s=12, color=colour, marker=shape, alpha=0.65, linewidths=0, zorder=3)
    mean = statistics.fmean(xs), statistics.fmean(ys)
    axes.scatter(*mean, s=42, color=colour, marker=shape, edgecolors=paper, linewidths=0.9, zorder=4)

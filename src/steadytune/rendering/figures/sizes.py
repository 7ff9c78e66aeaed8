"""What a method does with how much training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.marks import band, legend, limits, line, majority_line, message
from steadytune.results.model import Results
from steadytune.results.scores import metric_name
from steadytune.tasks.table import split_size

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@figure(
    "size-curves",
    "Score on the evaluation split by the number of training examples, which are fixed stratified subsets: mean over "
    "seeds, the band one sample standard deviation to either side. Seeds without a score are left out.",
)
def size_curves(results: Results) -> Figure:
    """A panel for each task that is trained on in several sizes; a line for each method, a band over its seeds."""
    sizes = _sizes(results)
    if not sizes:
        return message("no task in several sizes in this suite")
    plot, panels = style.canvas(len(sizes), columns=2, height=2.6)
    handles: dict[str, Any] = {}
    for axes, (base, tasks) in zip(panels, sizes.items(), strict=True):
        handles |= _draw(axes, tasks, results)
        axes.set(title=base, xlabel="training examples")
    methods = {
        method: line(style.method_colour(position), style.method_dashes(position), style.method_marker(position))
        for position, method in enumerate(results.methods)
        if method in results.methods_of(results.primary)
    }
    legend(plot, methods | handles)
    return plot


def _sizes(results: Results) -> dict[str, dict[str, int]]:
    """Task without its size -> task as trained on -> training examples; only tasks in several sizes."""
    found: dict[str, dict[str, int]] = {}
    for task in results.tasks_of(results.primary):
        base, size = split_size(task)
        counts = results.examples.get((results.primary, task, task))
        if number := counts.train_examples if counts else size:
            found.setdefault(base, {})[task] = number
    return {base: tasks for base, tasks in found.items() if len(tasks) > 1}


def _draw(axes: Axes, tasks: dict[str, int], results: Results) -> dict[str, Any]:
    """The curves of one task; returns what the legend has to explain."""
    from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

    reach: list[float] = []
    majority = float("nan")
    for method in results.methods_of(results.primary):
        scores = {float(size): results.score(results.primary, method, task) for task, size in tasks.items()}
        values = {size: list(score.points.values()) for size, score in scores.items() if score and score.points}
        majority = next((score.majority for score in scores.values() if score), majority)
        reach += band(axes, results.methods.index(method), values)
    limits(axes.set_ylim, reach)
    guides = majority_line(axes, "y", reach, majority)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(tasks.values())))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylabel(f"{metric_name(results.metric(next(iter(tasks))))} (points)")
    axes.grid(True)
    return guides

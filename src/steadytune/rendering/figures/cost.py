"""What a score costs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import figure
from steadytune.results.costs import costs
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MANY = 14
"""A panel with more methods takes the whole width, and lists them in two columns."""


@figure(
    "score-cost",
    "Mean score and sample standard deviation over seeds against the FLOPs of training, a point for each method, with "
    "the best method first in each list. Methods that cost the same stand side by side.",
    every_variant=True,
)
def score_cost(results: Results) -> Figure:
    """A panel for each task on which methods can be compared: score against FLOPs as a multiple of the baseline's."""
    import seaborn as sns

    rows: panels.Rows = []
    for task in panels.compared_tasks(results):
        found = {name: results.score(results.primary, name, task) for name in results.methods}
        scores = {name: score for name, score in found.items() if score and score.points}
        ratios = {name: costs(results, results.primary, name, task).get("flops_ratio", math.nan) for name in scores}
        best_first = sorted((n for n in ratios if math.isfinite(ratios[n])), key=lambda name: -scores[name].mean)
        aside = _aside({name: ratios[name] for name in best_first})
        rows += [
            {"task": task, "method": name, "cost": ratios[name] + aside[name], "points": value}
            for name in best_first
            for value in scores[name].points.values()
        ]
    longest = max((len({row["method"] for row in rows if row["task"] == task}) for task in results.tasks), default=0)
    few = longest <= MANY
    layout = (
        {"columns": 2, "height": max(2.2, 0.13 * longest + 0.6)}
        if few
        else {"columns": 1, "height": 0.065 * longest + 1.2}
    )
    plot, parts = panels.facets(rows, "task", "no cell of this suite has come to its end", width=style.PAGE, **layout)
    look, majority = style.looks(results.methods), False
    for axes, task, _, frame in parts:
        sns.lineplot(frame, x="cost", y="points", hue="method", style="method", ax=axes, **look, **panels.BARS)
        shown = [results.score(results.primary, name, task) for name in frame["method"]]
        majority |= panels.score_axis(axes, "y", metric_name(results.metric(task)), shown)
        axes.set(xlim=(0, 1.08 * frame["cost"].max()), xlabel=f"training FLOPs (multiple of {results.baseline}'s)")
        axes.grid(True)
        entries = panels.handles(look, frame["method"], lines=False)
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "ncols": 1 if few else 2, "columnspacing": 0.8}
        axes.legend(entries.values(), entries.keys(), fontsize=6 if few else 5, **place)
    panels.legend(plot, {}, majority=majority)
    return plot


def _aside(ratios: dict[str, float]) -> dict[str, float]:
    """How far each method moves sideways, so that those of (nearly) the same cost do not hide each other."""
    width = max(ratios.values(), default=1)
    groups: dict[int, list[str]] = {}
    for name, ratio in ratios.items():
        groups.setdefault(round(50 * ratio / width), []).append(name)
    return {
        name: width * min(1 / 40, 1 / 5 / len(group)) * (place - (len(group) - 1) / 2)
        for group in groups.values()
        for place, name in enumerate(group)
    }

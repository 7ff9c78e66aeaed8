"""Scores against the cost of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import COMPARED, figure
from steadytune.results.costs import costs
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MANY, LONG = 14, 28
"""If a panel has more methods or a name is longer, panels take the full width, with methods listed in two columns."""
CROWDED = 5
"""Tick labels are rotated if there are more costs than this."""


@figure(
    "score-cost",
    "Mean score and sample standard deviation over seeds against the FLOPs of training, a point for each method, with "
    "the best method first in each list. Methods that cost the same stand side by side, between grey lines.",
    every_variant=True,
    compares=True,
    encoder=COMPARED,
)
def score_cost(results: Results) -> Figure:
    """A panel for each task on which methods can be compared: score against FLOPs as a multiple of the baseline's."""
    import seaborn as sns

    rows: panels.Rows = []
    for task in results.compared_tasks([results.primary]):
        found = {name: results.score(results.primary, name, task) for name in results.methods}
        scores = {name: score for name, score in found.items() if score and score.points}
        ratios = {name: costs(results, results.primary, name, task).get("flops_ratio", math.nan) for name in scores}
        best_first = sorted((n for n in ratios if math.isfinite(ratios[n])), key=lambda name: -scores[name].mean)
        rows += [
            {"task": task, "method": name, "cost": ratios[name], "points": value}
            for name in best_first
            for value in scores[name].points.values()
        ]
    longest = max((len({row["method"] for row in rows if row["task"] == task}) for task in results.tasks), default=0)
    few = longest <= MANY and max((len(row["method"]) for row in rows), default=0) <= LONG
    layout = (
        {"columns": 2, "height": max(2.2, 0.13 * longest + 0.6)}
        if few
        else {"columns": 1, "height": 0.065 * longest + 1.2}
    )
    plot, parts = panels.facets(rows, "task", "no cell of this suite has finished", width=style.PAGE, **layout)
    look, majority = panels.looks(results), False
    for axes, task, _, frame in parts:
        places = _places(dict(zip(frame["method"], frame["cost"], strict=True)))
        frame = frame.assign(place=frame["method"].map({name: at for group in places.values() for name, at in group}))
        sns.lineplot(frame, x="place", y="points", hue="method", style="method", ax=axes, **look, **panels.BARS)
        shown = [results.score(results.primary, name, task) for name in frame["method"]]
        majority |= panels.score_axis(axes, "y", metric_name(results.metric(task)), shown)
        axes.set(xlim=(-1, frame["place"].max() + 1), xlabel=f"training FLOPs (multiple of {results.baseline}'s)")
        axes.set_xticks(
            [sum(at for _, at in group) / len(group) for group in places.values()],
            [f"{cost:.2f}" for cost in places],
            rotation=90 if len(places) > CROWDED else 0,
        )
        axes.tick_params(axis="x", length=0)
        axes.grid(True, axis="y")
        for group in [*places.values()][1:]:
            axes.axvline(group[0][1] - 1, color=style.GRID, linewidth=0.6, zorder=0)
        entries = panels.handles(look, frame["method"], lines=False)
        place = {"loc": "center left", "bbox_to_anchor": (1, 0.5), "ncols": 1 if few else 2, "columnspacing": 0.8}
        axes.legend(entries.values(), entries.keys(), fontsize=6 if few else 5, **place)
    panels.legend(plot, {}, majority=majority)
    return plot


def _places(ratios: dict[str, float]) -> dict[float, list[tuple[str, int]]]:
    """Cost as printed -> its methods, each with a separate place from left to right; costs in ascending order."""
    groups: dict[float, list[str]] = {}
    for name, ratio in ratios.items():
        groups.setdefault(round(ratio, 2), []).append(name)
    at, places = 0, {}
    for cost in sorted(groups):
        places[cost] = [(name, at + place) for place, name in enumerate(groups[cost])]
        at += len(groups[cost]) + 1
    return places

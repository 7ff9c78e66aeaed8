"""Every seed's score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import figure
from steadytune.rendering.figures.words import LONGEST, shortened
from steadytune.results.model import Results
from steadytune.results.scores import Score, metric_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHORTEST = 1.4
"""Minimum height of a panel in inches, with its title and labels."""


@figure(
    "seed-spread",
    "Every seed is a point; below each cloud its mean and sample standard deviation. Next to a row: how many of the "
    "planned seeds ended ok, unless all did. Dotted: the score of always predicting the most frequent class.",
    named_variants=True,
    compares=True,
)
def seed_spread(results: Results) -> Figure:
    """A panel for each task that has something to compare, a row for each encoder's methods, a point for each seed."""
    encoders = results.encoders_begun or results.encoders
    tasks, lines = results.compared_tasks(encoders), _lines(results, encoders)
    scores = {(task, *line): results.score(*line, task) for task in tasks for line in lines}
    rows = [
        {"task": task, "method": line[1], "row": place, "y": place - 0.12 + 0.4 * aside,
         "points": score.points.get(seed, math.nan) if score else math.nan,
         "degenerate": bool(score) and score.statuses[seed] == "degenerate"}
        for task in tasks
        for place, line in enumerate(lines)
        for score in [scores[task, *line]]
        for seed, aside in (zip(score.statuses, spread_out(score.planned), strict=True) if score else [(0, 0.0)])
    ]  # fmt: skip
    height = max(0.34 * len(lines) + 0.72, SHORTEST)
    plot, parts = panels.facets(rows, "task", "no cell is planned in this suite", height=height, sharey=True)
    palette, majority = panels.looks(results)["palette"], False
    for axes, task, _, frame in parts:
        _draw(axes, frame.dropna(subset="points"), palette)
        for place, line in enumerate(lines):
            if line[1]:
                _annotate(axes, place, scores[task, *line])
        shown = [scores[task, *line] for line in lines]
        majority |= panels.score_axis(axes, "x", metric_name(results.metric(task)), shown)
        _name_rows(axes, lines)
    found = [score for score in scores.values() if score and score.points]
    entries = {"seed": panels.handle(marker="o")} if found else {}
    if any("degenerate" in score.statuses.values() for score in found):
        entries["degenerate seed"] = panels.handle(marker="o", markerfacecolor="none", markeredgewidth=0.8)
    if found:
        several = any(len(score.points) > 1 for score in found)
        entries["mean ± std" if several else "mean"] = panels.handle(style.INK, "D")
    panels.legend(plot, entries, majority=majority)
    return plot


def _lines(results: Results, encoders: Sequence[str]) -> list[tuple[str, str]]:
    """(encoder, method) of every row; in a suite with several encoders, each starts with a row without a method."""
    above = [""] if len(results.encoders) > 1 else []
    return [(encoder, method) for encoder in encoders for method in (*above, *results.methods_of(encoder))]


def _name_rows(axes: Axes, lines: Sequence[tuple[str, str]]) -> None:
    """Label each row with its method, or with its encoder in bold."""
    axes.set(ylabel="", ylim=(len(lines) - 0.5, -0.5))
    axes.set_yticks(range(len(lines)), [shortened(method or encoder, LONGEST) for encoder, method in lines])
    # Only the first panel of a row has labels.
    for label, (_, method) in zip(axes.get_yticklabels(), lines, strict=False):
        label.set_fontweight("normal" if method else "bold")
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _draw(axes: Axes, frame: Any, palette: dict[str, str]) -> None:
    """Draw the seeds, hollow if degenerate, and below them the mean and standard deviation of each method."""
    import seaborn as sns

    if frame.empty:
        return
    cloud = {"x": "points", "y": "y", "s": 13, "alpha": 0.85, "legend": False, "ax": axes}
    for (method, hollow), part in frame.groupby(["method", "degenerate"], sort=False):
        face = {"facecolor": "none", "edgecolor": palette[method]} if hollow else {"color": palette[method]}
        sns.scatterplot(part, linewidth=0.8 if hollow else 0, **face, **cloud)
    # Seaborn's unit for the height of caps is the smallest distance between two rows that are drawn.
    apart = min((after - row for row, after in pairwise(sorted(set(frame["row"])))), default=1)
    bar = {"linestyle": "none", "marker": "D", "markersize": 3.4, "err_kws": {"linewidth": 0.9}}
    means = {"x": "points", "y": "row", "orient": "y", "native_scale": True, "color": style.INK, "errorbar": "sd"}
    sns.pointplot(frame.assign(row=frame["row"] + 0.27), ax=axes, capsize=0.12 / apart, **means, **bar)


def _annotate(axes: Axes, row: int, score: Score | None) -> None:
    """Write what a row lacks: the whole method, its scores, or some seeds."""
    place = {"transform": axes.get_yaxis_transform(), "va": "center", "color": style.MUTED}
    if not score or not score.points:
        axes.text(0.5, row, "no score" if score else "not planned", ha="center", style="italic", **place)
    if score and score.ok < score.planned:
        axes.text(1.01, row, f"{score.ok}/{score.planned} ok", fontsize=6, **place)


def spread_out(count: int) -> list[float]:
    """`count` numbers in (-0.5, 0.5), evenly spread for any count (van der Corput, base 2); the first is 0."""
    numbers = []
    for index in range(1, count + 1):
        value, denominator = 0.0, 2.0
        while index:
            value += (index % 2) / denominator
            index, denominator = index // 2, denominator * 2
        numbers.append(value - 0.5)
    return numbers

"""Scores in domain against out of domain, seed by seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import COMPARED, figure
from steadytune.rendering.figures.words import with_remark
from steadytune.results.model import Results
from steadytune.results.scores import mean_over

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PANELS = 12


@figure(
    "transfer",
    "Score on a set that the model was not trained on, against the score on its own task; first the mean over all of a "
    "task's other sets. Small points: seeds; large ones: means, the baseline's smaller and on top. Both axes of a "
    "panel are the same, so a point's distance below the dashed line is the drop.",
    compares=True,
    encoder=COMPARED,
)
def transfer(results: Results) -> Figure:
    """A panel for the mean over each task's other sets, then one for each set, up to `MOST_PANELS` in all."""
    import seaborn as sns

    encoder, methods = results.primary, results.methods_of(results.primary)
    sets = {task: results.transfer_sets(encoder, task) for task in results.compared_tasks([results.primary])}
    pairs = [(task, names) for task, names in sets.items() if len(names) > 1]
    pairs += [(task, [name]) for task, names in sets.items() for name in names]
    rows: panels.Rows = []
    for place, (task, names) in enumerate(pairs[:MOST_PANELS]):
        for method in methods:
            own = results.score(encoder, method, task)
            far = [score for name in names if (score := results.score(encoder, method, task, name))]
            if own and len(far) == len(names):
                mean = mean_over(far)
                row = {"panel": place, "method": method, "majority": mean.majority}
                rows += [
                    row | {"own": own.points[n], "far": value} for n, value in mean.points.items() if n in own.points
                ]
    plot, parts = panels.facets(rows, "panel", "no score on another evaluation set in this suite", height=2.3)
    look = panels.looks(results)
    marks, drawn, majority = {"palette": look["palette"], "markers": look["markers"]}, set(), False
    for axes, place, _, frame in parts:
        task, names = pairs[place]
        means = frame.groupby("method", sort=False, as_index=False)[["own", "far"]].mean()
        drawn |= set(means["method"])
        cloud = {"x": "own", "y": "far", "hue": "method", "style": "method", "legend": False, "ax": axes, **marks}
        sns.scatterplot(frame, s=11, alpha=0.6, linewidth=0, **cloud)
        # The baseline is on top and smaller, so that neither it nor a method with nearly the same scores is hidden.
        on_top = means["method"] == results.baseline
        for part, size in ((means[~on_top], 40), (means[on_top], 20)):
            if len(part):
                sns.scatterplot(part, s=size, edgecolor=style.PAPER, linewidth=0.6, zorder=3, **cloud)
        low, high = _limits(frame)
        axes.axline((low, low), slope=1, color=style.MUTED, linewidth=0.8, dashes=(4, 3))
        if low < (level := frame["majority"].iloc[0]) < high:
            axes.axhline(level, color=style.MUTED, linewidth=1, linestyle=":")
            majority = True
        axes.set(xlim=(low, high), ylim=(low, high), box_aspect=1, xlabel=f"on {task} (points)")
        axes.set(title=names[0] if len(names) == 1 else f"mean of {len(names)} sets")
        axes.set_ylabel(panels.left(axes, "on this set (points)"))
        axes.locator_params(nbins=5)
        axes.grid(True)
    entries = panels.handles(look, methods, lines=False)
    entries = {name if name in drawn else with_remark(name, " (no score)"): entry for name, entry in entries.items()}
    entries["no drop"] = panels.handle(dashes=(4, 3))
    panels.legend(plot, entries, majority=majority)
    if (left_out := len(pairs) - MOST_PANELS) > 0:
        plot.legends[0].set_title(f"{left_out} more sets are in the table transfer-sets")
    return plot


def _limits(frame: Any) -> tuple[float, float]:
    """The limits of both axes, in points: all scores in and out of domain, with room for whole markers around them."""
    low, high = frame[["own", "far"]].min().min(), frame[["own", "far"]].max().max()
    room = max(0.06 * (high - low), 0.5)
    return low - room, high + room

"""How much a reported number gains from the way it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import COMPARED, figure
from steadytune.results.model import Results
from steadytune.results.scores import metric_name
from steadytune.suite.variants import variants_by_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@figure(
    "optimism",
    "What is added to a score by how it is chosen, in points on average over the tasks planned for every method, with "
    "95 % intervals over seeds. Epoch by other seeds is a gain that another run would have too; the others are "
    "optimism. Long intervals are clipped at the edge of a panel.",
    every_variant=True,
    encoder=COMPARED,
)
def optimism(results: Results) -> Figure:
    """A panel for each way of choosing, a row for each method."""
    from steadytune.claims.optimism import WAYS, optimism_of

    found = {method: item for (encoder, method), item in optimism_of(results).items() if encoder == results.primary}
    methods = list(found)
    rows = [
        {"way": title, "row": methods.index(method), "value": gain.value, "low": gain.low, "high": gain.high}
        for way, title in WAYS.items()
        for method, item in found.items()
        if (gain := getattr(item, way))
    ]
    plot, parts = panels.facets(
        rows, "way", "no method has two runs", height=0.17 * len(methods) + 0.75, sharey=True, sharex=True
    )
    palette = panels.looks(results, methods)["palette"]
    # With few seeds, the widest interval would make all others too small to see.
    reach = 2 * max(abs(row["value"]) for row in rows) or 1.0
    for axes, _, _, frame in parts:
        axes.axvline(0, color=style.MUTED, linewidth=0.8)
        for row in frame.itertuples():
            axes.plot([row.low, row.high], [row.row] * 2, color=style.MUTED, linewidth=1, zorder=1)
            axes.plot(row.value, row.row, "o", color=palette[methods[row.row]], markersize=4)
        axes.set(ylabel="", xlabel="points", ylim=(len(methods) - 0.5, -0.5), xlim=(-0.35 * reach, reach))
        axes.set(yticks=range(len(methods)), yticklabels=methods)
        axes.tick_params(axis="y", length=0)
        # The last row of panels may be incomplete, so every panel shows its tick labels.
        axes.tick_params(axis="x", labelbottom=True)
        axes.grid(True, axis="x")
    return plot


@figure(
    "expected-best",
    "The expected best score over a number of tries, each one run at one point of a method's grid: what a number "
    "chosen on the reported set owes to the number of runs behind it (Dodge et al. 2019).",
    every_variant=True,
    compares=True,
    encoder=COMPARED,
)
def best_by_tries(results: Results) -> Figure:
    """A panel for each task, a curve for each method."""
    import numpy as np

    from steadytune.claims.optimism import expected_best

    encoder, names = results.primary, variants_by_name(results.methods, results.suite.named)
    methods = [method for method in names if any(name in results.methods_of(encoder) for name in names[method])]
    rows: panels.Rows = []
    for task in results.compared_tasks([results.primary]):
        for method in methods:
            scores = [results.score(encoder, variant, task) for variant in names[method]]
            runs = np.array([value for score in scores if score for value in score.points.values()])
            best = expected_best(runs) if len(runs) > 1 else ()
            rows += [{"task": task, "method": method, "tries": k, "points": value} for k, value in enumerate(best, 1)]
    plot, parts = panels.facets(rows, "task", "no method has two runs")
    look = panels.looks(results, methods)
    for axes, task, _, frame in parts:
        panels.curves(axes, frame, "tries", "points", hue="method", looks=look)
        axes.set(xlabel="tries", ylabel=f"{metric_name(results.metric(task))}\n(points)")
    panels.legend(plot, panels.handles(look, methods))
    return plot

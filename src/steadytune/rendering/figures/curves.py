"""How training went by epoch, and what it made of how much data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import figure, primary
from steadytune.results.model import Results
from steadytune.results.scores import metric_name
from steadytune.tasks.table import split_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LINES = (
    "mean over seeds and one sample standard deviation to either side. Methods stand a little apart, so that none "
    "hides another. Seeds without a score are left out"
)


@figure(
    "learning-curves",
    f"Training loss and score on the evaluation split by epoch: {LINES} and counted in the legend.",
    named_variants=True,
    encoder=primary,
)
def learning_curves(results: Results) -> Figure:
    """Loss above score for each task, with a line for each method."""
    rows: panels.Rows = []
    methods = results.methods_of(results.primary)
    logged, planned = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    for task in results.tasks_of(results.primary):
        found = ((method, results.score(results.primary, method, task)) for method in methods)
        for method, seed, scored in [
            (m, seed, seed in score.points) for m, score in found if score for seed in score.statuses
        ]:
            planned[method] += 1
            history = results.history(results.primary, method, task, seed) if scored else {}
            logged[method] += bool(history)
            for level, column, scale in (("loss", "train_loss", 1), ("score", results.metric(task), 100)):
                row = {"task": task, "level": level, "method": method}
                rows += [row | {"epoch": epoch, "value": scale * value} for epoch, value in history.get(column, ())]
    plot, parts = panels.facets(rows, "task", "no training was logged in this suite", stack="level", height=1.65)
    look = panels.looks(results)
    for axes, task, level, frame in parts:
        panels.curves(axes, frame, "epoch", "value", hue="method", looks=look)
        score = f"{metric_name(results.metric(task))}\n(points)"
        axes.set_ylabel(score if level == "score" else "training loss")
    panels.label_below(parts, "epoch")
    counts = {name: f" ({logged[name]}/{planned[name]} curves)" for name in methods if logged[name] < planned[name]}
    entries = panels.handles(look, methods)
    panels.legend(plot, {name + counts.get(name, ""): entry for name, entry in entries.items()})
    return plot


@figure(
    "size-curves",
    f"Score on the evaluation split by the number of training examples, which are fixed stratified subsets: {LINES}.",
    encoder=primary,
)
def size_curves(results: Results) -> Figure:
    """A panel for each task that is trained on in several sizes, with a line for each method."""
    encoder, methods = results.primary, results.methods_of(results.primary)
    sizes: dict[str, dict[str, int]] = {}
    for task in results.tasks_of(encoder):
        base, size = split_size(task)
        counts = results.examples.get((encoder, task, task))
        if number := counts.train_examples if counts else size:
            sizes.setdefault(base, {})[task] = number
    rows = [
        {"base": base, "method": method, "size": size, "points": value}
        for base, tasks in sizes.items()
        if len(tasks) > 1
        for method in methods
        for task, size in tasks.items()
        if (score := results.score(encoder, method, task))
        for value in score.points.values()
    ]
    plot, parts = panels.facets(rows, "base", "no task in several sizes in this suite", columns=2, height=2.6)
    look, majority = panels.looks(results), False
    for axes, base, _, frame in parts:
        panels.curves(axes, frame, "size", "points", hue="method", looks=look, log=True)
        task = next(iter(sizes[base]))
        scores = [results.score(encoder, method, task) for method in methods]
        majority |= panels.score_axis(axes, "y", metric_name(results.metric(task)), scores)
        panels.plain_log(axes, "x")
        axes.set_xticks(sorted(sizes[base].values()))
        axes.set_xlabel("training examples")
    panels.legend(plot, panels.handles(look, methods), majority=majority)
    return plot

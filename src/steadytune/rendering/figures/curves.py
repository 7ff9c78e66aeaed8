"""Learning curves: by epoch, and by the number of training examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING

from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import COMPARED, figure
from steadytune.rendering.figures.words import with_remark
from steadytune.rendering.style import HUES
from steadytune.results.model import Results
from steadytune.results.scores import metric_name
from steadytune.tasks.table import split_size

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TOGETHER = 1 + len(HUES)
"""Most methods in a panel of learning curves: the baseline and as many as there are colours."""
LINES = (
    "mean over seeds and one sample standard deviation to either side. Methods are shifted sideways a little, so that "
    "none hides another. Seeds without a score are left out"
)


@figure(
    "learning-curves",
    f"Training loss and score on the evaluation split by epoch: {LINES} and counted in the legend. Of more than "
    f"{MOST_TOGETHER} methods a panel shows the baseline and {MOST_TOGETHER - 1} others.",
    named_variants=True,
    encoder=COMPARED,
)
def learning_curves(results: Results) -> Figure:
    """Loss above score for each task, with a line for each method; many methods are spread over several panels."""
    methods, tasks = results.methods_of(results.primary), results.tasks_of(results.primary)
    lines, names = _logged(results, methods, tasks)
    rows: panels.Rows = []
    for task in tasks:
        groups = _together([method for method in methods if lines[method, task]], results.baseline)
        for place, group in enumerate(groups, start=1):
            name = f"{task}, {place} of {len(groups)}" if len(groups) > 1 else task
            rows += [row | {"panel": name} for method in group for row in lines[method, task]]
    one_legend = len(methods) <= MOST_TOGETHER
    height = 1.65 if one_legend else 2.05
    plot, parts = panels.facets(rows, "panel", "no training was logged in this suite", stack="level", height=height)
    look = panels.looks(results)
    for axes, _, level, frame in parts:
        panels.curves(axes, frame, "epoch", "value", hue="method", looks=look)
        score = f"{metric_name(results.metric(frame['task'].iloc[0]))}\n(points)"
        axes.set_ylabel(score if level == "score" else "training loss")
    panels.label_below(parts, "epoch")
    entries = panels.handles(look, methods)
    if one_legend:
        panels.legend(plot, {names[name]: entry for name, entry in entries.items()})
    else:
        panels.legends_below(parts, "method", {name: (names[name], entry) for name, entry in entries.items()})
    return plot


def _logged(
    results: Results, methods: Sequence[str], tasks: Sequence[str]
) -> tuple[dict[tuple[str, str], panels.Rows], dict[str, str]]:
    """Each method's curve points by task, and its name, with the number of its curves if some are missing."""
    logged, planned = dict.fromkeys(methods, 0), dict.fromkeys(methods, 0)
    lines: dict[tuple[str, str], panels.Rows] = {}
    for method, task in product(methods, tasks):
        score, found = results.score(results.primary, method, task), lines.setdefault((method, task), [])
        for seed in score.statuses if score else ():
            history = results.history(results.primary, method, task, seed) if score and seed in score.points else {}
            planned[method] += 1
            logged[method] += bool(history)
            for level, column, scale in (("loss", "train_loss", 1), ("score", results.metric(task), 100)):
                row = {"task": task, "level": level, "method": method}
                found += [row | {"epoch": epoch, "value": scale * value} for epoch, value in history.get(column, ())]
    short = {name: f" ({logged[name]}/{planned[name]} curves)" for name in methods if logged[name] < planned[name]}
    return lines, {name: with_remark(name, short.get(name, "")) for name in methods}


def _together(methods: list[str], baseline: str) -> list[list[str]]:
    """The methods of each panel, among those with a curve on a task: few enough to tell apart, the baseline first."""
    if len(methods) <= MOST_TOGETHER:
        return [methods]
    first = [method for method in methods if method == baseline]
    others = [method for method in methods if method != baseline]
    size = MOST_TOGETHER - 1
    return [[*first, *others[at : at + size]] for at in range(0, len(others), size)]


@figure(
    "size-curves",
    f"Score on the evaluation split by the number of training examples, which are fixed stratified subsets: {LINES}.",
    encoder=COMPARED,
)
def size_curves(results: Results) -> Figure:
    """A panel for each task with several training-set sizes, with a line for each method."""
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

"""What fine-tuning changes inside the encoder, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from steadytune.rendering import style
from steadytune.rendering.figures import panels
from steadytune.rendering.figures.registry import INSIDE, figure
from steadytune.results.inside import BEFORE, Inside, load_inside
from steadytune.results.model import Results
from steadytune.results.scores import metric_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOTHING = "nothing was measured inside an encoder in this suite"
LINES = (
    "Mean over seeds and one sample standard deviation to either side; methods are shifted sideways a little, so that "
    "none hides another. Layer 0 is the embedding output."
)


@figure(
    "task-generalisation",
    "Score of a fresh linear head on the sentence token of every layer of a frozen encoder: fine-tuned on one task "
    f"(left of the arrow), probed on another (right of it). {LINES}",
    encoder=INSIDE,
)
def task_generalisation(results: Results) -> Figure:
    """A panel for each pair of fine-tuned and probed task, with a line for each method and one before fine-tuning."""
    inside = _load(results)
    rows = [row | {"panel": f"{row['task']} → {row['probe']}"} for row in _rows(inside, "probe", 100)]
    labels = {row["panel"]: f"{metric_name(row['metric'])}\n(points)" for row in rows}
    return _lines(results, inside, rows, "panel", labels)


@figure(
    "token-similarity",
    f"Mean cosine between two tokens of one text, by layer: at 1 all point the same way. {LINES}",
    encoder=INSIDE,
)
def token_similarity(results: Results) -> Figure:
    """A panel for each task, with a line for each method and one before fine-tuning."""
    inside = _load(results)
    return _lines(results, inside, _rows(inside, "token_similarity"), "task", {"": "mean cosine of two tokens"})


@figure(
    "variability-after",
    "Hidden-state variability ν by layer before and after fine-tuning, on examples that were not trained on: low if "
    f"the classes lie apart. {LINES}",
    encoder=INSIDE,
)
def variability_after(results: Results) -> Figure:
    """A panel for each task, with a line for each method and one before fine-tuning."""
    inside = _load(results)
    return _lines(results, inside, _rows(inside, "nu"), "task", {"": "ν (log scale)"})


@figure(
    "layer-drift",
    "How far fine-tuning moves each layer from the pretrained encoder. Above: similarity of its representations of the "
    "same examples (unbiased linear CKA; 1 is equal but for rotation and scale). Below: distance of its parameters, "
    f"as a share of their norm. {LINES}",
    encoder=INSIDE,
)
def layer_drift(results: Results) -> Figure:
    """Similarity above distance for each task, with a line for each method."""
    inside = _load(results)
    labels = {"cka": "CKA with the\npretrained layer", "parameter_distance": "distance of\nparameters (%)"}
    rows = _rows(inside, "cka") + _rows(inside, "parameter_distance", 100)
    rows.sort(key=lambda row: inside.tasks.index(row["task"]))
    return _lines(results, inside, rows, "task", labels, stack="measure")


@figure(
    "noise-propagation",
    "Noise of 5 % of a state's norm enters one layer; each line starts there and shows the relative change of the "
    "states of the layers above, before fine-tuning and after, as a mean over examples and seeds. If a line rises, the "
    "layers amplify the noise.",
    encoder=INSIDE,
)
def noise_propagation(results: Results) -> Figure:
    """A row for each task, a panel before fine-tuning and one for each method, a line for each layer of entry."""
    import seaborn as sns
    from matplotlib.ticker import MaxNLocator

    inside = _load(results)
    names = (BEFORE, *inside.methods)
    rows = [
        {"method": inside.label(name), "task": task, "entry": entry, "layer": layer, "change": 100 * change}
        for name in names
        for task in inside.tasks
        for entry, layer, change in inside.matrix(name, task)
    ]
    plot, parts = panels.facets(rows, "method", NOTHING, stack="task", columns=len(names), sharex=True, sharey=True)
    entries = sorted({row["entry"] for row in rows})
    palette = dict(zip(entries, sns.blend_palette(style.RAMP, len(entries)).as_hex(), strict=True))
    look = {"palette": palette, "marker": "o", "markeredgewidth": 0, "estimator": None, "legend": False}
    for axes, _, task, frame in parts:
        sns.lineplot(frame, x="layer", y="change", hue="entry", ax=axes, **look)
        panels.plain_log(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7))
        axes.set_ylabel(panels.left(axes, f"{task}\nrelative change (%)"))
        axes.grid(True, axis="y")
    panels.label_below(parts, "layer")
    panels.legend(plot, {})
    return plot


def _load(results: Results) -> Inside:
    if inside := load_inside(results):
        return inside
    raise panels.NothingToDraw(NOTHING)


def _rows(inside: Inside, measure: str, scale: float = 1) -> panels.Rows:
    """Every value of a measure by layer, for each task, method and seed."""
    return [
        row | {"measure": measure, "value": scale * row["value"]}
        for task in inside.tasks
        for method in (BEFORE, *inside.methods)
        for row in inside.rows.get((measure, method, task), ())
    ]


def _lines(
    results: Results, inside: Inside, rows: panels.Rows, by: str, labels: Mapping[str, str], stack: str = ""
) -> Figure:
    """A panel for each value of `by`, with a line for each method; labels: y-axis labels, by panel or level."""
    plot, parts = panels.facets(rows, by, NOTHING, stack=stack, height=1.75 if stack else 2)
    look = panels.looks(results)
    for kind, value in (("palette", style.INK), ("markers", "p"), ("dashes", (1, 1.2))):
        look[kind] = {BEFORE: value, **look[kind]}
    for axes, name, level, frame in parts:
        panels.curves(axes, frame, "layer", "value", hue="method", looks=look)
        if (label := labels.get(name) or labels.get(level) or "").endswith("(log scale)"):
            panels.plain_log(axes)
        axes.set_ylabel(label)
    panels.label_below(parts, "layer")
    measured = {row["method"] for row in rows}
    entries = panels.handles(look, [name for name in (BEFORE, *inside.methods) if name in measured])
    panels.legend(plot, {inside.label(name): entry for name, entry in entries.items()})
    return plot

"""The tables. A new one is one function under `@table("name")`; a suite's `tables` names those it wants."""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from steadytune.errors import unknown
from steadytune.rendering.entries import (
    BOLD,
    MAJORITY,
    SPREAD,
    leaders,
    numbers,
    plain_mean,
    scope,
    scored,
    status_notes,
)
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, in_order, metric_name, paired
from steadytune.rendering.table import NOTHING, Block, Entry, Line, Table, Value, number

Maker = Callable[[Results], Table]

TABLES: dict[str, Maker] = {}


def table(name: str) -> Callable[[Maker], Maker]:
    """Register a function as the table `name`."""

    def register(maker: Maker) -> Maker:
        if name in TABLES:
            raise ValueError(f"table '{name}' is registered twice")
        TABLES[name] = maker
        return maker

    return register


def make_table(name: str, results: Results) -> Table:
    """The table `name` of a suite's results, the suite's own notes below its own.

    Raises:
        SteadyTuneError: no table has that name.
    """
    if name not in TABLES:
        raise unknown("table", name, TABLES, where=f"suite '{results.name}'")
    made = TABLES[name](results)
    return replace(made, notes=(*made.notes, *results.suite.get("notes", ())))


@table("main")
def main(results: Results) -> Table:
    """Method x task, a block for each encoder: mean ± std over seeds, the average over tasks, the majority class."""
    tasks = results.tasks
    shown, data = [], []
    for (encoder, method, task), _ in results.planned():
        if score := results.score(encoder, method, task):
            shown.append((f"{encoder}, {method}, {task}", score))
            data.append(numbers({"encoder": encoder, "method": method, "task": task}, score))
    average = [("Average", "of tasks")] if len(tasks) > 1 else []
    of = "Average: unweighted mean of the task means, over the tasks planned for every method of the encoder"
    shared = {encoder: _shared_tasks(results, encoder) for encoder in results.encoders}
    if any(len(found) < len(tasks) for found in shared.values()):
        spelled = [f"{encoder}: {', '.join(found) or 'none'}" for encoder, found in shared.items()]
        of += f" ({'; '.join(spelled)})"
    return Table(
        name="main",
        title="Fine-tuning results",
        caption=scope(results, "evaluation split of each task"),
        columns=("Method", *((task, metric_name(results.metric(task))) for task in tasks), *average),
        blocks=tuple(_main_block(results, encoder) for encoder in results.encoders),
        notes=(SPREAD, MAJORITY, BOLD, *([f"{of}."] if average else []), *status_notes(shown)),
        data=tuple(data),
    )


def _main_block(results: Results, encoder: str) -> Block:
    """One encoder: a row for each method, and the majority class."""
    tasks, methods, shared = results.tasks, results.methods_of(encoder), _shared_tasks(results, encoder)
    scores = {(method, task): results.score(encoder, method, task) for method in methods for task in tasks}
    complete = {key: score.mean for key, score in scores.items() if score and score.complete}
    best = {task: leaders({m: mean for (m, t), mean in complete.items() if t == task}) for task in tasks}
    averages = {m: plain_mean([s.mean if (s := scores[m, task]) else math.nan for task in shared]) for m in methods}
    leading = leaders({m: averages[m] for m in methods if all((m, task) in complete for task in shared)})
    majority = {t: next((s.majority for m in methods if (s := scores[m, t])), math.nan) for t in tasks}
    rows = []
    for method in methods:
        line = [scored(scores[method, task], best=method in best[task]) for task in tasks]
        if len(tasks) > 1:
            line.append(Entry(number(averages[method]), best=method in leading))
        rows.append((method, *line))
    last = [plain_mean([majority[task] for task in shared])] if len(tasks) > 1 else []
    reference = ("majority class", *map(number, (*majority.values(), *last)))
    return Block(tuple(rows), title=_title(encoder, results), reference=(reference,))


def _shared_tasks(results: Results, encoder: str) -> list[str]:
    """The tasks that the suite plans for every method of an encoder: what an average can be compared over."""
    methods = results.methods_of(encoder)
    return [task for task in results.tasks if all((encoder, method, task) in results.cells for method in methods)]


@table("transfer")
def transfer(results: Results) -> Table:
    """Every method on the sets that it was not trained on, beside its score on its own task."""
    blocks, data, shown = [], [], []
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            for evaluation_set in results.transfer_sets(encoder, task):
                block, rows, scores = _transfer_block(results, encoder, task, evaluation_set)
                blocks.append(block)
                data += rows
                shown += scores
    drop = "Drop: own task minus other set, seed by seed, in points; a dash where the two have different metrics."
    notes = (
        (SPREAD, drop, MAJORITY, BOLD, *status_notes(shown))
        if blocks
        else ("This suite names no other evaluation sets.",)
    )
    return Table(
        name="transfer",
        title="Beyond the training task",
        caption=scope(results, "own task and sets never trained on"),
        columns=("Method", "Own task", "Other set", "Drop"),
        blocks=tuple(blocks),
        notes=notes,
        data=tuple(data),
    )


def _transfer_block(
    results: Results, encoder: str, task: str, evaluation_set: str
) -> tuple[Block, list[dict[str, object]], list[tuple[str, Score]]]:
    """One trained task on one other set: its rows, the numbers behind them, and the scores for the notes."""
    both: dict[str, tuple[Score, Score]] = {}
    for method in results.methods_of(encoder):
        own, other = results.score(encoder, method, task), results.score(encoder, method, task, evaluation_set)
        if own and other:
            both[method] = (own, other)
    best = leaders({method: other.mean for method, (_, other) in both.items() if other.complete})
    rows: list[Line] = []
    data, shown = [], []
    for method, (own, other) in both.items():
        drop = paired(own, other).mean if own.metric == other.metric else math.nan
        rows.append((method, scored(own), scored(other, best=method in best), number(drop, sign=True)))
        key = {"encoder": encoder, "method": method, "task": task, "evaluation_set": evaluation_set}
        data.append(numbers(key, other) | {"own_mean": own.mean, "drop": drop})
        shown.append((f"{encoder}, {method}, {task} on {evaluation_set}", other))
    own, other = next(iter(both.values()))
    prefix = f"{encoder}: " if len(results.encoders) > 1 else ""
    title = f"{prefix}trained on {task}, tested on {evaluation_set} ({metric_name(other.metric)})"
    reference = ("majority class", number(own.majority), number(other.majority), NOTHING)
    return Block(tuple(rows), title=title, reference=(reference,)), data, shown


@table("pretraining")
def pretraining(results: Results) -> Table:
    """Pretrained against random encoder weights, the same method, task by task."""
    blocks, data, shown = [], [], []
    for comparison in results.suite.get("comparisons", ()):
        names = comparison["pretrained"], comparison["random"]
        method = comparison.get("method", results.baseline)
        rows: list[Line] = []
        for task in results.tasks:
            first, second = (results.score(encoder, method, task) for encoder in names)
            if not first or not second:
                continue
            gap = paired(first, second)
            numbers = number(gap.mean, sign=True), number(gap.error), str(len(gap.differences))
            rows.append(
                (
                    f"{task} ({metric_name(first.metric)})",
                    number(first.majority),
                    scored(first),
                    scored(second),
                    *numbers,
                )
            )
            key = {"pretrained": names[0], "random": names[1], "method": method, "task": task}
            means = {"pretrained_mean": first.mean, "random_mean": second.mean}
            gaps = {"difference": gap.mean, "standard_error": gap.error, "pairs": len(gap.differences)}
            data.append(key | {"metric": first.metric, "majority": first.majority} | means | gaps)
            shown += [
                (f"{encoder}, {method}, {task}", score) for encoder, score in zip(names, (first, second), strict=True)
            ]
        if rows:
            blocks.append(
                Block(tuple(rows), title=f"{method}: {names[0]} (pretrained) against {names[1]} (random weights)")
            )
    note = (
        "Difference: pretrained minus random, seed by seed; s.e.: its standard error, std / √n over n pairs of seeds."
    )
    notes = (
        (SPREAD, note, MAJORITY, *status_notes(shown))
        if blocks
        else ("This suite compares no pretrained encoder with random weights.",)
    )
    return Table(
        name="pretraining",
        title="Does pretraining help?",
        caption="The same architecture, method and protocol, from pretrained and from random encoder weights.",
        columns=("Task", "Majority", "Pretrained", "Random", "Difference", "s.e.", "n"),
        blocks=tuple(blocks),
        notes=notes,
        data=tuple(data),
    )


@table("variability")
def variability(results: Results) -> Table:
    """Hidden-state variability by layer, a column for each task, l* in bold."""
    blocks, data = [], []
    tasks = [task for task in results.tasks if any(item.task == task for item in results.variability)]
    for encoder in results.encoders:
        found = {item.task: item for item in results.variability if item.encoder == encoder}
        if not found:
            continue
        rows: list[Line] = []
        for layer in range(max(len(item.nu) for item in found.values())):
            line: list[Value] = [str(layer)]
            for task in tasks:
                item = found.get(task)
                value = item.nu[layer] if item and layer < len(item.nu) else math.nan
                line.append(Entry(_significant(value), best=item is not None and layer == item.best_layer))
                if item and layer < len(item.nu):
                    best = layer == item.best_layer
                    data.append({"encoder": encoder, "task": task, "layer": layer, "nu": value, "best_layer": best})
            rows.append(tuple(line))
        chosen: Line = ("l*", *(str(found[task].best_layer) if task in found else NOTHING for task in tasks))
        blocks.append(Block(tuple(rows), title=_title(encoder, results), reference=(chosen,)))
    note = "Layer 0: embedding output; layer l: output of the l-th Transformer layer. Bold: l*, the layer of least ν."
    return Table(
        name="variability",
        title="Hidden-state variability",
        caption="ν(l) of the encoder before fine-tuning: variability within classes over variability between them.",
        columns=("Layer", *tasks),
        blocks=tuple(blocks),
        notes=(note,) if blocks else ("This suite measures no variability.",),
        data=tuple(data),
    )


@table("coverage")
def coverage(results: Results) -> Table:
    """How many planned cells ended how."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    for (encoder, method, _), statuses in results.planned():
        counts.setdefault((encoder, method), Counter()).update(statuses.values())
    ends = in_order({"ok", *(status for count in counts.values() for status in count)})
    blocks = []
    for encoder in results.encoders:
        found = [(method, counts[encoder, method]) for method in results.methods_of(encoder)]
        rows = [(method, str(count.total()), *(str(count[end] or "·") for end in ends)) for method, count in found]
        blocks.append(Block(tuple(rows), title=_title(encoder, results)))
    return Table(
        name="coverage",
        title="Coverage",
        caption="Planned cells (encoder × method × task × seed) and how they ended.",
        columns=("Method", "Planned", *(end.replace("_", " ") for end in ends)),
        blocks=tuple(blocks),
    )


@table("cells")
def cells(results: Results) -> Table:
    """Every planned cell, one a row."""
    data = []
    for (encoder, method, task), statuses in results.planned():
        score = results.score(encoder, method, task)
        for seed, status in statuses.items():
            points = score.points.get(seed, math.nan) if score else math.nan
            metric = score.metric if score else ""
            key = {"encoder": encoder, "method": method, "task": task, "seed": seed}
            data.append(key | {"status": status, "metric": metric, "points": points})
    rows = [(*map(str, list(row.values())[:5]), metric_name(row["metric"]), number(row["points"])) for row in data]
    return Table(
        name="cells",
        title="Cells",
        caption="Every planned cell: how it ended and its headline score in points.",
        columns=("Encoder", "Method", "Task", "Seed", "Status", "Metric", "Score"),
        blocks=(Block(tuple(rows)),),
        align="lllrllr",
        data=tuple(data),
    )


def _title(encoder: str, results: Results) -> str:
    """An encoder's heading, needed only beside another's."""
    return encoder if len(results.encoders) > 1 else ""


def _significant(value: float) -> str:
    """Three significant digits, and no exponent over the range that variability has."""
    if abs(value) >= 100:
        return number(value, 0)
    return f"{value:#.3g}" if math.isfinite(value) else NOTHING

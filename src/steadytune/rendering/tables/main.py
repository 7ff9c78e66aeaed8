"""Method x task, and what the trained models do elsewhere."""

import math

from steadytune.rendering.entries import (
    BOLD,
    MAJORITY,
    SPREAD,
    block_title,
    leaders,
    numbers,
    plain_mean,
    scope,
    scored,
    status_notes,
)
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, metric_name, paired
from steadytune.rendering.table import NOTHING, Block, Entry, Line, Table, number
from steadytune.rendering.tables.registry import table


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
    return Block(tuple(rows), title=block_title(encoder, results), reference=(reference,))


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

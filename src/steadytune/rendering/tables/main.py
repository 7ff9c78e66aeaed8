"""The main table: method x task."""

import math

from steadytune.rendering.entries import (
    BOLD,
    MAJORITY,
    SPREAD,
    block_title,
    contenders,
    data_notes,
    leaders,
    numbers,
    plain_mean,
    scope,
    scored,
)
from steadytune.rendering.run_notes import run_notes
from steadytune.rendering.table import Block, Entry, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results
from steadytune.results.scores import metric_name


@table("main")
def main(results: Results) -> Table:
    """Method x task, a block for each encoder: mean ± std over seeds, the average over tasks, the majority class."""
    tasks = results.tasks
    shown, data = [], []
    for (encoder, method, task), _ in results.planned():
        if score := results.score(encoder, method, task):
            shown.append(((encoder, method, task), score))
            data.append(numbers({"encoder": encoder, "method": method, "task": task}, score))
    about_data = data_notes(results, ((e, t, t) for e in results.encoders for t in results.tasks_of(e)))
    average = [("Average", "of tasks")] if len(tasks) > 1 else []
    blocks = tuple(_main_block(results, encoder) for encoder in results.encoders)
    average_note = "Average: unweighted mean of the task means, over the tasks planned for every method of the encoder"
    shared = {encoder: results.shared_tasks(encoder) for encoder in results.encoders}
    if any(len(found) < len(tasks) for found in shared.values()):
        spelled = [f"{encoder}: {', '.join(found) or 'none'}" for encoder, found in shared.items()]
        average_note += f" ({'; '.join(spelled)})"
    notes = [SPREAD, MAJORITY, BOLD, *([f"{average_note}."] if average else [])]
    return Table(
        name="main",
        title="Fine-tuning results",
        caption=scope(results, "evaluation split of each task"),
        columns=("Method", *((task, metric_name(results.metric(task))) for task in tasks), *average),
        blocks=blocks,
        notes=(*notes, *run_notes(shown), *about_data),
        data=tuple(data),
    )


def _main_block(results: Results, encoder: str) -> Block:
    """One encoder: a row for each method, and the majority class."""
    tasks, methods, shared = results.tasks, results.methods_of(encoder), results.shared_tasks(encoder)
    scores = {(method, task): results.score(encoder, method, task) for method in methods for task in tasks}
    candidates = {task: contenders(results, encoder, task, {m: scores[m, task] for m in methods}) for task in tasks}
    best = {task: leaders(means) for task, means in candidates.items()}
    averages = {m: plain_mean([s.mean if (s := scores[m, task]) else math.nan for task in shared]) for m in methods}
    leading = leaders({m: averages[m] for m in methods if all(m in candidates[task] for task in shared)})
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

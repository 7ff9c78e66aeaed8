"""Accuracy on two labels, entailment or not, on every set, as in HyPe's Table 7 (arXiv 2212.08853)."""

from steadytune.rendering.entries import BOLD, SPREAD, block_title, numbers, scope, set_line
from steadytune.rendering.run_notes import run_notes
from steadytune.rendering.table import Block, Table
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Key, Results
from steadytune.results.scores import Score, mean_over
from steadytune.results.two_way import two_way_scores
from steadytune.tasks.labels import has_reading
from steadytune.tasks.table import TASKS, find_task, split_size

COLLAPSED = (
    "Accuracy on two labels, as in HyPe's Table 7: contradiction is read as neutral, that is not entailed, and QQP's "
    "duplicate as entailment. Mean: unweighted over the other sets, for every seed that has a score on all of them."
)


@table("two-way", empty="No cell of this suite has a score that can be read as entailment or not.")
def two_way(results: Results) -> Table:
    """Accuracy on entailment against the rest, a row for each set and a column for each method."""
    scores = two_way_scores(results)
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    shown: list[tuple[Key, Score]] = []
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            sets = (task, *results.transfer_sets(encoder, task))
            sets = [name for name in sets if _is_entailment(results, task, name)]
            found = {
                name: {m: scores[encoder, m, task, name] for m in results.methods if (encoder, m, task, name) in scores}
                for name in sets
            }
            if not any(found.values()):
                continue
            blocks.append(_block(results, encoder, task, found))
            for name, by_method in found.items():
                for method, score in by_method.items():
                    key = {"encoder": encoder, "method": method, "task": task, "evaluation_set": name}
                    data.append(numbers(key, score))
                    shown.append(((encoder, method, task), score))
    return Table(
        name="two-way",
        title="Entailment on two labels",
        caption=scope(results, "accuracy on entailment against the rest"),
        columns=("Set", "Majority", *results.methods),
        blocks=tuple(blocks),
        notes=(SPREAD, COLLAPSED, BOLD, *run_notes(shown)),
        data=tuple(data),
    )


def _block(results: Results, encoder: str, task: str, found: dict[str, dict[str, Score]]) -> Block:
    """The block of one training task: a row for each set, and one for the mean over the other sets."""
    lines = [set_line(results, (encoder, task), [name], scores, results.methods) for name, scores in found.items()]
    others = [scores for name, scores in found.items() if name != task]
    if len(others) > 1:
        means = {m: mean_over([scores[m] for scores in others]) for m in others[0] if all(m in s for s in others)}
        lines.append(set_line(results, (encoder, task), ["mean of the others"], means, results.methods))
    return Block(tuple(lines), title=block_title(encoder, results, task))


def _is_entailment(results: Results, task: str, evaluation_set: str) -> bool:
    """Whether the model's answers on the set can be reduced to entailment or not."""
    own = results.suite.own_tasks
    names = (task, evaluation_set)
    known = all(split_size(name)[0] in {**TASKS, **own} for name in names)
    return known and has_reading(*(find_task(name, own) for name in names))

"""Entailment or not, on every set: the reading of HyPe's Table 7 (arXiv 2212.08853)."""

import math

from steadytune.rendering.entries import BOLD, SPREAD, numbers, scope, set_line, status_notes
from steadytune.rendering.predictions import rows_of
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, mean_over
from steadytune.rendering.table import Block, Table
from steadytune.rendering.tables.registry import table
from steadytune.tasks.table import parse_task

COLLAPSED = (
    "Accuracy on two labels, as in HyPe's Table 7: contradiction is read as neutral, that is not entailed, and QQP's "
    "duplicate as entailment. Mean: unweighted over the other sets, for every seed that has a score on all of them."
)


@table("two-way")
def two_way(results: Results) -> Table:
    """Accuracy on entailment against the rest, a row for each set and a column for each method."""
    scores = two_way_scores(results)
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    shown: dict[str, Score] = {}
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            sets = [name for name in (task, *results.transfer_sets(encoder, task)) if _has_reading(task, name)]
            found = {
                name: {m: scores[encoder, m, task, name] for m in results.methods if (encoder, m, task, name) in scores}
                for name in sets
            }
            if not any(found.values()):
                continue
            prefix = f"{encoder}: " if len(results.encoders) > 1 else ""
            blocks.append(_block(results, f"{prefix}trained on {task}", task, found))
            for name, by_method in found.items():
                for method, score in by_method.items():
                    key = {"encoder": encoder, "method": method, "task": task, "evaluation_set": name}
                    data.append(numbers(key, score))
                    shown[f"{encoder}, {method}, {task}"] = score
    return Table(
        name="two-way",
        title="Entailment on two labels",
        caption=scope(results, "accuracy on entailment against the rest"),
        columns=("Set", "Majority", *results.methods),
        blocks=tuple(blocks),
        notes=(SPREAD, COLLAPSED, BOLD, *status_notes(list(shown.items())))
        if blocks
        else ("No cell of this suite has a score that can be read as entailment or not.",),
        data=tuple(data),
    )


def _has_reading(task: str, evaluation_set: str) -> bool:
    """Whether what is compared on a set can be read as entailment or not."""
    from steadytune.tasks.labels import TWO_WAY, coarsening, shared_space

    model, target = (parse_task(name)[0] for name in (task, evaluation_set))
    return coarsening(shared_space(model.labels, target.labels), TWO_WAY) is not None


def two_way_scores(results: Results) -> dict[tuple[str, str, str, str], Score]:
    """(encoder, method, task, evaluation set) -> accuracy on two labels: the collapsed one where there were three.

    Every planned method is there, without points where none of its cells came so far.
    """
    from steadytune.evaluation.transfer import TWO_WAY_METRIC

    points: dict[tuple[str, str, str, str], dict[str, dict[int, tuple[float, float]]]] = {}
    for key, row in rows_of(results, results.folder / "metrics.parquet"):
        if row["metric"] in ("accuracy", TWO_WAY_METRIC) and row["kind"] != "held_out" and math.isfinite(row["value"]):
            by_metric = points.setdefault((*key, row["evaluation_set"]), {})
            values = 100 * row["value"], 100 * row["majority_value"]
            by_metric.setdefault(row["metric"], {})[int(row["seed"])] = values
    found = {place: by_metric.get(TWO_WAY_METRIC) or by_metric["accuracy"] for place, by_metric in points.items()}
    majorities = {(e, task, name): next(iter(seeds.values()))[1] for (e, _, task, name), seeds in found.items()}
    return {
        (encoder, method, task, name): Score(
            metric="accuracy",
            majority=majority,
            statuses=results.cells[encoder, method, task],
            points={seed: value for seed, (value, _) in sorted(found.get((encoder, method, task, name), {}).items())},
        )
        for (encoder, task, name), majority in majorities.items()
        for method in results.methods
        if (encoder, method, task) in results.cells
    }


def _block(results: Results, title: str, task: str, found: dict[str, dict[str, Score]]) -> Block:
    """One trained task: a row for each set, and the mean over the other sets."""
    lines = [set_line([name], scores, results.methods) for name, scores in found.items()]
    others = [scores for name, scores in found.items() if name != task]
    if len(others) > 1:
        means = {m: mean_over([scores[m] for scores in others]) for m in others[0] if all(m in s for s in others)}
        lines.append(set_line(["mean of the others"], means, results.methods))
    return Block(tuple(lines), title=title)

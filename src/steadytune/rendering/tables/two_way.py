"""Entailment or not, on every set: the reading of HyPe's Table 7 (arXiv 2212.08853)."""

import math

from steadytune.rendering.entries import BOLD, SPREAD, leaders, numbers, scope, scored, status_notes
from steadytune.rendering.predictions import rows_of
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, mean_over
from steadytune.rendering.table import NOTHING, Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.tasks.table import parse_task

COLLAPSED = (
    "Accuracy on two labels, as in HyPe's Table 7: contradiction is read as neutral, that is not entailed, and QQP's "
    "duplicate as entailment. Mean: unweighted over the other sets, for every seed that has a score on all of them."
)


@table("two-way")
def two_way(results: Results) -> Table:
    """Accuracy on entailment against the rest, a row for each set and a column for each method."""
    scores = _scores(results)
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
        else ("This suite trains on no entailment task.",),
        data=tuple(data),
    )


def _has_reading(task: str, evaluation_set: str) -> bool:
    """Whether what is compared on a set can be read as entailment or not."""
    from steadytune.tasks.labels import TWO_WAY, coarsening, shared_space

    model, target = (parse_task(name)[0] for name in (task, evaluation_set))
    return coarsening(shared_space(model.labels, target.labels), TWO_WAY) is not None


def _scores(results: Results) -> dict[tuple[str, str, str, str], Score]:
    """(encoder, method, task, evaluation set) -> accuracy on two labels: the collapsed one where there were three."""
    from steadytune.evaluation.transfer import TWO_WAY_METRIC

    points: dict[tuple[str, str, str, str], dict[str, dict[int, tuple[float, float]]]] = {}
    for key, row in rows_of(results, results.folder / "metrics.parquet"):
        if row["metric"] in ("accuracy", TWO_WAY_METRIC) and row["kind"] != "held_out" and math.isfinite(row["value"]):
            by_metric = points.setdefault((*key, row["evaluation_set"]), {})
            values = 100 * row["value"], 100 * row["majority_value"]
            by_metric.setdefault(row["metric"], {})[int(row["seed"])] = values
    scores = {}
    for place, by_metric in points.items():
        values = by_metric.get(TWO_WAY_METRIC) or by_metric["accuracy"]
        seeds = dict(sorted(values.items()))
        scores[place] = Score(
            metric="accuracy",
            majority=next(iter(seeds.values()))[1],
            statuses=results.cells[place[:3]],
            points={seed: value for seed, (value, _) in seeds.items()},
        )
    return scores


def _block(results: Results, title: str, task: str, found: dict[str, dict[str, Score]]) -> Block:
    """One trained task: a row for each set, and the mean over the other sets."""
    lines: list[Line] = []
    for name, scores in found.items():
        best = leaders({method: score.mean for method, score in scores.items() if score.complete})
        majority = next((number(score.majority) for score in scores.values()), NOTHING)
        lines.append((name, majority, *(scored(scores.get(m), best=m in best) for m in results.methods)))
    others = [scores for name, scores in found.items() if name != task]
    if len(others) > 1:
        means = {m: mean_over([scores[m] for scores in others]) for m in others[0] if all(m in s for s in others)}
        best = leaders({method: mean.mean for method, mean in means.items() if mean.complete})
        majority = next((number(mean.majority) for mean in means.values()), NOTHING)
        averages = (scored(means.get(m), best=m in best) for m in results.methods)
        lines.append(("mean of the others", majority, *averages))
    return Block(tuple(lines), title=title)

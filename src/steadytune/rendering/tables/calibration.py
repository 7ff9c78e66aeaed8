"""How far a model's probabilities can be believed, and how far two seeds agree, on every evaluation set."""

import math
import statistics

from steadytune.rendering.entries import scope
from steadytune.rendering.predictions import load_calibration
from steadytune.rendering.results import Results
from steadytune.rendering.table import NOTHING, Block, Entry, Line, Table, number
from steadytune.rendering.tables.registry import table

MEASURES = {"ece": 100.0, "brier": 1.0, "churn": 100.0}
"""Measures, and what they are multiplied by as printed."""
DECIMALS = {"ece": 1, "brier": 3, "churn": 1}

NOTES = (
    "Mean ± sample standard deviation (divisor n − 1) over seeds, for churn over pairs of seeds; none for one.",
    "ECE: expected calibration error, 15 bins of equal width by the probability of the predicted class. Brier: squared "
    "distance from the gold class's 1 and 0s, summed over classes, from 0 to 2. Lower is better.",
    "Churn: share of the examples that two seeds of one method answer differently.",
    "Where a set has coarser labels than the model, the probabilities of the finer ones are added.",
)


@table("calibration")
def calibration(results: Results) -> Table:
    """ECE, Brier score and churn of every method, on its own task and on every other set."""
    found = load_calibration(results)
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            rows: list[Line] = []
            for evaluation_set in (task, *results.transfer_sets(encoder, task)):
                for method in results.methods_of(encoder):
                    if measures := found.get((encoder, method, task, evaluation_set)):
                        rows.append((evaluation_set, method, *(_entry(name, measures) for name in MEASURES)))
                        key = {"encoder": encoder, "method": method, "task": task, "evaluation_set": evaluation_set}
                        data.append(key | _numbers(measures))
            if rows:
                prefix = f"{encoder}: " if len(results.encoders) > 1 else ""
                blocks.append(Block(tuple(rows), title=f"{prefix}trained on {task}"))
    return Table(
        name="calibration",
        title="Calibration and churn",
        caption=scope(results, "every evaluation set with classes"),
        columns=("Set", "Method", ("ECE", "%"), "Brier", ("Churn", "% of examples")),
        blocks=tuple(blocks),
        align="llrrr",
        notes=NOTES if blocks else ("This suite has no predictions of classes.",),
        data=tuple(data),
    )


def _entry(name: str, measures: dict[str, list[float]]) -> Entry:
    values = [MEASURES[name] * value for value in measures.get(name, ())]
    if not values:
        return Entry(NOTHING)
    spread = number(statistics.stdev(values), DECIMALS[name]) if len(values) > 1 else ""
    return Entry(number(statistics.fmean(values), DECIMALS[name]), spread=spread)


def _numbers(measures: dict[str, list[float]]) -> dict[str, object]:
    row: dict[str, object] = {"seeds": len(measures["ece"])}
    for name in MEASURES:
        values = measures.get(name, [])
        row[name] = statistics.fmean(values) if values else math.nan
        row[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else math.nan
    return row

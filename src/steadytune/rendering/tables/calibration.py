"""How well a model's probabilities are calibrated, and how far two seeds agree, on every evaluation set."""

import math
import statistics

from steadytune.rendering.entries import block_title, mean_entry, scope
from steadytune.rendering.run_notes import run_notes
from steadytune.rendering.table import Block, Entry, Line, Table
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Key, Results
from steadytune.results.predictions import Calibration, load_calibration
from steadytune.results.scores import Score

SCALES = {"ece": 100.0, "brier": 1.0, "churn": 100.0}
"""Factors that the printed measures are multiplied by."""
DECIMALS = {"ece": 1, "brier": 3, "churn": 1}

NOTES = (
    "Mean ± sample standard deviation (divisor n − 1) over seeds, for churn over pairs of seeds; none for one.",
    "ECE: expected calibration error, 15 bins of equal width by the probability of the predicted class. Brier: squared "
    "distance from the gold class's 1 and 0s, summed over classes, from 0 to 2. Lower is better.",
    "Churn: share of the examples that two seeds of one method answer differently.",
    "If a set has coarser labels than the model, the probabilities of the model's finer labels are added.",
)


@table("calibration", reads_predictions=True, empty="No cell of this suite has predictions of classes.")
def calibration(results: Results) -> Table:
    """ECE, Brier score and churn of every method on its own task and on every other set."""
    found = load_calibration(results)
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    shown: list[tuple[Key, Score]] = []
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            rows: list[Line] = []
            for evaluation_set in (task, *results.transfer_sets(encoder, task)):
                if not any((encoder, method, task, evaluation_set) in found for method in results.methods):
                    continue
                for method in results.methods:
                    if (encoder, method, task) not in results.cells:
                        continue
                    measured = found.get((encoder, method, task, evaluation_set), Calibration({}, {}, []))
                    score = Score("ece", math.nan, results.cells[encoder, method, task], measured.ece)
                    rows.append((evaluation_set, method, *_entries(measured, score)))
                    shown.append(((encoder, method, task), score))
                    key = {"encoder": encoder, "method": method, "task": task, "evaluation_set": evaluation_set}
                    data.append(key | _numbers(measured))
            if rows:
                blocks.append(Block(tuple(rows), title=block_title(encoder, results, task)))
    return Table(
        name="calibration",
        title="Calibration and churn",
        caption=scope(results, "every evaluation set with classes"),
        columns=("Set", "Method", ("ECE", "%"), "Brier", ("Churn", "% of examples")),
        blocks=tuple(blocks),
        align="llrrr",
        notes=(*NOTES, *run_notes(shown)),
        data=tuple(data),
    )


def _entries(measured: Calibration, score: Score) -> list[Entry]:
    """The measures as printed, with a count if not every planned seed ended ok and has an ECE."""
    count = "" if score.sound == score.planned else f"{score.sound}/{score.planned}"
    return [
        mean_entry([SCALES[name] * value for value in values], DECIMALS[name], count=count)
        for name, values in _values(measured).items()
    ]


def _values(measured: Calibration) -> dict[str, list[float]]:
    """Measure -> a value per seed or, for churn, per pair of seeds."""
    return {"ece": [*measured.ece.values()], "brier": [*measured.brier.values()], "churn": measured.churn}


def _numbers(measured: Calibration) -> dict[str, object]:
    row: dict[str, object] = {"seeds": len(measured.ece)}
    for name, values in _values(measured).items():
        row[name] = statistics.fmean(values) if values else math.nan
        row[f"{name}_std"] = statistics.stdev(values) if len(values) > 1 else math.nan
    return row

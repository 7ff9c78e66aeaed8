"""What trained models do on sets that they were not trained on, and how much of that is chance."""

import math
import statistics
from collections.abc import Sequence

from steadytune.rendering.entries import (
    BOLD,
    MAJORITY,
    SPREAD,
    data_notes,
    leaders,
    numbers,
    scope,
    scored,
    status_notes,
)
from steadytune.rendering.results import Results
from steadytune.rendering.scores import Score, mean_over, metric_name, paired
from steadytune.rendering.table import NOTHING, Block, Entry, Line, Table, number
from steadytune.rendering.tables.registry import table

MEAN = "mean"
"""Stands for the mean over the sets where the name of one would."""
LEAST_MARGIN = 1.0
"""Points above the majority class that a seed must have in domain, for a share of them to mean anything (ours)."""

DROP = "Drop: in domain minus out of domain, seed by seed, in points; a dash where the two have different metrics."
RETAINED = (
    "Retained: the score above the majority class out of domain as a share of that in domain, seed by seed, in %; a "
    f"dash where a seed is less than {LEAST_MARGIN:g} point above it in domain. Below 0: worse than the majority class."
)
SUMMARY = (
    "Mean of sets: unweighted, whatever their metrics, for every seed that has a score on all of them; its spread is "
    "that of these means."
)


@table("transfer")
def transfer(results: Results) -> Table:
    """Every method on each set that it was not trained on, beside its own task; the mean of the sets comes first."""
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    shown: list[tuple[str, Score]] = []
    keys = []
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            sets = results.transfer_sets(encoder, task)
            for name in ([MEAN] if len(sets) > 1 else []) + sets:
                both = _both(results, encoder, task, sets if name == MEAN else [name])
                if both:
                    blocks.append(_block(results, encoder, task, name, both, len(sets)))
                    data += _data({"encoder": encoder, "task": task, "evaluation_set": name}, both)
                if name != MEAN:
                    shown += [(f"{encoder}, {method}, {task} on {name}", far) for method, (_, far) in both.items()]
            keys += [(encoder, task, name) for name in (task, *sets)] if sets else []
    notes = (SPREAD, DROP, RETAINED, SUMMARY, MAJORITY, BOLD, *status_notes(shown), *data_notes(results, keys))
    return Table(
        name="transfer",
        title="Beyond the training task",
        caption=scope(results, "own task and sets never trained on"),
        columns=("Method", "In domain", "Out of domain", "Drop", ("Retained", "% above majority")),
        blocks=tuple(blocks),
        notes=notes if blocks else ("This suite names no other evaluation sets.",),
        data=tuple(data),
    )


def retained(own: Score, far: Score) -> list[float]:
    """Score above the majority class out of domain as a share of that in domain, in %, by seed; see `RETAINED`."""
    shares = []
    for seed in sorted(own.points.keys() & far.points.keys()):
        margin = own.points[seed] - own.majority
        if not margin >= LEAST_MARGIN:
            return []
        shares.append(100 * (far.points[seed] - far.majority) / margin)
    return shares


def drops(own: Score, far: Score) -> tuple[float, ...]:
    """In domain minus out of domain in points, by seed; none where the metrics differ."""
    return paired(own, far).differences if own.metric == far.metric else ()


def _both(results: Results, encoder: str, task: str, sets: list[str]) -> dict[str, tuple[Score, Score]]:
    """By method: the score in domain, and that on a set or the mean over several."""
    both = {}
    for method in results.methods_of(encoder):
        own = results.score(encoder, method, task)
        far = [score for name in sets if (score := results.score(encoder, method, task, name))]
        if own and len(far) == len(sets):
            both[method] = own, far[0] if len(far) == 1 else mean_over(far)
    return both


def _block(
    results: Results, encoder: str, task: str, name: str, both: dict[str, tuple[Score, Score]], sets: int
) -> Block:
    """One trained task on one other set, or on the mean of all."""
    best = leaders({method: far.mean for method, (_, far) in both.items() if far.complete})
    rows: list[Line] = []
    for method, (own, far) in both.items():
        lost = _spread(drops(own, far), sign=True)
        rows.append((method, scored(own), scored(far, best=method in best), lost, _spread(retained(own, far))))
    own, far = next(iter(both.values()))
    prefix = f"{encoder}: " if len(results.encoders) > 1 else ""
    metric = f" ({metric_name(far.metric)})" if far.metric else ""
    where = f"mean of {sets} sets{metric}" if name == MEAN else f"tested on {name}{metric}"
    reference = ("majority class", number(own.majority), number(far.majority), NOTHING, NOTHING)
    return Block(tuple(rows), title=f"{prefix}trained on {task}, {where}", reference=(reference,))


def _data(key: dict[str, object], both: dict[str, tuple[Score, Score]]) -> list[dict[str, object]]:
    """The numbers behind a block."""
    rows = []
    for method, (own, far) in both.items():
        row = numbers(key | {"method": method}, far) | {"own_mean": own.mean, "own_std": own.std}
        for name, values in (("drop", drops(own, far)), ("retained", retained(own, far))):
            row |= {name: statistics.fmean(values) if values else math.nan, f"{name}_std": _deviation(values)}
        rows.append(row)
    return rows


def _spread(values: Sequence[float], *, sign: bool = False) -> Entry:
    """Mean and standard deviation as printed."""
    if not values:
        return Entry(NOTHING)
    deviation = _deviation(values)
    return Entry(
        number(statistics.fmean(values), sign=sign), spread=number(deviation) if math.isfinite(deviation) else ""
    )


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan

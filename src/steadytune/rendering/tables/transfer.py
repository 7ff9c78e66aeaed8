"""Scores of fine-tuned models on sets that they were not trained on, compared with their own task."""

import math
import statistics
from collections.abc import Mapping, Sequence

from steadytune.rendering.entries import (
    BOLD,
    MAJORITY,
    SPREAD,
    block_title,
    contenders,
    leaders,
    mean_entry,
    numbers,
    scope,
    scored,
)
from steadytune.rendering.run_notes import run_notes
from steadytune.rendering.table import NOTHING, Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results
from steadytune.results.scores import Score, mean_over, metric_name, paired

LEAST_MARGIN = 5.0
"""Smallest in-domain margin over the majority class, in points, at which `retained` is meaningful (our choice)."""

DROP = "Drop: in domain minus out of domain, seed by seed, in points; a dash if their metrics differ."
RETAINED = (
    "Retained: the score above the majority class out of domain as a share of that in domain, seed by seed, in %; a "
    f"dash if a seed is less than {LEAST_MARGIN:g} points above it in domain, or if the metrics differ. Below 0: worse "
    "than the majority class."
)
NO_SETS = "This suite names no other evaluation sets."
SUMMARY = (
    "Mean of sets: unweighted, even across metrics, for every seed that has a score on all of them; its spread is "
    "that of these means."
)


@table("transfer", empty=NO_SETS)
def transfer(results: Results) -> Table:
    """Every method's score on its own task, and its mean over the sets that it was not trained on."""
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    for encoder, task, sets in trained_pairs(results):
        if both := both_scores(results, encoder, task, sets):
            blocks.append(_block(results, encoder, task, sets, both))
            data += data_rows({"encoder": encoder, "task": task, "sets": " ".join(sets)}, both)
    return Table(
        name="transfer",
        title="Beyond the training task",
        caption=scope(results, "own task and the mean of the sets never trained on"),
        columns=("Method", "In domain", "Out of domain", "Drop", ("Retained", "% above majority")),
        blocks=tuple(blocks),
        notes=(SPREAD, DROP, RETAINED, SUMMARY, MAJORITY, BOLD, *notes_on_runs(results)),
        data=tuple(data),
    )


def trained_pairs(results: Results) -> list[tuple[str, str, list[str]]]:
    """(encoder, task, other evaluation sets) for every pair that has such sets."""
    pairs = [(encoder, task) for encoder in results.encoders for task in results.tasks_of(encoder)]
    return [(*pair, sets) for pair in pairs if (sets := results.transfer_sets(*pair))]


def notes_on_runs(results: Results) -> list[str]:
    """Notes on the runs behind every set's score."""
    shown = [
        ((encoder, method, task), score)
        for encoder, task, sets in trained_pairs(results)
        for name in sets
        for method in results.methods_of(encoder)
        if (score := results.score(encoder, method, task, name))
    ]
    return run_notes(shown)


def retained(own: Score, far: Score) -> list[float]:
    """Margin over the majority class out of domain, as a percentage of that in domain, by seed; see `RETAINED`."""
    if own.metric != far.metric:
        return []
    shares = []
    for seed in sorted(own.points.keys() & far.points.keys()):
        margin = own.points[seed] - own.majority
        if not margin >= LEAST_MARGIN:
            return []
        shares.append(100 * (far.points[seed] - far.majority) / margin)
    return shares


def drops(own: Score, far: Score) -> tuple[float, ...]:
    """In domain minus out of domain in points, by seed; empty if the metrics differ."""
    return paired(own, far).differences if own.metric == far.metric else ()


def both_scores(results: Results, encoder: str, task: str, sets: list[str]) -> dict[str, tuple[Score, Score]]:
    """Method -> its score in domain and its mean over `sets`, for methods that have a score on all of them."""
    both = {}
    for method in results.methods_of(encoder):
        own = results.score(encoder, method, task)
        far = [score for name in sets if (score := results.score(encoder, method, task, name))]
        if own and len(far) == len(sets):
            both[method] = own, far[0] if len(far) == 1 else mean_over(far)
    return both


def _block(results: Results, encoder: str, task: str, sets: list[str], both: dict[str, tuple[Score, Score]]) -> Block:
    """The block of one training task."""
    best = leaders(contenders(results, encoder, task, {method: far for method, (_, far) in both.items()}))
    rows: list[Line] = []
    for method, (own, far) in both.items():
        drop = mean_entry(drops(own, far), sign=True)
        rows.append((method, scored(own), scored(far, best=method in best), drop, mean_entry(retained(own, far))))
    own, far = next(iter(both.values()))
    metric = f" ({metric_name(far.metric)})" if far.metric else ""
    where = f"mean of {len(sets)} sets{metric}" if len(sets) > 1 else f"tested on {sets[0]}{metric}"
    reference = ("majority class", number(own.majority), number(far.majority), NOTHING, NOTHING)
    return Block(tuple(rows), title=f"{block_title(encoder, results, task)}, {where}", reference=(reference,))


def data_rows(key: Mapping[str, object], both: dict[str, tuple[Score, Score]]) -> list[dict[str, object]]:
    """The numbers behind a block."""
    rows = []
    for method, (own, far) in both.items():
        row = numbers({**key, "method": method}, far) | {"own_mean": own.mean, "own_std": own.std}
        for name, values in (("drop", drops(own, far)), ("retained", retained(own, far))):
            row |= {name: statistics.fmean(values) if values else math.nan, f"{name}_std": _deviation(values)}
        rows.append(row)
    return rows


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else math.nan

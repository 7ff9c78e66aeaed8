"""Scores of fine-tuned models on each set that they were not trained on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from steadytune.claims.published import load_published
from steadytune.rendering.entries import (
    BOLD,
    MAJORITY,
    SPREAD,
    block_title,
    contenders,
    data_notes,
    leaders,
    majority_of,
    scope,
    scored,
    set_line,
)
from steadytune.rendering.table import NOTHING, Block, Line, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.rendering.tables.transfer import NO_SETS, both_scores, data_rows, notes_on_runs, trained_pairs
from steadytune.results.model import Key, Results
from steadytune.results.scores import Score, metric_name
from steadytune.text import listed

GLUE_X = ("GLUE-X", "recorded")
PRINTED = (
    "GLUE-X: plain fine-tuning by Yang et al. (2023), from the authors' recorded results: one run, on all rows of each "
    "set's splits, and so not on the rows that are scored here."
)
MOST_COLUMNS = 8
"""Most methods that are columns of the table of sets; more are rows."""
SETS_ACROSS = 6
"""Most other sets in a row of that table."""

Scores = Mapping[str, Mapping[str, Score]]
"""Evaluation set -> method -> score; the first set is that of the training task."""


@table("transfer-sets", empty=NO_SETS)
def transfer_sets(results: Results) -> Table:
    """Scores set by set: a row for each set, starting with the task's own, and a column for each method.

    Many methods are rows instead. Of many methods, those without any score are left out.
    """
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    keys: list[Key] = []
    methods, left_out = _shown_methods(results)
    printed = _printed(results)
    arranged = _sets_in_rows if len(methods) <= MOST_COLUMNS else _methods_in_rows
    for encoder, task, sets in trained_pairs(results):
        names = (task, *sets)
        scores = {name: {m: s for m in methods if (s := results.score(encoder, m, task, name))} for name in names}
        theirs = {name: number(printed.get((encoder, task, name), math.nan)) for name in names if printed}
        blocks += arranged(results, (encoder, task), scores, methods, theirs)
        keys += [(encoder, task, name) for name in names]
        for name in sets:
            key = {"encoder": encoder, "task": task, "evaluation_set": name}
            data += data_rows(key, both_scores(results, encoder, task, [name]))
    columns: tuple[str | tuple[str, str], ...] = ("Set", "Metric", "Majority", *methods, *([GLUE_X] if printed else []))
    if arranged is _methods_in_rows:
        width = max((len(line) for block in blocks for line in block.rows), default=3)
        columns = ("Method", "In domain", "Out of domain", *[""] * (width - 3))
        blocks = [_padded(block, width) for block in blocks]
    return Table(
        name="transfer-sets",
        title="Set by set",
        caption=scope(results, "each set that a model was not trained on, and its own"),
        columns=columns,
        blocks=tuple(blocks),
        align="llr" + "r" * (len(columns) - 3) if arranged is _sets_in_rows else "",
        notes=(
            SPREAD,
            MAJORITY,
            BOLD,
            *([PRINTED] if printed else []),
            *([f"Left out, because none of their runs has a score here: {listed(left_out)}."] if left_out else []),
            *notes_on_runs(results),
            *data_notes(results, keys),
        ),
        data=tuple(data),
    )


def _shown_methods(results: Results) -> tuple[list[str], list[str]]:
    """The methods of the table of sets and, if there are many, those left out because they have no score in it."""
    scores = [(key[1], score) for key, score in results.scores.items() if results.transfer_sets(key[0], key[2])]
    planned, with_score = {method for method, _ in scores}, {method for method, score in scores if score.points}
    if len(planned) <= MOST_COLUMNS or not with_score:
        with_score = planned
    ordered = [method for method in results.methods if method in planned]
    return [m for m in ordered if m in with_score], [m for m in ordered if m not in with_score]


def _sets_in_rows(
    results: Results, trained: tuple[str, str], scores: Scores, methods: Sequence[str], printed: Mapping[str, str]
) -> list[Block]:
    """A block with a row for each set. printed: what GLUE-X prints on each set; empty if there is no such column."""
    lines: list[Line] = []
    for name, found in scores.items():
        line = set_line(results, trained, (name, _metric(found)), found, methods)
        lines.append((*line, printed[name]) if printed else line)
    return [Block(tuple(lines), title=block_title(trained[0], results, trained[1]))]


def _methods_in_rows(
    results: Results, trained: tuple[str, str], scores: Scores, methods: Sequence[str], printed: Mapping[str, str]
) -> list[Block]:
    """Blocks with a row for each method, each with up to `SETS_ACROSS` sets next to the task's own."""
    own, *others = scores
    blocks = []
    for at in range(0, len(others), SETS_ACROSS):
        names = [own, *others[at : at + SETS_ACROSS]]
        best = {name: leaders(contenders(results, *trained, scores[name])) for name in names}
        rows: list[Line] = [("Set", *names), ("Metric", *(_metric(scores[name]) for name in names))]
        rows += [
            (method, *(scored(scores[name].get(method), best=method in best[name]) for name in names))
            for method in methods
            if method in scores[own]
        ]
        reference: list[Line] = [("majority class", *(majority_of(scores[name]) for name in names))]
        reference += [(" ".join(GLUE_X), *(printed[name] for name in names))] if printed else []
        blocks.append(Block(tuple(rows), block_title(trained[0], results, trained[1]), tuple(reference)))
    return blocks


def _padded(block: Block, width: int) -> Block:
    """The block with empty entries at the end of lines with fewer than `width`."""
    rows, reference = (
        tuple((*line, *[""] * (width - len(line))) for line in lines) for lines in (block.rows, block.reference)
    )
    return replace(block, rows=rows, reference=reference)


def _metric(found: Mapping[str, Score]) -> str:
    return next((metric_name(score.metric) for score in found.values()), NOTHING)


def _printed(results: Results) -> dict[tuple[str, str, str], float]:
    """(encoder, task, set) -> what GLUE-X's authors recorded for the same weights, task, set and metric."""
    found = {(row.model, row.row, row.task, row.metric): float(row.mean) for row in load_published("glue_x")}
    scores = ((key, score.metric) for key, score in results.scores.items() if key[0] in results.suite.models)
    return {
        (encoder, task, name): found[printed]
        for (encoder, _, task, name), metric in scores
        if (printed := (results.suite.models[encoder], task, name, metric)) in found
    }

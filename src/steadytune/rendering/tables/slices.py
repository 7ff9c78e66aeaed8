"""Accuracy on parts of adversarial sets: the heuristics and subcases of HANS, the constructions of AdvGLUE."""

from collections.abc import Iterable, Sequence

from steadytune.rendering.entries import (
    BOLD,
    SPREAD,
    block_title,
    contenders,
    leaders,
    numbers,
    scope,
    scored,
)
from steadytune.rendering.run_notes import run_notes
from steadytune.rendering.table import Block, Line, Table
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Key, Results
from steadytune.results.predictions import ALL, Slice, Slices, load_slices
from steadytune.results.scores import Score

GOLD = (
    "The heuristics always predict entailment: a model that follows one is right if that is the gold label, and "
    "wrong otherwise."
)


EMPTY = "No cell of this suite has predictions on such a set."


@table("hans", reads_predictions=True, empty=EMPTY)
def hans(results: Results) -> Table:
    """Accuracy by heuristic and by subcase, separately for each gold label."""
    return _table(
        results,
        name="hans",
        title="HANS, by heuristic and subcase",
        columns=("heuristic", "subcase"),
        caption=scope(results, "accuracy where word overlap misleads"),
        note=GOLD,
        by_gold=True,
    )


@table("advglue", reads_predictions=True, empty=EMPTY)
def advglue(results: Results) -> Table:
    """Accuracy by how an adversarial example was made: a word changed, the sentence changed, written by a person."""
    return _table(
        results,
        name="advglue",
        title="AdvGLUE, by construction",
        columns=("data_construction",),
        caption=scope(results, "accuracy on adversarial examples by how they were made"),
        note="In a small slice, one example can change accuracy by several points.",
        by_gold=False,
    )


def _table(
    results: Results, *, name: str, title: str, columns: Sequence[str], caption: str, note: str, by_gold: bool
) -> Table:
    """A block for each trained task, evaluation set and column; a row for each slice, a column for each method."""
    slices = load_slices(results)
    blocks: list[Block] = []
    data: list[dict[str, object]] = []
    shown: list[tuple[Key, Score]] = []
    for encoder in results.encoders:
        for task in results.tasks_of(encoder):
            for column in columns:
                for evaluation_set, found in slices.of(column).items():
                    rows = _rows(results, slices, (encoder, task), _chosen(found, by_gold=by_gold))
                    if not rows:
                        continue
                    blocks.append(_block(results, (encoder, task), evaluation_set, column, rows))
                    for part, scores in rows:
                        for method, score in scores.items():
                            data.append(_numbers((encoder, method, task), part, score))
                            shown.append(((encoder, method, task), score))
    return Table(
        name=name,
        title=title,
        caption=caption,
        columns=("Slice", "Gold", "n", *results.methods),
        blocks=tuple(blocks),
        align="ll" + "r" * (1 + len(results.methods)),
        notes=(SPREAD, note, BOLD, *run_notes(shown)),
        data=tuple(data),
    )


def _chosen(slices: Iterable[Slice], *, by_gold: bool) -> list[Slice]:
    """The slices with a single gold label if `by_gold`, else the slices with all gold labels."""
    return [part for part in slices if (part.gold != ALL) == by_gold]


Row = tuple[Slice, dict[str, Score]]


def _rows(results: Results, slices: Slices, trained: tuple[str, str], parts: Iterable[Slice]) -> list[Row]:
    """The scores of every method of (encoder, task) on each slice; slices without scores are left out."""
    encoder, task = trained
    rows = []
    for part in parts:
        scores = slices.scores[part]
        found = {m: scores[encoder, m, task] for m in results.methods_of(encoder) if (encoder, m, task) in scores}
        if found:
            rows.append((part, found))
    return rows


def _block(results: Results, trained: tuple[str, str], evaluation_set: str, column: str, rows: list[Row]) -> Block:
    encoder, task = trained
    lines: list[Line] = []
    # One answer for every example is right on all examples of a gold label: the whole set shows what it is worth.
    whole = {method: results.score(encoder, method, task, evaluation_set) for method in results.methods}
    above = contenders(results, encoder, task, whole)
    for part, scores in rows:
        candidates = contenders(results, encoder, task, scores)
        best = leaders({method: mean for method, mean in candidates.items() if method in above})
        entries = [scored(scores.get(method), best=method in best) for method in results.methods]
        lines.append((part.value, part.gold.replace("_", " ") or "all", part.n, *entries))
    by = column.removeprefix("data_").replace("_", " ")
    return Block(tuple(lines), title=f"{block_title(encoder, results, task)}, {evaluation_set} by {by}")


def _numbers(key: tuple[str, str, str], part: Slice, score: Score) -> dict[str, object]:
    """The csv row of a slice."""
    names = dict(zip(("encoder", "method", "task"), key, strict=True))
    return numbers({**names, **part._asdict()}, score)

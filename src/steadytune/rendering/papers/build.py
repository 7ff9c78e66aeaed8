"""A paper's table from its layout: the printed numbers, a suite's numbers, and the differences."""

import math
import re

from steadytune.claims.published import load_inconsistencies
from steadytune.rendering.entries import COUNTS
from steadytune.rendering.papers.filled import ABSENT, Filled, Place
from steadytune.rendering.papers.layout import Average, Column, Layout, Row
from steadytune.rendering.run_notes import status_notes
from steadytune.rendering.table import NOTHING, Block, Entry, Line, Table, number
from steadytune.results.model import Results
from steadytune.results.scores import metric_name
from steadytune.results.selection import RULES
from steadytune.tasks.table import find_task

PAPERS = {
    "hype": "HyPe (arXiv 2212.08853)",
    "lnsr": "LNSR (arXiv 2107.04835, 2206.05658)",
    "variability": "Hidden-state variability (arXiv 2210.10041)",
}
METRICS = {"pearson_spearman_avg": "pearson_spearman"}
"""Metric names in `published/` that differ from ours."""
DECIMALS = 2
"""The number of decimals that the papers print."""

LINES = (
    "Three lines a method: as the paper prints it, mean ± its deviation (which one it does not say); ours, mean ± "
    "sample standard deviation (divisor n − 1) over seeds; ours minus the paper's. In points (metric × 100)."
)
ALONE = "Mean ± sample standard deviation (divisor n − 1) over seeds, in points (metric × 100); none for one seed."
SEEDS = "Seeds: for our line, cells that ended ok out of all planned ones; for the paper, seeds per score."
NOT_RUN = "Not run: planned cells without a record that counts."
NOT_PLANNED = f"{NOTHING} in our line: this suite plans no such cell, or an average lacks a score."


def build(layout: Layout, results: Results) -> Table:
    """The table `layout` of a suite's results, which have every variant of a grid as a method."""
    filled = Filled(layout, results)
    columns = layout.columns_of(layout.groups[0])
    found, planned = (
        sum(test(place) for place in filled.scores)
        for test in (lambda place: math.isfinite(place.mean), lambda place: bool(place.statuses))
    )
    blocks = [
        Block(tuple(line for row, places in rows for line in _lines(filled, row, places)), title=group.title)
        for group, rows in filled.lines
    ]
    of = [""] if filled.compared else []
    return Table(
        name=layout.name,
        title=layout.title,
        caption=f"{PAPERS[layout.paper]}, {layout.where}: {len(filled.scores)} scores, {planned} of them planned by "
        f"this suite, {found} found.",
        columns=("Method", *of, *(_heading(layout, column) for column in columns), "Seeds"),
        blocks=tuple(blocks),
        align="l" * (1 + len(of)) + "r" * (len(columns) + 1),
        notes=_notes(filled),
        data=tuple(_data(filled, place) for place in filled.places),
    )


def _heading(layout: Layout, column: Column | Average) -> tuple[str, str]:
    """A column's task and metric."""
    if isinstance(column, Average):
        return column.heading, ""
    if layout.two_labels or not column.task:
        return column.heading or column.printed, "accuracy" if layout.two_labels else ""
    return column.heading or column.printed, metric_name(_metric(column))


def _metric(column: Column) -> str:
    from steadytune.evaluation.transfer import headline_metric

    return headline_metric(find_task(column.task), find_task(column.set))


def _lines(filled: Filled, row: Row, places: tuple[Place, ...]) -> list[Line]:
    """A method's lines: paper, ours and difference, or ours alone if no printed numbers are known."""
    statuses = [status for place in places for status in place.statuses]
    seeds = f"{statuses.count('ok')}/{len(statuses)}" if statuses else NOTHING
    ours = (*map(_ours, places), seeds)
    if not filled.compared:
        return [(row.printed, *ours)]
    counts = sorted({place.printed.seeds for place in places if place.printed and place.printed.seeds})
    behind = " or ".join(f"{count} each" for count in counts) or NOTHING
    differences = [number(place.difference, DECIMALS, sign=True) for place in places]
    return [
        (row.printed, "paper", *map(_as_printed, places), behind),
        ("", "ours", *ours),
        ("", "difference", *differences, ""),
    ]


def _as_printed(place: Place) -> Entry:
    if place.printed is None:
        return Entry(NOTHING)
    return Entry(str(place.printed.mean), spread=str(place.printed.std) if place.printed.std is not None else "")


def _ours(place: Place) -> Entry:
    """Our number as printed. Except for an average, it has a count unless every planned seed ended ok."""
    if isinstance(place.column, Average):
        return Entry(number(place.mean, DECIMALS))
    if not place.statuses:
        return Entry(NOTHING)
    ok = place.statuses.count("ok")
    count = "" if ok == len(place.statuses) else f"{ok}/{len(place.statuses)}"
    if place.score is None or not place.score.points:
        return Entry("not run" if place.not_run else "no score", count=count)
    spread = number(place.score.std, DECIMALS) if len(place.score.points) > 1 else ""
    return Entry(number(place.mean, DECIMALS), spread=spread, count=count)


def _notes(filled: Filled) -> tuple[str, ...]:
    layout, scores = filled.layout, filled.scores
    notes = [LINES if filled.compared else ALONE, SEEDS, *layout.notes]
    if any(place.not_run for place in scores):
        notes.append(NOT_RUN)
    if not all(place.statuses for place in scores):
        notes.append(NOT_PLANNED)
    notes += _ends(scores) + _other_metrics(scores)
    if any(place.choices > 1 for place in scores):
        rule = RULES[filled.results.rule]
        notes.append(f"Ours, if a suite has a grid of a method's settings: {rule}. The csv names the variant.")
    return (*notes, *_inconsistencies(layout))


def _ends(scores: list[Place]) -> list[str]:
    """Notes on every recorded seed that did not end ok."""
    shown = [
        ((place.group.encoder, place.row.printed, place.column.printed), place.score)
        for place in scores
        if place.score and not place.not_run
    ]
    notes = [note for note in status_notes(shown) if not note.lower().startswith(tuple(ABSENT))]
    return notes or ([COUNTS] if any(place.not_run for place in scores) else [])


def _other_metrics(scores: list[Place]) -> list[str]:
    """A note on places with different metrics in the paper and here, whose difference means little."""
    found = {}
    for place in scores:
        if place.printed and place.score:
            printed = METRICS.get(place.printed.metric, place.printed.metric)
            if printed != place.score.metric:
                name = f"{place.row.printed} on {place.column.printed}"
                found[name] = f"{printed.replace('_', ' ')} against our {metric_name(place.score.metric)}"
    return [f"Other metrics: {'; '.join(f'{name}, {metrics}' for name, metrics in found.items())}."] if found else []


def _inconsistencies(layout: Layout) -> list[str]:
    """Notes on known inconsistencies of the paper's table."""
    notes = []
    for entry in load_inconsistencies():
        in_table = "Table" in entry["where"] and layout.number in re.findall(r"\d+", entry["where"])
        about = entry.get("of", {}).get("table") == layout.number
        if (entry["paper"] == layout.paper and (in_table or about)) or entry["id"] in layout.inconsistencies:
            notes.append(f"Known of the paper ({entry['where']}): {entry['says']}")
    return notes


def _data(filled: Filled, place: Place) -> dict[str, object]:
    """The csv row of a place."""
    column, printed, score = place.column, place.printed, place.score
    own = isinstance(column, Column)
    return {
        "paper": filled.layout.paper,
        "table": filled.layout.number,
        "group": place.group.title,
        "encoder": place.group.encoder,
        "row": place.row.printed,
        "column": column.printed,
        "method": place.row.method,
        "variant": place.variant if place.statuses else "",
        "task": column.task if own else "",
        "evaluation_set": column.set if own else "",
        "metric": score.metric if score else "",
        "published_metric": printed.metric if printed else "",
        "published_mean": float(printed.mean) if printed else math.nan,
        "published_std": float(printed.std) if printed and printed.std is not None else math.nan,
        "published_seeds": printed.seeds or "" if printed else "",
        "mean": place.mean,
        "std": score.std if score else math.nan,
        "n_planned": len(place.statuses) if own else "",
        "n_ok": place.statuses.count("ok") if own else "",
        "n_scored": (len(score.points) if score else 0) if own else "",
        "difference": place.difference,
    }

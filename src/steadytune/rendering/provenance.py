"""How the report's numbers were produced: unfinished cells, inputs, environment, cost and commands."""

import csv
import io
import math
import shlex
import statistics
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from steadytune.layout import RECORDED, RESULTS, model_folder, record_path
from steadytune.rendering.formats import csv_field
from steadytune.rendering.table import NOTHING, number
from steadytune.rendering.web import Listing
from steadytune.results.costs import total
from steadytune.results.model import Key, Results
from steadytune.results.scores import Score, in_order
from steadytune.staged import RECEIPT
from steadytune.text import counted

FEW_CELLS = 12
"""Up to this many cells, the report shows their list unfolded."""

PINNED_LATER = {
    "stage": "Pinned by their first download only, not by the lock",
    "commit": "The lock has their commit; missing hashes are those of the first download",
    "import": "Pinned by what was imported only, not by the lock",
    "bundle": "From a bundle: only its maker vouches for them",
}
"""What pins the inputs that the lock does not pin, or pins only in part."""


class CellRow(NamedTuple):
    """A planned cell and how it ended."""

    name: str
    task: str
    seed: int
    status: str
    resumed: bool
    reason: str
    score: str
    seconds: str
    record: str
    """The record's path, which is the Snakemake target for training the cell again."""


class Group(NamedTuple):
    """The cells of one encoder and method."""

    name: str
    ends: str
    rows: list[CellRow]


def gaps(results: Results) -> list[str]:
    """Sentences on the pinning of inputs, on reasons to doubt the records, and on the analysis plan."""
    records = [record for record in _records(results) if record]
    return [*_unpinned(records), *_doubts(records), *_planned(records, results.suite.analysis_plan)]


def unfinished(results: Results) -> list[CellRow]:
    """Every cell that did not end ok."""
    return [row for _, rows in _rows(results) for row in rows if row.status != "ok"]


def cells(results: Results) -> list[Group]:
    """Every planned cell, by encoder and method."""
    groups: dict[str, list[CellRow]] = {}
    for (encoder, method, _), rows in _rows(results):
        groups.setdefault(f"{encoder} / {method}", []).extend(rows)
    made = []
    for name, rows in groups.items():
        ends = Counter(row.status for row in rows)
        counts = ", ".join(f"{ends[status]} {status.replace('_', ' ')}" for status in in_order(ends))
        made.append(Group(name, counts, rows))
    return made


def cells_csv(groups: list[Group]) -> str:
    """All cells as csv, one per line."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(CellRow._fields)
    writer.writerows([csv_field(value) for value in row] for group in groups for row in group.rows)
    return output.getvalue()


def commands(results: Results) -> list[tuple[str, str]]:
    """(purpose, command line) for the whole suite and for one cell; for a recorded suite, preparations come first."""
    suite = results.suite.argument or results.name
    return [
        *(_preparations(results, suite) if results.suite.recorded else []),
        ("Run the whole suite; finished cells stay", f"steadytune run {suite}"),
        ("Show which cells are fresh, missing or stale, and why", f"steadytune status {suite}"),
        ("Train two recorded cells again and compare", f"steadytune verify {suite} --sample 2"),
        ("Show the verdicts and what they still need", f"steadytune claims {suite}"),
        ("Train one cell again; RECORD is its path, listed below", f"steadytune run {suite} -- --force RECORD"),
    ]


def whence(results: Results) -> str:
    """A sentence on where the commands work."""
    if results.suite.recorded:
        folder = RECORDED / results.name
        return f"In the folder that holds {folder}, such as a clone of the project."
    return "From the same folder, in the same environment."


def _place(results: Results) -> Path:
    """The folder of the results for whoever reads the report; those of recorded suites are in it once restored."""
    return RESULTS / results.name if results.suite.recorded else results.folder


def environment(results: Results) -> Listing:
    """Where the cells ran: one value if all agree, otherwise every value with its number of cells."""
    records = [record for record in _records(results) if record]
    keys = dict.fromkeys(key for record in records for key in record.get("environment", {}))
    rows = []
    for key in keys:
        values = Counter(_as_text(record.get("environment", {}).get(key)) for record in records)
        text = "; ".join(
            f"{value} ({counted(count, 'cell')})" if len(values) > 1 else value
            for value, count in sorted(values.items())
        )
        rows.append((key.replace("_", " "), text))
    return Listing("Environment", ("What", "Value"), tuple(rows), "lw")


def totals(results: Results) -> Listing:
    """Time and memory of the suite's cells; no rows if none has run."""
    seconds = [value for value in results.seconds.values() if math.isfinite(value)]
    rows = []
    if seconds:
        found = total(record for record in _records(results) if record)
        rows = [
            ("time of all cells, summed", f"{number(found.seconds('total') / 60)} minutes"),
            ("of one cell, median", f"{number(statistics.median(seconds))} seconds"),
            ("of one cell, longest", f"{number(max(seconds))} seconds"),
        ]
        rows += [(f"peak memory, {place}", f"{number(size / 2**20, 0)} MiB") for place, size in found.memory.items()]
    return Listing("Time and memory", ("What", "Value"), tuple(rows), "lr")


def inputs(results: Results) -> Listing:
    """Every data set and encoder that a cell read: where it came from and what pins it."""
    fields = ("key", "kind", "source", "revision", "pinned_by", "digest")
    found = {
        tuple(_as_text(item.get(field)) for field in fields) for r in _records(results) for item in r.get("inputs", ())
    }
    head = ("Key", "Kind", "Source", "Revision", "Pinned by", "SHA-256")
    return Listing("Inputs", head, tuple(sorted(found)), "klwklk")


def _preparations(results: Results, suite: str) -> list[tuple[str, str]]:
    """The commands that give the reader of a recorded suite what the others need."""
    inputs = [item for record in _records(results) for item in record.get("inputs", ())]
    made = sorted({item["key"] for item in inputs if (item["kind"], item["source"]) == ("models", "pretrained")})
    receipts = shlex.join((model_folder(results.suite.store, key) / RECEIPT).as_posix() for key in made)
    pretrain = ("Pretrain the encoders that the project makes", f"steadytune run {suite} -- {receipts}")
    restore = f"Restore the recorded cells to {_place(results)}, over any that are there"
    return [
        ("Stage its data and encoders", f"steadytune stage {suite}"),
        *([pretrain] if made else []),
        (restore, f"steadytune record {suite} --restore"),
    ]


def _unpinned(records: list[dict[str, Any]]) -> list[str]:
    """A sentence for each way of pinning inputs other than the lock, or one saying that the lock pins them all."""
    keys: dict[str, set[str]] = {}
    for item in (item for record in records for item in record.get("inputs", ())):
        keys.setdefault(item["pinned_by"], set()).add(item["key"])
    count = len(set().union(*keys.values()))
    unlocked = [f"{text}: {', '.join(sorted(keys[by]))}." for by, text in PINNED_LATER.items() if by in keys]
    return unlocked or (
        [f"All inputs ({count}) are pinned by the lock or made here from what it pins."] if count else []
    )


def _doubts(records: list[dict[str, Any]]) -> list[str]:
    """Sentences on uncommitted code, several versions of the code, and interrupted cells."""
    environments = [record.get("environment", {}) for record in records]
    dirty = sum(bool(found.get("git_dirty")) for found in environments)
    commits = {found.get("git_commit") for found in environments}
    resumed = sum(bool((record.get("training") or {}).get("resumed")) for record in records)
    return [
        sentence
        for holds, sentence in (
            (dirty, f"{dirty} of {len(records)} records come from code with uncommitted changes."),
            (len(commits) > 1, f"The records come from {len(commits)} commits: see steadytune status."),
            (resumed, f"{resumed} of {len(records)} cells were interrupted and resumed from a checkpoint."),
        )
        if holds
    ]


def _planned(records: list[dict[str, Any]], now: str | None) -> list[str]:
    """A sentence on the analysis plans that the cells ran under, if any, and whether the plan has changed since."""
    plans = Counter(record.get("analysis_plan") for record in records)
    texts = "; ".join(f"{text} ({counted(count, 'cell')})" for text, count in plans.most_common() if text)
    if not texts:
        return []
    without = f"; {counted(plans[None], 'cell')} ran without one" if plans[None] else ""
    changed = "the document has changed since" if now else "the suite no longer names a plan"
    changed = "" if now and now in plans else f"; {changed}"
    return [f"SHA-256 of the analysis plan when the cells ran: {texts}{without}{changed}."]


def _rows(results: Results) -> list[tuple[Key, list[CellRow]]]:
    """Every planned cell, by encoder, method and task."""
    found = []
    for key, statuses in results.planned():
        score = results.score(*key)
        found.append((key, [_row(results, (*key, seed), status, score) for seed, status in statuses.items()]))
    return found


def _row(results: Results, cell: tuple[str, str, str, int], status: str, score: Score | None) -> CellRow:
    encoder, method, task, seed = cell
    record = results.record(*cell)
    return CellRow(
        name=f"{encoder}/{method}/{task}/seed-{seed}",
        task=task,
        seed=seed,
        status=status,
        resumed=bool((record.get("training") or {}).get("resumed")),
        reason=str(record.get("reason") or ""),
        score=number(score.points.get(seed, math.nan) if score else math.nan),
        seconds=number(results.seconds.get(cell, math.nan)),
        record=shlex.quote(record_path(_place(results), results.cell(*cell)).as_posix()),
    )


def _records(results: Results) -> list[dict[str, Any]]:
    """The record of every planned cell; empty if it has none."""
    return [results.record(*key, seed) for key, statuses in results.planned() for seed in statuses]


def _as_text(value: Any) -> str:
    return NOTHING if value is None else str(value)

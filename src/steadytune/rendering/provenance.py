"""The report's pieces on how its numbers came about: what is missing, inputs, environment, cost, commands."""

import html
import math
import shlex
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

from steadytune.layout import record_path
from steadytune.rendering.table import NOTHING, number
from steadytune.rendering.web import code, listing
from steadytune.results.model import Results
from steadytune.results.scores import Score, in_order

CELL_COLUMNS = ("Status", "Score", "Seconds", "Run it again")

FEW_CELLS = 12
"""Up to so many cells their list stands open."""

PINNED_LATER = {"stage": "its first download", "import": "what was imported"}
"""Inputs that the lock does not pin, by what pins them instead."""


def gaps(results: Results) -> str:
    """What is missing, as sentences, and every cell that did not end ok, with its reason and its command."""
    records = [record for record in _records(results) if record]
    sentences = [*_unpinned(records), *_doubts(records)]
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    rows = []
    for (encoder, method, task), statuses in results.planned():
        score = results.score(encoder, method, task)
        for seed, status in statuses.items():
            if status != "ok":
                row = _cell_row(results, (encoder, method, task, seed), status, score)
                rows.append((code(f"{encoder}/{method}/{task}/seed-{seed}"), *row))
    listed = listing("Cells that did not end ok", ("Cell", *CELL_COLUMNS), rows, "llrrl")
    return (f"<ul>{items}</ul>" if items else "") + (f"<h3>Cells that did not end ok</h3>{listed}" if rows else "")


def cells(results: Results) -> str:
    """Every planned cell with its command, folded by encoder and method."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    ends: dict[str, Counter[str]] = {}
    for (encoder, method, task), statuses in results.planned():
        group = f"{encoder} / {method}"
        score = results.score(encoder, method, task)
        for seed, status in statuses.items():
            row = _cell_row(results, (encoder, method, task, seed), status, score)
            groups.setdefault(group, []).append((html.escape(task), str(seed), *row))
            ends.setdefault(group, Counter())[status] += 1
    unfold = " open" if sum(map(len, groups.values())) <= FEW_CELLS else ""
    parts = []
    for group, rows in groups.items():
        counts = ", ".join(f"{ends[group][s]} {s.replace('_', ' ')}" for s in in_order(ends[group]))
        body = listing(f"Cells of {group}", ("Task", "Seed", *CELL_COLUMNS), rows, "lrlrrl")
        title = f"{code(group)}: {counts}"
        parts.append(f"<details{unfold}><summary>{title}</summary>{body}</details>")
    return "".join(parts)


def commands(results: Results) -> str:
    """What runs and judges the suite as a whole."""
    config = results.suite.configfile
    known = config is None or config == Path("config", f"{results.name}.yaml")
    suite = shlex.quote(results.name if known else str(config))
    rows = (
        ("The whole suite; what is there stays", f"snakemake --cores all{_configfile(results)}"),
        ("Which cells are fresh, missing or stale, and why", f"steadytune status {suite}"),
        ("Two recorded cells again, and how closely they agree", f"steadytune verify {suite} --sample 2"),
        ("The verdicts, and what they still need", f"steadytune claims {suite}"),
    )
    items = (f"<li>{html.escape(what)}:<br>{code(line)}</li>" for what, line in rows)
    return f"<ul>{''.join(items)}</ul>"


def command(results: Results, cell: tuple[str, str, str, int]) -> str:
    """The command that runs one cell again."""
    target = shlex.quote(record_path(results.folder, results.cell(*cell)).as_posix())
    return f"snakemake --cores 1 --force{_configfile(results)} -- {target}"


def environment(results: Results) -> str:
    """Where the cells ran: one value where they agree, every value with its cells' number where they do not."""
    records = [record for record in _records(results) if record]
    keys = dict.fromkeys(key for record in records for key in record.get("environment", {}))
    rows = []
    for key in keys:
        values = Counter(_as_text(record.get("environment", {}).get(key)) for record in records)
        text = "; ".join(
            f"{value} ({count} cells)" if len(values) > 1 else value for value, count in sorted(values.items())
        )
        rows.append((html.escape(key.replace("_", " ")), html.escape(text)))
    return listing("Environment", ("What", "Value"), rows, "lw") if rows else ""


def totals(results: Results) -> str:
    """Time and memory of the suite's cells; empty where none has run."""
    seconds = [value for value in results.seconds.values() if math.isfinite(value)]
    if not seconds:
        return ""
    rows = [
        ("time of all cells, summed", f"{number(sum(seconds) / 60)} minutes"),
        ("of one cell, median", f"{number(statistics.median(seconds))} seconds"),
        ("of one cell, longest", f"{number(max(seconds))} seconds"),
    ]
    peaks: dict[str, int] = {}
    for record in _records(results):
        for where, peak in record.get("memory", {}).items():
            peaks[where] = max(peak, peaks.get(where, 0))
    rows += [(f"peak memory, {where}", f"{number(peak / 2**20, 0)} MiB") for where, peak in sorted(peaks.items())]
    return listing("Time and memory", ("What", "Value"), [tuple(map(html.escape, row)) for row in rows], "lr")


def inputs(results: Results) -> str:
    """Every data set and encoder that a cell read: where it came from and what pins it."""
    fields = ("key", "kind", "source", "revision", "pinned_by", "digest")
    found = {
        tuple(_as_text(item.get(field)) for field in fields) for r in _records(results) for item in r.get("inputs", ())
    }
    rows = [
        (code(key), kind, source, code(revision), by, code(digest))
        for key, kind, source, revision, by, digest in sorted(found)
    ]
    head = ("Key", "Kind", "Source", "Revision", "Pinned by", "SHA-256")
    return listing("Inputs", head, rows, "llllll") if rows else ""


def _unpinned(records: list[dict[str, Any]]) -> list[str]:
    """A sentence on the inputs that the lock does not pin, by what does."""
    keys: dict[str, set[str]] = {}
    for item in (item for record in records for item in record.get("inputs", ())):
        keys.setdefault(item["pinned_by"], set()).add(item["key"])
    count = len(set().union(*keys.values()))
    late = [(f"Pinned by {PINNED_LATER[by]} only, not by the lock: {', '.join(sorted(keys[by]))}.")
            for by in PINNED_LATER if by in keys]  # fmt: skip
    return late or ([f"All {count} inputs are pinned: by the lock, or made here from what it pins."] if count else [])


def _doubts(records: list[dict[str, Any]]) -> list[str]:
    """Sentences on records of uncommitted code, of several versions of it, and of interrupted cells."""
    environments = [record.get("environment", {}) for record in records]
    dirty = sum(bool(found.get("git_dirty")) for found in environments)
    commits = {found.get("git_commit") for found in environments}
    resumed = sum(bool((record.get("training") or {}).get("resumed")) for record in records)
    return [
        sentence
        for holds, sentence in (
            (dirty, f"{dirty} of {len(records)} records are of code with changes that no commit has."),
            (len(commits) > 1, f"The records are of {len(commits)} commits; `steadytune status` says which are stale."),
            (resumed, f"{resumed} of {len(records)} cells were interrupted and went on from their last epoch."),
        )
        if holds
    ]


def _cell_row(
    results: Results, cell: tuple[str, str, str, int], status: str, score: Score | None
) -> tuple[str, str, str, str]:
    """Status, score, seconds and command."""
    record = results.record(*cell)
    end = f'<span class="status-{status}">{status.replace("_", " ")}</span>'
    if (record.get("training") or {}).get("resumed"):
        end += " (resumed)"
    if record.get("reason"):
        end += f'<small class="reason">{html.escape(str(record["reason"]))}</small>'
    points = score.points.get(cell[3], math.nan) if score else math.nan
    again = code(command(results, cell))
    return end, number(points), number(results.seconds.get(cell, math.nan)), again


def _configfile(results: Results) -> str:
    config = results.suite.configfile
    return f" --configfile {shlex.quote(str(config))}" if config else ""


def _records(results: Results) -> list[dict[str, Any]]:
    """The records of every planned cell, an empty one where there is none."""
    return [results.record(*key, seed) for key, statuses in results.planned() for seed in statuses]


def _as_text(value: Any) -> str:
    return NOTHING if value is None else str(value)

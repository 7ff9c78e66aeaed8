"""The evidence page: every recorded suite's claims, methods and cells in one static folder that needs no network."""

import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from steadytune.claims.judged import Judged, count_verdicts
from steadytune.errors import SteadyTuneError
from steadytune.exports.evidence import Recorded, read_recorded, recorded_folders
from steadytune.files import write_text
from steadytune.rendering.figures import versions
from steadytune.rendering.learning import nothing_learned
from steadytune.rendering.page import figure_of
from steadytune.rendering.report import build_report
from steadytune.rendering.table import Block, Table, number
from steadytune.rendering.verdicts import Shown, shown
from steadytune.rendering.web import Listing, fill
from steadytune.results.fronts import standings
from steadytune.results.model import Results
from steadytune.results.selection import select
from steadytune.suite.variants import base
from steadytune.text import counted

PAGE, REPORTS = "index.html", "reports"
GENERATOR = '<meta name="generator" content="SteadyTune">'
"""Identifies the pages made from our templates."""
FILTERS = ("suite", "encoder", "method", "task")


class Voice(NamedTuple):
    """One recorded suite's verdict on a claim."""

    suite: str
    encoders: tuple[str, ...]
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    shown: Shown


class CellLine(NamedTuple):
    """One recorded cell."""

    suite: str
    encoder: str
    method: str
    task: str
    seed: int
    status: str
    score: str
    seconds: str


class Methods(NamedTuple):
    """The methods of one suite and encoder."""

    suite: str
    encoder: str
    table: Table


def write_site(folders: list[Path], target: Path) -> Path:
    """Write the evidence page and each suite's full report; return the page's path.

    Args:
        folders: recorded suites, or folders of them.
        target: `index.html` and `reports/<suite>.html` are written there.

    Raises:
        SteadyTuneError: as `read_recorded`, or `target` is a file or holds an `index.html` not written by SteadyTune.
    """
    page = target / PAGE
    if target.exists() and not target.is_dir():
        raise SteadyTuneError(f"{target}: expected a folder, found a file")
    if page.exists() and GENERATOR not in page.read_text(encoding="utf-8", errors="replace"):
        raise SteadyTuneError(f"{page}: not a page of SteadyTune's; expected another folder")
    with tempfile.TemporaryDirectory() as place:
        found = [read_recorded(folder, Path(place)) for folder in recorded_folders(folders)]
        found.sort(key=lambda recorded: -len(cells_of(recorded)))
        for recorded in found:
            build_report(recorded.results, target / REPORTS / f"{recorded.name}.html")
        write_text(page, fill("site.html.j2", **contents(found)))
    return page


def contents(found: list[Recorded]) -> dict[str, object]:
    """Everything the page shows, by the names of the template's variables."""
    cells = [line for recorded in found for line in cells_of(recorded)]
    claims = claims_of(found)
    return {
        "title": "SteadyTune: the evidence",
        "suites": found,
        "claims": claims,
        "verdicts": count_verdicts(voice.shown.claim for voices in claims.values() for voice in voices),
        "methods": [table for recorded in found for table in methods_of(recorded)],
        "plots": [
            (recorded.name, plot)
            for recorded in found
            for version in versions(["score-cost"], recorded.results.suite)
            if (plot := figure_of(version, recorded.results))
        ],
        "cells": cells,
        "arguments": {recorded.name: recorded.results.suite.argument for recorded in found},
        "machines": machines(found),
        "choices": {key: sorted({base(getattr(line, key)) for line in cells}) for key in FILTERS},
        "base": base,
        "grid": f"{counted(len(found), 'recorded suite')}, {counted(len(cells), 'cell')}",
    }


def claims_of(found: list[Recorded]) -> dict[str, list[Voice]]:
    """Verdicts on each claim by claim ID, one per suite that judged it, in the order of `found`."""
    claims: dict[str, list[Voice]] = {}
    for recorded in found:
        for claim in recorded.judged:
            if claim.finding:
                claims.setdefault(claim.id, []).append(_voice(recorded, claim))
    return claims


def _voice(recorded: Recorded, judged: Judged) -> Voice:
    claim, results = recorded.claims[judged.id], recorded.results
    tasks = results.tasks if claim.tasks == "*" else tuple(claim.tasks)
    return Voice(recorded.name, claim.encoders, tuple(map(base, claim.methods)), tasks, shown(judged))


def methods_of(recorded: Recorded) -> list[Methods]:
    """One table per encoder: score, cost and place on the front of every method that ran on all shared tasks."""
    results = select(recorded.results)
    return [
        Methods(recorded.name, encoder, table)
        for encoder in results.encoders
        if (table := _methods(results, encoder)).lines
    ]


def _methods(results: Results, encoder: str) -> Table:
    tasks = results.shared_tasks(encoder)
    rows = []
    for method, standing in standings(results, encoder, tasks).items():
        gain = "" if method == results.baseline else number(standing.gain, sign=True)
        seeds = [len(score.points) for task in tasks if (score := results.score(encoder, method, task))]
        probability = number(100 * standing.on_front, 0)
        rows.append((method, number(standing.score), gain, number(standing.cost, 2), probability, min(seeds)))
    mean = (
        f"Mean over {counted(len(tasks), 'task')} ({', '.join(tasks)}). Score: all recorded seeds. Gain: over "
        f"{results.baseline}, on the seeds that both have."
    )
    return Table(
        name=f"methods-{results.name}-{encoder}",
        title=f"{results.name}, {encoder}",
        caption=" ".join(filter(None, (mean, nothing_learned(results.only(lambda key: key[0] == encoder))))),
        columns=(
            "Method",
            ("Score", "points"),
            ("Gain", "points"),
            ("Cost", "× FLOPs"),
            ("On the front", "probability, %"),
            ("Seeds", "at least"),
        ),
        blocks=(Block(tuple(rows)),) if rows else (),
    )


def cells_of(recorded: Recorded) -> list[CellLine]:
    """Every cell that has a record."""
    results, lines = recorded.results, []
    for (encoder, method, task), statuses in results.planned():
        score = results.score(encoder, method, task)
        for seed, status in statuses.items():
            if status != "missing":
                points = score.points.get(seed, math.nan) if score else math.nan
                seconds = results.seconds.get((encoder, method, task, seed), math.nan)
                lines.append(CellLine(recorded.name, encoder, method, task, seed, status, number(points),
                                      number(seconds)))  # fmt: skip
    return lines


def machines(found: list[Recorded]) -> Listing:
    """Number of cells by suite, who ran them, device and versions."""
    counts: Counter[tuple[str, ...]] = Counter()
    for recorded in found:
        for line in cells_of(recorded):
            record = recorded.results.record(line.encoder, line.method, line.task, line.seed)
            where = record.get("environment", {})
            versions = (f"{name} {where.get(name, '?')}" for name in ("python", "torch", "transformers"))
            counts[recorded.name, recorded.about.by, str(where.get("device_name", "?")), ", ".join(versions)] += 1
    rows = tuple((*key, str(count)) for key, count in sorted(counts.items()))
    return Listing("Machines", ("Suite", "Run by", "Device", "Versions", "Cells"), rows, "llwwr")

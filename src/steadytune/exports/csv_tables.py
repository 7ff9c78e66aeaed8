"""Cells, means over seeds and verdicts as three csv files, numbers in full precision."""

import json
import math
from pathlib import Path

from steadytune.exports.content import Content
from steadytune.exports.spreadsheet import write_csv
from steadytune.files import atomic_folder
from steadytune.suite.suite import Suite

CELLS = ("encoder", "method", "task", "seed", "status", "evaluation_set", "kind", "metric", "headline", "value",
         "majority", "n", "seconds", "model", "settings", "protocol", "streams", "fingerprint")  # fmt: skip
MEANS = ("encoder", "method", "task", "evaluation_set", "kind", "metric", "headline", "mean", "sd", "low", "high",
         "seeds", "planned_seeds", "majority", "n")  # fmt: skip
CLAIMS = ("id", "verdict", "sentence", "source", "statistic", "unit", "effect", "low", "high", "p", "p_adjusted",
          "seeds", "planned_seeds", "reason")  # fmt: skip


def export(suite: Suite, target: Path) -> None:
    """Write `cells.csv`, `means.csv` and, if there are verdicts, `claims.csv` to a new folder."""
    content = Content.load(suite)
    with atomic_folder(target) as folder:
        folder.mkdir()
        write_csv(folder / "cells.csv", CELLS, _cells(content))
        write_csv(folder / "means.csv", MEANS, _means(content))
        if content.claims:
            write_csv(folder / "claims.csv", CLAIMS, _claims(content))


def _cells(content: Content) -> list[tuple[object, ...]]:
    """One line per cell, evaluation set and metric; a cell without scores gets one line with empty fields."""
    lines: list[tuple[object, ...]] = []
    for cell, record in content.records.items():
        settings = {part["name"]: part["settings"] for part in record.spec["parts"]}
        texts = (json.dumps(value) for value in (settings, record.spec["protocol"], record.streams))
        after = (record.timing["total"], record.spec["model"], *texts, record.fingerprint)
        before = (cell.encoder, cell.method, cell.task, cell.seed, record.status)
        scores = [
            (found.set, found.kind, metric, metric == found.headline, value, found.majority[metric], found.n)
            for found in record.evaluations
            for metric, value in found.metrics.items()
        ]
        lines += [(*before, *score, *after) for score in scores or [(None,) * 7]]
    return lines


def _means(content: Content) -> list[tuple[object, ...]]:
    return [
        (found.encoder, found.method, found.task, found.set, found.kind, found.metric, found.headline, found.mean,
         found.sd, *(found.interval or (None, None)), len(found.values), found.planned, found.majority, found.n)
        for found in content.aggregates
    ]  # fmt: skip


def _claims(content: Content) -> list[tuple[object, ...]]:
    lines: list[tuple[object, ...]] = []
    for claim in content.claims:
        finding = claim.finding
        numbers = (finding.effect, *finding.interval, finding.p, finding.p_adjusted) if finding else (math.nan,) * 5
        lines.append((claim.id, claim.verdict, claim.sentence, claim.source, claim.statistic, claim.unit, *numbers,
                      len(claim.seeds), claim.planned, claim.reason))  # fmt: skip
    return lines

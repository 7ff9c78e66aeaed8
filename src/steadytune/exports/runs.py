"""A suite as runs of an experiment tracker: one per cell, one per mean over seeds, and one for the claims."""

import csv
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from steadytune.cells.record import Record
from steadytune.claims.judged import Judged
from steadytune.exports.content import Aggregate, Content
from steadytune.layout import history_path

Value = str | int | float | bool


@dataclass(frozen=True)
class Run:
    """One run of an experiment tracker."""

    name: str
    """`encoder/method/task/seed-n`, the same without a seed for a mean over seeds, or `claims`."""
    group: str
    """`encoder/method/task`, or `claims`."""
    kind: Literal["cell", "mean over seeds", "claims"]
    config: dict[str, Value]
    """Settings by name (`seed`, `protocol/learning_rate`, `hype-n/sigma`, `seed of dropout`), and the environment; a
    mean has those that its seeds share."""
    history: list[dict[str, float]]
    """One entry per epoch, in order; `step` counts the optimiser's steps."""
    summary: dict[str, float]
    """Numbers by name: `rte/accuracy`; for a mean also `rte/accuracy/sd`, `…/low`, `…/high` and `…/seeds`."""
    notes: dict[str, str]
    """Texts by name: a cell's status, or the claims' verdicts and sentences."""


def runs(content: Content) -> Iterator[Run]:
    """Yield every run of a suite, cells first."""
    for cell, record in content.records.items():
        yield Run(str(cell), cell.group, "cell", _config(record), _history(content, record),
                  _scores(record), {"status": record.status})  # fmt: skip
    groups: dict[str, list[Aggregate]] = {}
    for found in content.aggregates:
        groups.setdefault(found.name, []).append(found)
    records: dict[str, list[Record]] = {}
    for cell, record in content.records.items():
        records.setdefault(cell.group, []).append(record)
    for name, scores in groups.items():
        first, *others = map(_config, records[name])
        config = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
        yield Run(name, name, "mean over seeds", config, [], _means(scores), {})
    if content.claims:
        yield _claims(content)


def _config(record: Record) -> dict[str, Value]:
    spec = record.spec
    config: Mapping[str, object] = {
        **{key: spec[key] for key in ("suite", "encoder", "model", "weights", "method", "task", "seed")},
        **{f"{part['name']}/{key}": value for part in spec["parts"] for key, value in part["settings"].items()},
        **{f"protocol/{key}": value for key, value in spec["protocol"].items()},
        **{f"seed of {stream}": seed for stream, seed in record.streams.items()},
        **{f"environment/{key}": value for key, value in vars(record.environment).items()},
        "fingerprint": record.fingerprint,
    }
    return {key: value if isinstance(value, Value) else str(value) for key, value in config.items()}


def _history(content: Content, record: Record) -> list[dict[str, float]]:
    with history_path(content.suite, record.cell).open(encoding="utf-8", newline="") as handle:
        lines = [{key: float(value) for key, value in line.items() if value} for line in csv.DictReader(handle)]
    return [{key: value for key, value in line.items() if math.isfinite(value)} for line in lines]


def _scores(record: Record) -> dict[str, float]:
    scores = {f"{_set(found.set, found.kind)}/{metric}": value
              for found in record.evaluations for metric, value in found.metrics.items()}  # fmt: skip
    known = {name: value for name, value in scores.items() if value is not None}
    costs = {"seconds": record.timing["total"], "host bytes": float(record.memory["host"])}
    return known | costs | ({"training FLOPs": record.training.flops} if record.training else {})


def _means(scores: list[Aggregate]) -> dict[str, float]:
    found: dict[str, float] = {}
    for score in scores:
        name = f"{_set(score.set, score.kind)}/{score.metric}"
        found |= {name: score.mean, f"{name}/seeds": len(score.values), f"{name}/planned seeds": score.planned}
        if score.sd is not None and score.interval:
            found |= {f"{name}/sd": score.sd, f"{name}/low": score.interval[0], f"{name}/high": score.interval[1]}
    return found


def _set(name: str, kind: str) -> str:
    return f"{name} held out" if kind == "held_out" else name


def _claims(content: Content) -> Run:
    numbers, texts = {}, {}
    for claim in content.claims:
        numbers |= {f"{claim.id}/{key}": value for key, value in claim_numbers(claim).items()}
        texts |= {f"{claim.id}/verdict": claim.verdict, f"{claim.id}/sentence": claim.sentence}
    return Run("claims", "claims", "claims", {"suite": content.suite.name}, [], numbers, texts)


def claim_numbers(claim: Judged) -> dict[str, float]:
    """The finite numbers of a verdict by name; empty if the claim was not evaluated."""
    if claim.finding is None:
        return {}
    (low, high), found = claim.finding.interval, claim.finding
    numbers = {"effect": found.effect, "low": low, "high": high, "p": found.p, "p_adjusted": found.p_adjusted}
    return {key: value for key, value in numbers.items() if math.isfinite(value)}

"""The verdicts as the page shows them: the claim, whether it holds, and the evidence in a collapsible section."""

from typing import NamedTuple

from steadytune.claims.judged import Judged, Verdict, count_verdicts, judged_of
from steadytune.layout import claims_path
from steadytune.rendering.claims import (
    effect_text,
    examples_text,
    needed_text,
    p_text,
    seeds_text,
    sensitivity_text,
    unit_text,
    verdict_text,
)
from steadytune.rendering.comparisons import every_task_text
from steadytune.rendering.table import number
from steadytune.results.model import Results
from steadytune.text import counted


def not_judged(results: Results) -> str:
    """How to judge the suite's claims, if it names some and none has a verdict yet; else empty."""
    return _how(results) if results.suite.claims and not judged_of(results) else ""


def not_compared(results: Results) -> str:
    """How to compare the suite's methods if this has not been done yet; else empty."""
    several = any(len(results.methods_of(encoder)) > 1 for encoder in results.encoders)
    return _how(results) if several and not claims_path(results.folder).is_file() else ""


def _how(results: Results) -> str:
    return f"Not judged yet: `steadytune claims {results.suite.argument or results.name} --write` writes the verdicts."


class Tally(NamedTuple):
    """Number of claims by verdict."""

    total: str
    counts: dict[Verdict, int]


class Shown(NamedTuple):
    """A claim on the page."""

    claim: Judged
    verdict: str
    """With its qualifiers."""
    effect: str
    facts: list[tuple[str, str, bool]]
    """(name, text, whether it is code), in reading order."""


def tally(results: Results) -> Tally | None:
    """Number of claims by verdict; None for a suite without claims."""
    judged = judged_of(results)
    return Tally(counted(len(judged), "claim"), count_verdicts(judged)) if judged else None


def by_source(results: Results) -> dict[str, list[Shown]]:
    """The suite's claims, grouped by source."""
    groups: dict[str, list[Shown]] = {}
    for claim in judged_of(results):
        groups.setdefault(claim.source, []).append(shown(claim))
    return groups


def shown(claim: Judged) -> Shown:
    """A claim as the page shows it."""
    unit = " points" if claim.unit == "points" else ""
    effect = effect_text(claim.finding, claim.unit) + unit if claim.finding else ""
    return Shown(claim, verdict_text(claim), effect, [fact for fact in _facts(claim) if fact[1]])


def _facts(claim: Judged) -> list[tuple[str, str, bool]]:
    """The facts in the collapsible section; some texts may be empty."""
    facts = [("Claim", claim.id, True)]
    if found := claim.finding:
        p = f"p {p_text(found.p)}; {p_text(found.p_adjusted)} after Holm's correction in {claim.family}"
        facts.append(("Test", f"{claim.test}, {p}", False))
        facts.append(("Effect size tested", _size(claim), False))
        if found.interval_examples:
            facts.append(("Interval with examples", examples_text(found, claim.unit), False))
        facts.append(("Seeds", seeds_text(claim), False))
    if claim.unit == "points" and claim.details:
        facts.append(("On every task", every_task_text(claim), False))
    facts.append(("Needed", needed_text(claim), False))
    facts.append(("Other analyses", sensitivity_text(claim), False))
    facts.append(("To run", claim.command or "", True))
    return facts


def _size(claim: Judged) -> str:
    """The margin, whose it is, and the effect that the paper prints."""
    printed, unit = claim.published, claim.unit
    paper = f"; the paper prints {unit_text(number(printed, 2, sign=True), unit)}" if printed is not None else ""
    return f"{unit_text(f'{claim.margin:g}', unit)} ({claim.margin_is}){paper}"

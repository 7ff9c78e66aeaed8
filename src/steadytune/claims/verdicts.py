"""The verdict on each claim that a suite names, by the rules of docs/claims.md, which stand in `decide` alone."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from steadytune.claims.claim import ALPHA, Claim, Comparison, LayerStability
from steadytune.claims.details import details
from steadytune.claims.evidence import Evidence, View
from steadytune.claims.files import suite_claims
from steadytune.claims.findings import UNITS, Finding, find
from steadytune.claims.layer_evidence import gather_draws, pairs_of
from steadytune.claims.scene import Scene
from steadytune.claims.significance import benjamini_hochberg, holm
from steadytune.errors import unknown
from steadytune.files import plain, write_json
from steadytune.layout import claims_path
from steadytune.results.loading import empty_results, load_or_empty
from steadytune.results.model import Results
from steadytune.suite.loading import DEFAULT_SUITE
from steadytune.suite.suite import Suite

Verdict = Literal["reproduced", "direction only", "inconclusive", "not reproduced", "not evaluated"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "direction only", "inconclusive", "not reproduced", "not evaluated")

AS_RUN = View("as run")
VIEWS = (
    View("nested selection", rule="nested"),
    View("selection on the reported set", rule="published"),
    View("without degenerate runs", without_degenerate=True),
    View("diverged runs as majority class", with_diverged=True),
    View("median", centre="median"),
)
"""What a verdict should survive."""


def decide(finding: Finding | None, adjusted: float, alpha: float) -> Verdict:
    """The rules, in their order.

    Args:
        finding: None where the claim's cells are not all there.
        adjusted: the finding's p-value after Holm's correction in its family.
        alpha: ALPHA over the number of claims in the family.
    """
    if finding is None:
        return "not evaluated"
    if adjusted <= ALPHA and finding.favours:
        return "reproduced"
    if finding.p_against <= alpha:
        return "not reproduced"
    if not finding.powered:
        return "inconclusive"
    return "direction only" if finding.favours else "not reproduced"


@dataclass(frozen=True)
class Judgement:
    """One claim under one view."""

    claim: Claim
    evidence: Evidence
    finding: Finding | None
    adjusted: float
    alpha: float
    family_size: int
    verdict: Verdict

    @property
    def p(self) -> float:
        """That of the finding, NaN without one."""
        return self.finding.p if self.finding else math.nan


def judge(suite: Suite, results: Results) -> list[dict[str, Any]]:
    """Every claim of a suite as plain values, in the suite's order: `claims.json` and the table are made of them."""
    claims = suite_claims(suite)
    scene = Scene(suite, results, AS_RUN)
    sizes = family_sizes(suite)
    found, rates = _judge_view(claims, scene, sizes), {}
    if judged := [claim.id for claim in claims if found[claim.id].finding]:
        corrected = benjamini_hochberg(np.array([found[name].p for name in judged]))
        rates = dict(zip(judged, corrected.tolist(), strict=True))
    survives: dict[str, dict[str, Any]] = {claim.id: {} for claim in claims}
    for view in VIEWS:
        scene = Scene(suite, results, view)
        touched = [claim.id for claim in claims if found[claim.id].finding and scene.touches(claim)]
        others = _judge_view(claims, scene, sizes) if touched else {}
        for name in touched:
            verdict = others[name].verdict
            changed = {"verdict": verdict, "survives": verdict == found[name].verdict}
            survives[name][view.name] = changed | _numbers(others[name])
    return [
        _entry(found[claim.id], suite)
        | {"q": rates.get(claim.id), "sensitivity": survives[claim.id]}
        | {"details": plain(details(claim, found[claim.id].evidence, scene))}
        for claim in claims
    ]


def write_claims(suite: Suite, judged: Sequence[dict[str, Any]]) -> None:
    """Write `claims.json`."""
    value = {"suite": suite.name, "alpha": ALPHA, "claims": judged}
    write_json(claims_path(suite), value)


def missing_of(suite: Suite, name: str) -> tuple[str, ...]:
    """The files that a suite plans for a claim and that are not there.

    Raises:
        SteadyTuneError: the suite does not name the claim.
    """
    claims = {claim.id: claim for claim in suite_claims(suite)}
    if name not in claims:
        raise unknown("claim", name, claims, f"{suite.path}: claims")
    return _gather(claims[name], Scene(suite, load_or_empty(suite), AS_RUN)).missing


def family_sizes(suite: Suite) -> Counter[str]:
    """The tests of each family: its claims of which the suite plans every cell, whether they have run or not.

    It is the same whatever has run and under every view, so that no verdict hangs on which other claims were judged.
    """
    scene = Scene(suite, empty_results(suite), AS_RUN)
    return Counter(
        claim.family for claim in suite_claims(suite) if not claim.unreachable and not _unplanned(claim, scene)
    )


def _unplanned(claim: Claim, scene: Scene) -> bool:
    if isinstance(claim, LayerStability):
        return any(pair not in scene.suite.layer_studies() for pair in pairs_of(claim, scene.suite))
    return bool(scene.gather(claim).outside)


def _gather(claim: Claim, scene: Scene) -> Evidence:
    if claim.unreachable:
        return Evidence(lack=claim.unreachable)
    return gather_draws(claim, scene.suite) if isinstance(claim, LayerStability) else scene.gather(claim)


def _judge_view(claims: Sequence[Claim], scene: Scene, sizes: Mapping[str, int]) -> dict[str, Judgement]:
    """Each claim by id; the p-values of a family are corrected for all its claims, 1 for those not judged so far."""
    evidence = {claim.id: _gather(claim, scene) for claim in claims}
    findings, adjusted = {}, {}
    for family, size in sizes.items():
        members = [claim for claim in claims if claim.family == family and not evidence[claim.id].lack]
        found = [find(claim, evidence[claim.id], ALPHA / size, scene.view.centre) for claim in members]
        findings |= {claim.id: finding for claim, finding in zip(members, found, strict=True)}
        corrected = holm(np.array([finding.p for finding in found] + [1.0] * (size - len(found))))
        adjusted |= {claim.id: float(p) for claim, p in zip(members, corrected[: len(found)], strict=True)}
    judged = {}
    for claim in claims:
        finding, p, size = findings.get(claim.id), adjusted.get(claim.id, math.nan), sizes[claim.family]
        alpha = ALPHA / max(size, 1)
        verdict = decide(finding, p, alpha)
        judged[claim.id] = Judgement(claim, evidence[claim.id], finding, p, alpha, size, verdict)
    return judged


def _entry(judged: Judgement, suite: Suite) -> dict[str, Any]:
    """A claim as plain values."""
    claim, evidence = judged.claim, judged.evidence
    named = ("id", "sentence", "source", "where", "statistic", "test", "direction", "family")
    settings = claim.model_dump(include=set(named))
    return {
        **{key: settings[key] for key in named},
        "verdict": judged.verdict,
        "reason": reason(judged),
        "unit": UNITS.get(claim.statistic, "points"),
        **_numbers(judged),
        "margin": None if claim.unreachable else claim.size(),
        "margin_is": "ours" if claim.margin is not None else "the paper's" if claim.published else None,
        "published": claim.effect(),
        "family_size": judged.family_size,
        "strata": list(map(str, evidence.strata)),
        "seeds": list(evidence.seeds),
        "draws": sum(draws for _, draws in evidence.draws),
        "left_out": list(evidence.left_out),
        "ends": evidence.ends,
        "cost": evidence.cost,
        "missing": list(evidence.missing),
        "outside": list(evidence.outside),
        "command": command(claim, evidence, suite),
    }


def _numbers(judged: Judgement) -> dict[str, Any]:
    """The finding as JSON has it: null for what is undefined or infinite."""
    names = Finding.__dataclass_fields__
    found = asdict(judged.finding) if judged.finding else dict.fromkeys(names)
    return plain(found | {"p_adjusted": judged.adjusted})


def reason(judged: Judgement) -> str:
    """Why the verdict is what it is, in a sentence."""
    claim, found = judged.claim, judged.finding
    if found is None:
        return f"{judged.evidence.lack[:1].upper()}{judged.evidence.lack[1:]}."
    unit = UNITS.get(claim.statistic, "points")
    size = f"{claim.size():.3g} {unit}" if unit == "points" else f"a {unit} of {claim.size():.3g}"
    count = len(judged.evidence.seeds)
    if claim.statistic == "layer-stability":
        size = f"a share above {claim.size():.3g}, had all of them agreed"
    could = f"{count} seeds" if isinstance(claim, Comparison) else f"{judged.evidence.draws[0][1]} draws a task"
    level = f"{judged.alpha:.2g}" + (f" ({ALPHA} over {judged.family_size} tests)" if judged.family_size > 1 else "")
    match judged.verdict:
        case "reproduced":
            nothing = {"difference": 0, "gain": 0, "spread": 1}.get(claim.statistic)
            within = nothing is not None and found.interval[0] <= nothing <= found.interval[1]
            wide = f"; the interval, wide with so few seeds, does not exclude {nothing}" if within else ""
            return f"Its p-value after Holm's correction is at most {ALPHA}{wide}."
        case "inconclusive" if found.smallest_p > judged.alpha:
            return f"No outcome of {could} could have a p-value below {found.smallest_p:.2g}; {level} is asked."
        case "inconclusive":
            return f"{could} had less than a chance of 80 % to show {size} at level {level}."
        case "not reproduced" if found.p_against <= judged.alpha:
            return f"The contrary has a p-value of at most {level}."
        case "direction only":
            return f"{could} would have shown {size}; the effect is on the claimed side, and smaller or less certain."
        case _:
            return f"{could} would have shown {size}, and the effect is not on the claimed side."


def command(claim: Claim, evidence: Evidence, suite: Suite) -> str | None:
    """The command that runs what is missing: in this suite, or in the claim's own where this one lacks cells."""
    name, path = suite.name, suite.path
    if evidence.outside:
        path = Path("config") / f"{claim.suite}.yaml"
        if claim.suite is None or claim.suite == suite.name or not path.exists():
            return None
        name = claim.suite
    elif not evidence.missing:
        return None
    file = "" if path == DEFAULT_SUITE else f" --configfile {path}"
    return f"snakemake --cores all{file} -- $(steadytune claims {name} --missing {claim.id})"

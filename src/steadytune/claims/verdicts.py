"""The verdict on each claim that a suite names, by the rules of docs/claims.md, which stand in `decide` alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from steadytune.claims.claim import ALPHA, Claim, Comparison, LayerStability
from steadytune.claims.details import details
from steadytune.claims.evidence import Analysis, Evidence
from steadytune.claims.files import suite_claims
from steadytune.claims.findings import UNITS, find
from steadytune.claims.judged import Finding, Judged, Sensitivity, Verdict
from steadytune.claims.layer_evidence import gather_draws, pairs_of
from steadytune.claims.paired_runs import PairedRuns
from steadytune.claims.significance import holm
from steadytune.errors import unknown
from steadytune.results.loading import empty_results, load_or_empty
from steadytune.results.model import Results
from steadytune.suite.loading import DEFAULT_SUITE
from steadytune.suite.suite import Suite

PRIMARY = Analysis("as run")
SENSITIVITY = (
    Analysis("nested selection", rule="nested"),
    Analysis("selection on the reported set", rule="published"),
    Analysis("without degenerate runs", without_degenerate=True),
    Analysis("diverged runs as majority class", with_diverged=True),
    Analysis("median", centre="median"),
)
"""What a verdict should survive."""


def decide(finding: Finding | None, alpha: float) -> Verdict:
    """The rules, in their order.

    Args:
        finding: None if the claim's cells are not all there.
        alpha: ALPHA over the number of claims in the family.
    """
    if finding is None:
        return "not evaluated"
    if finding.p_adjusted <= ALPHA and finding.favours:
        return "reproduced"
    if finding.p_against <= alpha:
        return "not reproduced"
    if not finding.powered:
        return "inconclusive"
    return "direction only" if finding.favours else "not reproduced"


def judge(suite: Suite, results: Results) -> tuple[Judged, ...]:
    """Every claim of a suite, in the suite's order."""
    claims, sizes = suite_claims(suite), family_sizes(suite)
    runs = PairedRuns(suite, results, PRIMARY)
    primary = {judged.id: judged for judged in _judge(claims, runs, sizes)}
    others: dict[str, dict[str, Sensitivity]] = {claim.id: {} for claim in claims}
    for analysis in SENSITIVITY:
        other = PairedRuns(suite, results, analysis)
        touched = [claim.id for claim in claims if primary[claim.id].finding and other.touches(claim)]
        for judged in _judge(claims, other, sizes) if touched else ():
            if judged.id in touched:
                survives = judged.verdict == primary[judged.id].verdict
                others[judged.id][analysis.name] = Sensitivity(judged.verdict, survives, judged.finding)
    return tuple(
        replace(primary[claim.id], sensitivity=others[claim.id], details=details(claim, _gather(claim, runs), runs))
        for claim in claims
    )


def missing_of(suite: Suite, name: str) -> tuple[str, ...]:
    """The files that a suite plans for a claim and that are not there.

    Raises:
        SteadyTuneError: the suite does not name the claim.
    """
    claims = {claim.id: claim for claim in suite_claims(suite)}
    if name not in claims:
        raise unknown("claim", name, claims, f"{suite.path}: claims")
    return _gather(claims[name], PairedRuns(suite, load_or_empty(suite), PRIMARY)).missing


def family_sizes(suite: Suite) -> Counter[str]:
    """The tests of each family: its claims of which the suite plans every cell, whether they have run or not.

    It is the same whatever has run and under every analysis, so no verdict depends on which other claims were judged.
    """
    runs = PairedRuns(suite, empty_results(suite), PRIMARY)
    return Counter(
        claim.family for claim in suite_claims(suite) if not claim.unreachable and not _unplanned(claim, runs)
    )


def _unplanned(claim: Claim, runs: PairedRuns) -> bool:
    if isinstance(claim, LayerStability):
        return any(pair not in runs.suite.layer_studies() for pair in pairs_of(claim, runs.suite))
    return bool(runs.gather(claim).outside)


def _gather(claim: Claim, runs: PairedRuns) -> Evidence:
    if claim.unreachable:
        return Evidence(lack=claim.unreachable)
    return gather_draws(claim, runs.suite) if isinstance(claim, LayerStability) else runs.gather(claim)


def _judge(claims: Sequence[Claim], runs: PairedRuns, sizes: Mapping[str, int]) -> list[Judged]:
    """The claims under one analysis.

    The p-values of a family are corrected for all its claims; one that is not judged so far counts with p = 1.
    """
    evidence = {claim.id: _gather(claim, runs) for claim in claims}
    findings: dict[str, Finding] = {}
    for family, size in sizes.items():
        members = [claim for claim in claims if claim.family == family and not evidence[claim.id].lack]
        found = [find(claim, evidence[claim.id], ALPHA / size, runs.analysis.centre) for claim in members]
        adjusted = holm(np.array([finding.p for finding in found] + [1.0] * (size - len(found))))
        for claim, finding, p in zip(members, found, adjusted, strict=False):
            findings[claim.id] = replace(finding, p_adjusted=float(p))
    return [_judged(claim, evidence[claim.id], findings.get(claim.id), sizes, runs.suite) for claim in claims]


def _judged(
    claim: Claim, evidence: Evidence, finding: Finding | None, sizes: Mapping[str, int], suite: Suite
) -> Judged:
    size = sizes.get(claim.family, 0)
    alpha = ALPHA / max(size, 1)
    verdict = decide(finding, alpha)
    return Judged(
        **{name: getattr(claim, name) for name in ("id", "sentence", "source", "where", "statistic", "family")},
        test=claim.test,
        direction=claim.direction,
        verdict=verdict,
        reason=reason(claim, evidence, finding, verdict, size),
        unit=UNITS.get(claim.statistic, "points"),
        margin=None if claim.unreachable else claim.size(),
        margin_is="ours" if claim.margin is not None else "the paper's" if claim.published else None,
        published=claim.effect(),
        finding=finding,
        family_size=size,
        strata=tuple(map(str, evidence.strata)),
        seeds=evidence.seeds,
        draws=sum(draws for _, draws in evidence.draws),
        left_out=evidence.left_out,
        ends=evidence.ends,
        cost=evidence.cost,
        missing=evidence.missing,
        outside=evidence.outside,
        command=command(claim, evidence, suite),
    )


def reason(claim: Claim, evidence: Evidence, found: Finding | None, verdict: Verdict, family_size: int) -> str:
    """Why the verdict is what it is, in a sentence."""
    if found is None:
        return f"{evidence.lack[:1].upper()}{evidence.lack[1:]}."
    alpha = ALPHA / family_size
    unit = UNITS.get(claim.statistic, "points")
    size = f"{claim.size():.3g} {unit}" if unit == "points" else f"a {unit} of {claim.size():.3g}"
    count = len(evidence.seeds)
    if claim.statistic == "layer-stability":
        size = f"a share above {claim.size():.3g}, had all of them agreed"
    could = f"{count} seeds" if isinstance(claim, Comparison) else f"{evidence.draws[0][1]} draws a task"
    level = f"{alpha:.2g}" + (f" ({ALPHA} over {family_size} tests)" if family_size > 1 else "")
    match verdict:
        case "reproduced":
            nothing = {"difference": 0, "gain": 0, "spread": 1}.get(claim.statistic)
            within = nothing is not None and found.interval[0] <= nothing <= found.interval[1]
            wide = f"; the interval, wide with so few seeds, does not exclude {nothing}" if within else ""
            return f"Its p-value after Holm's correction is at most {ALPHA}{wide}."
        case "inconclusive" if found.smallest_p > alpha:
            return f"No outcome of {could} could have a p-value below {found.smallest_p:.2g}; {level} is asked."
        case "inconclusive":
            return f"{could} had less than a chance of 80 % to show {size} at level {level}."
        case "not reproduced" if found.p_against <= alpha:
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

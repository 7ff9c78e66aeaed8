"""The verdict on each claim that a suite names; `decide` implements the rules of docs/claims.md."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from steadytune.claims.claim import ALPHA, Claim, Comparison, LayerStability
from steadytune.claims.details import details
from steadytune.claims.earlier import look_at, under_new_names
from steadytune.claims.evidence import Analysis, Evidence
from steadytune.claims.examples import Examples
from steadytune.claims.files import suite_claims
from steadytune.claims.findings import AGAINST, UNITS, find
from steadytune.claims.judged import Finding, Judged, Sensitivity, Verdict
from steadytune.claims.layer_evidence import gather_draws, pairs_of
from steadytune.claims.paired_runs import PRIMARY, PairedRuns
from steadytune.claims.question import Differs
from steadytune.claims.reasons import command, reason
from steadytune.claims.sensitivity import analyses_of, touches
from steadytune.claims.significance import holm
from steadytune.errors import unknown
from steadytune.looks import NONE, Look, Looks, join, name_of_pair
from steadytune.results.loading import empty_results, load_or_empty
from steadytune.results.model import Results
from steadytune.suite.suite import Suite
from steadytune.text import ranges


def decide(finding: Finding | None, alpha: float) -> Verdict:
    """The verdict on a claim: the first rule that applies.

    Args:
        finding: None if the claim could not be evaluated.
        alpha: ALPHA over the number of claims in the family.
    """
    if finding is None:
        return "not evaluated"
    if finding.p_adjusted <= ALPHA and finding.favours:
        return "reproduced"
    # A p-value is NaN, and so not at most alpha, if the claim has no such test.
    if any(getattr(finding, name) <= alpha for name in AGAINST):
        return "not reproduced"
    return "inconclusive"


def judge(
    suite: Suite,
    results: Results,
    looks: Looks = NONE,
    examples: Examples | None = None,
    *,
    detailed: bool = True,
) -> tuple[Judged, ...]:
    """Judge every claim of a suite, in the suite's order.

    Args:
        suite: names the claims.
        results: the results of its cells.
        looks: earlier looks, which show whether the plan has been changed after a look.
        examples: resampled scores, to reuse those already computed.
        detailed: whether to add the sensitivity analyses, the details by task and the errors over examples.
    """
    claims = suite_claims(suite)
    sizes = family_sizes(suite, claims)
    looks = under_new_names(claims, looks)
    judge_claims = Judge(suite, sizes, looks, (examples or Examples(suite, results.folder)) if detailed else None)
    runs = PairedRuns(suite, results, PRIMARY)
    every = dict.fromkeys((claim.id for claim in claims), runs)
    primary = {judged.id: judged for judged in judge_claims(claims, every, detailed=detailed)}
    if not detailed:
        return tuple(primary.values())
    sensitivity: dict[str, dict[str, Sensitivity]] = {claim.id: {} for claim in claims}
    for analysis in analyses_of(suite):
        other = PairedRuns(suite, results, analysis)
        touched = {claim.id for claim in claims if _applies(analysis, primary[claim.id]) and touches(claim, other)}
        if not touched:
            continue
        # All claims are judged, because the p-values of a family are corrected together.
        for judged in judge_claims(claims, {claim.id: other if claim.id in touched else runs for claim in claims}):
            if judged.id in touched and not _lacks_examples(analysis, judged):
                survives = judged.verdict == primary[judged.id].verdict
                sensitivity[judged.id][analysis.name] = Sensitivity(judged.verdict, survives, judged.finding)
    return tuple(replace(primary[claim.id], sensitivity=sensitivity[claim.id]) for claim in claims)


def _applies(analysis: Analysis, judged: Judged) -> bool:
    """Whether an analysis applies to a judged claim; an interim look (anytime-valid p) allows no other test."""
    return judged.finding is not None and (analysis.test == "its own" or not judged.interim)


def _lacks_examples(analysis: Analysis, judged: Judged) -> bool:
    """Whether this is an analysis over examples that was impossible for lack of predictions."""
    return analysis.test == "over examples" and not (judged.finding and judged.finding.interval_examples)


def missing_of(suite: Suite, name: str) -> tuple[str, ...]:
    """The files that a suite plans for a claim and that do not exist yet.

    Raises:
        SteadyTuneError: the suite does not name the claim.
    """
    claims = {claim.id: claim for claim in suite_claims(suite)}
    if name not in claims:
        raise unknown("claim", name, claims, f"{suite.path}: claims")
    return _gather(claims[name], PairedRuns(suite, load_or_empty(suite), PRIMARY)).missing


def family_sizes(suite: Suite, claims: Sequence[Claim]) -> Counter[str]:
    """The number of tests in each family: its claims whose cells the suite plans, whether they have run or not.

    It does not depend on what has run, or on the analysis, so no verdict depends on which other claims were judged.
    """
    runs = PairedRuns(suite, empty_results(suite), PRIMARY)
    return Counter(claim.family for claim in claims if not claim.unreachable and not is_unplanned(claim, runs))


def is_unplanned(claim: Claim, runs: PairedRuns) -> bool:
    """Whether the suite lacks some cell of a claim, or some measurement of layers."""
    if isinstance(claim, LayerStability):
        return any(pair not in runs.suite.variability_pairs() for pair in pairs_of(claim, runs.suite))
    return runs.is_outside(claim)


def _gather(claim: Claim, runs: PairedRuns) -> Evidence:
    if claim.unreachable:
        return Evidence(lack=claim.unreachable)
    return gather_draws(claim, runs.suite) if isinstance(claim, LayerStability) else runs.gather(claim)


@dataclass(frozen=True)
class Judge:
    """Judges claims under one analysis after another."""

    suite: Suite
    sizes: Mapping[str, int]
    looks: Looks
    examples: Examples | None
    _primary: dict[str, tuple[Evidence, Finding]] = field(default_factory=dict, repr=False, compare=False)
    """The primary analysis by claim id, reused if another analysis affects only other claims of the family."""

    def __call__(
        self, claims: Sequence[Claim], runs: Mapping[str, PairedRuns], *, detailed: bool = False
    ) -> list[Judged]:
        """Judge claims, each with the paired runs under its id; task by task too if `detailed`.

        The p-values of a family are corrected for all its claims; one that cannot be judged yet counts with p = 1.
        """
        evidence, described = {}, {}
        for claim in claims:
            evidence[claim.id] = found = self._evidence(claim, runs[claim.id])
            if detailed and self.examples is not None:
                # Here and not later, because the predictions of its cells are still in memory.
                interim = self._interim(claim, found)
                described[claim.id] = details(claim, found, runs[claim.id], self.examples, interim=interim)
        findings: dict[str, Finding] = {}
        for family, size in self.sizes.items():
            members = [claim for claim in claims if claim.family == family and not evidence[claim.id].lack]
            found = [self._find(claim, evidence[claim.id], ALPHA / size, runs[claim.id].analysis) for claim in members]
            adjusted = holm(np.array([finding.p for finding in found] + [1.0] * (size - len(found))))
            for claim, finding, p in zip(members, found, adjusted, strict=False):
                findings[claim.id] = replace(finding, p_adjusted=float(p))
        found = [self._judged(claim, evidence[claim.id], findings.get(claim.id)) for claim in claims]
        return [replace(judged, details=described.get(judged.id, ())) for judged in found]

    def _evidence(self, claim: Claim, runs: PairedRuns) -> Evidence:
        if runs.analysis == PRIMARY and claim.id in self._primary:
            return self._primary[claim.id][0]
        found = _gather(claim, runs)
        if runs.analysis == PRIMARY and (picked := self._picked(claim, found)):
            which = f"seed{'s' * (len(picked) > 1)} {ranges(picked)}"
            lack = f"{which} left out after an earlier look: the rest may have been picked for their scores"
            return replace(found, pairs={}, lack=lack)
        if self.examples is None or runs.analysis.test not in ("its own", "over examples") or found.lack:
            return found
        return replace(found, errors=runs.over_examples(claim, found, self.examples))

    def _find(self, claim: Claim, evidence: Evidence, alpha: float, analysis: Analysis) -> Finding:
        if analysis == PRIMARY and claim.id in self._primary:
            return self._primary[claim.id][1]
        found = find(claim, evidence, alpha, analysis.test, interim=self._interim(claim, evidence))
        if analysis == PRIMARY:
            self._primary[claim.id] = evidence, found
        return found

    def _interim(self, claim: Claim, evidence: Evidence) -> bool:
        """Whether cells are still to run, or the plan was changed after a look."""
        if not isinstance(claim, Comparison):
            return False
        now = self._look(claim, evidence)
        return bool(evidence.missing) or any(look.differs_from(now) for look in self._earlier(claim))

    def _picked(self, claim: Claim, evidence: Evidence) -> set[int]:
        """Seeds that an earlier look had but that are no longer planned: the rest may be picked for their scores."""
        planned = (*evidence.seeds, *evidence.left_out)
        return set().union(*(look.picked(evidence.seeds, planned) for look in self._earlier(claim)))

    def _earlier(self, claim: Claim) -> tuple[Look, ...]:
        return self.looks.get(name_of_pair(claim.id, claim.family) if isinstance(claim, Differs) else claim.id, ())

    def _look(self, claim: Comparison, evidence: Evidence) -> Look:
        """The current look at a claim."""
        return look_at(claim, evidence, self.sizes.get(claim.family, 0))

    def _judged(self, claim: Claim, evidence: Evidence, finding: Finding | None) -> Judged:
        size = self.sizes.get(claim.family, 0)
        alpha = ALPHA / max(size, 1)
        verdict = decide(finding, alpha)
        earlier = self._earlier(claim)
        interim = finding is not None and self._interim(claim, evidence)
        smaller = verdict == "reproduced" and finding is not None and finding.p_size <= alpha
        return Judged(
            **{name: getattr(claim, name) for name in ("id", "sentence", "source", "where", "statistic", "family")},
            test="anytime" if interim else claim.test,
            direction=claim.direction,
            verdict=verdict,
            reason=reason(claim, evidence, finding, verdict, size, interim),
            unit=UNITS.get(claim.statistic, "points"),
            margin=None if claim.unreachable else claim.size(),
            margin_is="ours" if claim.margin is not None else "the paper's" if claim.published else None,
            published=claim.effect(),
            finding=finding,
            family_size=size,
            strata=tuple(map(str, evidence.strata)),
            not_begun=evidence.not_begun,
            seeds=evidence.seeds,
            planned=evidence.planned,
            interim=interim,
            looks=join(earlier, (self._look(claim, evidence),) if isinstance(claim, Comparison) and finding else ()),
            smaller_than_claimed=smaller and not getattr(claim, "at_least", False),
            exploratory=claim.exploratory,
            suggested_by=claim.suggested_by,
            degenerate=evidence.ends.get("degenerate", 0),
            draws=sum(draws for _, draws in evidence.draws),
            left_out=evidence.left_out,
            ends=evidence.ends,
            cost=evidence.cost,
            missing=evidence.missing,
            outside=evidence.outside,
            command=command(claim, evidence, self.suite),
        )

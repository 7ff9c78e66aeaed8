"""The verdict on each claim that a suite names, by the rules of docs/claims.md, which stand in `decide` alone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from steadytune.claims.claim import ALPHA, POINT, Claim, Comparison, Differs, LayerStability
from steadytune.claims.details import details
from steadytune.claims.evidence import Analysis, Evidence, Test
from steadytune.claims.examples import Examples
from steadytune.claims.files import suite_claims
from steadytune.claims.findings import AGAINST, UNITS, find
from steadytune.claims.judged import Finding, Judged, Look, Sensitivity, Verdict, Verdicts
from steadytune.claims.layer_evidence import gather_draws, pairs_of
from steadytune.claims.paired_runs import PRIMARY, PairedRuns
from steadytune.claims.significance import holm
from steadytune.errors import SteadyTuneError, unknown
from steadytune.layout import project_file
from steadytune.results.loading import empty_results, load_or_empty
from steadytune.results.model import Results
from steadytune.suite.suite import Suite
from steadytune.suite.variants import base, stand_for

SENSITIVITY = (
    Analysis("nested selection", rule="nested"),
    Analysis("selection on the reported set", rule="published"),
    Analysis("best epoch of each run", best_epoch=True),
    Analysis("without degenerate runs", without_degenerate=True),
    Analysis("diverged runs as majority class", with_diverged=True),
    Analysis("ranks", test="ranks"),
    Analysis("by seed", test="by seed"),
    Analysis("over examples", test="over examples"),
)
"""What a verdict should survive, besides leaving out each task."""


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
    # NaN, where a claim has no such test, is not at most alpha.
    if any(getattr(finding, name) <= alpha for name in AGAINST):
        return "not reproduced"
    return "inconclusive"


def judge_all(suite: Suite, results: Results, earlier: Verdicts) -> Verdicts:
    """The claims of a suite, and each method against the baseline.

    Args:
        suite: names the claims.
        results: of its cells.
        earlier: what was judged before, which tells whether the plan has been extended after a look.
    """
    examples = Examples(suite, results.folder)
    return Verdicts(
        suite.name,
        claims=judge(suite, results, earlier.claims, examples),
        comparisons=compare(suite, results, against_baseline(suite), earlier.comparisons, examples),
    )


def against_baseline(suite: Suite, margin: float = POINT) -> tuple[Differs, ...]:
    """Each method against the suite's first one, on every encoder that both are planned for."""
    planned = {(cell.encoder, base(cell.method)): None for cell in suite.cells}
    methods = list(stand_for(dict.fromkeys(cell.method for cell in suite.cells), suite.named))
    return tuple(
        Differs.between(encoder, method, methods[0], margin)
        for encoder in suite.file.encoders
        for method in methods[1:]
        if {(encoder, method), (encoder, methods[0])} <= planned.keys()
    )


def pair(suite: Suite, first: str, second: str, effect: float) -> tuple[Differs, ...]:
    """Two methods or variants of a suite, on every encoder that has both.

    Raises:
        SteadyTuneError: an unknown name, or two that no encoder and task have in common.
    """
    planned = PairedRuns(suite, empty_results(suite), PRIMARY).planned
    for name in (first, second):
        if not any(name == method for _, method, _ in planned):
            raise unknown("method", name, {method for _, method, _ in planned}, f"suite '{suite.name}'")
    shared = {
        encoder: None for encoder, method, task in planned if method == first and (encoder, second, task) in planned
    }
    if not shared or first == second:
        why = "name two that differ" if first == second else "no encoder and task have both"
        raise SteadyTuneError(f"suite '{suite.name}': {first} against {second}: {why}")
    return tuple(Differs.between(encoder, first, second, effect) for encoder in shared)


def compare(
    suite: Suite,
    results: Results,
    questions: Sequence[Differs],
    earlier: Sequence[Judged] = (),
    examples: Examples | None = None,
) -> tuple[Judged, ...]:
    """The answers to some questions, whose p-values are corrected together; without those that share no task."""
    runs = PairedRuns(suite, results, PRIMARY)
    there = [question for question in questions if not _unplanned(question, runs)]
    judge = _Judge(
        suite,
        Counter(question.family for question in there),
        {judged.id: judged.looks for judged in earlier},
        examples or Examples(suite, results.folder),
    )
    return tuple(judge(there, dict.fromkeys((question.id for question in there), runs), detailed=True))


def judge(
    suite: Suite,
    results: Results,
    earlier: Sequence[Judged] = (),
    examples: Examples | None = None,
    *,
    views: bool = True,
) -> tuple[Judged, ...]:
    """Every claim of a suite, in the suite's order; arguments as `judge_all`.

    `views`: whether they are judged in the other analyses, and task by task, too.
    """
    claims, sizes = suite_claims(suite), family_sizes(suite)
    looks = {judged.id: judged.looks for judged in earlier}
    judge = _Judge(suite, sizes, looks, examples or Examples(suite, results.folder))
    runs = PairedRuns(suite, results, PRIMARY)
    every = dict.fromkeys((claim.id for claim in claims), runs)
    primary = {judged.id: judged for judged in judge(claims, every, detailed=views)}
    if not views:
        return tuple(primary.values())
    others: dict[str, dict[str, Sensitivity]] = {claim.id: {} for claim in claims}
    tasks = dict.fromkeys(cell.task for cell in suite.cells)
    for analysis in (*SENSITIVITY, *(Analysis(f"without {task}", without_task=task) for task in tasks)):
        other = PairedRuns(suite, results, analysis)
        found = {judged.id for judged in primary.values() if judged.finding}
        if analysis.test != "its own":
            # An interim p-value has one test alone.
            found -= {judged.id for judged in primary.values() if judged.interim}
        touched = {claim.id: other for claim in claims if claim.id in found and other.touches(claim)}
        for judged in judge(claims, {claim.id: touched.get(claim.id, runs) for claim in claims}) if touched else ():
            told = analysis.test != "over examples" or (judged.finding and judged.finding.interval_examples)
            if judged.id in touched and told:
                survives = judged.verdict == primary[judged.id].verdict
                others[judged.id][analysis.name] = Sensitivity(judged.verdict, survives, judged.finding)
    return tuple(replace(primary[claim.id], sensitivity=others[claim.id]) for claim in claims)


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


@dataclass(frozen=True)
class _Judge:
    """Judges claims under one analysis after the other."""

    suite: Suite
    sizes: Mapping[str, int]
    looks: Mapping[str, tuple[Look, ...]]
    examples: Examples

    def __call__(
        self, claims: Sequence[Claim], runs: Mapping[str, PairedRuns], *, detailed: bool = False
    ) -> list[Judged]:
        """The claims, each by the paired runs under its id; task by task too if `detailed`.

        The p-values of a family are corrected for all its claims; one that is not judged so far counts with p = 1.
        """
        evidence = {claim.id: self._evidence(claim, runs[claim.id]) for claim in claims}
        findings: dict[str, Finding] = {}
        for family, size in self.sizes.items():
            members = [claim for claim in claims if claim.family == family and not evidence[claim.id].lack]
            found = [
                self._find(claim, evidence[claim.id], ALPHA / size, runs[claim.id].analysis.test) for claim in members
            ]
            adjusted = holm(np.array([finding.p for finding in found] + [1.0] * (size - len(found))))
            for claim, finding, p in zip(members, found, adjusted, strict=False):
                findings[claim.id] = replace(finding, p_adjusted=float(p))
        found = [self._judged(claim, evidence[claim.id], findings.get(claim.id)) for claim in claims]
        if not detailed:
            return found
        return [
            replace(
                judged,
                details=details(claim, evidence[claim.id], runs[claim.id], self.examples, interim=judged.interim),
            )
            for claim, judged in zip(claims, found, strict=True)
        ]

    def _evidence(self, claim: Claim, runs: PairedRuns) -> Evidence:
        found = _gather(claim, runs)
        if runs.analysis.test not in ("its own", "over examples") or found.lack:
            return found
        return replace(found, errors=runs.over_examples(claim, found, self.examples))

    def _find(self, claim: Claim, evidence: Evidence, alpha: float, test: Test) -> Finding:
        return find(claim, evidence, alpha, test, interim=self._interim(claim, evidence))

    def _interim(self, claim: Claim, evidence: Evidence) -> bool:
        """Whether there is more to come, or the plan was extended after a look."""
        extended = any(look.planned < evidence.planned for look in self.looks.get(claim.id, ()))
        return isinstance(claim, Comparison) and (bool(evidence.missing) or extended)

    def _judged(self, claim: Claim, evidence: Evidence, finding: Finding | None) -> Judged:
        size = self.sizes.get(claim.family, 0)
        alpha = ALPHA / max(size, 1)
        verdict = decide(finding, alpha)
        look = Look(len(evidence.seeds), evidence.planned)
        earlier = tuple(other for other in self.looks.get(claim.id, ()) if other != look)
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
            seeds=evidence.seeds,
            planned=evidence.planned,
            interim=interim,
            looks=(*earlier, look) if finding and isinstance(claim, Comparison) else earlier,
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


def reason(
    claim: Claim, evidence: Evidence, found: Finding | None, verdict: Verdict, family_size: int, interim: bool
) -> str:
    """Why the verdict is what it is, in a sentence or two."""
    if found is None:
        return f"{evidence.lack[:1].upper()}{evidence.lack[1:]}."
    alpha = ALPHA / family_size
    level = f"{alpha:.2g}" + (f" ({ALPHA} over {family_size} tests)" if family_size > 1 else "")
    count = f"{len(evidence.seeds)} seeds" if isinstance(claim, Comparison) else f"{evidence.draws[0][1]} draws a task"
    unit = UNITS.get(claim.statistic, "points")
    size = f"{claim.size():.3g} points" if unit == "points" else f"a {unit} of {claim.size():.3g}"
    bounded = claim.statistic in ("not-worse", "equivalent", "cost", "layer-stability") or getattr(claim, "at_least", 0)
    if verdict == "reproduced":
        smaller = f", but the effect is smaller than {size} (p {found.p_size:.2g})" if found.p_size <= alpha else ""
        why = f"Its p-value after Holm's correction is at most {ALPHA}{'' if bounded else smaller}."
    elif verdict == "not reproduced" and (found.p_against <= alpha or found.p_worse <= alpha):
        why = f"The opposite has a p-value of at most {level}."
    elif verdict == "not reproduced":
        why = f"The effect is smaller than the claimed {size}: p {found.p_size:.2g}, at most {level}."
    elif found.smallest_p > alpha:
        why = f"No outcome of {count} could have a p-value below {found.smallest_p:.2g}; {level} is needed."
    else:
        neither = "" if bounded else f", nor that the effect is smaller than {size}"
        why = f"{count} show neither the claim nor its opposite{neither}."
    if interim:
        planned = (
            "an earlier look came before the plan was extended" if not evidence.missing else "more seeds are planned"
        )
        why += f" Interim: {planned}, so p is the anytime-valid one."
    if bounded and (collapsed := evidence.ends.get("degenerate", 0)):
        why += f" {collapsed} of its runs gave one answer for every example."
    return why


def command(claim: Claim, evidence: Evidence, suite: Suite) -> str | None:
    """The command that runs what is missing: in this suite, or in the claim's own where this one lacks cells."""
    name = suite.name
    if evidence.outside:
        path = project_file(Path("config") / f"{claim.suite}.yaml")
        if claim.suite in (None, suite.name) or not path.exists():
            return None
        name = claim.suite
    elif not evidence.missing:
        return None
    return f"steadytune run {name} -- $(steadytune claims {name} --missing {claim.id})"

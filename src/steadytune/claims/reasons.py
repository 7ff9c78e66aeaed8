"""The reason for a verdict, and the command that runs what is missing."""

from pathlib import Path

import numpy as np

from steadytune.claims.claim import ALPHA, Claim, Comparison, MeanDifference, Spread
from steadytune.claims.evidence import Evidence
from steadytune.claims.judged import Finding, Verdict
from steadytune.claims.question import Differs
from steadytune.layout import project_file
from steadytune.suite.suite import Suite
from steadytune.text import counted


def reason(
    claim: Claim, evidence: Evidence, found: Finding | None, verdict: Verdict, family_size: int, interim: bool
) -> str:
    """The reason for the verdict, in a few sentences."""
    if found is None:
        return f"{evidence.lack[:1].upper()}{evidence.lack[1:]}."
    alpha = ALPHA / family_size
    level = f"{alpha:.2g}" + (f" ({ALPHA} over {family_size} tests)" if family_size > 1 else "")
    count = f"{len(evidence.seeds)} seeds" if isinstance(claim, Comparison) else f"{evidence.draws[0][1]} draws a task"
    bounded = claim.statistic in ("not-worse", "equivalent", "cost", "layer-stability") or _at_least(claim)
    if verdict == "reproduced":
        smaller = f", but {_smaller(claim)} (p {found.p_size:.2g})" if found.p_size <= alpha and not bounded else ""
        why = f"Its p-value after Holm's correction is at most {ALPHA}{smaller}."
    elif verdict == "not reproduced" and (found.p_against <= alpha or found.p_worse <= alpha):
        why = f"The opposite has a p-value of at most {level}."
    elif verdict == "not reproduced":
        why = f"{_smaller(claim, 'the claimed ').capitalize()}: p {found.p_size:.2g}, at most {level}."
    elif found.smallest_p > alpha:
        # Holm's correction is less strict for the last claims of a family.
        unless = ", unless others of its family are shown" if found.smallest_p <= ALPHA else ""
        could = f"could have a p-value below {found.smallest_p:.2g}; {level} is needed{unless}."
        why = f"No outcome of {count}{_without_sign(claim, evidence)} {could}"
    else:
        neither = "" if bounded else f", nor that {_smaller(claim)}"
        why = f"{count} show neither the claim nor its opposite{neither}."
    if interim:
        planned = (
            "an earlier look came before the plan was changed" if not evidence.missing else "more seeds are planned"
        )
        why += f" Interim: {planned}, so p is the anytime-valid one."
    # A run that collapses now and then makes differences asymmetric, which no test here allows for.
    if collapsed := evidence.ends.get("degenerate", 0):
        why += f" {collapsed} of its runs gave one answer for every example."
    if diverged := evidence.ends.get("diverged", 0):
        why += f" {diverged} of its runs diverged, and their seeds do not count."
    return why


def _smaller(claim: Claim, word: str = "") -> str:
    """A clause saying that the effect is below the claim's size."""
    size = abs(claim.size())
    if isinstance(claim, Spread):
        # The nearer the ratio is to 1, the smaller the effect.
        return f"the ratio is above {word}{size:.3g}"
    return f"the effect is smaller than {word}{counted(size, 'point', '.3g')}"


def _at_least(claim: Claim) -> bool:
    return isinstance(claim, MeanDifference) and claim.at_least


def _without_sign(claim: Claim, evidence: Evidence) -> str:
    """How many pairs have no sign, for the baseline with the most such pairs; empty if all pairs have one."""
    bound = abs(claim.size()) * (-1 if claim.direction == "lower" else 1) if _at_least(claim) else 0.0
    signless, pairs = max(
        ((int(np.count_nonzero(first - second == bound)), int(np.isfinite(first - second).sum()))
         for first, second in evidence.pairs.values()),
        default=(0, 0),
    )  # fmt: skip
    return f" with {signless} of {pairs} pairs {'at the bound' if bound else 'equal'}" if signless else ""


def command(claim: Claim, evidence: Evidence, suite: Suite) -> str | None:
    """The command that runs what is missing: in this suite, or in the claim's own suite if this one lacks cells."""
    name = suite.argument
    if evidence.outside:
        path = project_file(Path("config") / f"{claim.suite}.yaml")
        if claim.suite in (None, suite.name) or not path.exists():
            return None
        name = claim.suite
    elif not evidence.missing:
        return None
    if isinstance(claim, Differs):
        return f"steadytune run {name}"
    return f"steadytune run {name} -- $(steadytune claims {name} --missing {claim.id})"

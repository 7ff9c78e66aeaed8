"""Why a verdict is what it is, and the command that runs what it lacks."""

from pathlib import Path

import numpy as np

from steadytune.claims.claim import ALPHA, Claim, Comparison
from steadytune.claims.evidence import Evidence
from steadytune.claims.findings import UNITS
from steadytune.claims.judged import Finding, Verdict
from steadytune.claims.question import Differs
from steadytune.layout import project_file
from steadytune.suite.suite import Suite


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
    size = (
        f"{claim.size():.3g} point{'s' * (claim.size() != 1)}"
        if unit == "points"
        else f"a {unit} of {claim.size():.3g}"
    )
    bounded = claim.statistic in ("not-worse", "equivalent", "cost", "layer-stability") or getattr(claim, "at_least", 0)
    if verdict == "reproduced":
        smaller = f", but the effect is smaller than {size} (p {found.p_size:.2g})" if found.p_size <= alpha else ""
        why = f"Its p-value after Holm's correction is at most {ALPHA}{'' if bounded else smaller}."
    elif verdict == "not reproduced" and (found.p_against <= alpha or found.p_worse <= alpha):
        why = f"The opposite has a p-value of at most {level}."
    elif verdict == "not reproduced":
        why = f"The effect is smaller than the claimed {size}: p {found.p_size:.2g}, at most {level}."
    elif found.smallest_p > alpha:
        could = f"could have a p-value below {found.smallest_p:.2g}; {level} is needed."
        why = f"No outcome of {count}{_equal_pairs(evidence)} {could}"
    else:
        neither = "" if bounded else f", nor that the effect is smaller than {size}"
        why = f"{count} show neither the claim nor its opposite{neither}."
    if interim:
        planned = (
            "an earlier look came before the plan was changed" if not evidence.missing else "more seeds are planned"
        )
        why += f" Interim: {planned}, so p is the anytime-valid one."
    if bounded and (collapsed := evidence.ends.get("degenerate", 0)):
        why += f" {collapsed} of its runs gave one answer for every example."
    return why


def _equal_pairs(evidence: Evidence) -> str:
    """How many pairs have no sign, against the baseline with the most of them; nothing where all have one."""
    equal, pairs = max(
        ((int(np.count_nonzero(first == second)), int(np.isfinite(first - second).sum()))
         for first, second in evidence.pairs.values()),
        default=(0, 0),
    )  # fmt: skip
    return f" with {equal} of {pairs} pairs equal" if equal else ""


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
    if isinstance(claim, Differs):
        return f"steadytune run {name}"
    return f"steadytune run {name} -- $(steadytune claims {name} --missing {claim.id})"

"""What identifies a look at a claim: the question, its cells and its name."""

from collections.abc import Sequence

from steadytune.claims.claim import Claim, Comparison
from steadytune.claims.evidence import Evidence
from steadytune.claims.question import POINT, Differs
from steadytune.looks import Look, Looks, is_of_a_pair
from steadytune.suite.cell import canonical_digest

WORDS = {"sentence", "where", "paper", "source", "suite", "unreachable", "exploratory"}
"""Fields of a claim that do not affect the question it asks."""
SIDES = {"statistic", "encoders", "baseline_encoders", "method", "against"}
"""Fields that say what a claim compares, and by which statistic."""


def look_at(claim: Comparison, evidence: Evidence, family: int) -> Look:
    """The look at a claim with this evidence, in a family of `family` tests."""
    asked = claim
    if isinstance(claim, Differs):
        # The test of whether two methods differ does not depend on the margin, and its family is the suite's table, to
        # which methods may be added and from which they may be removed. So neither counts as a change of plan.
        asked, family = claim.model_copy(update={"margin": POINT}), 0
    return Look(
        seeds=len(evidence.seeds),
        planned=evidence.planned,
        plan=canonical_digest([asked.model_dump(mode="json", exclude=WORDS), evidence.plan]),
        family=family,
        scored=evidence.seeds,
        sides=sides_of(claim),
    )


def sides_of(claim: Comparison) -> str:
    """Digest of a claim's sides and statistic, by which it is recognised under another id."""
    return canonical_digest(claim.model_dump(mode="json", include=SIDES))


def under_new_names(claims: Sequence[Claim], looks: Looks) -> Looks:
    """Return `looks`, in which each claim without looks inherits those of removed claims about the same sides."""
    names = {claim.id for claim in claims}
    gone = [look for name, found in looks.items() if name not in names and not is_of_a_pair(name) for look in found]
    new = [claim for claim in claims if isinstance(claim, Comparison) and claim.id not in looks]
    same = {claim.id: tuple(look for look in gone if look.sides == sides_of(claim)) for claim in new}
    return {**looks, **{name: found for name, found in same.items() if found}}

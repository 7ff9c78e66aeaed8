"""What a look at a claim is known by: what was asked, of which cells, and under which name."""

from collections.abc import Sequence

from steadytune.claims.claim import Claim, Comparison
from steadytune.claims.evidence import Evidence
from steadytune.claims.question import POINT, Differs
from steadytune.looks import Look, Looks, is_of_a_pair
from steadytune.suite.cell import canonical_digest

WORDS = {"sentence", "where", "paper", "source", "suite", "unreachable", "exploratory"}
"""What a claim says beside what is asked."""
SIDES = {"statistic", "encoders", "baseline_encoders", "method", "against"}
"""What it compares with what."""


def look_at(claim: Comparison, evidence: Evidence, family: int) -> Look:
    """The look at a claim with this evidence, in a family of so many tests."""
    asked = claim
    if isinstance(claim, Differs):
        # Whether two methods differ is tested in one way, whatever size somebody asks about; and methods come to the
        # table of a suite and leave it: nobody has said which it will have.
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
    """Digest of what is compared with what, and by which statistic."""
    return canonical_digest(claim.model_dump(mode="json", include=SIDES))


def under_new_names(claims: Sequence[Claim], looks: Looks) -> Looks:
    """The looks, and by the id of each claim without any, those at claims about the same sides that are gone."""
    names = {claim.id for claim in claims}
    gone = [look for name, found in looks.items() if name not in names and not is_of_a_pair(name) for look in found]
    new = [claim for claim in claims if isinstance(claim, Comparison) and claim.id not in looks]
    same = {claim.id: tuple(look for look in gone if look.sides == sides_of(claim)) for claim in new}
    return {**looks, **{name: found for name, found in same.items() if found}}

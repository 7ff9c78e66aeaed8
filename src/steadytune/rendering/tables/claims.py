"""Does it hold? One row a claim."""

import math

from steadytune.claims.judged import Judged, load_judged
from steadytune.rendering.claims import (
    changes_text,
    counts_text,
    effect_text,
    needed_text,
    p_text,
    seeds_text,
)
from steadytune.rendering.table import NOTHING, Block, Table
from steadytune.rendering.tables.registry import table
from steadytune.results.model import Results

NOTES = (
    "Reproduced: p at most 0.05 after Holm's correction in the claim's family. Direction only and not reproduced: the "
    "seeds would have shown an effect of the claim's size. Inconclusive: they would not. docs/claims.md has the rules.",
    "Effect: a difference in points, a ratio (×), or a share of draws (below 1), with the 95 % interval over other "
    "seeds on the same tasks.",
    "Seeds: those that every side has a score for on every task; k of n: of n planned. Needed: seeds for a chance of "
    "80 %, or cells to run; unplanned: cells that this suite does not have.",
)
NUMBERS = ("p", "p_adjusted", "smallest_p", "detectable")


@table("claims", every_variant=True)
def claims(results: Results) -> Table:
    """Every claim that the suite names, its verdict, and what it would need."""
    judged = load_judged(results.folder)
    groups: dict[str, list[Judged]] = {}
    for claim in judged:
        groups.setdefault(claim.source, []).append(claim)
    blocks = [Block(tuple(map(_row, group)), title=source) for source, group in groups.items()]
    views = [f"Looked at otherwise, {claim.id} is {text}." for claim in judged if (text := changes_text(claim))]
    return Table(
        name="claims",
        title="Does it hold?",
        caption=f"{len(judged)} claims: {counts_text(judged)}." if judged else "This suite judges no claims.",
        columns=("Claim", "In words", "Verdict", ("Effect", "95 % interval"), ("p", "Holm"), "Seeds", "Needed"),
        blocks=tuple(blocks),
        align="wwlrrrl",
        notes=(*NOTES, *views) if judged else (),
        data=tuple(map(_data, judged)),
    )


def _row(claim: Judged) -> tuple[str, ...]:
    needed = needed_text(claim) or NOTHING
    seeds = seeds_text(claim) if claim.finding else NOTHING
    verdict = (claim.id, claim.sentence, claim.verdict)
    holm = p_text(claim.finding.p_adjusted) if claim.finding else NOTHING
    return (*verdict, effect_text(claim), holm, seeds, needed)


def _data(claim: Judged) -> dict[str, object]:
    """The csv row: every number of the finding."""
    named = ("id", "sentence", "source", "where", "statistic", "test", "family", "verdict", "reason", "unit")
    values: dict[str, object] = {name: getattr(claim, name) for name in named}
    found = claim.finding
    values |= {name: getattr(found, name, None) for name in ("against", "effect")}
    values["low"], values["high"] = (found and found.interval) or (None, None)
    values["bootstrap_low"], values["bootstrap_high"] = (found and found.bootstrap) or (None, None)
    values |= {name: getattr(found, name, None) for name in NUMBERS}
    values |= {"seeds": len(claim.seeds), "left_out": len(claim.left_out), "needs": getattr(found, "needs", None)}
    values |= {"cells": claim.cost, "missing": len(claim.missing), "outside": len(claim.outside)}
    values |= {"changes": changes_text(claim)}
    values |= {"margin": claim.margin, "margin_is": claim.margin_is, "published": claim.published}
    return {key: "" if _absent(value) else value for key, value in values.items()}


def _absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))

"""The verdicts on claims, one row per claim."""

from steadytune.claims.judged import Judged, judged_of
from steadytune.rendering.claims import (
    changes_text,
    counts_text,
    effect_text,
    error_text,
    examples_text,
    needed_text,
    p_text,
    seeds_text,
    verdict_text,
)
from steadytune.rendering.table import NOTHING, Block, Table
from steadytune.rendering.tables.registry import table
from steadytune.rendering.verdicts import not_judged
from steadytune.results.model import Results
from steadytune.text import counted

NOTES = (
    "Reproduced: p at most 0.05 after Holm's correction in the claim's family; smaller than claimed: the effect is "
    "shown to be below the claim's size. Not reproduced: the opposite, or an effect below the claim's size, is shown. "
    "Inconclusive: neither. Interim: cells are missing or the plan was changed after a look; p is valid no matter how "
    "often you look. docs/claims.md has the rules.",
    "Effect: a difference in points, a ratio (×), or a share of draws (below 1), with the 95 % interval over other "
    "seeds on the same tasks and the same evaluation examples: for a difference, the shifts that the sign-flip test "
    "does not reject; it widens if tasks disagree. With examples: a t interval over other examples too, each task's "
    "mean taken as fixed; it can be the narrower one. For a spread, interval and test can disagree.",
    "p: twice the one-sided p in the claimed direction, at most 1.",
    "Seeds: those with a score for every side on every task; k of n: of n planned. Needed: cells to run "
    "(unplanned: cells that this suite does not have), or the seeds that a new study would have to plan for a chance "
    "of 80 %; adding seeds to this one takes two to three times as many.",
)
COLUMNS: tuple[str | tuple[str, str], ...] = (
    *("Claim", "In words", "Verdict", ("Effect", "95 % interval"), ("95 % interval,", "with examples")),
    *(("p", "Holm"), "Seeds", "Needed"),
)
NUMBERS = ("p", "p_adjusted", "p_against", "p_size", "p_worse", "e_value", "smallest_p", "detectable")


@table("claims", every_variant=True)
def claims(results: Results) -> Table:
    """Every claim that the suite names, its verdict, and what it still needs."""
    judged = judged_of(results)
    groups: dict[str, list[Judged]] = {}
    for claim in judged:
        groups.setdefault(claim.source, []).append(claim)
    blocks = [Block(tuple(map(_row, group)), title=source) for source, group in groups.items()]
    views = [f"In other analyses, {claim.id} is {text}." for claim in judged if (text := changes_text(claim))]
    counts = f"{counted(len(judged), 'claim')}: {counts_text(judged)}." if judged else ""
    waiting = not_judged(results)
    return Table(
        name="claims",
        title="Does it hold?",
        caption=counts or ("Not judged yet." if waiting else "This suite judges no claims."),
        columns=COLUMNS,
        blocks=tuple(blocks),
        align="wwlrrrrl",
        notes=(*NOTES, *filter(None, [error_text(judged)]), *views) if judged else (waiting,) if waiting else (),
        data=tuple(map(_data, judged)),
    )


def _row(claim: Judged) -> tuple[str, ...]:
    needed = needed_text(claim) or NOTHING
    seeds = seeds_text(claim) if claim.finding else NOTHING
    verdict = (claim.id, claim.sentence, verdict_text(claim))
    holm = p_text(claim.finding.p_adjusted) if claim.finding else NOTHING
    intervals = (effect_text(claim.finding, claim.unit), examples_text(claim.finding, claim.unit))
    return (*verdict, *intervals, holm, seeds, needed)


def _data(claim: Judged) -> dict[str, object]:
    """The csv row: every number of the finding."""
    named = ("id", "sentence", "source", "where", "statistic", "test", "family", "verdict", "reason", "unit")
    values: dict[str, object] = {name: getattr(claim, name) for name in named}
    found = claim.finding
    values |= {name: getattr(found, name, None) for name in ("against", "effect")}
    values["low"], values["high"] = (found and found.interval) or (None, None)
    values["examples_low"], values["examples_high"] = (found and found.interval_examples) or (None, None)
    values |= {name: getattr(found, name, None) for name in NUMBERS}
    values |= {"seeds": len(claim.seeds), "left_out": len(claim.left_out), "needs": getattr(found, "needs", None)}
    values |= {"cells": claim.cost, "missing": len(claim.missing), "outside": len(claim.outside)}
    values |= {"planned": claim.planned, "interim": claim.interim, "exploratory": claim.exploratory}
    values |= {"degenerate": claim.degenerate, "changes": changes_text(claim)}
    values |= {"margin": claim.margin, "margin_is": claim.margin_is, "published": claim.published}
    return values

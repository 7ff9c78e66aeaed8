"""Does it hold? One row a claim."""

from collections.abc import Mapping
from typing import Any

from steadytune.rendering.claims import (
    changes_text,
    counts_text,
    effect_text,
    load_judged,
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
NUMBERS = ("effect", "low", "high", "bootstrap_low", "bootstrap_high", "p", "p_adjusted", "smallest_p", "detectable")


@table("claims", every_variant=True)
def claims(results: Results) -> Table:
    """Every claim that the suite names, its verdict, and what it would need."""
    judged = load_judged(results.folder)
    groups: dict[str, list[dict[str, Any]]] = {}
    for claim in judged:
        groups.setdefault(claim["source"], []).append(claim)
    blocks = [Block(tuple(map(_row, group)), title=source) for source, group in groups.items()]
    views = [f"Looked at otherwise, {claim['id']} is {text}." for claim in judged if (text := changes_text(claim))]
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


def _row(claim: dict[str, Any]) -> tuple[str, ...]:
    needed = needed_text(claim) or NOTHING
    seeds = seeds_text(claim) if claim["effect"] is not None else NOTHING
    verdict = (claim["id"], claim["sentence"], claim["verdict"])
    return (*verdict, effect_text(claim), p_text(claim["p_adjusted"]), seeds, needed)


def _data(claim: Mapping[str, Any]) -> dict[str, object]:
    """The csv row: every number of the finding."""
    named = ("id", "sentence", "source", "where", "statistic", "test", "family", "verdict", "reason", "unit", "against")
    low, high = claim["interval"] or (None, None)
    ends = dict(zip(("bootstrap_low", "bootstrap_high"), claim["bootstrap"] or (None, None), strict=True))
    numbers = {**claim, "low": low, "high": high, **ends}
    counts = {"seeds": len(claim["seeds"]), "left_out": len(claim["left_out"]), "needs": claim["needs"]}
    counts |= {"cells": claim["cost"], "missing": len(claim["missing"]), "outside": len(claim["outside"])}
    views = {"changes": changes_text(claim)}
    values = {key: claim[key] for key in named} | {key: numbers[key] for key in NUMBERS} | counts
    sizes = {key: claim[key] for key in ("margin", "margin_is", "published")}
    return {key: "" if value is None else value for key, value in (values | sizes | views).items()}

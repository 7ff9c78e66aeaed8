"""The verdicts as a list on a page: what is claimed, whether it holds, and behind a fold the evidence."""

import html
from collections import Counter

from steadytune.claims.judged import VERDICTS, Judged, load_judged
from steadytune.rendering.claims import effect_text, needed_text, p_text, seeds_text, stands_text
from steadytune.rendering.table import number
from steadytune.rendering.web import code
from steadytune.results.model import Results


def tally(results: Results) -> str:
    """How many claims have which verdict, in one line; empty for a suite without claims."""
    counts = Counter(claim.verdict for claim in load_judged(results.folder))
    if not counts:
        return ""
    found = " ".join(_badge(verdict, f"{counts[verdict]} {verdict}") for verdict in VERDICTS if counts[verdict])
    total = counts.total()
    return f'<p class="tally"><b>{total} claim{"s" if total > 1 else ""}:</b> {found}</p>'


def verdicts(results: Results) -> str:
    """Every claim that the suite names with its verdict, under its source; empty for a suite without claims."""
    groups: dict[str, list[Judged]] = {}
    for claim in load_judged(results.folder):
        groups.setdefault(claim.source, []).append(claim)
    return "".join(
        f'<h3>{html.escape(source)}</h3><ul class="claims">{"".join(map(_item, group))}</ul>'
        for source, group in groups.items()
    )


def _item(claim: Judged) -> str:
    effect = f'<span class="effect">{html.escape(_effect(claim))}</span>' if claim.finding else ""
    where = f'<span class="where">{html.escape(claim.where)}</span>'
    facts = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in _facts(claim) if text)
    return (
        f'<li id="claim-{html.escape(claim.id)}"><p>{_badge(claim.verdict)} {effect}</p>'
        f'<div><p>{html.escape(claim.sentence)} {where}</p><p class="reason">{html.escape(claim.reason)}</p>'
        f"<details><summary>Evidence</summary><dl>{facts}</dl></details></div></li>"
    )


def _facts(claim: Judged) -> list[tuple[str, str]]:
    """(name, HTML) of what stands behind the fold, in reading order; some may be empty."""
    facts = [("Claim", code(claim.id))]
    if found := claim.finding:
        p = f"p {p_text(found.p)}; {p_text(found.p_adjusted)} after Holm's correction in {claim.family}"
        facts.append(("Test", html.escape(f"{claim.test}, {p}")))
        facts.append(("Size in question", html.escape(_size(claim))))
        facts.append(("Seeds", html.escape(seeds_text(claim))))
    facts.append(("Needed", html.escape(needed_text(claim))))
    facts.append(("Looked at otherwise", html.escape(stands_text(claim))))
    facts.append(("To run", code(claim.command) if claim.command else ""))
    return facts


def _effect(claim: Judged) -> str:
    return effect_text(claim) + (" points" if claim.unit == "points" else "")


def _size(claim: Judged) -> str:
    """The margin and whose it is, and what the paper prints."""
    unit = {"points": " points", "ratio": " ×", "share": ""}[claim.unit]
    printed = claim.published
    paper = f"; the paper prints {number(printed, 2, sign=True)}{unit}" if printed is not None else ""
    return f"{claim.margin:g}{unit} ({claim.margin_is}){paper}"


def _badge(verdict: str, text: str = "") -> str:
    return f'<span class="verdict verdict-{verdict.replace(" ", "-")}">{html.escape(text or verdict)}</span>'

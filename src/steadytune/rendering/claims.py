"""Verdicts as text, for the table, the terminal and running text."""

import math
import textwrap
from collections.abc import Sequence

from steadytune.claims.judged import Finding, Judged, Unit, count_verdicts
from steadytune.rendering.table import NOTHING, number
from steadytune.text import counted

DECIMALS = {"points": 1, "ratio": 2, "share": 2}


def effect_text(found: Finding | None, unit: Unit = "points") -> str:
    """`+1.2 [−0.3, 2.7]` points, `0.97 [0.34, 2.76] ×`, or a dash."""
    if found is None:
        return NOTHING
    effect = number(found.effect, DECIMALS[unit], sign=unit == "points")
    return f"{effect} {_interval(found.interval, unit)}{' ×' if unit == 'ratio' else ''}"


def examples_text(found: Finding | None, unit: Unit = "points") -> str:
    """The interval over seeds and examples, or a dash."""
    return _interval(found.interval_examples, unit) if found and found.interval_examples else NOTHING


def verdict_text(claim: Judged) -> str:
    """The verdict and its qualifiers: `reproduced, smaller than claimed; interim, 3 of 25 seeds; exploratory`."""
    smaller = ", smaller than claimed" if claim.smaller_than_claimed else ""
    interim = f"interim, {so_far_text(claim)}" if claim.interim else ""
    return "; ".join(filter(None, [claim.verdict + smaller, interim, "exploratory" if claim.exploratory else ""]))


def so_far_text(judged: Judged) -> str:
    """Why a verdict is interim: `7 of 17 seeds, 3 of 4 tasks`, other missing cells, or a changed plan."""
    if not judged.missing:
        return "the plan was changed"
    tasks = len(judged.strata)
    parts = [(len(judged.seeds), judged.planned, "seeds"), (tasks, tasks + len(judged.not_begun), "tasks")]
    # Every seed and task may have a score, but a grid's variant is chosen only when all variants have run.
    return ", ".join(f"{done} of {planned} {noun}" for done, planned, noun in parts if done < planned) or (
        "cells are missing"
    )


def error_text(judged: Sequence[Judged]) -> str:
    """A sentence on the chance of a false reproduction, per family and in all; empty if no claim can be judged."""
    count = len({claim.family for claim in judged if claim.family_size})
    together = min(100, 5 * count)
    if not count:
        return ""
    if count == 1:
        return "The chance of falsely reproducing a claim is at most 5 % (one family)."
    return f"The chance of falsely reproducing a claim is at most 5 % in each of {count} families, {together} % in all."


def unit_text(value: str, unit: str) -> str:
    """`1 point`, `2 points`, `1.10 ×`, or an unchanged share."""
    if unit == "points":
        return f"{value} point{'' if value.lstrip('+−') in ('1', '1.00') else 's'}"
    return f"{value} ×" if unit == "ratio" else value


def p_text(value: float) -> str:
    """A p-value with two significant digits; `< 0.0001` if it is smaller."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def seeds_text(claim: Judged) -> str:
    """Number of seeds judged (`7 of 9` if some were left out), or of draws for a claim about layers."""
    if claim.draws:
        return f"{claim.draws} draws"
    count, out = len(claim.seeds), len(claim.left_out)
    return f"{count} of {count + out}" if out else str(count)


def needs_text(found: Finding, what: str = "seeds") -> str:
    """Number of seeds that a study has to plan to detect an effect of the size in question, as in `11 seeds`."""
    return f"{found.needs} {what}" if found.needs else f"over 1,000 {what}"


def needed_text(claim: Judged) -> str:
    """What an undecided claim needs: cells to run, or seeds of a new study; empty if the claim is decided."""
    if claim.verdict not in ("inconclusive", "not evaluated"):
        return ""
    counts = ((len(claim.missing), "to run"), (len(claim.outside), "unplanned"))
    cells = ", ".join(f"{count} {what}" for count, what in counts if count)
    if cells or claim.finding is None:
        return cells
    return needs_text(claim.finding, "draws" if claim.unit == "share" else "seeds")


def changes_text(claim: Judged) -> str:
    """The other analyses that give a different verdict, as in `inconclusive (ranks)`; empty if there are none."""
    views = claim.sensitivity
    return ", ".join(f"{view.verdict} ({name})" for name, view in views.items() if not view.survives)


def sensitivity_text(claim: Judged) -> str:
    """Number of other analyses with the same verdict, and the verdicts that differ."""
    stands = sum(view.survives for view in claim.sensitivity.values())
    same = [f"the same in {stands} of {len(claim.sensitivity)} other analyses"] if claim.sensitivity else []
    return "; ".join([*same, *filter(None, [changes_text(claim)])])


def counts_text(judged: Sequence[Judged]) -> str:
    """Number of claims by verdict."""
    return ", ".join(f"{count} {verdict}" for verdict, count in count_verdicts(judged).items())


def to_text(suite: str, judged: Sequence[Judged]) -> str:
    """All claims of a suite, formatted for the terminal."""
    if not judged:
        return f"{suite}: no claims; a suite names them under `claims`"
    lines = [f"{suite}: {counted(len(judged), 'claim')}: {counts_text(judged)}", *filter(None, [error_text(judged)])]
    for claim in judged:
        lines += ["", f"{claim.id}: {verdict_text(claim)}", *_wrapped(f"{claim.sentence} ({claim.where})")]
        lines += _wrapped(claim.reason)
        if found := claim.finding:
            family = f"p {p_text(found.p)}, {p_text(found.p_adjusted)} after Holm in {claim.family}"
            unit = " points" if claim.unit == "points" else ""
            over = f", over examples too {examples_text(found, claim.unit)}" if found.interval_examples else ""
            effect = effect_text(found, claim.unit)
            lines += _wrapped(f"effect {effect}{unit}{over}; {family}; seeds: {seeds_text(claim)}")
        facts = (("needs", needed_text(claim)), ("otherwise", sensitivity_text(claim)), ("run", claim.command))
        lines += [f"    {name}: {text}" for name, text in facts if text]
    return "\n".join(lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 112, initial_indent="    ", subsequent_indent="    ")


def _interval(interval: tuple[float, float], unit: Unit) -> str:
    ends = (number(end, DECIMALS[unit]) if math.isfinite(end) else "−∞" if end < 0 else "∞" for end in interval)
    return f"[{', '.join(ends)}]"

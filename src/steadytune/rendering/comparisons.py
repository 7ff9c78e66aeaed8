"""Comparisons of two methods as text, for the table and the terminal."""

import textwrap
from collections.abc import Sequence

from steadytune.claims.judged import Detail, Judged, agreeing
from steadytune.rendering.claims import effect_text, examples_text, needs_text, p_text, so_far_text, unit_text
from steadytune.rendering.table import NOTHING, number
from steadytune.suite.suite import Suite
from steadytune.text import counted, ranges


def average_text(compared: Judged) -> str:
    """Whether the mean over tasks differs: `higher`, `lower`, `less than 1 point apart`, `undecided`."""
    if compared.finding is None:
        return compared.verdict
    words = {
        "reproduced": "higher" if compared.finding.effect > 0 else "lower",
        "not reproduced": f"less than {unit_text(f'{compared.margin:g}', compared.unit)} apart",
    }
    return words.get(compared.verdict, "undecided") + (
        f"; interim, {so_far_text(compared)}" if compared.interim else ""
    )


def every_task_text(compared: Judged) -> str:
    """Whether the difference has the same direction on every task: `yes, higher on 3 of 3`, `no, …`, `open, …`."""
    tasks = [detail.difference.effect for detail in compared.on_tasks()]
    if not tasks:
        return NOTHING
    word = "higher" if sum(tasks) > 0 else "lower"
    return f"{compared.on_every_task}, {word} on {sum(agreeing(tasks))} of {len(tasks)}"


def compared_text(suite: Suite, methods: tuple[str, str], found: Sequence[Judged], chosen: Sequence[str] = ()) -> str:
    """One pair of methods, encoder by encoder, for the terminal. chosen: notes on the selected variants."""
    lines = [f"{suite.name}: {methods[0]} against {methods[1]}"]
    for compared in found:
        seeds = f"seeds {ranges(compared.seeds)}" if compared.seeds else "no seeds"
        tasks = counted(len(compared.strata), "task")
        if compared.not_begun:
            tasks += f" (not begun: {', '.join(compared.not_begun)})"
        # If the two sides have different encoders, the first line names both.
        encoder = [] if "/" in compared.family else [compared.id.partition("/")[0]]
        lines += ["", ", ".join([*encoder, tasks, seeds])]
        if compared.finding is None:
            lines.append(f"  {compared.reason}")
            lines += [f"  run: {compared.command}"] if compared.command else []
            continue
        lines.append(f"  better on average?    {_average(compared)}")
        lines.append(f"  better on every task? {every_task_text(compared)}")
        lines += _tasks(compared, methods)
    notes = (NOTE, *chosen) if any(compared.finding for compared in found) else chosen
    return "\n".join([*lines, *(line for note in notes for line in ("", *textwrap.wrap(note, 116)))])


NOTE = (
    "Differences in points with 95 % intervals over other seeds, and over other seeds and evaluation examples. "
    "p is two-sided and for this comparison alone: the report corrects its own. Every task: yes if each "
    "task alone shows the same direction at p 0.05, no if one shows the opposite at 0.05 over their number. Needs: "
    "seeds that a new study would have to plan to see a difference of --effect with a chance of 80 %. Changed: answers "
    "that the two give differently."
)


def _average(compared: Judged) -> str:
    found = compared.finding
    assert found is not None
    over = f", with examples {examples_text(found)}" if found.interval_examples else ""
    needs = f"to see {unit_text(f'{compared.margin:g}', compared.unit)}: {needs_text(found)}"
    return f"{average_text(compared)}: {effect_text(found)}{over}; p {p_text(found.p)}; {needs}"


def _tasks(compared: Judged, methods: tuple[str, str]) -> list[str]:
    """One line per task under a header, aligned in columns."""
    rows = [("task", *methods, "difference", "with examples", "p", "needs", "changed")]
    rows += [_task(detail) for detail in compared.on_tasks()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = (text.ljust(width) if place == 0 else text.rjust(width)
                 for place, (text, width) in enumerate(zip(row, widths, strict=True)))  # fmt: skip
        lines.append(f"    {'  '.join(cells)}")
    return lines


def _task(detail: Detail) -> tuple[str, ...]:
    sides = (f"{number(side.mean)} ± {number(side.sd)}" for side in (detail.first, detail.second))
    found, name = detail.difference, detail.stratum.partition(", ")[2]
    changed = NOTHING if detail.changed is None else f"{number(100 * detail.changed)} %"
    return (name, *sides, effect_text(found), examples_text(found), p_text(found.p), needs_text(found), changed)

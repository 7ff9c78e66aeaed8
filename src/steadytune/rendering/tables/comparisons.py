"""Each method against the baseline: the difference, its uncertainty, and the seeds needed to detect one point."""

import math

from steadytune.claims.judged import Judged, load_verdicts
from steadytune.rendering.claims import effect_text, examples_text, needs_text, p_text, seeds_text
from steadytune.rendering.comparisons import average_text, every_task_text
from steadytune.rendering.entries import block_title, over_tasks, plain_mean
from steadytune.rendering.table import NOTHING, Block, Table, number
from steadytune.rendering.tables.registry import table
from steadytune.rendering.verdicts import not_compared
from steadytune.results.model import Key, Results
from steadytune.suite.variants import base
from steadytune.text import extent

NOTES = (
    "Difference: method minus baseline, in points, the mean over the tasks that both have, paired by seed, on seeds "
    "that both have on all of them, with the 95 % interval over other seeds on the same tasks and examples; with "
    "examples: over other examples too. Intervals are not corrected for the number of methods.",
    "p: two-sided, after Holm's correction over the methods of this table. On average: higher or lower if p is at most "
    "0.05; less than 1 point apart if that is shown; undecided otherwise. Interim: cells are missing or the "
    "plan was changed after a look; p is valid no matter how often you look.",
    "On every task: yes if each task alone shows the same direction at 0.05; no if some task shows the opposite, at "
    "0.05 divided by the number of tasks; open otherwise.",
    "Changed: answers on the task's own set that the method and the baseline give differently at one seed, on average "
    "over tasks; numbers are rounded to whole ones. Below 1 %, a method has practically no effect: its settings are "
    "too weak.",
    "Needed: the seeds that a new study would have to plan to see 1 point on average with a chance of 80 %, from the "
    "deviations so far. `steadytune compare` prints one pair task by task; docs/claims.md has the rules.",
)
NO_METHODS = "This suite has no two methods to compare."
COLUMNS: tuple[str | tuple[str, str], ...] = (
    *("Method", ("Difference", "95 % interval"), ("95 % interval,", "with examples"), ("p", "Holm")),
    *("On average", "On every task", ("Answers", "changed, %"), "Seeds", ("Needed for", "1 point")),
)


@table("comparisons", every_variant=True)
def comparisons(results: Results) -> Table:
    """A row for each method but the baseline, a block for each encoder."""
    planned = {(encoder, base(method)) for encoder, method, _ in results.cells}
    found = [each for each in load_verdicts(results.folder).comparisons if _sides(each)[:2] in planned]
    groups: dict[str, list[Judged]] = {}
    for compared in found:
        groups.setdefault(_sides(compared)[0], []).append(compared)
    blocks = [Block(tuple(map(_row, group)), title=block_title(name, results)) for name, group in groups.items()]
    baseline = found[0].family.removeprefix("against ") if found else "the baseline"
    counts = {len(compared.strata) for compared in found if compared.finding}
    tasks = f", over {extent(counts)} task{'' if counts == {1} else 's'}" if counts else ""
    waiting = not_compared(results)
    notes = (*NOTES, *_different_tasks(found, results), *_unused_seeds(found, results))
    return Table(
        name="comparisons",
        title=f"Each method against {baseline}",
        caption=f"Mean differences in points{tasks}." if found else "Not compared yet." if waiting else NO_METHODS,
        columns=COLUMNS,
        blocks=tuple(blocks),
        align="lrrrllrrr",
        notes=notes if found else tuple(filter(None, [waiting])),
        data=tuple(map(_data, found)),
    )


def _sides(compared: Judged) -> tuple[str, str]:
    encoder, _, method = compared.id.partition("/")
    return encoder, method


def _different_tasks(found: list[Judged], results: Results) -> list[str]:
    """A note on the tasks that each row averages over; empty if they are the same for all rows."""
    rows = {}
    for compared in found:
        if compared.finding:
            encoder, method = _sides(compared)
            name = f"{method} ({encoder})" if len(results.encoders) > 1 else method
            rows[name] = [detail.stratum.partition(", ")[2] for detail in compared.on_tasks()]
    different = over_tasks(rows)
    return [f"Averages over different tasks cannot be compared with one another: {different}."] if different else []


def _unused_seeds(found: list[Judged], results: Results) -> list[str]:
    """A note on the rows that leave out seeds that both sides have on some of their tasks."""
    scored: dict[Key, set[int]] = {}
    for (encoder, method, task, on), score in results.scores.items():
        if task == on:
            scored.setdefault((encoder, base(method), task), set()).update(score.points)
    rows = []
    for compared in found:
        encoder, method = _sides(compared)
        baseline, used = compared.family.removeprefix("against "), len(compared.seeds)
        tasks = [detail.stratum.partition(", ")[2] for detail in compared.on_tasks()]
        counts = [
            len(scored.get((encoder, method, task), set()) & scored.get((encoder, baseline, task), set()))
            for task in tasks
        ]
        if max(counts, default=0) > used:
            name = f"{method} ({encoder})" if len(results.encoders) > 1 else method
            rows.append(f"{name} ({used} of up to {max(counts)} seeds)")
    if not rows:
        return []
    return [
        f"Some tasks have more seeds than the ones that all tasks of the row share: {', '.join(rows)}. The report's "
        "summary compares each task on all seeds that both sides have there, so its numbers can differ."
    ]


def _row(compared: Judged) -> tuple[str, ...]:
    found = compared.finding
    holm = p_text(found.p_adjusted) if found else NOTHING
    return (
        _sides(compared)[1],
        effect_text(found),
        examples_text(found),
        holm,
        average_text(compared),
        every_task_text(compared),
        number(100 * _changed(compared)),
        seeds_text(compared) if found else NOTHING,
        needs_text(found) if found else NOTHING,
    )


def _changed(compared: Judged) -> float:
    """The share of answers that differ, on average over tasks; NaN if unknown."""
    shares = [detail.changed for detail in compared.on_tasks()]
    return plain_mean([math.nan if share is None else share for share in shares])


def _data(compared: Judged) -> dict[str, object]:
    """The csv row."""
    found = compared.finding
    encoder, method = _sides(compared)
    values: dict[str, object] = {"encoder": encoder, "method": method, "family": compared.family}
    values |= {"on_average": average_text(compared), "on_every_task": compared.on_every_task}
    values |= {"tasks": len(compared.strata), "seeds": len(compared.seeds), "planned": compared.planned}
    values["changed"] = _changed(compared)
    values["effect"] = found and found.effect
    values["low"], values["high"] = (found and found.interval) or (None, None)
    values["examples_low"], values["examples_high"] = (found and found.interval_examples) or (None, None)
    values |= {name: getattr(found, name, None) for name in ("p", "p_adjusted", "p_size", "detectable", "needs")}
    return values

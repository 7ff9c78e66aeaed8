"""`steadytune plan`: what a suite still has to run, what it costs, and what it can show. Text for the terminal."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from steadytune.claims.claim import MeanDifference
from steadytune.claims.question import POINT
from steadytune.files import write_text
from steadytune.layout import plan_path, record_path
from steadytune.planning.amounts import duration, total
from steadytune.planning.budget import Choice, Requirement, choose, requirements
from steadytune.planning.estimates import BASES
from steadytune.planning.plan import Plan
from steadytune.planning.precision import slow_precisions
from steadytune.planning.questions import Questions
from steadytune.planning.space import disk, downloads
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.text import counted, ranges


class Page(NamedTuple):
    """What `plan` prints, and the cells chosen for a budget."""

    text: str
    chosen: tuple[Cell, ...] = ()
    """The cells that the text says are listed in `plan.txt`."""

    def write_targets(self, suite: Suite) -> None:
        """Write the chosen cells' record paths to `plan.txt` in the suite's results; nothing if none are chosen."""
        if self.chosen:
            lines = (f"{record_path(suite, cell)}\n" for cell in self.chosen)
            write_text(plan_path(suite), "".join(lines))


def describe(plan: Plan, budget: float | None = None, *, effect: float = POINT, sd: float | None = None) -> Page:
    """Compose the whole page.

    Args:
        plan: the suite and the cost of its cells.
        budget: hours of device time to choose cells for.
        effect: the difference that matters, in points.
        sd: an assumed standard deviation of a pair's difference, in points.
    """
    suite = plan.suite
    lines = [
        f"{suite.name}: {suite.file.title}",
        "",
        *_cells(plan),
        "",
        *_cost(plan),
        "",
        *disk(plan),
        *downloads(plan),
    ]
    questions = Questions(suite, effect, sd, plan.found)
    lines += questions.lines()
    wanted = requirements(suite, questions.needs)
    lines += _claims(plan, wanted)
    if budget is None:
        return Page("\n".join(lines))
    choice = choose(suite, wanted, set(plan.done), plan.hours, budget)
    return Page("\n".join([*lines, *_choice(plan, wanted, choice, budget)]), choice.cells)


def _cells(plan: Plan) -> list[str]:
    """A line per encoder x task: its cells, how many are left to run, their time, and the basis of the estimate."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.suite.cells:
        groups.setdefault((cell.encoder, cell.task), []).append(cell)
    widths = [max(len(key[i]) for key in groups) for i in range(2)]
    lines = []
    for (encoder, task), cells in groups.items():
        names = f"  {encoder.ljust(widths[0])}  {task.ljust(widths[1])}"
        methods, seeds = len({cell.method for cell in cells}), ranges({cell.seed for cell in cells})
        missing = [cell for cell in cells if cell not in plan.done]
        grid = f"{counted(methods, 'method')} x seeds {seeds}: {len(missing)}/{len(cells)} to run"
        lines.append(f"{names}  {grid}{_needed(plan, missing)}")
    planned, left = len(plan.suite.cells), len(plan.missing)
    lines += ["", f"{counted(planned, 'cell')}, {planned - left} recorded, {left} to run"]
    hint = f"`steadytune status {plan.suite.argument}` says why"
    stale = [status.shown for status in plan.found if status.state in ("stale", "quarantined")]
    if again := stale.count(False):
        lines.append(f"  of those to run, {again} {'has' if again == 1 else 'have'} a stale or damaged record: {hint}")
    if old := stale.count(True):
        lines.append(
            f"  of the recorded, {old} {'is' if old == 1 else 'are'} stale, and trained on request alone: {hint}"
        )
    return lines


def _needed(plan: Plan, cells: Sequence[Cell]) -> str:
    if not cells:
        return ""
    found = [plan.estimate(cell) for cell in cells]
    bases = Counter(estimate.basis for estimate in found)
    origin = ", ".join(f"{basis} {count}" if len(bases) > 1 else basis for basis, count in bases.items())
    return f", {total([estimate.seconds for estimate in found], duration)} ({origin})"


def _cost(plan: Plan) -> list[str]:
    """Total time and FLOPs, and an explanation of every basis of estimates in use."""
    device, found = plan.device, [plan.estimate(cell) for cell in plan.missing]
    if not found:
        return ["nothing is left to run"]
    unknown = sum(estimate.basis == "unknown" for estimate in found)
    at_once = f"{counted(device.cells_at_once, 'cell')} at once"
    if device.flops is not None:
        at_once += f", {device.flops:.3g} FLOP/s each: an assumption of yours"
    unit = "GPU-hours" if device.gpu else "hours of this machine"

    def spelled(seconds: float) -> str:
        start_to_end, hours = seconds / device.cells_at_once, seconds / 3600 / device.cells_a_device
        return f"{duration(start_to_end)} from start to end, {hours:.3g} {unit}"

    time = total([estimate.seconds for estimate in found], spelled)
    probe = f"`steadytune plan {plan.suite.argument} --probe` measures it"
    lines = [
        f"on {device.name} ({at_once}):",
        f"  time: not known yet; {probe}" if unknown == len(found) else f"  {time}",
    ]
    if 0 < unknown < len(found):
        lines.append(f"  and {counted(unknown, 'cell')} whose time is not known yet; {probe}")
    if not device.gpu:
        lines += [f"  {line}" for line in slow_precisions(plan.suite, plan.missing)]
    if any(math.isfinite(estimate.flops) for estimate in found):
        flops = total([estimate.flops for estimate in found], "{:.3g}".format)
        lines.append(f"  {flops} FLOPs in training and evaluation")
    lines.append("  of cells: pretraining, measurements of layers, tables, figures and the report are not counted")
    return [*lines, *(f"  {basis}: {BASES[basis]}" for basis in BASES if any(e.basis == basis for e in found))]


def _claims(plan: Plan, wanted: Sequence[Requirement]) -> list[str]:
    """A line per claim: its cells, and what a verdict needs."""
    if not wanted:
        return []
    lines = ["", "claims: cells to run, and the seeds from which there can be a verdict"]
    width = max(len(need.claim.id) for need in wanted)
    for need in wanted:
        missing = [cell for cell in need.planned if cell not in plan.done]
        price = sum(plan.hours(cell) for cell in need.cells if cell not in plan.done)
        why = "for an effect of its size" if need.powered else "enough to reach significance"
        if not need.powered and isinstance(need.claim, MeanDifference):
            # Equal pairs have no sign, so the smallest attainable p-value may be larger than planned.
            why += " if all pairs differ"
        outlook = (
            need.lack or f"{counted(need.seeds, 'seed')} {why}, {counted(len(need.cells), 'cell')}{_priced(price)}"
        )
        counts = f"{len(missing)}/{len(need.planned)} to run: " if need.planned else ""
        lines.append(f"  {need.claim.id.ljust(width)}  {counts}{outlook}")
    return [*lines, *_fewer(wanted)]


def _fewer(wanted: Sequence[Requirement]) -> list[str]:
    """What it takes for fewer seeds than planned to decide a claim; empty if no claim can be decided by fewer."""
    if not any(0 < need.seeds < len({cell.seed for cell in need.planned}) for need in wanted):
        return []
    return [
        "  fewer seeds than the suite plans decide a claim if `seeds` names only them before the first look at scores;",
        "  otherwise the verdict is interim, and an interim p takes two to three times as many seeds",
    ]


def _priced(hours: float) -> str:
    return f", {duration(3600 * hours)} of a device" if math.isfinite(hours) and hours else ""


def _choice(plan: Plan, wanted: Sequence[Requirement], choice: Choice, budget: float) -> list[str]:
    """The claims that a budget can decide, and the commands that run the cells."""
    if not wanted:
        return ["", f"with {budget:g} h of a device: nothing to choose, since {plan.suite.path} names no claims"]
    path = plan_path(plan.suite)
    could = sum(not need.lack for need in wanted)
    lines = ["", f"with {budget:g} h of a device: {len(choice.decided)} of {could} claims that can be decided"]
    lines += [
        f"  {need.claim.id}: {counted(need.seeds, 'seed')}, {counted(len(need.cells), 'cell')}"
        for need in choice.decided
    ]
    if not choice.cells:
        known = all(math.isfinite(plan.hours(cell)) for cell in plan.missing)
        none_fits = "  no claim fits" if known else "  no claim fits, as far as hours are known"
        return [*lines, "  no cell is left to run for them" if choice.decided else none_fits]
    name = plan.suite.argument
    return [
        *lines,
        f"  {counted(len(choice.cells), 'cell')}, {duration(3600 * choice.hours)} of a device, listed in {path}:",
        f"    steadytune run {name} -- $(cat {path})",
        f"    steadytune collect {name} && steadytune claims {name}",
    ]

"""`steadytune plan`: what a suite still has to run, what that takes, and what it can show. Text for the terminal."""

import math
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steadytune.cells.freshness import CellStatus, statuses
from steadytune.claims.claim import POINT, Difference, Gain
from steadytune.files import write_text
from steadytune.layout import record_path, results_folder
from steadytune.planning.budget import Choice, Requirement, choose, needs
from steadytune.planning.device import Device, free_bytes, stated_device, this_device
from steadytune.planning.estimates import BASES, Estimate, Estimator
from steadytune.planning.precision import slow_precisions
from steadytune.planning.questions import Questions
from steadytune.planning.records import read_runs
from steadytune.planning.sizes import Sizes
from steadytune.store.inventory import inventory
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import RECEIPT
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.suite.variants import base
from steadytune.text import counted, ranges

TARGETS = "plan.txt"
"""The targets of a choice under a budget, in the suite's results."""


@dataclass(frozen=True)
class Plan:
    """A suite, what is known of its cells, and what they would take."""

    suite: Suite
    estimator: Estimator
    done: frozenset[Cell]

    @classmethod
    def make(cls, suite: Suite, device: str | None = None, cells_at_once: int | None = None) -> "Plan":
        """For this machine, or for `device` as `--device` spells it."""
        of = stated_device(device, cells_at_once) if device else this_device(suite.base_protocol.threads)
        done = frozenset(cell for cell in suite.cells if record_path(suite, cell).exists())
        return cls(suite, Estimator(read_runs(), of, Sizes(suite.file.store, suite_lock(suite))), done)

    @property
    def device(self) -> Device:
        """Where the cells would run."""
        return self.estimator.device

    @property
    def missing(self) -> list[Cell]:
        """Cells without a record."""
        return [cell for cell in self.suite.cells if cell not in self.done]

    def estimate(self, cell: Cell) -> Estimate:
        """What a cell takes."""
        return self.estimator.estimate(self.suite.spec(cell))

    def hours(self, cell: Cell) -> float:
        """Of a device that a cell has to itself, or its share of one that several run on; NaN where not known."""
        return self.estimate(cell).seconds / 3600 / self.device.cells_a_device


def describe(plan: Plan, budget: float | None = None, *, effect: float = POINT, sd: float | None = None) -> str:
    """The whole page.

    Args:
        plan: the suite, and what its cells take.
        budget: hours of device time, for which a choice of cells is written down.
        effect: the difference that matters, in points.
        sd: an assumed standard deviation of a pair's difference, in points.
    """
    suite, found = plan.suite, statuses(plan.suite, scores=True)
    lines = [
        f"{suite.name}: {suite.file.title}",
        "",
        *_cells(plan, found),
        "",
        *_cost(plan),
        "",
        *_disk(plan),
        *_downloads(plan),
    ]
    questions = Questions(suite, effect, sd, found)
    lines += questions.lines()
    wanted = needs(suite, questions.needs)
    lines += _claims(plan, wanted)
    if budget is not None:
        choice = choose(suite, wanted, set(plan.done), plan.hours, budget)
        lines += _choice(plan, wanted, choice, budget)
    return "\n".join(lines)


def _cells(plan: Plan, found: Sequence[CellStatus]) -> list[str]:
    """A line for each encoder x task: cells, those to run, their hours, and where these come from."""
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.suite.cells:
        groups.setdefault((cell.encoder, cell.task), []).append(cell)
    widths = [max(len(key[i]) for key in groups) for i in range(2)]
    lines = []
    for (encoder, task), cells in groups.items():
        names = f"  {encoder.ljust(widths[0])}  {task.ljust(widths[1])}"
        methods, seeds = len({cell.method for cell in cells}), ranges({cell.seed for cell in cells})
        missing = [cell for cell in cells if cell not in plan.done]
        said = f"{counted(methods, 'method')} x seeds {seeds}: {len(missing)}/{len(cells)} to run"
        lines.append(f"{names}  {said}{_needed(plan, missing)}")
    total, left = len(plan.suite.cells), len(plan.missing)
    lines += ["", f"{counted(total, 'cell')}, {total - left} recorded, {left} to run"]
    old = sum(status.state in ("stale", "quarantined") for status in found if status.cell in plan.done)
    if old:
        command = f"steadytune status {plan.suite.name}"
        lines.append(f"  of the recorded, {old} {'is' if old == 1 else 'are'} stale or damaged: `{command}` says why")
    return lines


def _needed(plan: Plan, cells: Sequence[Cell]) -> str:
    if not cells:
        return ""
    found = [plan.estimate(cell) for cell in cells]
    bases = Counter(estimate.basis for estimate in found)
    origin = ", ".join(f"{basis} {count}" if len(bases) > 1 else basis for basis, count in bases.items())
    return f", {_total([estimate.seconds for estimate in found], _span)} ({origin})"


def _cost(plan: Plan) -> list[str]:
    """Hours in all, and what the words for their origin mean."""
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
        return f"{_span(start_to_end)} from start to end, {hours:.3g} {unit}"

    time = _total([estimate.seconds for estimate in found], spelled)
    probe = f"`steadytune plan {shlex.quote(str(plan.suite.path))} --probe` measures it"
    lines = [
        f"on {device.name} ({at_once}):",
        f"  time: not known yet; {probe}" if unknown == len(found) else f"  {time}",
    ]
    if 0 < unknown < len(found):
        lines.append(f"  and {counted(unknown, 'cell')} whose time is not known yet; {probe}")
    if not device.gpu:
        lines += [f"  {line}" for line in slow_precisions(plan.suite, plan.missing)]
    if any(math.isfinite(estimate.flops) for estimate in found):
        flops = _total([estimate.flops for estimate in found], "{:.3g}".format)
        lines.append(f"  {flops} FLOPs in training and evaluation")
    return [*lines, *(f"  {basis}: {BASES[basis]}" for basis in BASES if any(e.basis == basis for e in found))]


def _disk(plan: Plan) -> list[str]:
    """What the cells leave, and what lies there while they run."""
    specs = {cell: plan.suite.spec(cell) for cell in plan.missing}
    left = [plan.estimator.bytes(spec) for spec in specs.values()]
    unknown = sum(map(math.isnan, left))
    more = f" ({counted(unknown, 'cell')} of unknown size)" if unknown else ""
    lines = [f"disk: {_total(left, _size)} of records and predictions{more}; {_size(free_bytes())} are free"]
    weights = {cell: _weights(plan, spec.model) for cell, spec in specs.items()}
    largest = max(filter(math.isfinite, weights.values()), default=None)
    if largest is not None:
        several = " where an encoder's size is known" if any(map(math.isnan, weights.values())) else ""
        lines.append(
            f"  meanwhile up to {_size(3 * largest * plan.device.cells_at_once)} of checkpoints (weights and both"
            f" of AdamW's moments of the cells that run){several}"
        )
    if read := [weights[cell] for cell in {*plan.suite.inside_cells, *plan.suite.parents} if cell in weights]:
        lines.append(f"  and {_total(read, _size)} of fine-tuned weights until other jobs have read them")
    if plan.suite.file.keep == "all" and weights:
        lines.append(f"  and {_total(list(weights.values()), _size)} of fine-tuned weights")
    if plan.suite.file.keep == "best" and weights:
        best = {(cell.encoder, base(cell.method), cell.task): size for cell, size in weights.items()}
        lines.append(f"  and {_total(list(best.values()), _size)} of fine-tuned weights, of the best cells")
    return lines


def _weights(plan: Plan, model: str) -> float:
    """Bytes of an encoder in fp32; NaN where its size is not known."""
    shape = plan.estimator.sizes.shape(model)
    return 4 * shape.parameters if shape else math.nan


def _downloads(plan: Plan) -> list[str]:
    """What staging still has to bring, as far as the lock knows its size."""
    items = [
        item
        for item in inventory(plan.suite, suite_lock(plan.suite))
        if not (plan.suite.file.store / item.where / RECEIPT).is_file()
    ]
    # What is generated or shipped is brought too, and takes nothing.
    sizes = {item.key: size for item in items if (size := plan.estimator.sizes.download(item.kind, item.key)) != 0}
    if not sizes:
        return ["downloads: none"]
    unknown = [key for key, size in sizes.items() if size is None]
    more = f" ({len(unknown)} of unknown size: {_some(unknown)})" if unknown else ""
    return [f"downloads: {_total([size or math.nan for size in sizes.values()], _size)}{more}"]


def _some(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def _claims(plan: Plan, wanted: Sequence[Requirement]) -> list[str]:
    """The cells of every claim."""
    if not wanted:
        return []
    lines = ["", "claims: cells to run, and the seeds from which there can be a verdict"]
    width = max(len(need.claim.id) for need in wanted)
    for need in wanted:
        missing = [cell for cell in need.planned if cell not in plan.done]
        price = sum(plan.hours(cell) for cell in need.cells if cell not in plan.done)
        why = "for an effect of its size" if need.powered else "enough for its test to speak"
        if not need.powered and isinstance(need.claim, Difference | Gain):
            # Equal pairs have no sign, so that the smallest p-value can turn out larger than the one planned with.
            why += " if all pairs differ"
        said = need.lack or f"{counted(need.seeds, 'seed')} {why}, {counted(len(need.cells), 'cell')}{_priced(price)}"
        counts = f"{len(missing)}/{len(need.planned)} to run: " if need.planned else ""
        lines.append(f"  {need.claim.id.ljust(width)}  {counts}{said}")
    return lines


def _priced(hours: float) -> str:
    return f", {_span(3600 * hours)} of a device" if math.isfinite(hours) and hours else ""


def _choice(plan: Plan, wanted: Sequence[Requirement], choice: Choice, budget: float) -> list[str]:
    """What a budget buys, and the commands that run it."""
    path = results_folder(plan.suite) / TARGETS
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
    write_text(path, "".join(f"{record_path(plan.suite, cell)}\n" for cell in choice.cells))
    name = plan.suite.name
    return [
        *lines,
        f"  {counted(len(choice.cells), 'cell')}, {_span(3600 * choice.hours)} of a device, listed in {path}:",
        f"    steadytune run {name} -- $(cat {path})",
        f"    steadytune collect {name} && steadytune claims {name}",
    ]


def _total(values: Sequence[float], spell: Callable[[float], str]) -> str:
    """The sum of what is known, not of NaN: `at least 5 min` where that is not all, `?` where it is nothing."""
    known = [value for value in values if math.isfinite(value)]
    if values and not known:
        return "?"
    return f"{'at least ' if len(known) < len(values) else ''}{spell(sum(known))}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"

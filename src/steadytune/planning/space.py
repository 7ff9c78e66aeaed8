"""The disk space that a suite's cells need, and what staging still has to download."""

import math
from collections.abc import Sequence

from steadytune.planning.amounts import size, total
from steadytune.planning.device import free_bytes
from steadytune.planning.plan import Plan
from steadytune.store.inventory import inventory
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import RECEIPT
from steadytune.suite.variants import base
from steadytune.text import counted

SHOWN = 4
"""Most downloads of unknown size to name."""


def disk(plan: Plan) -> list[str]:
    """Lines about the disk space that the missing cells fill, permanently and while they run."""
    specs = {cell: plan.suite.spec(cell) for cell in plan.missing}
    left = [plan.estimator.bytes(spec) for spec in specs.values()]
    unknown = sum(map(math.isnan, left))
    more = f" ({counted(unknown, 'cell')} of unknown size)" if unknown else ""
    lines = [f"disk: {total(left, size)} of records and predictions{more}; {size(free_bytes())} are free"]
    weights = {cell: _weights(plan, spec.model) for cell, spec in specs.items()}
    largest = max(filter(math.isfinite, weights.values()), default=None)
    if largest is not None:
        several = " where an encoder's size is known" if any(map(math.isnan, weights.values())) else ""
        lines.append(
            f"  meanwhile up to {size(3 * largest * plan.device.cells_at_once)} of checkpoints (weights and both"
            f" of AdamW's moments of the cells that run){several}"
        )
    if read := [weights[cell] for cell in {*plan.suite.inside_cells, *plan.suite.parents} if cell in weights]:
        lines.append(f"  and {total(read, size)} of fine-tuned weights until other jobs have read them")
    if plan.suite.file.keep == "all" and weights:
        lines.append(f"  and {total(list(weights.values()), size)} of fine-tuned weights")
    if plan.suite.file.keep == "best" and weights:
        best = {(cell.encoder, base(cell.method), cell.task): count for cell, count in weights.items()}
        lines.append(f"  and {total(list(best.values()), size)} of fine-tuned weights, of the best cells")
    return lines


def _weights(plan: Plan, model: str) -> float:
    """Bytes of an encoder's weights in fp32; NaN if its size is unknown."""
    shape = plan.estimator.sizes.shape(model)
    return 4 * shape.parameters if shape else math.nan


def downloads(plan: Plan) -> list[str]:
    """A line about what staging still has to download, with the sizes that the lock states."""
    items = [
        item
        for item in inventory(plan.suite, suite_lock(plan.suite))
        if not (plan.suite.file.store / item.where / RECEIPT).is_file()
    ]
    sizes, order = plan.estimator.sizes, plan.suite.file.sources.order
    files = {item.key: sizes.downloads(item.kind, item.key, order) for item in items}
    if not any(files.values()):
        return ["downloads: none"]
    unknown = [key for key, found in files.items() if any(map(math.isnan, found))]
    more = f" ({len(unknown)} of unknown size: {_some(unknown)})" if unknown else ""
    return [f"downloads: {total([count for found in files.values() for count in found], size)}{more}"]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")

"""The seconds of a cell that has not run, from the nearest thing that is known, and which thing that was."""

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from steadytune.methods.registry import composition, passes
from steadytune.planning.device import Device
from steadytune.planning.records import Run
from steadytune.planning.sizes import Sizes
from steadytune.suite.cell import Spec

Basis = Literal["recorded", "scaled", "assumed", "unknown"]
BASES: dict[Basis, str] = {
    "recorded": "median of such cells on this device",
    "scaled": "counted FLOPs, at the rate of recorded cells on this device",
    "assumed": "counted FLOPs, at the rate that --device states; nothing beside training and evaluation",
    "unknown": "no record of such cells on this device: --probe runs short ones, --device NAME=FLOPS states a speed",
}
WORK = ("batch_size", "epochs", "steps", "max_length", "precision", "holdout", "evaluate_epochs", "threads")
"""What of a protocol decides how long a cell takes."""
MOST_LOOKED_AT = 100
"""The disk is asked for the sizes of so many runs, spread over all: they differ little."""
BYTES_A_ROW = 40
"""Of predictions, before compression: the row, label and prediction as 8 bytes each, and up to four logits. An
assumption where no record is at hand."""


@dataclass(frozen=True)
class Estimate:
    """What a cell takes; `seconds` is NaN where its basis is `unknown`."""

    seconds: float
    basis: Basis
    flops: float
    """Of training and evaluation; NaN where the sizes of its encoder or data are not known."""


class Estimator:
    """Estimates cells; those that differ by seed alone are estimated once."""

    def __init__(self, runs: Iterable[Run], device: Device, sizes: Sizes) -> None:
        self.device, self.sizes = device, sizes
        self.runs = list(runs)
        self._here = [run for run in self.runs if device.ran(run.device)]
        self._memory: dict[Any, Any] = {}

    def estimate(self, spec: Spec) -> Estimate:
        """What one more cell of a spec takes."""
        key = (spec.model, spec.method, spec.task, spec.transfer, spec.protocol)
        return self._once(key, lambda: self._estimate(spec))

    def bytes(self, spec: Spec) -> float:
        """What a cell leaves on the disk; NaN where the sizes of its evaluation sets are not known."""
        return self._once(("bytes", spec.task, spec.transfer), lambda: self._bytes(spec))

    def _bytes(self, spec: Spec) -> float:
        scored = [run for run in self.runs if run.rows]
        if same := [run for run in scored if run.task == spec.task]:
            return statistics.median(run.bytes for run in _some(same))
        each = [run.bytes / run.rows for run in _some(scored)] or [BYTES_A_ROW]
        return self._evaluation_rows(spec) * statistics.median(each)

    def _once(self, key: Any, compute: Callable[[], Any]) -> Any:
        if key not in self._memory:
            self._memory[key] = compute()
        return self._memory[key]

    def _estimate(self, spec: Spec) -> Estimate:
        flops = self._training_flops(spec) + self._evaluation_flops(spec)
        work = {name: getattr(spec.protocol, name) for name in WORK}
        same = [
            run.seconds
            for run in self._of(spec.model, composition(spec.method))
            if run.task == spec.task and all(run.protocol.get(name) == value for name, value in work.items())
        ]
        if same:
            return Estimate(statistics.median(same), "recorded", flops)
        if math.isfinite(flops) and (rate := self._rate(spec)):
            aside = self._once("aside", lambda: statistics.median(run.aside for run in self._here))
            return Estimate(flops / rate + aside, "scaled", flops)
        if math.isfinite(flops) and self.device.flops:
            return Estimate(flops / self.device.flops, "assumed", flops)
        return Estimate(math.nan, "unknown", flops)

    def _of(self, model: str, method: str) -> list[Run]:
        """Records of this device, by encoder and method."""

        def group() -> dict[tuple[str, str], list[Run]]:
            found: dict[tuple[str, str], list[Run]] = defaultdict(list)
            for run in self._here:
                found[run.model, run.method].append(run)
            return found

        return self._once("groups", group).get((model, method), [])

    def _rate(self, spec: Spec) -> float | None:
        """FLOP/s of training on this device: of the same encoder and method, else of the same encoder.

        Where no assumption is stated, of any encoder: small ones reach less than large ones.
        """
        near = self._of(spec.model, composition(spec.method)) or [run for run in self._here if run.model == spec.model]
        if not near and self.device.flops is None:
            near = self._here
        rates = [run.flops / run.train for run in near if run.train and run.flops]
        return statistics.median(rates) if rates else None

    def _training_flops(self, spec: Spec) -> float:
        """FLOPs a position times positions: both as recorded of like cells, else by shape and at the longest length."""
        method, length = composition(spec.method), spec.protocol.max_length
        like = [run for run in self.runs if run.model == spec.model and run.method == method and run.tokens]
        shape = self.sizes.shape(spec.model)
        forward, backward = passes(spec.parts)
        if like:
            each = statistics.median(run.flops / run.tokens for run in like)
        elif shape:
            # A backward pass is twice a forward pass: gradients of activations and of weights.
            each = (forward + 2 * backward) * shape.forward_flops(length)
        else:
            return math.nan
        return each * self._training_tokens(spec)

    def _training_tokens(self, spec: Spec) -> float:
        protocol = spec.protocol
        same = [
            run.tokens / run.steps
            for run in self.runs
            if (run.model, run.task) == (spec.model, spec.task)
            and (run.protocol["max_length"], run.protocol["batch_size"]) == (protocol.max_length, protocol.batch_size)
        ]
        rows = self.sizes.rows(spec.tasks[spec.task], "train")
        if rows is None and protocol.steps is None:
            return math.nan
        kept = (1 - protocol.holdout) * (rows or 0)
        steps = protocol.steps or protocol.epochs * math.ceil(kept / protocol.batch_size)
        if same:
            return steps * statistics.median(same)
        # Every example as long as may be: the estimate is an upper bound.
        return steps * min(protocol.batch_size, rows or protocol.batch_size) * protocol.max_length

    def _evaluation_rows(self, spec: Spec, epochs: int = 0) -> float:
        """Examples scored at the end, and on the task's own set after each of so many epochs."""
        rows = [self.sizes.rows(task, "evaluation") for task in spec.tasks.values()]
        if rows[0] is None:
            return math.nan
        # A transfer set whose size is not known is left out: the largest are known.
        return sum(filter(None, rows)) + epochs * rows[0]

    def _epochs(self, spec: Spec) -> int:
        """Passes over the training split, the last of which `steps` may cut short."""
        protocol, rows = spec.protocol, self.sizes.rows(spec.tasks[spec.task], "train")
        if protocol.steps is None:
            return protocol.epochs
        kept = (1 - protocol.holdout) * rows if rows else math.inf
        return max(1, math.ceil(protocol.steps * protocol.batch_size / kept))

    def _evaluation_flops(self, spec: Spec) -> float:
        shape, protocol = self.sizes.shape(spec.model), spec.protocol
        # The last epoch's are the final ones.
        rows = self._evaluation_rows(spec, self._epochs(spec) - 1 if protocol.evaluate_epochs else 0)
        if shape is None:
            return math.nan
        return rows * protocol.max_length * shape.forward_flops(protocol.max_length)


def _some(runs: list[Run]) -> list[Run]:
    return runs[:: math.ceil(len(runs) / MOST_LOOKED_AT)] if runs else []

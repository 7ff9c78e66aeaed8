"""Estimate how long a cell takes that has not run, from the closest available evidence, and say what that was."""

import math
import statistics
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from steadytune.methods.registry import composition, passes
from steadytune.planning.device import Device
from steadytune.planning.records import Run
from steadytune.planning.sizes import Sizes
from steadytune.suite.cell import Spec

Basis = Literal["recorded", "scaled", "assumed", "unknown"]
BASES: dict[Basis, str] = {
    "recorded": "median of such cells on this device",
    "scaled": "training's counted FLOPs and the scored examples, at the rates of recorded cells on this device",
    "assumed": "counted FLOPs, at the rate that --device states; training and evaluation only",
    "unknown": "no record of such cells on this device: --probe runs short ones, --device NAME=FLOPS states a speed",
}
WORK = ("batch_size", "epochs", "steps", "max_length", "precision", "holdout", "evaluate_epochs", "threads")
"""The protocol settings that decide how long a cell takes."""
MOST_LOOKED_AT = 100
"""Measure the files of at most this many runs, spread evenly over all, because sizes differ little."""
BYTES_A_ROW = 40
"""Assumed size of a prediction, before compression, if there are no records: row, label and prediction take 8 bytes
each, and there are up to four logits."""


@dataclass(frozen=True)
class Estimate:
    """What a cell costs; `seconds` is NaN if the basis is `unknown`."""

    seconds: float
    basis: Basis
    flops: float
    """FLOPs of training and evaluation; NaN if the size of the encoder or the data is unknown."""


class Estimator:
    """Estimates the cost of cells, once for cells that differ only in their seed."""

    def __init__(self, runs: Iterable[Run], device: Device, sizes: Sizes) -> None:
        self.device, self.sizes = device, sizes
        self.runs = list(runs)
        self._estimates: dict[Hashable, Estimate] = {}
        self._bytes: dict[Hashable, float] = {}
        self._paces: dict[Hashable, _Pace | None] = {}

    def estimate(self, spec: Spec) -> Estimate:
        """The cost of running a cell with this spec."""
        key = (spec.model, spec.method, spec.task, spec.transfer, spec.protocol)
        if key not in self._estimates:
            self._estimates[key] = self._estimate(spec)
        return self._estimates[key]

    def bytes(self, spec: Spec) -> float:
        """Bytes that a cell leaves on disk; NaN if the sizes of its evaluation sets are unknown."""
        key = (spec.task, spec.transfer)
        if key not in self._bytes:
            self._bytes[key] = self._estimate_bytes(spec)
        return self._bytes[key]

    def _estimate_bytes(self, spec: Spec) -> float:
        scored = [run for run in self.runs if run.rows]
        if same := [run for run in scored if run.task == spec.task]:
            return statistics.median(run.bytes for run in _some(same))
        each = [run.bytes / run.rows for run in _some(scored)] or [BYTES_A_ROW]
        return self._evaluation_rows(spec) * statistics.median(each)

    def _estimate(self, spec: Spec) -> Estimate:
        training = self._training_flops(spec)
        flops = training + self._evaluation_flops(spec)
        work = {name: getattr(spec.protocol, name) for name in WORK}
        same = [
            run.seconds
            for run in self._by_group.get((spec.model, composition(spec.method)), ())
            if run.task == spec.task and all(run.protocol.get(name) == value for name, value in work.items())
        ]
        if same:
            return Estimate(statistics.median(same), "recorded", flops)
        scaled = self._scaled(spec, training)
        if math.isfinite(scaled):
            return Estimate(scaled, "scaled", flops)
        if math.isfinite(flops) and self.device.flops:
            return Estimate(flops / self.device.flops, "assumed", flops)
        return Estimate(math.nan, "unknown", flops)

    def _scaled(self, spec: Spec, flops: float) -> float:
        """Seconds at the pace of recorded cells; NaN if there are none."""
        pace = self._pace(spec.model, composition(spec.method))
        if pace is None:
            return math.nan
        return flops / pace.flops_per_second + self._scored_rows(spec) * pace.seconds_per_row + pace.other_seconds

    def _pace(self, model: str, method: str) -> "_Pace | None":
        """The pace on this device of cells with the same encoder and method, else with the same encoder.

        If the user states no speed, finally that of any encoder; it is less accurate, because small encoders reach
        fewer FLOP/s than large ones.
        """
        groups = [(model, method), (model, None)] + ([(None, None)] if self.device.flops is None else [])
        group = next((group for group in groups if group in self._by_group), None)
        # Computed once per group: there may be thousands of records in a group and thousands of cells in a suite.
        if group and group not in self._paces:
            self._paces[group] = _Pace.of(self._by_group[group])
        return self._paces[group] if group else None

    @cached_property
    def _by_group(self) -> dict[tuple[str | None, str | None], list[Run]]:
        """Records of this device by encoder and method, by encoder, and all together."""
        found: dict[tuple[str | None, str | None], list[Run]] = {}
        for run in self.runs:
            if self.device.ran(run.device):
                for group in ((run.model, run.method), (run.model, None), (None, None)):
                    found.setdefault(group, []).append(run)
        return found

    def _training_flops(self, spec: Spec) -> float:
        """FLOPs per position times positions: from similar recorded cells, else from the shape and maximum length."""
        method, length = composition(spec.method), spec.protocol.max_length
        like = [run for run in self.runs if run.model == spec.model and run.method == method and run.tokens]
        shape = self.sizes.shape(spec.model)
        forward, backward = passes(spec.parts)
        if like:
            each = statistics.median(run.flops / run.tokens for run in like)
        elif shape:
            # A backward pass costs two forward passes, for the gradients of activations and of weights.
            each = (forward + 2 * backward) * shape.forward_flops(length)
        else:
            return math.nan
        return each * self._training_tokens(spec)

    def _training_tokens(self, spec: Spec) -> float:
        protocol = spec.protocol
        rows = self.sizes.rows(spec.tasks[spec.task], "train")
        if rows is None and protocol.steps is None:
            return math.nan
        kept = (1 - protocol.holdout) * (rows or 0)
        steps = protocol.steps or protocol.epochs * math.ceil(kept / protocol.batch_size)
        like = [
            run
            for run in self.runs
            if run.model == spec.model
            and (run.protocol["max_length"], run.protocol["batch_size"]) == (protocol.max_length, protocol.batch_size)
        ]
        # Batches are padded to their longest example. Even another task's batches are a better guess than the bound.
        if like := [run for run in like if run.task == spec.task] or like:
            return steps * statistics.median(run.tokens / run.steps for run in like)
        # An upper bound: every example has the maximum length.
        return steps * min(protocol.batch_size, rows or protocol.batch_size) * protocol.max_length

    def _evaluation_rows(self, spec: Spec, epochs: int = 0) -> float:
        """Examples scored at the end on all sets, plus those on the task's own set after each of `epochs` epochs."""
        rows = [self.sizes.rows(task, "evaluation") for task in spec.tasks.values()]
        if rows[0] is None:
            return math.nan
        # Transfer sets of unknown size are left out; the sizes of the largest are known.
        return sum(filter(None, rows)) + epochs * rows[0]

    def _epochs(self, spec: Spec) -> int:
        """Passes over the training split, the last of which `steps` may cut short."""
        protocol, rows = spec.protocol, self.sizes.rows(spec.tasks[spec.task], "train")
        if protocol.steps is None:
            return protocol.epochs
        kept = (1 - protocol.holdout) * rows if rows else math.inf
        return max(1, math.ceil(protocol.steps * protocol.batch_size / kept))

    def _scored_rows(self, spec: Spec) -> float:
        # The last epoch's evaluation is the final one.
        return self._evaluation_rows(spec, self._epochs(spec) - 1 if spec.protocol.evaluate_epochs else 0)

    def _evaluation_flops(self, spec: Spec) -> float:
        shape, length = self.sizes.shape(spec.model), spec.protocol.max_length
        return math.nan if shape is None else self._scored_rows(spec) * length * shape.forward_flops(length)


@dataclass(frozen=True)
class _Pace:
    """Medians over recorded cells. Evaluation has a separate rate, because it has no gradients and larger batches."""

    flops_per_second: float
    """FLOP/s of training."""
    seconds_per_row: float
    """Seconds per example of evaluation."""
    other_seconds: float

    @classmethod
    def of(cls, runs: list[Run]) -> "_Pace | None":
        """The pace of some runs; None if they lack the figures for either rate."""
        rates = [run.flops / run.train for run in runs if run.train and run.flops]
        scoring = [run.evaluate / run.scored for run in runs if run.scored]
        if not (rates and scoring):
            return None
        other_seconds = statistics.median(run.other_seconds for run in runs)
        return cls(statistics.median(rates), statistics.median(scoring), other_seconds)


def _some(runs: list[Run]) -> list[Run]:
    return runs[:: math.ceil(len(runs) / MOST_LOOKED_AT)] if runs else []

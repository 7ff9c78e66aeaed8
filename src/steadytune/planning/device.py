"""The device that a plan is for: this machine's, or one that the user states."""

import os
import shutil
from dataclasses import dataclass

from steadytune.cells.leases import gpu_name, gpu_slots, slots_per_gpu, visible_gpus
from steadytune.errors import SteadyTuneError
from steadytune.training.usage import processor_name


@dataclass(frozen=True)
class Device:
    """What cells run on."""

    name: str
    gpu: bool
    cells_at_once: int
    cells_a_device: int
    flops: float | None = None
    """FLOP/s that the user takes a cell to reach: an assumption. None goes by records alone."""

    def ran(self, recorded: str) -> bool:
        """Whether a record's device is this one: its name, or for a stated device a part of it."""
        return self.name == recorded if self.flops is None else self.name.casefold() in recorded.casefold()


def this_device(threads: int) -> Device:
    """The GPUs of this machine, or its processor, on which a cell takes `threads` cores."""
    if gpus := visible_gpus():
        return Device(gpu_name(gpus[0]), True, gpu_slots(), slots_per_gpu())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Device(processor_name(), False, max(1, cores // threads), max(1, cores // threads))


def stated_device(text: str, cells_at_once: int | None) -> Device:
    """The device of `--device H100=2e14`: a name, and the FLOP/s that a cell is taken to reach on it.

    Raises:
        SteadyTuneError: another form.
    """
    name, _, number = text.partition("=")
    try:
        flops = float(number)
    except ValueError:
        flops = 0.0
    if not name or not 0 < flops < float("inf"):
        raise SteadyTuneError(f"--device {text}: expected NAME=FLOPS, the FLOP/s that a cell reaches: H100=2e14")
    return Device(name, True, cells_at_once or 1, 1, flops)


def free_bytes() -> int:
    """Room on the disk of the working folder."""
    return shutil.disk_usage(".").free

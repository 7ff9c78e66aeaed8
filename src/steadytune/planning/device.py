"""The device that a plan is for: this machine's, or one that the user specifies."""

import os
import shutil
from dataclasses import dataclass

from steadytune.cells.leases import gpu_name, gpu_slots, slots_per_gpu, visible_gpus
from steadytune.errors import SteadyTuneError
from steadytune.training.usage import processor_name


@dataclass(frozen=True)
class Device:
    """The device that cells run on."""

    name: str
    gpu: bool
    cells_at_once: int
    cells_a_device: int
    flops: float | None = None
    """FLOP/s that a cell reaches, as assumed by the user; None to use records only."""

    def ran(self, recorded: str) -> bool:
        """Whether a recorded device is this one: the names are equal or, for a stated device, its name is contained."""
        return self.name == recorded if self.flops is None else self.name.casefold() in recorded.casefold()


def this_device(threads: int) -> Device:
    """The GPUs of this machine, or else its processor, with `threads` cores per cell."""
    if gpus := visible_gpus():
        return Device(gpu_name(gpus[0]), True, gpu_slots(), slots_per_gpu())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Device(processor_name(), False, max(1, cores // threads), max(1, cores // threads))


def stated_device(text: str, cells_at_once: int | None) -> Device:
    """The device given as `--device H100=2e14`: a name, and the FLOP/s that a cell is assumed to reach on it.

    Raises:
        SteadyTuneError: the text is not of this form.
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
    """Free bytes on the disk of the working folder."""
    return shutil.disk_usage(".").free

"""Measure a cell's resource use: seconds by phase, peak memory, the device's energy, and its computing speed.

Nothing here imports torch until the device is queried, so the imports themselves can be timed.
"""

import importlib
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError

PEAK_VARIABLE = "STEADYTUNE_PEAK_FLOPS"
"""The device's FLOP/s at the precision in use, as its manufacturer states; if unset, the utilisation is unknown."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What the device did for the cell, including earlier, interrupted attempts up to their checkpoints."""

    joules: float | None
    """Energy of the whole device during that time, including other processes' share; None if it cannot be read."""
    without_joules: str | None
    """Why `joules` is None."""
    flops_per_second: float | None
    """The training's FLOPs per second of the phase `train`; None if the training did not finish."""
    peak_flops_per_second: float | None
    """The device's peak as configured by the user; None if not set."""
    utilisation: float | None
    """`flops_per_second` as a share of `peak_flops_per_second`."""


class Meter:
    """Measures a cell from its first import to its record, and continues the totals of an interrupted attempt.

    A phase inside another (evaluation after an epoch of training) pauses the outer one.

    Raises:
        SteadyTuneError: the machine's peak FLOP/s setting is invalid; checked before training, although only the record
            needs it.
    """

    def __init__(self) -> None:
        self._peak = peak_flops()
        self._started = self._since = time.monotonic()
        self._seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._joules: Callable[[], float] | None = None
        self._without_energy = "no GPU, and NVML reads no other device"
        self._before: dict[str, Any] = {"total": 0.0, "joules": 0.0, "memory": {}}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the block's wall time to phase `name`."""
        self._charge()
        self._open.append(name)
        try:
            yield
        finally:
            self._charge()
            self._open.pop()

    def watch(self, device: str) -> None:
        """Measure the energy that `device` uses from here on, if it is a GPU whose driver reports energy."""
        if device != "cuda":
            return
        try:
            count = energy_counter()
        except SteadyTuneError as error:
            self._without_energy = str(error)
            return
        first = count()
        self._joules = lambda: count() - first

    def timing(self) -> dict[str, float]:
        """Seconds of every phase, and the total."""
        return {**self._seconds, "total": self._before["total"] + time.monotonic() - self._started}

    def memory(self, device: str) -> dict[str, int]:
        """Peak bytes of the cell's processes: on the host, and on the device if there is one."""
        now, before = peak_memory(device), self._before["memory"]
        return {name: max(size, before.get(name, 0)) for name, size in now.items()}

    def usage(self, flops: float | None) -> Usage:
        """What the device did; `flops` are those of the whole training, None if it did not finish."""
        joules = self._energy()
        train = self._seconds.get("train", 0.0)
        achieved = flops / train if flops and train else None
        return Usage(
            joules=joules,
            without_joules=None if joules is not None else self._without_energy,
            flops_per_second=achieved,
            peak_flops_per_second=self._peak,
            utilisation=achieved / self._peak if achieved and self._peak else None,
        )

    def spent(self, device: str) -> dict[str, Any]:
        """The resource use so far as JSON values, which a checkpoint stores for `resume`."""
        self._charge()
        return {**self.timing(), "joules": self._energy(), "memory": self.memory(device)}

    def resume(self, spent: dict[str, Any]) -> None:
        """Add the cost of earlier attempts up to the checkpoint from which this one resumes."""
        totals = {"total", "joules", "memory"}
        for name, seconds in spent.items():
            if name not in totals:
                self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        self._before = {name: spent[name] for name in totals}
        if spent["joules"] is None:
            self._joules, self._without_energy = None, "an earlier attempt of the cell could not read it"

    def _charge(self) -> None:
        """Add the time since the last call to the innermost open phase."""
        now = time.monotonic()
        if self._open:
            self._seconds[self._open[-1]] = self._seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    def _energy(self) -> float | None:
        return None if self._joules is None else self._before["joules"] + self._joules()


def energy_counter() -> Callable[[], float]:
    """A function that returns the joules used by this process's GPU, for any process, since its driver was loaded.

    Raises:
        SteadyTuneError: the energy cannot be read; the message says why.
    """
    import torch

    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        raise SteadyTuneError("nvidia-ml-py is not installed") from None
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError as error:
        raise SteadyTuneError(f"NVML: {error}") from None
    # NVML counts millijoules.
    return lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000


def peak_memory(device: str) -> dict[str, int]:
    """Peak bytes of this process: on the host, and on the device if there is one."""
    memory = {"host": _peak_of_host()}
    if device == "cuda":
        import torch

        memory["device"] = torch.cuda.max_memory_allocated()
    return memory


def peak_flops() -> float | None:
    """The device's peak FLOP/s as configured by the user; None if not set.

    Raises:
        SteadyTuneError: the setting is not a finite number above 0.
    """
    text = os.environ.get(PEAK_VARIABLE)
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise SteadyTuneError(f"{PEAK_VARIABLE} is '{text}', expected FLOP/s above 0, such as 6.7e13")
    return value


def processor_name() -> str:
    """The name that the manufacturer gives the machine's processor."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_of_host() -> int:
    # On Linux, ru_maxrss survives `exec`, so it includes the peak of the process that called it; VmHWM does not.
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="ascii", errors="replace").splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    # macOS counts bytes, other systems kibibytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

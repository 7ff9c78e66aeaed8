"""Where a cell runs and what it takes: versions, device, the code's commit, memory, time."""

import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import transformers

from steadytune.record import Environment


class Clock:
    """Seconds by phase. A phase inside another (evaluation after an epoch of training) interrupts the outer one."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.seconds: dict[str, float] = {}
        self._open: list[str] = []
        self._since = self.started

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

    def _charge(self) -> None:
        """Add the time since the last call to the innermost open phase."""
        now = time.monotonic()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    def timing(self) -> dict[str, float]:
        """Every phase and the total so far."""
        return {**self.seconds, "total": time.monotonic() - self.started}


def environment(device: str) -> Environment:
    """The machine and the software of this process."""
    commit, dirty = _git()
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        platform=platform.platform(),
        device=device,
        device_name=torch.cuda.get_device_name() if device == "cuda" else _processor(),
        threads=torch.get_num_threads(),
        git_commit=commit,
        git_dirty=dirty,
    )


def peak_memory(device: str) -> dict[str, int]:
    """Peak bytes of this process: on the host, and on the device where there is one."""
    # Linux counts kibibytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    memory = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device == "cuda":
        memory["device"] = torch.cuda.max_memory_allocated()
    return memory


def _git() -> tuple[str | None, bool | None]:
    """The commit of the code and whether it has changes; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit = _output(["git", "rev-parse", "HEAD"], folder)
        return commit, bool(_output(["git", "status", "--porcelain", "--untracked-files=no"], folder))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()

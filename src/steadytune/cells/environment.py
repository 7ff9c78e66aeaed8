"""The environment of a cell: versions, device, and the code's commit."""

import platform
import subprocess
from pathlib import Path

import torch
import transformers

from steadytune.cells.record import Environment
from steadytune.training.usage import processor_name


def environment(device: str) -> Environment:
    """Describe the machine and the software of this process."""
    commit, dirty = _git()
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        transformers=transformers.__version__,
        platform=platform.platform(),
        device=device,
        device_name=torch.cuda.get_device_name() if device == "cuda" else processor_name(),
        threads=torch.get_num_threads(),
        git_commit=commit,
        git_dirty=dirty,
    )


def _git() -> tuple[str | None, bool | None]:
    """The code's commit, and whether tracked files have uncommitted changes; None outside a checkout."""
    folder = Path(__file__).parent
    try:
        commit = _output(["git", "rev-parse", "HEAD"], folder)
        return commit, bool(_output(["git", "status", "--porcelain", "--untracked-files=no"], folder))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _output(command: list[str], folder: Path) -> str:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()

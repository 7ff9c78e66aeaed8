"""Checkpoints, written after each epoch and on interruption: a cell that resumes from one ends with the same bits.

One safetensors file (no pickle) holds the parameters and the state of the optimiser and the methods; its header holds
the progress. Random streams are functions of the seed and the step (`streams`), so no generator state is saved.
"""

import errno
import json
import logging
import re
import zlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer

from steadytune.files import atomic_path
from steadytune.methods.base import Composition

log = logging.getLogger(__name__)


def save_checkpoint(
    path: Path, model: nn.Module, optimizer: Optimizer, method: Composition, progress: dict[str, Any]
) -> None:
    """Write `path` atomically.

    Args:
        path: a `.safetensors` file.
        model: all of its parameters and buffers are saved.
        optimizer: its state tensors are saved, by parameter number.
        method: its state is saved.
        progress: JSON values that `load_checkpoint` returns: epoch, step, history, fingerprint.
    """
    tensors = {f"model.{name}": tensor.detach().contiguous() for name, tensor in _own_tensors(model).items()}
    for number, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{number}.{key}": torch.as_tensor(value) for key, value in state.items()}
    tensors |= {f"method.{name}": tensor for name, tensor in method.state().items()}
    tensors = {name: tensor.cpu() for name, tensor in tensors.items()}
    text = json.dumps(progress)
    header = {"progress": text, "checksum": str(_checksum(tensors, text))}
    with atomic_path(path) as temporary:
        try:
            save_file(tensors, temporary, header)
        except SafetensorError as error:
            # Raise the system's own error: a full disk is not an outcome of the cell.
            code = re.search(r"os error (\d+)", str(error))
            raise OSError(int(code[1]) if code else errno.EIO, str(error), str(path)) from None


def load_checkpoint(
    path: Path, model: nn.Module, optimizer: Optimizer, method: Composition, fingerprint: str
) -> dict[str, Any] | None:
    """Restore model, optimiser and method; return the progress saved with them, or None if there is none to resume.

    A checkpoint that has another fingerprint or cannot be read is ignored with a warning: the cell starts from scratch.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            text = header.get("progress", "{}")
            progress = json.loads(text)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        if header.get("checksum") != str(_checksum(tensors, text)):
            raise ValueError("its content is not what was written")
    except (SafetensorError, ValueError, AttributeError, TypeError) as error:
        log.warning("%s: unreadable checkpoint, starting anew (%s)", path, error)
        return None
    if progress.get("fingerprint") != fingerprint:
        log.warning("%s: a checkpoint of other settings, inputs or code, starting anew", path)
        return None
    own = _own_tensors(model)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[f"model.{name}"])
    _restore(optimizer, tensors)
    device = next(model.parameters()).device
    method.restore(
        {
            name.removeprefix("method."): tensor.to(device)
            for name, tensor in tensors.items()
            if name.startswith("method.")
        }
    )
    return progress


def _checksum(tensors: dict[str, torch.Tensor], progress: str) -> int:
    """CRC-32 over a checkpoint's whole content, because safetensors itself would not notice a flipped bit.

    tensors: on the CPU, by name; their names, dtypes and shapes are included.
    """
    found = zlib.crc32(progress.encode())
    for name, tensor in sorted(tensors.items()):
        found = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode(), found)
        found = zlib.crc32(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data, found)
    return found


def _own_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name; shared ones appear once."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def _restore(optimizer: Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, number, key = name.split(".", 2)
            state.setdefault(int(number), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})

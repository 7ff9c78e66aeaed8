"""Determinism levels: what each one fixes and what it gives up."""

import os
from typing import Literal

import torch

Level = Literal["bitwise", "seeded", "fast"]


def set_determinism(level: Level, threads: int, device: str) -> None:
    """Fix the process's numerics before the model is built on `device`.

    `bitwise` allows only deterministic kernels: a rerun on the same machine gives the same bits. `seeded` keeps every
    seed but lets kernels sum in any order. `fast` also allows TF32 and kernel autotuning. On a CPU the three agree for
    a fixed thread count.
    """
    torch.set_num_threads(threads)
    if level == "bitwise":
        # cuBLAS needs a fixed workspace size, which it reads when its handle is created.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # CPU kernels give the same bits for the same thread count. There, torch's own switch would only import its compiler
    # (a second per cell) and replace some kernels with slower ones.
    if level == "bitwise" and device != "cpu":
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = level == "fast"
    torch.set_float32_matmul_precision("high" if level == "fast" else "highest")


def pick_device() -> str:
    """`cuda` if a GPU is visible, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"

"""Determinism levels: what is fixed at each, and what each gives up."""

import os
from typing import Literal

import torch

Level = Literal["bitwise", "seeded", "fast"]


def set_determinism(level: Level, threads: int, device: str) -> None:
    """Fix the process's numerics before the model is built on `device`.

    `bitwise` allows deterministic kernels only: one machine gives the same bits again. `seeded` keeps every seed but
    lets kernels order their sums freely. `fast` also allows TF32 and kernel autotuning. On a CPU the three agree once
    the thread count is fixed.
    """
    torch.set_num_threads(threads)
    if level == "bitwise":
        # cuBLAS needs a fixed workspace, read when its handle is made.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # A CPU's kernels give the same bits for the same number of threads; there, torch's own switch would only import its
    # compiler (a second a cell) and put slow kernels in the place of some.
    if level == "bitwise" and device != "cpu":
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = level == "fast"
    torch.set_float32_matmul_precision("high" if level == "fast" else "highest")


def pick_device() -> str:
    """`cuda` where a GPU is visible, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"

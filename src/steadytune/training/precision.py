"""Compute precision: autocast regions, and loss scaling to keep fp16 gradients from vanishing."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FIRST_SCALE = 2.0**14
# Steps without overflow after which the scale is doubled, as in torch's GradScaler.
GROWTH_INTERVAL = 2000


class Precision:
    """Runs forward passes in `name` (fp32, bf16 or fp16) and keeps fp16 gradients in range.

    Unlike in torch's GradScaler, the scale is a plain number on the host. The gradient's norm, which clipping needs
    anyway, reveals an overflow, and methods stay in control of the optimiser's step.
    """

    def __init__(self, name: Literal["fp32", "bf16", "fp16"], device: str) -> None:
        self.name = name
        self.device = device
        self.scale = FIRST_SCALE if name == "fp16" else 1.0
        self.good_steps = 0

    def autocast(self) -> AbstractContextManager:
        """The context for a forward pass and its loss."""
        if self.name == "fp32":
            return nullcontext()
        return torch.autocast(self.device, dtype=TYPES[self.name])

    def backward(self, loss: Tensor) -> None:
        """Back-propagate the scaled loss."""
        (loss * self.scale if self.scale != 1 else loss).backward()

    def unscale(self, parameters: list[nn.Parameter]) -> None:
        """Restore the gradients' true size, before methods, clipping and the optimiser's step see them."""
        if self.scale != 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad /= self.scale

    def accept(self, norm: Tensor) -> bool:
        """Whether to take a step with this gradient norm; in fp16, also adapt the scale."""
        if self.name != "fp16":
            return True
        if not torch.isfinite(norm):
            self.scale, self.good_steps = max(self.scale / 2, 1.0), 0
            return False
        self.good_steps += 1
        if self.good_steps % GROWTH_INTERVAL == 0:
            self.scale *= 2
        return True

"""Muon (Jordan et al. 2024), whose orthogonalisation has the precision of the training.

That of `torch.optim.Muon` is always in bf16, in which a processor without instructions for it multiplies ten times as
slowly as in fp32. In bf16 this one gives the same bits.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic iteration: steepest at zero, so that few steps bring every singular value near 1."""
STEPS = 5
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalised, for matrices alone.

    Args:
        matrices: of two dimensions each.
        weight_decay: times the learning rate, of the weights, before the update.
        dtype: of the orthogonalisation.
        momentum: share of the average that stays.
    """

    def __init__(
        self, matrices: Iterable[nn.Parameter], weight_decay: float, dtype: torch.dtype, momentum: float = 0.95
    ) -> None:
        self.dtype = dtype
        super().__init__(matrices, {"lr": 0.0, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(matrix.grad)
                average = state["momentum_buffer"].lerp_(matrix.grad, 1 - group["momentum"])
                update = orthogonalise(matrix.grad.lerp(average, group["momentum"]), self.dtype)
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                # An orthogonal update in the size of AdamW's, so that one decay and similar rates suit both.
                matrix.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonalise(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """A matrix (rows, columns) with the same singular vectors and singular values near 1, by Newton and Schulz."""
    a, b, c = COEFFICIENTS
    turned = matrix.shape[0] > matrix.shape[1]
    found = matrix.to(dtype, copy=True)
    found = found.T if turned else found
    found.div_(found.norm().clamp(min=TINY))
    for _ in range(STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if turned else found

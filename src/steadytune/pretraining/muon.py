"""Muon (Jordan et al. 2024), orthogonalising in the precision of the training.

`torch.optim.Muon` always orthogonalises in bf16, which is ten times slower than fp32 on a processor without bf16
instructions. In bf16 both give the same bits.
"""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic iteration: steepest at zero, so a few steps bring every singular value near 1."""
STEPS = 5
TINY = 1e-7


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum, for matrices only.

    Args:
        matrices: parameters with two dimensions.
        weight_decay: decoupled: weights shrink by learning rate x weight_decay before each update.
        dtype: precision of the orthogonalisation.
        momentum: decay factor of the gradients' running average.
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
                # Scale the orthogonal update to the size of AdamW's, so both can share weight decay and similar rates.
                matrix.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(matrix.shape)))


def orthogonalise(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """A matrix with the same singular vectors and singular values near 1, by the Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    turned = matrix.shape[0] > matrix.shape[1]
    found = matrix.to(dtype, copy=True)
    found = found.T if turned else found
    found.div_(found.norm().clamp(min=TINY))
    for _ in range(STEPS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return found.T if turned else found

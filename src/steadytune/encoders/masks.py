"""Bernoulli masks of the entries of a tensor to keep, drawn quickly on a CPU from whole words of random bits.

On a CPU, torch draws Bernoulli variables one at a time, which for a small encoder takes as long as its matrix products.
Here a mask takes a single number from a torch generator to seed a NumPy SFC64, each of whose raw words gives four
entries (16-bit precision) or two (32-bit). Masks thus repeat from a saved state of the torch generator, as with
torch's own drawing. Other devices use torch.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# Integer types as wide as each floating-point type, and the number of low bits that a number in [0, 2) may use.
PATTERNS = {
    torch.float16: (torch.int16, np.int16, 14),
    torch.bfloat16: (torch.int16, np.int16, 14),
    torch.float32: (torch.int32, np.int32, 30),
    torch.float64: (torch.int64, np.int64, 62),
}
SMALLEST = 2.0**-7
"""How close to 0 and 1 rates may be. Closer to 0 the threshold would be a subnormal number, which processors may flush
to zero; closer to 1 few entries are kept, and the rounding of the rate would matter."""


def applies(tensor: Tensor, p: float) -> bool:
    """Whether a mask for `tensor` at rate `p` is drawn here rather than by torch."""
    return tensor.device.type == "cpu" and SMALLEST <= p <= 1 - SMALLEST and tensor.dtype in PATTERNS


class Mask:
    """Independent draws at rate p, rounded to the resolution of the type: 1/16,384 in half precision."""

    def __init__(
        self, shape: Sequence[int], dtype: torch.dtype, p: float, generator: torch.Generator | None = None
    ) -> None:
        """Drop entries with probability `p`, seeded from `generator`, or from torch's default generator if None.

        shape, dtype: those of the tensor to mask; a shape that broadcasts to the tensor's shares draws between entries.
        """
        integers, numpy_integers, bits = PATTERNS[dtype]
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
        size = int(np.prod(shape))
        words = np.random.SFC64(seed).random_raw(-(-size * numpy_integers().itemsize // 8))
        drawn = torch.from_numpy(words.view(numpy_integers)[:size]).view(shape)
        # With its two highest bits cleared, a bit pattern is a floating-point number in [0, 2), and these sort like
        # their patterns. So comparing them compares uniform integers, and torch has one kernel that both compares
        # floating-point numbers and selects.
        self.drawn = drawn.bitwise_and_(2**bits - 1).view(dtype)
        dropped = round(p * 2**bits)
        self.threshold = torch.tensor(dropped - 1, dtype=integers).view(dtype).item()
        self.scale = 1 / (1 - dropped / 2**bits)
        """1 / (probability of being kept), using the rounded rate, so that the mean of scaled entries is exact."""

    def select(self, tensor: Tensor) -> Tensor:
        """Return `tensor` with dropped entries set to 0, without scaling."""
        return torch.ops.aten.threshold_backward(tensor, self.drawn.expand_as(tensor), self.threshold)

    def select_(self, tensor: Tensor) -> Tensor:
        """As `select`, in place."""
        drawn = self.drawn.expand_as(tensor)
        return torch.ops.aten.threshold_backward.grad_input(tensor, drawn, self.threshold, grad_input=tensor)


class TorchMask:
    """A mask like `Mask` that torch draws, on any device and at any rate below 1."""

    def __init__(self, tensor: Tensor, shape: Sequence[int], p: float, generator: torch.Generator | None) -> None:
        self.kept = torch.empty(shape, dtype=torch.bool, device=tensor.device).bernoulli_(1 - p, generator=generator)
        self.scale = 1 / (1 - p)

    def select(self, tensor: Tensor) -> Tensor:
        """As in `Mask`."""
        return tensor * self.kept

    def select_(self, tensor: Tensor) -> Tensor:
        """As in `Mask`."""
        return tensor.mul_(self.kept)


class Everything:
    """A mask at rate 0, which keeps everything."""

    scale = 1.0

    def select(self, tensor: Tensor) -> Tensor:
        """Return the tensor itself."""
        return tensor

    select_ = select


def draw_mask(
    tensor: Tensor, p: float, generator: torch.Generator | None, shape: Sequence[int] | None = None
) -> Mask | TorchMask | Everything:
    """Draw a mask for `tensor` that drops entries with probability `p` < 1, here if `applies`, else by torch.

    shape: a shape that broadcasts to the tensor's, to share draws between entries; by default the tensor's own.
    """
    shape = tensor.shape if shape is None else shape
    if p == 0:
        return Everything()
    if applies(tensor, p):
        return Mask(shape, tensor.dtype, p, generator)
    return TorchMask(tensor, shape, p, generator)

"""Which entries of a tensor are kept: Bernoulli variables, drawn on a CPU from random bits by the word.

torch draws a CPU's Bernoulli variables one number at a time, which for a small encoder takes as long as its matrix
products. Here a mask takes one number from a generator of torch's, as the seed of a NumPy SFC64 whose raw words give
four entries (16-bit precision) or two (32-bit) each. So what is repeated from a saved state of torch's generator has
the same masks, as with torch's own drawing. Other devices have torch's.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# The integers as wide as a floating-point type, and the highest bit that a number below 2 may have set.
PATTERNS = {
    torch.float16: (torch.int16, np.int16, 14),
    torch.bfloat16: (torch.int16, np.int16, 14),
    torch.float32: (torch.int32, np.int32, 30),
    torch.float64: (torch.int64, np.int64, 62),
}
SMALLEST = 2.0**-7
"""How near to 0 and 1 rates may be: near 0 the threshold is a subnormal number of some type, which processors may
flush; near 1 few entries are kept, and the rounding of the rate would tell."""


def applies(tensor: Tensor, p: float) -> bool:
    """Whether a mask for `tensor` at rate `p` is drawn here and not by torch."""
    return tensor.device.type == "cpu" and SMALLEST <= p <= 1 - SMALLEST and tensor.dtype in PATTERNS


class Mask:
    """Independent draws, at the rate that is nearest to p among a type's steps: 1/16,384 in half precision."""

    def __init__(
        self, shape: Sequence[int], dtype: torch.dtype, p: float, generator: torch.Generator | None = None
    ) -> None:
        """Drop entries with probability `p`; the seed is the next number of `generator`, torch's default one if None.

        shape, dtype: of what the mask is for; a shape that broadcasts to it draws one entry for several.
        """
        integers, numpy_integers, bits = PATTERNS[dtype]
        seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
        size = int(np.prod(shape))
        words = np.random.SFC64(seed).random_raw(-(-size * numpy_integers().itemsize // 8))
        drawn = torch.from_numpy(words.view(numpy_integers)[:size]).view(shape)
        # Without its two highest bits a pattern is a number from 0 to below 2, and the order of the numbers is that of
        # the patterns: a comparison of floating-point numbers, which torch has in one kernel with the selection, is one
        # of uniform integers.
        self.drawn = drawn.bitwise_and_(2**bits - 1).view(dtype)
        dropped = round(p * 2**bits)
        self.threshold = torch.tensor(dropped - 1, dtype=integers).view(dtype).item()
        self.scale = 1 / (1 - dropped / 2**bits)
        """One over the probability of being kept: of the rounded rate, so that the mean of scaled entries is exact."""

    def select(self, tensor: Tensor) -> Tensor:
        """`tensor` with zeros where it is not kept; not yet scaled."""
        return torch.ops.aten.threshold_backward(tensor, self.drawn.expand_as(tensor), self.threshold)

    def select_(self, tensor: Tensor) -> Tensor:
        """The same in place."""
        drawn = self.drawn.expand_as(tensor)
        return torch.ops.aten.threshold_backward.grad_input(tensor, drawn, self.threshold, grad_input=tensor)


class TorchMask:
    """A `Mask` that torch draws, on any device and at any rate below 1."""

    def __init__(self, tensor: Tensor, shape: Sequence[int], p: float, generator: torch.Generator | None) -> None:
        self.kept = torch.empty(shape, dtype=torch.bool, device=tensor.device).bernoulli_(1 - p, generator=generator)
        self.scale = 1 / (1 - p)

    def select(self, tensor: Tensor) -> Tensor:
        """As a `Mask`."""
        return tensor * self.kept

    def select_(self, tensor: Tensor) -> Tensor:
        """As a `Mask`."""
        return tensor.mul_(self.kept)


class Everything:
    """The `Mask` at rate 0."""

    scale = 1.0

    def select(self, tensor: Tensor) -> Tensor:
        """The tensor itself."""
        return tensor

    select_ = select


def draw_mask(
    tensor: Tensor, p: float, generator: torch.Generator | None, shape: Sequence[int] | None = None
) -> Mask | TorchMask | Everything:
    """A mask for `tensor` that drops with probability `p` < 1, drawn here where that is possible, else by torch.

    shape: one that broadcasts to the tensor's, to draw one entry for several; by default its own.
    """
    shape = tensor.shape if shape is None else shape
    if p == 0:
        return Everything()
    if applies(tensor, p):
        return Mask(shape, tensor.dtype, p, generator)
    return TorchMask(tensor, shape, p, generator)

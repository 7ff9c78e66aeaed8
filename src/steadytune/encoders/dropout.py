"""Dropout on a CPU, and attention with it: random bits by the word, and as few passes over memory as torch allows.

torch draws a CPU's dropout masks one number at a time, which takes as long as the matrix products of a small encoder.
Here a call takes one number from torch's default generator, as the seed of a NumPy SFC64 whose raw words give four
entries (16-bit precision) or two (32-bit) each. So a pass that is repeated from a saved state of torch's generator has
the same masks, as with torch's own dropout. Other devices have torch's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ATTENTION = "steadytune"
"""The name of `attention` among transformers' implementations."""

# The integers as wide as a floating-point type, and the highest bit that a number below 2 may have set.
PATTERNS = {
    torch.float16: (torch.int16, np.int16, 14),
    torch.bfloat16: (torch.int16, np.int16, 14),
    torch.float32: (torch.int32, np.int32, 30),
    torch.float64: (torch.int64, np.int64, 62),
}
SMALLEST = 2.0**-7
"""The smallest rate: below it, the threshold would be a subnormal number of some type, which processors may flush."""


class QuickDropout(nn.Dropout):
    """nn.Dropout whose masks come from `Mask` on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Of any shape."""
        if self.training and applies(input, self.p):
            return _Dropout.apply(input, self.p)  # pyright: ignore [reportReturnType]
        return super().forward(input)


def use_quick_dropout(model: Any) -> None:
    """Let a transformers model draw its dropout here: its modules', and its attention's where that can be replaced."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = QuickDropout
    if model.config._attn_implementation == "sdpa":
        AttentionInterface.register(ATTENTION, attention)
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        model.set_attn_implementation(ATTENTION)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: queries, keys and values (B, H, T, d) -> (B, T, H, d).

    attention_mask: bool, broadcastable to (B, H, T, T); false where nothing is to be read.
    """
    if not applies(query, dropout):
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
    output = _Attention.apply(query, key, value, attention_mask, scaling, dropout)
    return output.transpose(1, 2).contiguous(), None  # pyright: ignore [reportAttributeAccessIssue]


def applies(tensor: Tensor, p: float) -> bool:
    """Whether dropout of `tensor` at rate `p` is drawn here and not by torch."""
    return tensor.device.type == "cpu" and SMALLEST <= p < 1 and tensor.dtype in PATTERNS


class Mask:
    """Which entries of a tensor are kept: independent draws, at the rate that is nearest to p among a type's steps."""

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, p: float) -> None:
        """Draw from a stream of its own, whose seed is the next number of torch's default generator."""
        integers, numpy_integers, bits = PATTERNS[dtype]
        seed = int(torch.empty((), dtype=torch.int64).random_())
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
        """One over the probability of being kept."""

    def select(self, tensor: Tensor) -> Tensor:
        """`tensor` with zeros where it is not kept; not yet scaled."""
        return torch.ops.aten.threshold_backward(tensor, self.drawn, self.threshold)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: Tensor, p: float) -> Tensor:
        ctx.mask = Mask(input.shape, input.dtype, p)
        return ctx.mask.select(input).mul_(ctx.mask.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.mask.select(gradients[0]).mul_(ctx.mask.scale), None


class _Attention(torch.autograd.Function):
    """softmax(scaling * Q K^T) with dropout, times V; in the precision of its arguments."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float, p: float
    ) -> Tensor:
        query = query * scaling
        scores = query @ key.transpose(-1, -2)
        if mask is not None:
            # Not infinity: where nothing may be read, as in no real batch, weights are then equal and not NaN.
            scores += torch.zeros(mask.shape, dtype=scores.dtype).masked_fill_(~mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(-1)
        ctx.mask, ctx.scaling = Mask(weights.shape, weights.dtype, p), scaling
        kept = ctx.mask.select(weights)
        ctx.save_for_backward(query, key, value, weights, kept)
        return (kept @ value).mul_(ctx.mask.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights, kept = ctx.saved_tensors
        of_output = gradients[0] * ctx.mask.scale
        of_weights = ctx.mask.select(of_output @ value.transpose(-1, -2))
        of_scores = torch.ops.aten._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_query = (of_scores @ key).mul_(ctx.scaling)
        return of_query, of_scores.transpose(-1, -2) @ query, kept.transpose(-1, -2) @ of_output, None, None, None

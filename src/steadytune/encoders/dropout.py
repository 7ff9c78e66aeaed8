"""Dropout on a CPU, and attention with it: masks by the word, and as few passes over memory as torch allows.

A call seeds its mask from torch's default generator (`masks.py`), so a pass that is repeated from a saved state of that
generator has the same masks, as with torch's own dropout. Other devices have torch's.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from steadytune.encoders.masks import Mask, applies, draw_mask

ATTENTION = "steadytune"
"""The name of `attention` among transformers' implementations."""


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


def set_configured_rates(model: Any) -> None:
    """Give every dropout module of a transformers model the rate that its configuration has for it by now."""
    # A model built from the configuration says which modules a key governs. On the meta device it has no weights and
    # draws no numbers.
    with torch.device("meta"):
        reference = type(model)(copy.deepcopy(model.config))
    for name, module in reference.named_modules():
        if isinstance(module, nn.Dropout):
            dropout = model.get_submodule(name)
            assert isinstance(dropout, nn.Dropout), name
            dropout.p = module.p


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
    # Without dropout, too, torch's own attention on a CPU takes several times as long for the backward pass.
    trains = module.training and query.device.type == "cpu"
    # A causal model without padding has no mask, and some have fewer heads for keys than for queries: torch's own then.
    plain = key.shape[1] == query.shape[1] and (attention_mask is not None or not getattr(module, "is_causal", False))
    if not plain or not (applies(query, dropout) or (trains and dropout == 0)):
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
        ctx.mask, ctx.scaling = draw_mask(weights, p, None), scaling
        kept = ctx.mask.select(weights)
        ctx.save_for_backward(query, key, value, weights, kept)
        return (kept @ value).mul_(ctx.mask.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weights, kept = ctx.saved_tensors
        of_output = gradients[0] * ctx.mask.scale
        of_weights = ctx.mask.select(of_output @ value.transpose(-1, -2))
        of_scores = torch.ops.aten._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        of_query = (of_scores @ key).mul_(ctx.scaling)
        return of_query, of_scores.transpose(-1, -2) @ query, kept.transpose(-1, -2) @ of_output, None, None, None

"""Fast dropout on a CPU, and attention with it: masks from words of random bits, and few passes over memory.

Each call seeds its mask from torch's default generator (`masks.py`), so masks repeat from a saved state of that
generator, just like torch's own. Other devices use torch's own dropout.
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
    """nn.Dropout that takes its masks from `Mask` on a CPU."""

    def forward(self, input: Tensor) -> Tensor:
        """Apply dropout to a tensor of any shape."""
        if self.training and applies(input, self.p):
            return _Dropout.apply(input, self.p)  # pyright: ignore [reportReturnType]
        return super().forward(input)


def use_quick_dropout(model: Any) -> None:
    """Make a transformers model use this dropout, in its modules and, if its attention is `sdpa`, in its attention."""
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
    """Set every dropout module of a transformers model to its rate in the current configuration."""
    # Building a model from the configuration shows which key governs which module. On the meta device, it has no
    # weights and draws no random numbers.
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

    attention_mask: bool, broadcastable to (B, H, T, T); false at positions not to attend to.
    """
    # Even without dropout, the backward pass of torch's own attention takes several times as long on a CPU.
    trains = module.training and query.device.type == "cpu"
    # Use torch's own if a causal model has no mask (no padding), or if there are fewer key heads than query heads.
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
            # Finite, so a fully masked row (which no real batch has) gives equal weights instead of NaN.
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

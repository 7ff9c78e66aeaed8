"""For Mixout: linear layers that mix their weights with fixed ones in training, and a way to set all dropout rates."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from steadytune.encoders.masks import Everything, Mask, TorchMask, draw_mask

if TYPE_CHECKING:
    from steadytune.encoders.encoder import Encoder
    from steadytune.streams import Streams


@dataclass(frozen=True)
class Mix:
    """A random mixture of a parameter w and its anchor w0, fresh at every call.

        w~ = ((1 - m) w0 + m w - p w0) / (1 - p) = w0 + m (w - w0) / (1 - p),   m ~ Bernoulli(1 - p)

    p: the probability that an entry is the anchor's.
    columns: draw one m per input column and repeat it over the output dimension, instead of one per entry.
    unscaled_gradient: leave the factor 1 / (1 - p) out of the gradient.
    streams: m is drawn from `streams.noise`.
    """

    p: float
    columns: bool
    unscaled_gradient: bool
    streams: "Streams"

    def __call__(self, value: Tensor, anchor: Tensor) -> Tensor:
        """Return w~ for `value` and `anchor`, each (out, in) or (out,)."""
        mask = draw_mask(value, self.p, self.streams.noise, value.shape[-1:] if self.columns else None)
        return _Mixture.apply(value, anchor, mask, self.unscaled_gradient)  # pyright: ignore [reportReturnType]


class _Mixture(torch.autograd.Function):
    """w0 + m (w - w0) / (1 - p), in as few passes over memory as torch allows."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, anchor: Tensor, mask: Mask | TorchMask | Everything, unscaled_gradient: bool
    ) -> Tensor:
        ctx.mask, ctx.scale = mask, 1.0 if unscaled_gradient else mask.scale
        change = mask.select_(value - anchor)
        return torch.add(anchor, change, alpha=mask.scale, out=change)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        gradient = ctx.mask.select(gradients[0])
        return gradient if ctx.scale == 1 else gradient.mul_(ctx.scale), None, None, None


class MixedLinear(nn.Linear):
    """A linear layer that uses mixed parameters in training and its own parameters in evaluation.

    `mix_linears` converts pretrained layers to this class. Their parameters stay the same objects under the same names;
    the anchors are a plain attribute and not in the state dict.
    """

    mix: Mix
    anchors: dict[str, Tensor]

    def forward(self, input: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        # Frozen weights equal their anchors.
        if not self.training or not self.weight.requires_grad:
            return super().forward(input)
        weight, bias = self.mix(self.weight, self.anchors["weight"]), self.bias
        if bias is not None and "bias" in self.anchors:
            bias = self.mix(bias, self.anchors["bias"])
        return functional.linear(input, weight, bias)


def mix_linears(encoder: "Encoder", mix: Mix, *, head: bool, biases: bool) -> None:
    """Make every linear layer of the pretrained encoder mix its weights with their current values during training.

    head: include the linear layers of the head.
    biases: mix the biases too.
    """
    wanted = encoder.encoder_parameters() | (encoder.head_parameters() if head else {})
    for name, module in encoder.model.named_modules():
        if type(module) is nn.Linear and f"{name}.weight" in wanted:
            mixed = ["weight"] + ["bias"] * (biases and module.bias is not None)
            module.__class__ = MixedLinear
            assert isinstance(module, MixedLinear)
            module.mix = mix
            module.anchors = {part: getattr(module, part).detach().clone() for part in mixed}


def set_dropout(encoder: "Encoder", p: float) -> None:
    """Set every dropout rate of the model: hidden states, attention probabilities, embeddings and head.

    This includes the configuration's rates, from which `Encoder.set_hidden_dropout` resets every module.
    """
    config = encoder.model.config
    for key, value in config.to_dict().items():
        if "dropout" in key and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(config, key, p)
    for module in encoder.model.modules():
        if isinstance(module, nn.Dropout):
            module.p = p

"""Bottleneck adapters after the sublayers of an encoder's layers, added by hooks so that no parameter is renamed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

if TYPE_CHECKING:
    from steadytune.encoders.encoder import Encoder

Activation = Literal["gelu", "relu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"gelu": nn.GELU, "relu": nn.ReLU}
# Submodules of a layer, in the order of `Architecture.sublayers`.
NAMES = ("attention_adapter", "feed_forward_adapter")


class Adapter(nn.Module):
    """A two-layer bottleneck with its own residual connection."""

    def __init__(self, width: int, size: int, activation: Activation, like: Tensor) -> None:
        """width: d. size: width of the bottleneck. like: a tensor with the device and precision to use."""
        super().__init__()
        # Skip torch's own initialisation, which would draw from the global generator.
        self.down = cast(nn.Linear, skip_init(nn.Linear, width, size, device=like.device, dtype=like.dtype))
        self.up = cast(nn.Linear, skip_init(nn.Linear, size, width, device=like.device, dtype=like.dtype))
        self.activation = ACTIVATIONS[activation]()

    def forward(self, hidden: Tensor) -> Tensor:
        """(..., d) -> (..., d)."""
        return hidden + self.up(self.activation(self.down(hidden)))

    def draw(self, std: float, truncated: bool, generator: torch.Generator) -> None:
        """Draw both weights from N(0, std^2), down first, optionally truncated at two deviations; zero the biases."""
        for linear in (self.down, self.up):
            if truncated:
                nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std, generator=generator)
            else:
                nn.init.normal_(linear.weight, std=std, generator=generator)
            nn.init.zeros_(linear.bias)

    def follow(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Forward hook of the sublayer's module. As a bound method, it is copied with its adapter by a deep copy."""
        return self(output)


def insert_adapters(encoder: "Encoder", layers: Iterable[int], size: int, activation: Activation) -> list[Adapter]:
    """Add an adapter after each sublayer of `layers` (0-based), as submodules of the layers; weights are not yet drawn.

    A module shared by several layers (ALBERT) gets its adapters once, and they act at each of its calls. Returns the
    adapters in the order of the layers, attention before feed-forward.
    """
    modules, adapters = encoder.layers(), []
    for module in dict.fromkeys(modules[layer] for layer in layers):
        like = next(module.parameters())
        for name, path in zip(NAMES, encoder.architecture.sublayers, strict=True):
            adapter = Adapter(encoder.width, size, activation, like)
            module.add_module(name, adapter)
            module.get_submodule(path).register_forward_hook(adapter.follow)
            adapters.append(adapter)
    return adapters


def norm_parameters(encoder: "Encoder", layers: Iterable[int]) -> list[nn.Parameter]:
    """Scales and shifts of the LayerNorms of `layers` (0-based)."""
    owned = {name: parameter for layer in layers for name, parameter in encoder.layer_parameters(layer).items()}
    return [parameter for name, parameter in owned.items() if _is_norm(encoder.model, name.rpartition(".")[0])]


def _is_norm(model: nn.Module, path: str) -> bool:
    # By class name: DeBERTa and decoders define their own norm classes.
    return type(model.get_submodule(path)).__name__.endswith(("LayerNorm", "RMSNorm"))

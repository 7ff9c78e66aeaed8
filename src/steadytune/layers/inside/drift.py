"""How far fine-tuning moved each layer's parameters: ||theta - theta_0|| / ||theta_0||."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from steadytune.encoders.encoder import Encoder


def parameter_distance(after: "Encoder", before: "Encoder") -> list[float]:
    """The relative distance of the embeddings' parameters, then of the parameters of each layer that `after` still has.

    Only parameters of the pretrained layer count. Bottleneck adapters do not, but a low-rank update counts as a change
    of the weight it is added to.
    """
    found = _weights(after.model)
    groups = [before.embedding_parameters(), *(before.layer_parameters(layer) for layer in range(after.num_layers))]
    return [_relative((found[name], parameter) for name, parameter in group.items()) for group in groups]


def _relative(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    moved = whole = 0.0
    for new, old in pairs:
        start = old.detach().double()
        moved += float((new.detach().double() - start).square().sum())
        whole += float(start.square().sum())
    return math.sqrt(moved / whole)


def _weights(model: nn.Module) -> dict[str, Tensor]:
    """Parameters by their names in the pretrained model, with peft's low-rank updates added."""
    weights: dict[str, Tensor] = {
        name.replace(".base_layer.", "."): parameter for name, parameter in model.named_parameters()
    }
    for path, module in model.named_modules():
        if hasattr(module, "get_delta_weight"):
            layer: Any = module
            weights[f"{path}.weight"] = layer.weight + sum(map(layer.get_delta_weight, layer.active_adapters))
    return weights

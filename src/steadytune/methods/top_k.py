"""Top-k tuning: only the top k layers and the head are trained (a baseline of Houlsby et al. 2019, arXiv 1902.00751).

The embeddings and the lower L - k layers keep their pretrained values. A pretrained pooler sits above the layers and is
trained.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, setting

if TYPE_CHECKING:
    from steadytune.encoders.encoder import Encoder


@dataclass(frozen=True, kw_only=True)
class TopKSettings(Hyperparameters):
    """Top-k tuning's hyper-parameters; both defaults are ours."""

    k: int = setting(3, at_least=0)
    """Number of layers trained, counted from the top; 0 trains only the head (and a pretrained pooler)."""
    embeddings: bool = False
    """Whether the embeddings are trained too; nothing is then frozen if k = L."""


class TopK(Method):
    """Plain fine-tuning of the upper part of the encoder."""

    Settings = TopKSettings
    names = {"top-k": {}}
    source = "Houlsby et al. 2019, arXiv 1902.00751"
    selects_parameters = True

    @property
    def passes(self) -> tuple[float, float]:
        """A quarter of a backward pass: it stops at the lowest trained layer, by default after 3 of 12 layers."""
        return 1, 0.25

    def prepare(self, setup: Setup) -> None:
        """Freeze the lower layers and the embeddings."""
        encoder, k = setup.encoder, self.settings.k
        depth = encoder.num_layers
        if k > depth:
            raise SteadyTuneError(f"method top-k: k is {k}, but the encoder has {depth} layers; expected 0 to {depth}")
        check_separable("top-k", encoder, range(depth - k, depth))
        frozen = set() if self.settings.embeddings else set(encoder.embedding_parameters())
        for layer in range(depth - k):
            frozen |= set(encoder.layer_parameters(layer))
        for name, parameter in encoder.model.named_parameters():
            parameter.requires_grad_(name not in frozen)


def check_separable(method: str, encoder: "Encoder", layers: Collection[int]) -> None:
    """Raise SteadyTuneError if `layers` (0-based) share their parameters with other layers (ALBERT)."""
    modules = encoder.layers()
    others = [module for layer, module in enumerate(modules) if layer not in layers]
    if any(modules[layer] is other for layer in layers for other in others):
        raise SteadyTuneError(
            f"method {method}: this encoder's {len(modules)} layers share their parameters, so some of them cannot be "
            "tuned apart from the others; expected all or none"
        )

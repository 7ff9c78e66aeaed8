"""HyPe: Better Pre-trained Language Model Fine-tuning with Hidden Representation Perturbation (arXiv 2212.08853).

Sec. 3, Alg. 1: with h^1 the embedding output and g_i the i-th Transformer layer, every step draws a fresh eps^i for
each layer and computes h^{i+1} = g_i(h^i + eps^i). The loss is the task loss of that one noised pass; evaluation has no
noise.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.methods.base import Method

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.encoders.encoder import Encoder
    from steadytune.training.streams import Streams


@dataclass(frozen=True, kw_only=True)
class HyPeSettings:
    """HyPe's hyper-parameters (App. A); main results take the better of sigma 1e-4 and 1e-5."""

    noise: Literal["normal", "uniform", "uniform-released"] = "normal"
    """N(0, sigma^2); U(-sigma, sigma) as the paper says; or U(0, sigma) as the released code draws it."""
    sigma: float = 1e-5
    """Scale of the noise, in units of the hidden states."""
    hidden_dropout: float | None = 0.0
    """Hidden dropout while fine-tuning (sec. 4.1 turns it off); None keeps the checkpoint's own."""

    def __post_init__(self) -> None:
        if self.sigma < 0:
            raise ValueError(f"sigma is {self.sigma}, expected 0 or more")
        if self.hidden_dropout is not None and not 0 <= self.hidden_dropout < 1:
            raise ValueError(f"hidden_dropout is {self.hidden_dropout}, expected a rate in [0, 1) or null")


class HyPe(Method):
    """Noise on the input of every layer: a fresh draw for each layer, token and step."""

    Settings = HyPeSettings
    names = {
        "hype-n": {"noise": "normal"},
        "hype-u": {"noise": "uniform"},
        "hype-u-released": {"noise": "uniform-released"},
    }
    source = "arXiv 2212.08853, sec. 3, Alg. 1"

    def prepare(self, encoder: "Encoder", streams: "Streams") -> None:
        """Set the hidden dropout; attention dropout stays, as in the released code."""
        if self.settings.hidden_dropout is not None:
            encoder.set_hidden_dropout(self.settings.hidden_dropout)

    def perturb(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """`hidden` (B, T, d) + eps, entries independent."""
        sigma = self.settings.sigma
        noise = hidden.new_empty(hidden.shape)
        if self.settings.noise == "normal":
            noise.normal_(0, sigma, generator=streams.noise)
        else:
            low = 0 if self.settings.noise == "uniform-released" else -sigma
            noise.uniform_(low, sigma, generator=streams.noise)
        return hidden + noise

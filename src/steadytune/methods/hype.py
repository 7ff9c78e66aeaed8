"""HyPe: Better Pre-trained Language Model Fine-tuning with Hidden Representation Perturbation (arXiv 2212.08853).

Sec. 3, Alg. 1: with h^1 the embedding output and g_i the i-th Transformer layer, every step draws a fresh eps^i for
each layer and computes h^{i+1} = g_i(h^i + eps^i). The loss is the task loss of this one noised pass; evaluation has no
noise. Tables 17 and 18 also add noise after the self-attention inside the layer, and in some layers only.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, setting

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.streams import Streams


@dataclass(frozen=True, kw_only=True)
class HyPeSettings(Hyperparameters):
    """HyPe's hyper-parameters (App. A); the paper's main results use the better of sigma 1e-4 and 1e-5."""

    noise: Literal["normal", "uniform", "uniform-released"] = "normal"
    """`normal`: N(0, sigma^2). `uniform`: U(-sigma, sigma), as in the paper. `uniform-released`: U(0, sigma), as in the
    released code."""
    sigma: float = setting(1e-5, at_least=0)
    """Scale of the noise, in units of the hidden states."""
    hidden_dropout: float | None = setting(0.0, at_least=0, below=1)
    """Hidden dropout during fine-tuning, which the paper turns off (sec. 4.1); `null` keeps the checkpoint's rate."""
    where: Literal["input", "attention", "both"] = "input"
    """Where noise is added: the input of a layer, the output of its self-attention block, or both (Table 17)."""
    layers: Literal["all", "lower", "upper", "lower-quarter", "upper-quarter"] | tuple[int, ...] = "all"
    """Layers that get noise: all, the lower or upper half or quarter (Table 18: 12 or 6 of 24), or a list (0-based)."""


class HyPe(Method):
    """Noise on layer inputs or attention outputs, drawn for each layer, token and step, with hidden dropout off."""

    Settings = HyPeSettings
    names = {
        "hype-n": {"noise": "normal"},
        "hype-u": {"noise": "uniform"},
        "hype-u-released": {"noise": "uniform-released"},
    }
    source = "arXiv 2212.08853, sec. 3, Alg. 1"

    def prepare(self, setup: Setup) -> None:
        """Set the hidden dropout and resolve the layers.

        Attention dropout stays, as in the released code, except in XLNet, which has one rate for both.
        """
        if self.settings.hidden_dropout is not None:
            setup.encoder.set_hidden_dropout(self.settings.hidden_dropout)
        depth, named = setup.encoder.num_layers, self.settings.layers
        parts = {"all": range(depth), "lower": range(depth // 2), "upper": range(depth // 2, depth)}
        parts |= {"lower-quarter": range(depth // 4), "upper-quarter": range(depth - depth // 4, depth)}
        self.layers = frozenset(parts[named] if isinstance(named, str) else named)
        if not self.layers <= set(range(depth)):
            raise SteadyTuneError(
                f"method hype: layers {named} do not fit an encoder of {depth}, expected 0 to {depth - 1}"
            )
        if not self.layers:
            raise SteadyTuneError(
                f"method hype: layers {named} are none of an encoder of {depth}, so nothing would be perturbed"
            )

    def perturb(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """Return `hidden` (B, T, d), with independent noise on every entry if this layer's input is noised."""
        noised = self.settings.where != "attention" and layer in self.layers
        return hidden + self._noise(hidden, streams) if noised else hidden

    def perturb_attention(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """The same for the output of the layer's self-attention block."""
        noised = self.settings.where != "input" and layer in self.layers
        return hidden + self._noise(hidden, streams) if noised else hidden

    def _noise(self, hidden: "Tensor", streams: "Streams") -> "Tensor":
        sigma, noise = self.settings.sigma, hidden.new_empty(hidden.shape)
        if self.settings.noise == "normal":
            return noise.normal_(0, sigma, generator=streams.noise)
        low = 0 if self.settings.noise == "uniform-released" else -sigma
        return noise.uniform_(low, sigma, generator=streams.noise)

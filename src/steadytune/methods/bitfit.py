"""BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models (arXiv 2106.10199).

Only bias vectors and the head are trained; the encoder's weight matrices and LayerNorm scales keep their pretrained
values. The paper also trains only two kinds of bias: those of the queries and of the first feed-forward layer.
"""

from dataclasses import dataclass
from typing import Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup

# Suffixes of parameter names in the supported architectures (DeBERTa has one bias for the queries of all heads; XLNet
# adds three biases to its queries, one for each kind of key).
QUERY = ("query.bias", "query_proj.bias", "q_lin.bias", "q_bias", "r_w_bias", "r_r_bias", "r_s_bias")
FEED_FORWARD = ("intermediate.dense.bias", "ffn.bias", "ffn.lin1.bias", "ff.layer_1.bias")


@dataclass(frozen=True, kw_only=True)
class BitFitSettings(Hyperparameters):
    """BitFit's hyper-parameters."""

    subset: Literal["all", "query-and-feedforward"] = "all"
    """`all`: every bias of the encoder, including LayerNorm's. `query-and-feedforward`: only the biases of the queries
    and of the first feed-forward layer, which the paper finds to change most."""


class BitFit(Method):
    """Plain fine-tuning of the biases and the head."""

    Settings = BitFitSettings
    names = {"bitfit": {}}
    source = "arXiv 2106.10199"
    selects_parameters = True
    freezes_weights = True

    @property
    def passes(self) -> tuple[float, float]:
        """Half a backward pass: gradients of activations, but almost none of weight matrices."""
        return 1, 0.5

    def prepare(self, setup: Setup) -> None:
        """Freeze everything except the head and the chosen biases."""
        encoder = setup.encoder
        biases = [name for name in encoder.encoder_parameters() if name.endswith("bias")]
        if self.settings.subset != "all":
            kinds = [[name for name in biases if _ends(name, kind)] for kind in (QUERY, FEED_FORWARD)]
            if not all(kinds):
                raise SteadyTuneError("method bitfit: this encoder has no biases of queries and feed-forward layers")
            biases = [name for kind in kinds for name in kind]
        trained = {*biases, *encoder.head_parameters()}
        for name, parameter in encoder.model.named_parameters():
            parameter.requires_grad_(name in trained)


def _ends(name: str, ends: tuple[str, ...]) -> bool:
    """Whether a name ends with one of `ends`, matched as whole dotted components."""
    return f".{name}".endswith(tuple(f".{end}" for end in ends))

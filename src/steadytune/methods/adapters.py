"""Adapters: Parameter-Efficient Transfer Learning for NLP (arXiv 1902.00751), and the adapters of arXiv 2210.10041.

A bottleneck A follows each of a layer's two sublayers, right before the residual connection x is added:

    LayerNorm(x + A(sublayer(x)))   with   A(h) = h + W_up f(W_down h + b_down) + b_up

Only the adapters, the LayerNorms of the layers with adapters, and the head are trained. The variability paper
(2210.10041) uses wider adapters with a ReLU, in a block of layers.
"""

from dataclasses import dataclass
from typing import Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Method, Setup, setting
from steadytune.methods.layer_tuning import BlockSettings, take_block


@dataclass(frozen=True, kw_only=True)
class AdapterSettings(BlockSettings):
    """The adapters' hyper-parameters; defaults from adapter-bert, the code of Houlsby et al."""

    size: int = setting(64, at_least=1)
    """Width of the bottleneck."""
    activation: Literal["gelu", "relu"] = "gelu"
    """f, the activation between the two projections."""
    initial: Literal["truncated-normal", "normal"] = "truncated-normal"
    """Distribution of the projections' initial weights around 0: truncated at two standard deviations, or not. Biases
    start at 0."""
    initial_std: float = setting(1e-3, above=0)
    """Standard deviation of these weights before truncation; small, so that an adapter starts near the identity."""
    layer: int | Literal["selected", "top"] = setting("top")
    """The last layer with adapters, 1 to L; `selected` is l*, as the variability stage measured it; `top` is L."""


class Adapters(Method):
    """Fine-tuning of bottleneck adapters between frozen sublayers."""

    Settings = AdapterSettings
    names = {
        "houlsby": {},
        "adapter-sequential": {"size": 256, "activation": "relu", "initial": "normal", "initial_std": 0.02},
    }
    source = "arXiv 1902.00751, sec. 2; arXiv 2210.10041 (released code)"
    selects_parameters = True
    freezes_weights = True

    @property
    def passes(self) -> tuple[float, float]:
        """Half a backward pass: gradients of activations, but almost none of weight matrices."""
        return 1, 0.5

    @property
    def reads_selection(self) -> bool:
        """Whether `layer` is `selected`, so l* is needed."""
        return self.settings.layer == "selected"

    def prepare(self, setup: Setup) -> None:
        """Freeze the encoder, insert the adapters, and draw their weights in the order of layers and sublayers."""
        from steadytune.encoders.adapters import insert_adapters, norm_parameters

        encoder, settings = setup.encoder, self.settings
        if not encoder.architecture.sublayers:
            raise SteadyTuneError(
                f"method adapters: {encoder.model.config.model_type} adds the residual inside its attention module, "
                "so no adapter fits before it"
            )
        layers = take_block("adapters", setup, settings)
        encoder.model.requires_grad_(False)
        for parameter in (*norm_parameters(encoder, layers), *encoder.head_parameters().values()):
            parameter.requires_grad_(True)
        for adapter in insert_adapters(encoder, layers, settings.size, settings.activation):
            adapter.draw(settings.initial_std, settings.initial == "truncated-normal", setup.streams.noise)

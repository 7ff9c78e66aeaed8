"""Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models (arXiv 1909.11299).

Dropout of weights that falls back to the pretrained weights w0 instead of zero. In every training pass, each linear
layer of the encoder uses the weights

    w~ = ((1 - m) w0 + m w - p w0) / (1 - p),   m ~ Bernoulli(1 - p) for every entry,

whose mean is w; evaluation uses w. Ordinary dropout is off.
"""

from dataclasses import dataclass
from typing import Literal

from steadytune.methods.base import Hyperparameters, Method, Setup, setting


@dataclass(frozen=True, kw_only=True)
class MixoutSettings(Hyperparameters):
    """Mixout's hyper-parameters."""

    p: float = setting(0.9, at_least=0, below=1)
    """Probability that an entry is the pretrained one; default from the released example for transformers."""
    mask: Literal["elements", "columns"] = "elements"
    """`elements`: draw m for every entry of a weight matrix. `columns`: draw one m per input column and repeat it over
    the output dimension, as in the released code."""
    unscaled_gradient: bool = False
    """Leave 1 / (1 - p) out of the gradient, as the released code does, which scales the true gradient by 1 - p."""
    head: bool = False
    """Mix the new head too, with its random initial weights, as the released examples do."""
    biases: bool = False
    """Mix the biases too; the released code does not."""
    dropout: float | None = setting(0.0, at_least=0, below=1)
    """Rate of all ordinary dropout: hidden states, attention probabilities and head. The released examples turn it off;
    `null` keeps the checkpoint's rates."""


class Mixout(Method):
    """Linear layers that randomly use pretrained weight entries during training."""

    Settings = MixoutSettings
    names = {
        "mixout": {},
        "mixout-released": {"mask": "columns", "unscaled_gradient": True, "head": True},
    }
    source = "arXiv 1909.11299"
    needs_weights = True

    def prepare(self, setup: Setup) -> None:
        """Set the dropout, and turn the linear layers into mixing layers."""
        from steadytune.encoders.mixing import Mix, mix_linears, set_dropout

        settings = self.settings
        if settings.dropout is not None:
            set_dropout(setup.encoder, settings.dropout)
        if settings.p:
            mix = Mix(settings.p, settings.mask == "columns", settings.unscaled_gradient, setup.streams)
            mix_linears(setup.encoder, mix, head=settings.head, biases=settings.biases)

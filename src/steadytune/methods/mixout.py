"""Mixout: Effective Regularization to Finetune Large-scale Pretrained Language Models (arXiv 1909.11299).

Dropout that falls back on the pretrained weights w0 instead of zero. In every training pass each linear layer of the
encoder computes with

    w~ = ((1 - m) w0 + m w - p w0) / (1 - p),   m ~ Bernoulli(1 - p) for every entry,

whose mean is w; evaluation uses w. It takes the place of dropout, which is off.
"""

from dataclasses import dataclass
from typing import Literal

from steadytune.methods.base import Hyperparameters, Method, Setup, setting


@dataclass(frozen=True, kw_only=True)
class MixoutSettings(Hyperparameters):
    """Mixout's hyper-parameters."""

    p: float = setting(0.9, at_least=0, below=1)
    """Probability that an entry is the pretrained one: the value of the released example for transformers."""
    mask: Literal["elements", "columns"] = "elements"
    """An m for every entry of a weight matrix; or one for every input column, repeated over the output dimension, as
    the released code draws it."""
    unscaled_gradient: bool = False
    """Leave 1 / (1 - p) out of the gradient, as the released code does: it is then (1 - p) times the true one."""
    head: bool = False
    """Mix the fresh head, too, with its random first weights, as the released examples do."""
    biases: bool = False
    """Mix the biases, too; the released code does not."""
    dropout: float | None = setting(0.0, at_least=0, below=1)
    """All dropout, on hidden states, attention probabilities and head; the released examples turn it off. `null` keeps
    the checkpoint's."""


class Mixout(Method):
    """Linear layers whose weights are, at random, the pretrained ones."""

    Settings = MixoutSettings
    names = {
        "mixout": {},
        "mixout-released": {"mask": "columns", "unscaled_gradient": True, "head": True},
    }
    source = "arXiv 1909.11299"
    needs_weights = True

    def prepare(self, setup: Setup) -> None:
        """Set the dropout, and turn the linear layers into mixing ones."""
        from steadytune.encoders.mixing import Mix, mix_linears, set_dropout

        settings = self.settings
        if settings.dropout is not None:
            set_dropout(setup.encoder, settings.dropout)
        if settings.p:
            mix = Mix(settings.p, settings.mask == "columns", settings.unscaled_gradient, setup.streams)
            mix_linears(setup.encoder, mix, head=settings.head, biases=settings.biases)

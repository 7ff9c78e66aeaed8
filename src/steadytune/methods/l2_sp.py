"""L2-SP: Explicit Inductive Bias for Transfer Learning with Convolutional Networks (arXiv 1802.01483).

With theta the parameters of the pretrained encoder, theta0 their values before training and w the new head's weights:

    loss = task loss + (alpha / 2) ||theta - theta0||^2 + (beta / 2) ||w||^2

The penalty's gradient, alpha (theta - theta0) and beta w, is added to the task gradient in closed form, before
clipping. The reported training loss is the task loss alone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.methods.base import Hyperparameters, Method, Setup, setting
from steadytune.methods.support.tensors import is_weight

if TYPE_CHECKING:
    from torch import nn

    from steadytune.streams import Streams


@dataclass(frozen=True, kw_only=True)
class L2SPSettings(Hyperparameters):
    """L2-SP's hyper-parameters; defaults from the released training script, which trains image classifiers with SGD."""

    weight: float = setting(0.1, at_least=0)
    """alpha: weight of the squared distance from the pretrained weights."""
    head_weight: float = setting(0.01, at_least=0)
    """beta: weight of the head's squared norm."""
    covers: Literal["all", "weights"] = "all"
    """`all`: every parameter (ours). `weights`: only matrices, not biases or LayerNorms. Released code offers both."""


class L2SP(Method):
    """A quadratic pull towards the pretrained weights, as part of the gradient."""

    Settings = L2SPSettings
    names = {"l2-sp": {}}
    source = "arXiv 1802.01483"
    needs_weights = True

    @property
    def moves_every_word(self) -> bool:
        """True unless `weight` is 0: the penalty pulls every word embedding."""
        return bool(self.settings.weight)

    def prepare(self, setup: Setup) -> None:
        """Store theta0, the encoder's current weights, and the names of the head's penalised parameters."""
        encoder, settings = setup.encoder, self.settings
        everything = settings.covers == "all"
        self.anchors = {
            name: p.detach().clone()
            for name, p in encoder.encoder_parameters().items()
            if settings.weight and p.requires_grad and (everything or is_weight(name, p))
        }
        self.head = frozenset(
            name
            for name, p in encoder.head_parameters().items()
            if settings.head_weight and (everything or is_weight(name, p))
        )

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Add the penalty's gradient."""
        for name, parameter in parameters.items():
            if parameter.grad is None:
                continue
            if name in self.anchors:
                # Subtract first: the difference is small next to both terms, and separate sums would lose precision.
                parameter.grad.add_(parameter.detach() - self.anchors[name], alpha=self.settings.weight)
            elif name in self.head:
                parameter.grad.add_(parameter.detach(), alpha=self.settings.head_weight)

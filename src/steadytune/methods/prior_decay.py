"""Prior weight decay: Revisiting Few-sample BERT Fine-tuning (arXiv 2006.05987), one of the methods compared there.

L2-SP's pull towards the pretrained weights as a step decoupled from the gradient, like AdamW's decay towards zero. With
theta the encoder's parameters, theta0 their values before training and lambda the `weight`:

    theta <- theta - lr * lambda * (theta - theta0);   then the optimiser's step, without its decay towards zero

The released code has the same order, and also drops the decay towards zero.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.methods.base import Hyperparameters, Method, Setup, Update, setting
from steadytune.methods.support.tensors import is_weight

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class PriorDecaySettings(Hyperparameters):
    """Prior weight decay's hyper-parameters."""

    weight: float = setting(1e-3, at_least=0)
    """lambda: a step removes the share learning rate x lambda of the distance from the pretrained weights. The default
    is the released sample's."""
    replaces_decay: bool = True
    """Whether pulled parameters are exempt from the protocol's decay towards zero, as in the released code; others keep
    it."""
    covers: Literal["all", "weights"] = "all"
    """`all`: every parameter (ours). `weights`: only matrices, not biases or LayerNorms, as in the released code."""
    head: bool = False
    """Whether the head is pulled too, towards its random initial weights. The released code means to exclude it, but
    compares with the wrong number."""


class PriorDecay(Method):
    """A decoupled pull towards the pretrained weights."""

    Settings = PriorDecaySettings
    names = {"prior-decay": {}, "prior-decay-released": {"covers": "weights", "head": True}}
    source = "arXiv 2006.05987"
    needs_weights = True

    @property
    def moves_every_word(self) -> bool:
        """Whether it pulls every word embedding or removes its decay."""
        return bool(self.settings.weight or self.settings.replaces_decay)

    def prepare(self, setup: Setup) -> None:
        """Store theta0, the current weights."""
        encoder, settings = setup.encoder, self.settings
        pulled = encoder.encoder_parameters() | (encoder.head_parameters() if settings.head else {})
        self.anchors = {
            name: p.detach().clone()
            for name, p in pulled.items()
            if p.requires_grad and (settings.covers == "all" or is_weight(name, p))
        }

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """Apply the pull, then step the optimiser."""
        import torch

        pulled = {name: p for name, p in update.parameters.items() if name in self.anchors}
        decays = [group["weight_decay"] for group in optimizer.param_groups]
        with torch.no_grad():
            if self.settings.replaces_decay:
                _decay_others(optimizer, update.learning_rate, {id(p) for p in pulled.values()})
            if self.settings.weight:
                for name, parameter in pulled.items():
                    parameter.lerp_(self.anchors[name], update.learning_rate * self.settings.weight)
        optimizer.step()
        for group, decay in zip(optimizer.param_groups, decays, strict=True):
            group["weight_decay"] = decay


def _decay_others(optimizer: "Optimizer", rate: float, pulled: set[int]) -> None:
    """Decay all parameters except those with the ids `pulled`, and turn off the optimiser's own decay."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in pulled and parameter.grad is not None:
                parameter.mul_(1 - rate * group["weight_decay"])
        group["weight_decay"] = 0.0

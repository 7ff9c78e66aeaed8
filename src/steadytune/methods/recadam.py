"""RecAdam: Recall and Learn: Fine-tuning Deep Pretrained Language Models with Less Forgetting (arXiv 2004.12651).

The weight of the task grows from 0 to 1 along a sigmoid, while the weight of a quadratic pull towards the pretrained
weights theta0 falls from 1 to 0. The pull is kept out of Adam's moments. For the encoder's parameters theta, at step t
(counted from 1):

    lambda(t) = 1 / (1 + exp(-k (t - t0)))
    theta <- theta - lr * lambda(t) * adam(g) - lr * (1 - lambda(t)) * gamma * (theta - theta0)

where every theta on the right is the value before the step. The head is updated by Adam alone. The protocol's decay
towards zero is added to both updates as in AdamW, not scaled by lambda.

The released code applies the same parts one after the other, each to the result of the previous part: Adam's part, the
pull, and the decay of all parameters.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, Update, setting

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class RecAdamSettings(Hyperparameters):
    """RecAdam's hyper-parameters; defaults from the released training script."""

    gamma: float = setting(5000.0, at_least=0)
    """Strength of the pull; the peak learning rate times gamma must be below 1."""
    k: float = setting(0.5, at_least=0)
    """Slope of the sigmoid, per step; the released README's grid is 0.05, 0.1, 0.2, 0.5, 1."""
    t0: float = 250.0
    """The step at which task and pull have equal weight; the released README's grid is 100, 250, 500, 1000."""
    form: Literal["paper", "released"] = "paper"
    """Whether pull and decay act on the parameters before the step (`paper`) or after Adam's part (`released`)."""


class RecAdam(Method):
    """AdamW whose update grows as a pull towards the pretrained weights fades."""

    Settings = RecAdamSettings
    names = {"recadam": {}, "recadam-released": {"form": "released"}}
    source = "arXiv 2004.12651"
    needs_weights = True

    @property
    def moves_every_word(self) -> bool:
        """False: it scales unread word embeddings by the factor that `unread_words` returns."""
        return False

    def narrow_words(self, name: str, rows: "Tensor") -> None:
        """Reduce theta0 to the words that are trained."""
        if name in self.anchors:
            self.anchors[name] = self.anchors[name][rows]

    def unread_words(self, kept: float, update: Update, decay: float) -> float:
        """Apply the decay and the pull back towards the initial value."""
        pull = update.learning_rate * self._pull(update.number) * self.settings.gamma
        if self.settings.form == "released":
            return (kept - pull * (kept - 1)) * (1 - update.learning_rate * decay)
        return kept * (1 - update.learning_rate * decay) - pull * (kept - 1)

    def prepare(self, setup: Setup) -> None:
        """Store theta0, the encoder's current weights."""
        self.anchors = {
            name: p.detach().clone() for name, p in setup.encoder.encoder_parameters().items() if p.requires_grad
        }

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """Step the optimiser, then average the encoder's result with the pull's, weighted by lambda and 1 - lambda."""
        import torch

        pull = self._pull(update.number)
        if pull == 0:
            optimizer.step()
            return
        # The peak rate, with which the optimiser was created: the schedule may still be in its warm-up.
        if (reach := optimizer.defaults["lr"] * self.settings.gamma) >= 1:
            raise SteadyTuneError(
                f"method recadam: learning rate {optimizer.defaults['lr']:g} times gamma {self.settings.gamma:g} is "
                f"{reach:g}, expected below 1, where the pull ends at the pretrained weights"
            )
        with torch.no_grad():
            if self.settings.form == "released":
                self._one_after_the_other(optimizer, update, pull)
                return
            targets = self._targets(optimizer, update)
            optimizer.step()
            for name, target in targets.items():
                update.parameters[name].lerp_(target, pull)

    def _one_after_the_other(self, optimizer: "Optimizer", update: Update, pull: float) -> None:
        """Step as the released code does."""
        pulled = {name: p for name, p in update.parameters.items() if name in self.anchors and p.grad is not None}
        before = {name: p.clone() for name, p in pulled.items()}
        decays = [group["weight_decay"] for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
        optimizer.step()
        for name, parameter in pulled.items():
            parameter.lerp_(before[name], pull)
            parameter.lerp_(self.anchors[name], update.learning_rate * pull * self.settings.gamma)
        for group, decay in zip(optimizer.param_groups, decays, strict=True):
            group["weight_decay"] = decay
            for parameter in group["params"]:
                if decay and parameter.grad is not None:
                    parameter.mul_(1 - update.learning_rate * decay)

    def _pull(self, number: int) -> float:
        """1 - lambda at step `number` (0-based)."""
        # Written with tanh, the sigmoid cannot overflow. When lambda rounds to 1, the step is AdamW's.
        return 1 - (1 + math.tanh(self.settings.k * (number + 1 - self.settings.t0) / 2)) / 2

    def _targets(self, optimizer: "Optimizer", update: Update) -> "dict[str, Tensor]":
        """The encoder's parameters after the pull and weight decay alone."""
        rate, targets = update.learning_rate, {}
        decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
        for name, parameter in update.parameters.items():
            if name in self.anchors and parameter.grad is not None:
                targets[name] = parameter.lerp(self.anchors[name], rate * self.settings.gamma)
                if decay[id(parameter)]:
                    targets[name].sub_(parameter, alpha=rate * decay[id(parameter)])
        return targets

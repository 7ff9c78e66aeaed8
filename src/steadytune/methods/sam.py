"""SAM: Sharpness-Aware Minimization for Efficiently Improving Generalization (arXiv 2010.01412).

Alg. 1 with the L2 norm (p = 2): a step climbs from w to the worst point nearby, to first order, and then descends from
w along the gradient at that point,

    epsilon = rho * g / ||g||,    g the gradient of the loss L at w
    w <- the optimiser's step from w with the gradient of L at w + epsilon

Both gradients use the same batch, dropout and noise (ours); the norm is over all trained parameters.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from steadytune.methods.base import Hyperparameters, Method, Update, setting

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, kw_only=True)
class SAMSettings(Hyperparameters):
    """SAM's hyper-parameters."""

    rho: float = setting(0.05, at_least=0)
    """Radius of the neighbourhood; the paper's default, from a grid of 0.01 to 0.5. 0 is plain fine-tuning."""


class SAM(Method):
    """Steps along the gradient at the worst point of a neighbourhood instead of the gradient at the weights."""

    Settings = SAMSettings
    names = {"sam": {}}
    source = "arXiv 2010.01412, Alg. 1"

    @property
    def passes(self) -> tuple[float, float]:
        """Two passes, one at each point; one if rho is 0."""
        return (2, 2) if self.settings.rho else (1, 1)

    @property
    def moves_every_word(self) -> bool:
        """False: the climb does not move word embeddings without a gradient."""
        return False

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """Climb, recompute the gradients, go back, and step the optimiser."""
        import torch

        if self.settings.rho:
            climbing = [(p, p.grad) for p in update.parameters.values() if p.grad is not None]
            with torch.no_grad():
                before = [p.clone() for p, _ in climbing]
                norm = torch.nn.utils.get_total_norm([gradient for _, gradient in climbing])
                for p, gradient in climbing:
                    # A gradient of 0 gives 0 / 0: there is no direction to climb.
                    p.add_(torch.nan_to_num(gradient / norm, nan=0.0), alpha=self.settings.rho)
            update.again()
            with torch.no_grad():
                for (p, _), value in zip(climbing, before, strict=True):
                    p.copy_(value)
        optimizer.step()

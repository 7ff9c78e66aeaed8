"""SAM (arXiv 2010.01412) as a user's file."""

from dataclasses import dataclass

import torch

from steadytune.methods.base import Hyperparameters, Method, setting


@dataclass(frozen=True, kw_only=True)
class Settings(Hyperparameters):
    rho: float = setting(0.05, at_least=0)
    """Radius of the neighbourhood."""


class FlatMinima(Method):
    Settings = Settings
    names = {"flat-minima": {}}
    source = "arXiv 2010.01412"
    off = {"rho": 0.0}

    moves_every_word = False

    def step(self, optimizer, update):
        if self.settings.rho:
            ps = [p for p in update.parameters.values() if p.grad is not None]
            before = [p.detach().clone() for p in ps]
            norm = torch.cat([p.grad.flatten() for p in ps]).norm()
            with torch.no_grad():
                for p in ps:
                    p += self.settings.rho * p.grad / norm
            update.again()
            with torch.no_grad():
                for p, value in zip(ps, before, strict=True):
                    p.copy_(value)
        optimizer.step()

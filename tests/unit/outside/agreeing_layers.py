"""Two dropout passes whose hidden states should agree, as a user's file."""

from dataclasses import dataclass

from steadytune.methods.base import Hyperparameters, Method, setting


@dataclass(frozen=True, kw_only=True)
class Settings(Hyperparameters):
    weight: float = setting(0.1, at_least=0)
    """Weight of the squared distance, a mean over examples, layers, tokens and width."""


class AgreeingLayers(Method):
    Settings = Settings
    names = {"agreeing-layers": {}}
    source = "ours"
    off = {"weight": 0.0}

    @property
    def passes(self):
        return (2, 2) if self.settings.weight else (1, 1)

    def loss(self, forward, batch):
        if not self.settings.weight:
            return super().loss(forward, batch)
        first, second = forward(batch, keep_hidden=True), forward(batch, keep_hidden=True)
        real = batch.inputs["attention_mask"][..., None]
        apart = [
            (((a - b) * real) ** 2).mean(2).sum(1).div(real.sum((1, 2))).mean()
            for a, b in zip(first.hidden, second.hidden, strict=True)
        ]
        task = (forward.task_loss(first, batch) + forward.task_loss(second, batch)) / 2
        return task + self.settings.weight * sum(apart) / len(apart)

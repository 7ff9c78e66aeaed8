"""Two optimisers as one: Muon for the layers' matrices, AdamW for everything else."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from steadytune.pretraining.muon import Muon
from steadytune.pretraining.settings import Settings
from steadytune.training.precision import TYPES

LAYER = re.compile(r"\.(encoder\.layer|layers)\.")


class Optimisers:
    """Muon and AdamW, stepped together.

    Muon gets small models past the plateau of masked language modelling sooner than AdamW. AdamW updates embeddings,
    heads, biases and norms, for which Muon is not designed. The state numbers parameters as a single optimiser would.
    """

    def __init__(self, model: nn.Module, settings: Settings) -> None:
        named = dict(model.named_parameters())
        matrices = [p for name, p in named.items() if p.ndim == 2 and LAYER.search(f".{name}")]
        chosen = set(matrices)
        tables = [p for p in named.values() if p.ndim > 1 and p not in chosen]
        vectors = [p for p in named.values() if p.ndim < 2]
        decay = settings.weight_decay
        self.peaks = (settings.matrix_learning_rate, settings.learning_rate)
        self.parts: tuple[torch.optim.Optimizer, ...] = (
            Muon(matrices, decay, TYPES[settings.precision]),
            torch.optim.AdamW(
                [{"params": tables, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}],
                lr=0.0,
                betas=(0.9, 0.98),
                eps=1e-6,
                fused=True,
            ),
        )
        self.sizes = (len(matrices), len(tables) + len(vectors))

    @property
    def rate(self) -> float:
        """AdamW's learning rate."""
        return self.parts[1].param_groups[0]["lr"]

    def set_rate(self, share: float) -> None:
        """Set the learning rates to this share of their peaks."""
        for part, peak in zip(self.parts, self.peaks, strict=True):
            for group in part.param_groups:
                group["lr"] = share * peak

    def step(self) -> None:
        """Update every parameter."""
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for part in self.parts:
            part.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """The state by parameter number, Muon's parameters first."""
        first, second = (part.state_dict()["state"] for part in self.parts)
        return {"state": {**first, **{number + self.sizes[0]: state for number, state in second.items()}}}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        first = self.sizes[0]
        states = ({}, {})
        for number, state in state_dict["state"].items():
            states[number >= first][number - first * (number >= first)] = state
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict({**part.state_dict(), "state": state})

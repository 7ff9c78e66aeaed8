"""Probe a frozen encoder's layers on other tasks with a new linear head per layer (HyPe, arXiv 2212.08853, Fig. 3).

Learning rate 1e-3, three epochs and batches of 16 are the paper's. Adam with a constant rate and the heads' initial
weights are ours.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from steadytune.evaluation.metrics import compute
from steadytune.layers.pooling import pooled_states
from steadytune.methods.support.objective import Objective
from steadytune.streams import derive

if TYPE_CHECKING:
    from steadytune.encoders.batching import Batcher
    from steadytune.encoders.encoder import Encoder
    from steadytune.tasks.table import Task

LEARNING_RATE = 1e-3
EPOCHS = 3
BATCH_SIZE = 16
INITIAL_STD = 0.02


@dataclass(frozen=True)
class Heads:
    """One linear head per layer: weight (layers, C, d), bias (layers, C)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Map features (layers, n, d) to logits (layers, n, C)."""
        return torch.baddbmm(self.bias[:, None], features, self.weight.transpose(1, 2))


def probe(
    encoder: "Encoder", task: "Task", objective: Objective, train: "Batcher", evaluation: "Batcher"
) -> list[float]:
    """The task's headline metric for a head on each of hidden[0..L], trained and evaluated on the given splits.

    The encoder is left in evaluation mode and runs once over each split.
    """
    features, labels = sentence_states(encoder, train), torch.from_numpy(train.encoded.labels).to(encoder.device)
    heads = train_heads(features, labels, task.num_labels, objective)
    logits = heads(sentence_states(encoder, evaluation)).double().cpu().numpy()
    return [compute(task, layer, evaluation.encoded.labels)[task.metric] for layer in logits]


def sentence_states(encoder: "Encoder", batcher: "Batcher") -> Tensor:
    """States (L + 1, n, d) of the token that the classification head reads, in the order of the split."""
    states: Tensor | None = None
    for rows, pooled in pooled_states(encoder, batcher, (), "cls"):
        if states is None:
            states = pooled.new_empty(len(pooled), len(batcher.encoded), pooled.shape[-1])
        states[:, torch.from_numpy(rows)] = pooled
    assert states is not None, "a split has examples"
    return states


def train_heads(features: Tensor, labels: Tensor, num_labels: int, objective: Objective) -> Heads:
    """Train one head per layer on features (layers, n, d) and labels (n,), independently but in parallel.

    All heads, for every encoder, start from the same weights and see the batches in the same order.
    """
    layers, size, width = features.shape
    first = torch.empty(num_labels, width)
    first.normal_(0, INITIAL_STD, generator=torch.Generator().manual_seed(derive(0, "probe", "init")))
    weight = first.to(features).repeat(layers, 1, 1).requires_grad_()
    heads = Heads(weight, features.new_zeros(layers, num_labels).requires_grad_())
    # Adam updates every entry separately, so one optimiser for all heads equals one optimiser per head.
    optimizer = torch.optim.Adam([heads.weight, heads.bias], lr=LEARNING_RATE)
    for epoch in range(EPOCHS):
        generator = np.random.Generator(np.random.Philox(derive(0, "probe", "order", epoch)))
        for rows in torch.from_numpy(generator.permutation(size)).split(BATCH_SIZE):
            rows = rows.to(features.device)
            logits = heads(features[:, rows]).flatten(0, 1)
            # The mean over layers x batch, times layers: the sum of the layers' mean losses.
            loss = layers * objective.loss(logits, labels[rows].repeat(layers))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Heads(heads.weight.detach(), heads.bias.detach())

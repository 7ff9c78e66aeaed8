"""What a frozen encoder's layers tell of other tasks, by a fresh linear head at each (HyPe, arXiv 2212.08853, Fig. 3).

Learning rate 1e-3, three epochs and batches of 16 are the paper's; Adam at a constant rate and the heads' first weights
are ours.
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
    """One linear head a layer: weight (layers, C, d), bias (layers, C)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(layers, n, d) -> logits (layers, n, C)."""
        return torch.baddbmm(self.bias[:, None], features, self.weight.transpose(1, 2))


def probe(
    encoder: "Encoder", task: "Task", objective: Objective, train: "Batcher", evaluation: "Batcher"
) -> list[float]:
    """The task's headline metric of a head on hidden[0..L], trained and evaluated on these splits.

    The encoder is left in evaluation mode and runs once over each split.
    """
    features, labels = sentence_states(encoder, train), torch.from_numpy(train.encoded.labels).to(encoder.device)
    heads = train_heads(features, labels, task.num_labels, objective)
    logits = heads(sentence_states(encoder, evaluation)).double().cpu().numpy()
    return [compute(task, layer, evaluation.encoded.labels)[task.metric] for layer in logits]


def sentence_states(encoder: "Encoder", batcher: "Batcher") -> Tensor:
    """The states of the token that the head reads, (L + 1, n, d), in the order of the split."""
    states: Tensor | None = None
    for rows, pooled in pooled_states(encoder, batcher, (), "cls"):
        if states is None:
            states = pooled.new_empty(len(pooled), len(batcher.encoded), pooled.shape[-1])
        states[:, torch.from_numpy(rows)] = pooled
    assert states is not None, "a split has examples"
    return states


def train_heads(features: Tensor, labels: Tensor, num_labels: int, objective: Objective) -> Heads:
    """Heads for features (layers, n, d) and labels (n,), trained side by side: none knows of the others.

    Every head starts from the same weights and sees the same batches, here and for any other encoder.
    """
    layers, size, width = features.shape
    first = torch.empty(num_labels, width)
    first.normal_(0, INITIAL_STD, generator=torch.Generator().manual_seed(derive(0, "probe", "init")))
    weight = first.to(features).repeat(layers, 1, 1).requires_grad_()
    heads = Heads(weight, features.new_zeros(layers, num_labels).requires_grad_())
    # Adam treats every entry alone, so one optimiser over all heads is one optimiser for each.
    optimizer = torch.optim.Adam([heads.weight, heads.bias], lr=LEARNING_RATE)
    for epoch in range(EPOCHS):
        generator = np.random.Generator(np.random.Philox(derive(0, "probe", "order", epoch)))
        for rows in torch.from_numpy(generator.permutation(size)).split(BATCH_SIZE):
            rows = rows.to(features.device)
            logits = heads(features[:, rows]).flatten(0, 1)
            # A mean over layers x batch, times layers: the sum of the layers' own mean losses.
            loss = layers * objective.loss(logits, labels[rows].repeat(layers))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return Heads(heads.weight.detach(), heads.bias.detach())

"""Train only the embeddings of words that occur in the training split, instead of the whole table.

A row of the table that no example reads gets no gradient: AdamW only decays it, and RecAdam pulls it back. In most
cells most rows are unread, and for a small encoder their zero gradients, moments and updates are half of the work of an
update. So the table is trained without them. Whenever the whole table is needed, each unread row is set to its first
value times the factor that the steps so far leave of it.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np
import torch
from torch import Tensor, nn

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.methods.base import Composition, Update, overrides
from steadytune.suite.protocol import Protocol


class NarrowEmbedding(nn.Embedding):
    """An embedding whose table has only some rows of a whole table; it is indexed by the whole table's row numbers."""

    places: Tensor
    """(V,): the row here for each row number of the whole table."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, T) -> (B, T, d)."""
        return super().forward(self.places[input])


class TrainedWords:
    """An encoder's word-embedding table, narrow for training and whole for everything else."""

    def __init__(self, encoder: Encoder, batcher: Batcher, kept: Callable[[int], float]) -> None:
        """kept: maps a number of steps to the factor by which they scale a row without a gradient."""
        module = encoder.model.get_input_embeddings()
        assert isinstance(module, nn.Embedding)
        self._module, self._kept = module, kept
        self._whole, self._padding = module.weight, module.padding_idx
        self._first = module.weight.detach().clone()
        pads = [encoder.model.config.pad_token_id or 0, module.padding_idx or 0]
        rows = np.unique(np.concatenate([np.array(pads), *batcher.encoded.input_ids]))
        self.rows = torch.from_numpy(rows).to(module.weight.device)
        self._places = torch.zeros(len(module.weight), dtype=torch.int64, device=module.weight.device)
        self._places[self.rows] = torch.arange(len(rows), device=module.weight.device)
        self.narrow_table = nn.Parameter(self._first[self.rows])
        self.narrow()

    def narrow(self) -> None:
        """Train only the rows that examples read: the module's `weight` becomes a parameter with just these rows."""
        self._module.__class__ = NarrowEmbedding
        self._module.places = self._places
        self._module.weight = self.narrow_table
        if self._padding is not None:
            self._module.padding_idx = int(self._places[self._padding])

    def widen(self, steps: int) -> None:
        """Put the whole table back, with its values after `steps` updates."""
        with torch.no_grad():
            torch.mul(self._first, self._kept(steps), out=self._whole.data)
            self._whole[self.rows] = self.narrow_table
        self._module.__class__ = nn.Embedding
        del self._module.places
        self._module.weight, self._module.padding_idx = self._whole, self._padding


def train_words(
    encoder: Encoder, method: Composition, batcher: Batcher, protocol: Protocol, rate: Callable[[int], float]
) -> TrainedWords | None:
    """Make the table narrow if that changes nothing but the time; None if it stays whole.

    rate: the learning rate as a function of the step.
    """
    table = encoder.model.get_input_embeddings()
    if any(part.moves_every_word for part in method.methods) or type(table) is not nn.Embedding:
        return None
    # fp16 skips steps, and no formula predicts which.
    if not table.weight.requires_grad or protocol.precision == "fp16":
        return None
    shared = sum(p is table.weight for _, p in encoder.model.named_parameters(remove_duplicate=False)) > 1
    if shared or table.max_norm is not None:
        return None
    owner = next((part for part in method.methods if overrides(type(part), "step")), method.methods[0])

    def kept(steps: int) -> float:
        updates = (Update({}, step, rate(step)) for step in range(steps))
        return reduce(lambda left, update: owner.unread_words(left, update, protocol.weight_decay), updates, 1.0)

    words = TrainedWords(encoder, batcher, kept)
    (name,) = (name for name, p in encoder.model.named_parameters() if p is words.narrow_table)
    for part in method.methods:
        part.narrow_words(name, words.rows)
    return words

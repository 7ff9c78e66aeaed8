"""Run frozen lower layers once and reuse their output for every example of a split in every epoch.

Without dropout, frozen embeddings and layers give the same output in every epoch. The states have a training pass's
precision and type, and equal its states up to rounding: evaluation mode and other batches may use other kernels. They
take 4 bytes x width per token of the split, or 2 in half precision.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from steadytune.errors import SteadyTuneError

if TYPE_CHECKING:
    from steadytune.encoders.batching import Batch, Batcher
    from steadytune.encoders.encoder import Encoder


class FrozenPrefix:
    """The input of layer `start` (0-based) for every example of a split."""

    def __init__(
        self,
        encoder: "Encoder",
        batcher: "Batcher",
        start: int,
        autocast: Callable[[], AbstractContextManager] = nullcontext,
    ) -> None:
        """Switch off dropout in the embeddings and the layers below `start`, and run them over the split.

        autocast: the autocast context of a training pass.

        Raises:
            SteadyTuneError: the architecture reads the embedding output again above the first layer.
        """
        if encoder.architecture.after_first_layer(encoder.model) is not None:
            raise SteadyTuneError("this DeBERTa reads its embedding output twice: its lower layers cannot be cached")
        self.start = start
        self._left = encoder.sentence_token == -1
        _switch_dropout_off(encoder, start)
        states: dict[int, Tensor] = {}
        training = encoder.model.training
        encoder.model.eval()
        with torch.no_grad(), autocast(), _stack(encoder, slice(start)):
            for rows, batch in batcher.evaluation():
                hidden = encoder(batch.inputs, keep_hidden=True).hidden[start]
                real = batch.inputs["attention_mask"].bool()
                states |= {int(row): state[keep].clone() for row, state, keep in zip(rows, hidden, real, strict=True)}
        encoder.model.train(training)
        self._states = states

    def __call__(self, batch: "Batch") -> Tensor:
        """The states (B, T, d) of a batch, zero at padding."""
        states = [self._states[int(row)] for row in batch.rows]
        width = batch.inputs["input_ids"].shape[1]
        padded = states[0].new_zeros(len(states), width, states[0].shape[-1])
        for target, state in zip(padded, states, strict=True):
            (target[width - len(state) :] if self._left else target[: len(state)]).copy_(state)
        return padded

    @contextmanager
    def skipped(self, encoder: "Encoder") -> Iterator[None]:
        """Take the layers below `start` out of the encoder inside the `with` block."""
        with _stack(encoder, slice(self.start, None)):
            yield


@contextmanager
def _stack(encoder: "Encoder", kept: slice) -> Iterator[None]:
    """Reduce the encoder to the `kept` layers inside the `with` block."""
    parent, _, name = encoder.architecture.stack.rpartition(".")
    owner = encoder.model.get_submodule(parent)
    stack = owner.get_submodule(name)
    assert isinstance(stack, nn.ModuleList)
    setattr(owner, name, stack[kept])
    try:
        yield
    finally:
        setattr(owner, name, stack)


def _switch_dropout_off(encoder: "Encoder", start: int) -> None:
    """Set p to 0 in every dropout module of the base model that is not inside layers `start` and above."""
    layers = encoder.layers()
    above = {id(module) for layer in layers[start:] for module in layer.modules()}
    base = encoder.model.get_submodule(encoder.model.base_model_prefix)
    for module in base.modules():
        if isinstance(module, nn.Dropout) and id(module) not in above:
            module.p = 0.0

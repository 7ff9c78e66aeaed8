"""The training forward pass of a cell, which methods call from their `loss`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from steadytune.encoders.passes import generator_of
from steadytune.errors import SteadyTuneError
from steadytune.methods.support.hooks import Hooks
from steadytune.methods.support.objective import Objective

if TYPE_CHECKING:
    from steadytune.encoders.batching import Batch
    from steadytune.encoders.encoder import Encoder, EncoderOutput
    from steadytune.encoders.passes import LayerInput
    from steadytune.methods.support.prefix import FrozenPrefix
    from steadytune.streams import Streams


@dataclass
class Forward:
    """The encoder in training, perturbed by every method of the cell.

    A method may call it several times per step. Each pass draws new dropout masks unless it is given the
    `dropout_state` of an earlier pass.
    """

    encoder: "Encoder"
    hooks: Hooks
    streams: "Streams"
    objective: Objective
    backward: Callable[[Tensor], None] = field(default=torch.Tensor.backward)
    """Back-propagate a loss in the same way as the training step does with the result of `Method.loss`; for a method
    that accumulates gradients over several passes."""
    first_part: bool = True
    """Whether this is a step's first call of `Method.loss`, which runs again for further parts of the batch and in
    `Update.again`; for a method that counts steps in its loss."""
    _noise: dict[tuple[str, int], Tensor] = field(default_factory=dict, init=False)
    """State of the noise stream before each hook of the last pass, by hook and layer; empty unless it is resumable."""

    def __call__(
        self,
        batch: "Batch",
        *,
        perturb: bool = True,
        on_embeddings: Callable[[Tensor], Tensor] | None = None,
        dropout_state: Tensor | None = None,
        keep_hidden: bool = False,
        resumable_from: int | None = None,
    ) -> "EncoderOutput":
        """Run the encoder on a batch.

        Args:
            batch: B examples of T tokens.
            perturb: whether the methods' `perturb...` hooks act on this pass.
            on_embeddings: replaces the word embeddings (B, T, width), after the methods' `perturb_words` and before
                positions are added.
            dropout_state: from `dropout_state()`, to repeat an earlier pass's dropout masks.
            keep_hidden: as in `Encoder`.
            resumable_from: as in `Encoder`.
        """
        self._noise.clear()
        if perturb and self.hooks.perturb_words:
            on_embeddings = partial(self._perturb_words, batch, on_embeddings)
        draw = self._draw if resumable_from is None else self._draw_and_remember
        if dropout_state is not None:
            generator_of(self.encoder.device).set_state(dropout_state)
        if self.hooks.prefix is not None:
            return self._above_prefix(self.hooks.prefix, batch, keep_hidden or on_embeddings is not None)
        return self.encoder(
            batch.inputs,
            on_embeddings=on_embeddings,
            on_layer_input=self._perturb("perturb", draw) if perturb else None,
            on_attention_output=self._perturb("perturb_attention", draw) if perturb else None,
            keep_hidden=keep_hidden,
            resumable_from=resumable_from,
        )

    def resume(self, start: int, hidden: Tensor) -> tuple[Tensor, ...]:
        """Run layers `start`.. of the last batch again on `hidden` (B, T, d); return their outputs.

        Dropout masks and the methods' noise are the same as in the last pass.
        """
        return self.encoder.resume(
            start,
            hidden,
            on_layer_input=self._perturb("perturb", self._draw_again) if self._noise else None,
            on_attention_output=self._perturb("perturb_attention", self._draw_again) if self._noise else None,
        )

    def dropout_state(self) -> Tensor:
        """The random state from which the next pass draws its dropout masks."""
        return generator_of(self.encoder.device).get_state()

    def task_loss(self, output: "EncoderOutput", batch: "Batch") -> Tensor:
        """The task's loss, averaged over the batch."""
        return self.objective.loss(output.logits, batch.labels)

    @property
    def perturbed(self) -> bool:
        """Whether a method of the cell perturbs hidden states."""
        return bool(self.hooks.perturb or self.hooks.perturb_attention)

    def _above_prefix(self, prefix: "FrozenPrefix", batch: "Batch", looks_below: bool) -> "EncoderOutput":
        """Run the layers above a cached prefix."""
        if looks_below or self.perturbed:
            raise SteadyTuneError(
                "a cached prefix is not run again, so no other method of the cell may look at its layers or change "
                "what enters them; set `cache` to false"
            )
        states = prefix(batch)
        with prefix.skipped(self.encoder):
            return self.encoder(batch.inputs, on_layer_input=lambda layer, hidden: hidden if layer else states)

    def _perturb_words(self, batch: "Batch", change: Callable[[Tensor], Tensor] | None, words: Tensor) -> Tensor:
        for perturb in self.hooks.perturb_words:
            words = perturb(words, batch.inputs["attention_mask"][..., None], self.streams)
        return change(words) if change else words

    def _perturb(self, hook: str, draw: Callable[[str, int, Tensor], Tensor]) -> "LayerInput | None":
        return partial(draw, hook) if getattr(self.hooks, hook) else None

    def _draw(self, hook: str, layer: int, hidden: Tensor) -> Tensor:
        for change in getattr(self.hooks, hook):
            hidden = change(layer, hidden, self.streams)
        return hidden

    def _draw_and_remember(self, hook: str, layer: int, hidden: Tensor) -> Tensor:
        self._noise[hook, layer] = self.streams.noise.get_state()
        return self._draw(hook, layer, hidden)

    def _draw_again(self, hook: str, layer: int, hidden: Tensor) -> Tensor:
        outer = self.streams.noise.get_state()
        self.streams.noise.set_state(self._noise[hook, layer])
        try:
            return self._draw(hook, layer, hidden)
        finally:
            self.streams.noise.set_state(outer)

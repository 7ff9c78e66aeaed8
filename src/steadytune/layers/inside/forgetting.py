"""Measure how much of its pretraining an encoder forgets, by its masked-word loss before and after fine-tuning."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from steadytune.encoders.loading import load_masked_words
from steadytune.streams import derive

if TYPE_CHECKING:
    from steadytune.encoders.batching import Batcher
    from steadytune.encoders.encoder import Encoder

SHARE = 0.15
"""Share of a text's non-special tokens to mask, as in pretraining; all are replaced by the mask, none kept (ours)."""


class _Given(nn.Module):
    """Replaces the encoder below the masked-word head: returns hidden states computed beforehand."""

    states: Tensor

    def forward(self, *args: object, **settings: object) -> object:
        """Return the states, ignoring the arguments."""
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.states)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def masked_word_loss(
    encoder: "Encoder", batcher: "Batcher", folder: Path, mask_token: int | None, special_ids: Collection[int]
) -> float | None:
    """The mean cross-entropy of masked words in nats, without dropout; None if it cannot be measured.

    The pretrained masked-word head reads the last hidden states of `encoder`, fine-tuned or not. A head tied to the
    word embeddings uses those of `encoder`, as the whole model would. The same words are masked for every encoder with
    the same tokenizer. None if there is no such head, no mask token or no masked word, or if layers were dropped.

    Args:
        encoder: left in evaluation mode.
        batcher: the texts; labels are not read.
        folder: the pretrained checkpoint's folder.
        mask_token: the tokenizer's mask token id, None if it has none.
        special_ids: ids of tokens that are never masked.
    """
    model: Any = load_masked_words(folder)
    if model is None or mask_token is None or encoder.num_layers != model.config.num_hidden_layers:
        return None
    model.to(encoder.device)
    setattr(model, model.base_model_prefix, below := _Given())
    if model.config.tie_word_embeddings:
        model.get_output_embeddings().weight = encoder.model.get_input_embeddings().weight
    generator = torch.Generator().manual_seed(derive(0, "inside", "masked words"))
    special = torch.tensor(sorted(special_ids), dtype=torch.int64, device=encoder.device)
    encoder.model.eval()
    total, count = 0.0, 0
    for _, batch in batcher.evaluation():
        words = batch.inputs["input_ids"]
        free = batch.inputs["attention_mask"].bool() & ~torch.isin(words, special)
        # Drawn on the CPU, so that every device masks the same words.
        masked = free & (torch.rand(words.shape, generator=generator) < SHARE).to(words.device)
        inputs = batch.inputs | {"input_ids": words.masked_fill(masked, mask_token)}
        below.states = encoder(inputs, keep_hidden=True).hidden[-1]
        logits = model(attention_mask=inputs["attention_mask"], input_ids=words).logits[masked]
        total += nn.functional.cross_entropy(logits.float(), words[masked], reduction="sum").item()
        count += int(masked.sum())
    return total / count if count else None

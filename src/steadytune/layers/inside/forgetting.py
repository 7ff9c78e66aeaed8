"""What an encoder has forgotten of its pretraining: the masked-word loss on texts, before and after fine-tuning."""

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
"""Of a text's tokens, special ones left out, as in pretraining; each is replaced by the mask (ours: never kept)."""


class _Given(nn.Module):
    """Stands for the encoder below the masked-word head: it returns hidden states that are already there."""

    states: Tensor

    def forward(self, *args: object, **settings: object) -> object:
        """The states, whatever is asked."""
        from transformers.modeling_outputs import BaseModelOutput

        return BaseModelOutput(last_hidden_state=self.states)  # pyright: ignore[reportArgumentType]


@torch.no_grad()
def masked_word_loss(
    encoder: "Encoder", batcher: "Batcher", folder: Path, mask_token: int | None, special_ids: Collection[int]
) -> float | None:
    """The mean cross-entropy in nats of masked words, without dropout; None if there is no masked-word head.

    The head is the pretrained one, on the last hidden states of `encoder`, fine-tuned or not. A head that shares its
    weights with the word embeddings takes those of `encoder`, as the whole model would. The same words are masked for
    every encoder of one tokenizer.

    Args:
        encoder: left in evaluation mode.
        batcher: the texts; labels are not read.
        folder: of the pretrained checkpoint.
        mask_token: the tokenizer's, None if it has none.
        special_ids: tokens that are never masked.
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

"""Pool hidden states over tokens, one vector per example and layer, in one forward pass over the examples."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, get_args

import numpy as np
import torch
from torch import Tensor

from steadytune.errors import SteadyTuneError, unknown
from steadytune.suite.variability import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from steadytune.encoders.batching import Batcher
    from steadytune.encoders.encoder import Encoder


# As a decorator, it applies while the generator runs, but not in its caller.
@torch.no_grad()
def pooled_states(
    encoder: "Encoder", batcher: "Batcher", special_ids: Collection[int], tokens: Tokens
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yield batches of rows (B,) with their pooled hidden states (L + 1, B, width), the embedding output first.

    Without dropout: the encoder is left in evaluation mode. special_ids: from `special_token_ids`.
    """
    special = torch.tensor(sorted(special_ids), dtype=torch.int64, device=encoder.device)
    encoder.model.eval()
    for rows, batch in batcher.evaluation():
        hidden = encoder(batch.inputs, keep_hidden=True).hidden
        mask = torch.isin(batch.inputs["input_ids"], special)
        pooled = [pool_tokens(state, batch.inputs, mask, tokens, encoder.sentence_token) for state in hidden]
        yield rows, torch.stack(pooled)


def pool_tokens(
    hidden: Tensor,
    inputs: dict[str, Tensor],
    special_tokens_mask: Tensor,
    tokens: Tokens = "mean_without_special",
    sentence_token: int = 0,
) -> Tensor:
    """One vector per example: `hidden` (..., batch, tokens, width) -> (..., batch, width), in the type of `hidden`.

    inputs: has `attention_mask` (batch, tokens). special_tokens_mask: (batch, tokens), true at special tokens.
    tokens: see `NuSettings`. sentence_token: index of the token that the head reads (`Encoder.sentence_token`).
    Raises SteadyTuneError for an unknown choice, or if an example has no token to average.
    """
    real = inputs["attention_mask"].bool()
    match tokens:
        case "cls":
            return hidden[..., sentence_token, :]
        case "last":
            examples, positions = torch.arange(len(real), device=real.device), torch.arange(real.shape[1])
            last = torch.where(real, positions.to(real.device), 0).amax(dim=1)
            return hidden[..., examples, last, :]
        case "mean_without_special":
            keep = real & ~special_tokens_mask.bool()
        case "mean_without_cls":
            keep = real.clone()
            keep[:, sentence_token] = False
        case "mean":
            keep = real
        case _:
            raise unknown("token choice", tokens, get_args(Tokens))
    numbers = keep.sum(dim=1)
    if not numbers.all():
        raise SteadyTuneError(f"an example has no token left to average with tokens = '{tokens}'")
    # `where`, not a product: padded positions may hold anything, even NaN.
    return torch.where(keep[..., None], hidden, 0).sum(dim=-2) / numbers[:, None]


def special_token_ids(tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
    """Ids of the tokens that frame a text, without those for unknown or masked words, which stand for content."""
    framing = (
        tokenizer.cls_token_id,
        tokenizer.sep_token_id,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.pad_token_id,
    )
    return frozenset(value for value in framing if isinstance(value, int))

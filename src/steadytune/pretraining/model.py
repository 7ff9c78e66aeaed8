"""The models to pretrain: BERT with a fast forward pass (transformers' parameters, full rows, no mask, no dropout), and
ModernBERT and Llama from transformers.
"""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from steadytune.pretraining.settings import Settings
from steadytune.pretraining.tokenizer import SPECIAL_IDS
from steadytune.streams import derive

if TYPE_CHECKING:
    from transformers import BertForPreTraining


class Modern(nn.Module):
    """A ModernBERT or a Llama, with a linear judgement head; words are scored by the word embeddings."""

    def __init__(self, settings: Settings, vocabulary: int, classes: int) -> None:
        from transformers import AutoConfig, AutoModel

        super().__init__()
        own = {"modernbert": {"local_attention": 16, "global_attn_every_n_layers": 3}, "llama": {}}
        self.config = AutoConfig.for_model(
            settings.architecture,
            vocab_size=vocabulary,
            hidden_size=settings.width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            intermediate_size=settings.feed_forward,
            max_position_embeddings=settings.max_tokens,
            initializer_range=settings.initializer_range,
            **{f"{name}_token_id": number for name, number in SPECIAL_IDS.items()},
            **own[settings.architecture],
        )
        self.model = AutoModel.from_config(self.config)
        self.judge = nn.Linear(settings.width, classes)
        # Position of the token that attends to the whole row.
        self.place = -1 if settings.architecture == "llama" else 0


def build_model(settings: Settings, vocabulary: int, classes: int) -> "BertForPreTraining | Modern":
    """Return a model with a word head and a judgement head of `classes` outputs, initialised from the seed."""
    from transformers import BertConfig, BertForPreTraining

    torch.manual_seed(derive(settings.seed, "init"))
    if settings.architecture != "bert":
        return Modern(settings, vocabulary, classes)
    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=settings.width,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.feed_forward,
        max_position_embeddings=settings.max_tokens,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=settings.initializer_range,
        pad_token_id=0,
    )
    model = BertForPreTraining(config)
    model.cls.seq_relationship = nn.Linear(settings.width, classes)
    with torch.no_grad():
        # Waves instead of noise: neighbouring positions are similar from the start, and "one to the left" is the same
        # linear map for all positions, which attention would otherwise have to learn for each. They are trained too.
        amplitude = settings.initializer_range * math.sqrt(2)
        model.bert.embeddings.position_embeddings.weight.copy_(amplitude * waves(settings.max_tokens, settings.width))
    return model


def waves(positions: int, width: int) -> Tensor:
    """Sines and cosines, (positions, width), with wavelengths from 2 pi to about 2 pi x 1000 (Vaswani et al. 2017)."""
    frequency = 1000.0 ** (-torch.arange(0, width, 2) / width)
    angle = torch.arange(positions)[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def hidden_states(model: Any, input_ids: Tensor, token_type_ids: Tensor, dtype: torch.dtype) -> Tensor:
    """The last layer's output, (rows, length, width), computed in `dtype`."""
    if isinstance(model, Modern):
        with torch.autocast(input_ids.device.type, dtype, enabled=dtype != torch.float32):
            return model.model(input_ids).last_hidden_state
    embeddings = model.bert.embeddings
    positions = embeddings.position_embeddings.weight[: input_ids.shape[1]]
    hidden = (
        functional.embedding(input_ids, embeddings.word_embeddings.weight)
        + positions
        + functional.embedding(token_type_ids, embeddings.token_type_embeddings.weight)
    ).to(dtype)
    hidden = _norm(hidden, embeddings.LayerNorm)
    for layer in model.bert.encoder.layer:
        attended = _linear(_attend(hidden, layer.attention.self), layer.attention.output.dense)
        hidden = _norm(hidden + attended, layer.attention.output.LayerNorm)
        inner = functional.gelu(_linear(hidden, layer.intermediate.dense))
        hidden = _norm(hidden + _linear(inner, layer.output.dense), layer.output.LayerNorm)
    return hidden


def masked_logits(model: Any, hidden: Tensor, places: Tensor, candidates: Tensor | None = None) -> Tensor:
    """Scores of the candidates at the flattened positions `places`, (masked, candidates), in fp32; None: every piece.

    Only these positions go through the output layer, which is as wide as the vocabulary.
    """
    if isinstance(model, Modern):
        weight = model.model.get_input_embeddings().weight
        weight = weight if candidates is None else weight[candidates]
        return functional.linear(hidden.reshape(-1, hidden.shape[-1])[places], weight.to(hidden.dtype)).float()
    head, weight = model.cls.predictions, model.bert.embeddings.word_embeddings.weight
    bias = head.bias
    if candidates is not None:
        weight, bias = functional.embedding(candidates, weight), bias[candidates]
    chosen = hidden.reshape(-1, hidden.shape[-1])[places]
    chosen = _norm(functional.gelu(_linear(chosen, head.transform.dense)), head.transform.LayerNorm)
    return functional.linear(chosen, weight.to(chosen.dtype), bias.to(chosen.dtype)).float()


def pair_logits(model: Any, hidden: Tensor) -> Tensor:
    """Scores of the judgement, (rows, classes), in fp32."""
    if isinstance(model, Modern):
        return _linear(hidden[:, model.place], model.judge).float()
    pooled = torch.tanh(_linear(hidden[:, 0], model.bert.pooler.dense))
    return _linear(pooled, model.cls.seq_relationship).float()


def losses(
    model: Any,
    input_ids: Tensor,
    token_type_ids: Tensor,
    places: Tensor,
    judgements: Tensor,
    candidates: Tensor,
    log_weights: Tensor,
    targets: Tensor,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Mean cross-entropies of the masked tokens, among the candidates, and of the judgements.

    The arguments are fields of `Batch` and `Candidates`; `targets` is from `Candidates`.
    """
    hidden = hidden_states(model, input_ids, token_type_ids, dtype)
    masked = functional.cross_entropy(masked_logits(model, hidden, places, candidates) + log_weights, targets)
    return masked, functional.cross_entropy(pair_logits(model, hidden), judgements)


def _attend(hidden: Tensor, attention: Any) -> Tensor:
    """Self-attention: every token attends to every token of its row."""
    rows, length, width = hidden.shape
    heads, size = attention.num_attention_heads, attention.attention_head_size
    parts = (attention.query, attention.key, attention.value)
    weight = torch.cat([part.weight for part in parts]).to(hidden.dtype)
    bias = torch.cat([part.bias for part in parts]).to(hidden.dtype)
    mixed = functional.linear(hidden, weight, bias).view(rows, length, 3, heads, size)
    query, key, value = mixed.permute(2, 0, 3, 1, 4)
    # Plain matrix products: at these lengths the fused kernel's backward pass is several times slower on a CPU.
    weights = (query @ key.transpose(-1, -2) * size**-0.5).softmax(-1)
    return (weights @ value).transpose(1, 2).reshape(rows, length, width)


def _linear(hidden: Tensor, layer: nn.Linear) -> Tensor:
    return functional.linear(hidden, layer.weight.to(hidden.dtype), layer.bias.to(hidden.dtype))


def _norm(hidden: Tensor, layer: nn.LayerNorm) -> Tensor:
    return functional.layer_norm(
        hidden, layer.normalized_shape, layer.weight.to(hidden.dtype), layer.bias.to(hidden.dtype), layer.eps
    )

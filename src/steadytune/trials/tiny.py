"""Tiny random encoders of every layout found in published checkpoints, for trials that take milliseconds."""

from typing import Any

import torch

from steadytune.encoders.encoder import Encoder

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "pad_token_id": 0,
}
DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
COMMON = SIZES | DROPOUT
DEBERTA = {
    "relative_attention": True,
    "pos_att_type": ["c2p", "p2c"],
    "pooler_hidden_size": 16,
    "position_biased_input": False,
    "type_vocab_size": 0,
}
DISTILBERT = {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32}
XLNET = {"vocab_size": 50, "d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 32, "pad_token_id": 5}

LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("bert", COMMON | {"type_vocab_size": 2}),
    "roberta": ("roberta", COMMON | {"type_vocab_size": 1}),
    "electra": ("electra", COMMON | {"embedding_size": 8}),
    "albert": ("albert", COMMON | {"embedding_size": 8}),
    "distilbert": ("distilbert", DISTILBERT | {"vocab_size": 50, "max_position_embeddings": 40}),
    "xlnet": ("xlnet", XLNET),
    "deberta": ("deberta", COMMON | DEBERTA),
    "deberta-v3": (
        "deberta-v2",
        COMMON | DEBERTA | {"position_buckets": 4, "norm_rel_ebd": "layer_norm", "share_att_key": True},
    ),
    "deberta-v2-xlarge": (
        "deberta-v2",
        COMMON | DEBERTA | {"position_buckets": 4, "conv_kernel_size": 3, "conv_act": "gelu"},
    ),
}
"""Model type and configuration by layout."""


PLAIN = SIZES | {"bos_token_id": 1, "eos_token_id": 2}
GROUPED = PLAIN | {"num_key_value_heads": 1, "head_dim": 8}
ROBERTA = PLAIN | DROPOUT | {"type_vocab_size": 1, "pad_token_id": 1}
MODERNBERT = (
    PLAIN
    | {"embedding_dropout": 0.1, "mlp_dropout": 0.1, "attention_dropout": 0.1, "classifier_dropout": 0.1}
    | {"local_attention": 4, "global_attn_every_n_layers": 2, "cls_token_id": 3, "sep_token_id": 4}
)
GPT2 = {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 40, "vocab_size": 50, "pad_token_id": 0}

ENCODERS: dict[str, dict[str, Any]] = {
    "camembert": ROBERTA,
    "eurobert": PLAIN | {"num_key_value_heads": 1, "classifier_pooling": "bos", "mask_token_id": 5},
    "modernbert": MODERNBERT,
    "mpnet": PLAIN | DROPOUT | {"pad_token_id": 1},
    "xlm-roberta": ROBERTA,
}
DECODERS: dict[str, dict[str, Any]] = {
    "gemma": GROUPED,
    "gpt2": GPT2 | {"bos_token_id": 1, "eos_token_id": 2},
    "llama": GROUPED,
    "modernbert-decoder": MODERNBERT | {"sliding_window": 4},
    "olmo": PLAIN,
    "qwen2": GROUPED,
    "qwen3": GROUPED,
}
EVERY = LAYOUTS | {kind: (kind, values) for kind, values in (ENCODERS | DECODERS).items()}
"""All layouts: those used in the papers, and later encoders and decoders by their model type."""


def tiny_encoder(layout: str, **changes: Any) -> Encoder:
    """Return an encoder of a layout, in evaluation mode; its weights are the same at every call.

    changes: overrides of its configuration.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    model_type, values = EVERY[layout]
    torch.manual_seed(7)
    config = AutoConfig.for_model(model_type, **({"num_labels": 2} | values | changes))
    return Encoder(AutoModelForSequenceClassification.from_config(config).eval())

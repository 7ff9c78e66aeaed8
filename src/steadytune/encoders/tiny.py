"""Tiny random encoders of every layout that some published checkpoint has, to try things on in milliseconds."""

from typing import Any

import torch

from steadytune.encoders.encoder import Encoder

COMMON = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "pad_token_id": 0,
}
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
"""Layout -> model type and configuration."""


def tiny_encoder(layout: str, **changes: Any) -> Encoder:
    """An encoder of a layout, in evaluation mode; its weights are the same at every call.

    changes: to its configuration.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    model_type, values = LAYOUTS[layout]
    torch.manual_seed(7)
    config = AutoConfig.for_model(model_type, **({"num_labels": 2} | values | changes))
    return Encoder(AutoModelForSequenceClassification.from_config(config).eval())

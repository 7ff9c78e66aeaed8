"""The planner's table of encoder sizes, against models that transformers builds with the published sizes."""

import json
import math
import re

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    DebertaConfig,
    DebertaV2Config,
    ElectraConfig,
    ModernBertConfig,
    ModernBertDecoderConfig,
    Qwen3Config,
    RobertaConfig,
    XLNetConfig,
)

from steadytune.errors import SteadyTuneError
from steadytune.layout import LOCK, dataset_folder
from steadytune.planning.sizes import SHAPES, Sizes
from steadytune.store.lock import load_lock
from steadytune.tasks.table import find_task

# The architectures' published settings that the table lacks. Attention heads are 64 wide in all of them.
RELATIVE = {"relative_attention": True, "pos_att_type": "c2p|p2c", "position_biased_input": False, "type_vocab_size": 0}
BUCKETS = RELATIVE | {"share_att_key": True, "norm_rel_ebd": "layer_norm", "position_buckets": 256}
CONVOLUTION = BUCKETS | {"conv_kernel_size": 3, "conv_act": "gelu"}
CONFIGS = {
    "bert": (BertConfig, {}),
    "roberta": (RobertaConfig, {"max_position_embeddings": 514, "type_vocab_size": 1}),
    "electra": (ElectraConfig, {}),
    "xlnet": (XLNetConfig, {}),
    "deberta": (DebertaConfig, RELATIVE),
    "deberta-v2": (DebertaV2Config, CONVOLUTION),
    "deberta-v3": (DebertaV2Config, BUCKETS),
    "bert_uncased": (BertConfig, {}),
    "modernbert": (ModernBertConfig, {}),
    "ettin-encoder": (ModernBertConfig, {}),
    "ettin-decoder": (ModernBertDecoderConfig, {}),
    "qwen3": (Qwen3Config, {"head_dim": 128, "num_key_value_heads": 8}),
}


def architecture(name):
    return max((key for key in CONFIGS if name.startswith((f"{key}-", f"{key}_"))), key=len)


def config_of(name):
    """The configuration of an encoder in the table."""
    shape = SHAPES[name]
    kind, extra = CONFIGS[architecture(name)]
    heads, own = shape.width // 64, dict(extra)
    if kind is ElectraConfig:
        own["embedding_size"] = shape.width
    if kind is XLNetConfig:
        sizes = {"n_layer": shape.layers, "d_model": shape.width, "d_inner": shape.inner, "n_head": heads}
    else:
        sizes = {"num_hidden_layers": shape.layers, "hidden_size": shape.width, "intermediate_size": shape.inner,
                 "num_attention_heads": heads}  # fmt: skip
    return kind(vocab_size=shape.vocabulary, **sizes, **own)


@pytest.mark.parametrize("name", SHAPES)
def test_parameter_counts_are_within_2_percent_of_the_models(name):
    with torch.device("meta"):
        model = AutoModel.from_config(config_of(name))
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert 0.98 * counted < SHAPES[name].parameters < counted


# In millions, without token embeddings: "Backbone #Params" on the cards of microsoft/deberta-v3-base and -large.
BACKBONES = {"roberta-base": 86, "xlnet-base": 92, "electra-base": 86, "deberta-base": 100, "deberta-v3-base": 86,
             "deberta-v3-large": 304}  # fmt: skip


@pytest.mark.parametrize(("name", "millions"), BACKBONES.items())
def test_backbone_sizes_match_the_model_cards(name, millions):
    shape = SHAPES[name]
    assert shape.parameters - shape.vocabulary * shape.width == pytest.approx(1e6 * millions, rel=0.015)


# Encoders whose sizes are the defaults of a transformers configuration.
DEFAULTS = {"bert-base": BertConfig, "roberta-base": RobertaConfig, "xlnet-large": XLNetConfig,
            "deberta-base": DebertaConfig, "deberta-v2-xlarge": DebertaV2Config}  # fmt: skip


@pytest.mark.parametrize(("name", "kind"), DEFAULTS.items())
def test_shape_read_from_a_staged_configuration_matches_the_table(name, kind, tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    folder = tmp_path / "models/someone/else"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(kind().to_dict()))
    assert Sizes(tmp_path, load_lock(LOCK)).shape("someone/else") == SHAPES[name]


def test_downloads_are_those_of_the_first_source_in_order(tmp_path):
    sizes = Sizes(tmp_path, load_lock(LOCK))
    train, validation, hidden = sizes.downloads("datasets", "nyu-mll/glue/rte", ("hub", "local"))
    assert (train, validation) == (583976, 69020)
    assert math.isnan(hidden), "the lock does not state its size"
    assert sizes.downloads("datasets", "nyu-mll/glue/rte", ("local", "hub")) == []
    assert sizes.downloads("models", "steadytune/tiny-en", ("hub",)) == [], "it comes with the project"


@pytest.mark.parametrize(("task", "rows"), [("rte@1k", 277), ("mnli@1k", 9815), ("stsb@1k", 1500)])
def test_training_subset_keeps_the_whole_evaluation_split(task, rows, tmp_path):
    sizes = Sizes(tmp_path, load_lock(LOCK))
    assert sizes.rows(find_task(task), "train") == 1000
    assert sizes.rows(find_task(task), "evaluation") == rows


def test_damaged_data_set_file_is_named_in_the_error(tmp_path):
    task = find_task("rte")
    file = dataset_folder(tmp_path, task.dataset_key) / "train-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"PAR1 cut short")
    with pytest.raises(SteadyTuneError, match=re.escape(str(file))):
        Sizes(tmp_path, load_lock(LOCK)).rows(task, "train")

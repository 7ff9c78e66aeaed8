"""An own encoder is loaded and run before it is pinned; one that no cell could use gives a one-line error."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_encoder_folders import SMALL, change, write_unigram
from test_own_data import folder, write_suite  # noqa: F401
from test_run_cell import write_encoder
from transformers import (
    AlbertConfig,
    AlbertModel,
    DebertaV2Config,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertModel,
    LlamaConfig,
    LlamaModel,
    ModernBertConfig,
    ModernBertModel,
    RobertaConfig,
    RobertaModel,
    XLNetConfig,
    XLNetModel,
)

from steadytune.cli import main
from steadytune.store.own_encoders import check_encoder
from steadytune.suite.own import lock_path, read_own_lock

KERNEL = "kernels-community/flash-attn"
SETTINGS = [
    ({"is_decoder": True}, "is_decoder is true: expected false"),
    ({"num_hidden_layers": 1}, "num_hidden_layers is 1, but the weights have 2 layers"),
    ({"num_hidden_layers": 3}, "3 layers"),
    ({"num_hidden_layers": -1}, "num_hidden_layers is -1: expected a whole number"),
    ({"num_hidden_layers": 0}, "num_hidden_layers is 0: expected a whole number"),
    ({"hidden_size": 8}, "the weights lack"),
    ({"intermediate_size": 64}, "the weights lack"),
    ({"max_position_embeddings": 512}, "the weights lack"),
    ({"type_vocab_size": 1}, "the weights lack"),
    ({"model_type": "roberta"}, "model_type is 'roberta', but architectures names BertModel"),
    ({"model_type": "vit"}, "model_type 'vit' cannot classify texts"),
    ({"model_type": "clip"}, "model_type 'clip' cannot classify texts"),
    ({"num_attention_heads": 3}, "attention heads (3)"),
    ({"hidden_act": "gelu_foo"}, "hidden_act is 'gelu_foo': expected an activation"),
    ({"hidden_dropout_prob": 2.0}, "hidden_dropout_prob is 2.0: expected a rate"),
    ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob is -0.1: expected a rate"),
    ({"chunk_size_feed_forward": 3}, "chunk_size_feed_forward is 3: expected 0"),
    ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantization_config: expected none"),
    ({"attn_implementation": KERNEL}, f"attn_implementation is '{KERNEL}': expected eager, sdpa"),
    ({"_attn_implementation": "flash_attention_2"}, "_attn_implementation is 'flash_attention_2': expected eager"),
    ({"vocab_size": "many"}, "vocab_size is 'many': expected a whole number"),
    ({"max_position_embeddings": "many"}, "max_position_embeddings is 'many': expected a whole number"),
    ({"max_position_embeddings": 0}, "max_position_embeddings is 0: expected a whole number of at least 1"),
    ({"hidden_size": None}, "hidden_size is null: expected a whole number"),
]
TENSOR = "encoder.layer.1.output.dense.weight"


def stage(folder: Path) -> int:  # noqa: F811
    grid = [{"encoders": ["mine"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
    path = write_suite(folder, {}, encoders={"mine": {"model": "./m"}}, grid=grid, protocol={"max_length": 16})
    return main(["stage", str(path), "models"])


def assert_refused(folder: Path, capsys: pytest.CaptureFixture[str], *expected: str) -> None:  # noqa: F811
    """`stage` fails with a one-line error and pins nothing."""
    assert stage(folder) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1, said
    assert f"encoders.mine: {folder / 'm'}: " in said
    assert "/tmp/tmp" not in said and len(said) < 900
    for part in expected:
        assert part in said
    assert not lock_path(folder / "mine.yaml").exists()
    assert not list((folder / "store").glob("models/own/*"))


@pytest.fixture
def bert(folder) -> Path:  # noqa: F811
    write_encoder(folder / "m")
    return folder / "m"


def rewrite(bert: Path, changed) -> None:
    """Replace the weights with `changed(weights)`."""
    save_file(changed(load_file(bert / "model.safetensors")), bert / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(("values", "expected"), SETTINGS, ids=[json.dumps(values) for values, _ in SETTINGS])
def test_encoder_config_that_does_not_fit_is_refused(folder, bert, capsys, values, expected):  # noqa: F811
    change(bert, **values)
    assert_refused(folder, capsys, expected)


def test_weights_of_another_architecture_are_refused(folder, bert, capsys):  # noqa: F811
    rewrite(bert, lambda all_: {f"bert.{name}": tensor for name, tensor in all_.items()})
    change(bert, model_type="roberta", max_position_embeddings=34, architectures="absent")
    assert_refused(folder, capsys, "the weights lack")


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_folder_with_an_adapter_is_refused(folder, bert, capsys, name):  # noqa: F811
    (bert / name).write_text("{}")
    assert_refused(folder, capsys, name, "merge_and_unload")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (lambda all_: all_ | {TENSOR: all_[TENSOR].to(torch.int8)}, f"'{TENSOR}' are I8: expected"),
        (lambda all_: all_ | {TENSOR: all_[TENSOR] / 0}, f"'{TENSOR}' have NaN or infinite"),
        (lambda all_: all_ | {TENSOR: all_[TENSOR] * torch.nan}, f"'{TENSOR}' have NaN or infinite"),
        (lambda all_: all_ | {TENSOR: all_[TENSOR].double() * 1e200}, f"'{TENSOR}' have NaN or infinite"),
        (lambda all_: {name: all_[name] for name in all_ if name != TENSOR}, "lack 1 encoder parameters"),
        (lambda all_: {f"module.{name}": tensor for name, tensor in all_.items()}, "model.safetensors has 'module."),
        (lambda _: {}, "model.safetensors has none at all"),
        (lambda all_: {name: tensor * 0 for name, tensor in all_.items()}, "the same for different texts"),
        (lambda all_: {name: tensor * 1e30 for name, tensor in all_.items()}, "not finite"),
    ],
    ids=["int8", "infinite", "nan", "beyond fp32", "missing", "module", "none", "zeros", "huge"],
)
def test_unusable_weights_are_refused(folder, bert, capsys, changed, expected):  # noqa: F811
    rewrite(bert, changed)
    assert_refused(folder, capsys, expected)


def test_token_beyond_the_embeddings_is_refused(folder, bert, capsys):  # noqa: F811
    path = bert / "tokenizer.json"
    value = json.loads(path.read_text())
    last = max(value["model"]["vocab"], key=value["model"]["vocab"].get)
    value["model"]["vocab"][last] = 5000
    path.write_text(json.dumps(value))
    assert_refused(folder, capsys, "tokenizer", "5000", last)


@pytest.mark.parametrize("value", ["128", 0, True, [1]])
def test_invalid_model_max_length_is_refused(folder, bert, capsys, value):  # noqa: F811
    change(bert, "tokenizer_config.json", model_max_length=value)
    assert_refused(folder, capsys, "tokenizer_config.json: model_max_length is", "expected a number")


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "tokenizer.json"])
def test_too_deeply_nested_json_is_refused(folder, bert, capsys, name):  # noqa: F811
    (bert / name).write_text("[" * 100_000)
    assert_refused(folder, capsys)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precisions_are_accepted(folder, bert, kind):  # noqa: F811
    rewrite(bert, lambda all_: {name: tensor.to(kind) for name, tensor in all_.items()})
    assert stage(folder) == 0
    assert read_own_lock(folder / "mine.yaml").encoders["mine"].max_length == 16


def test_old_checkpoint_with_position_ids_is_accepted(folder, bert):  # noqa: F811
    rewrite(bert, lambda all_: all_ | {"embeddings.position_ids": torch.arange(16)[None]})
    assert stage(folder) == 0


def test_receipt_found_in_an_encoder_folder_is_ignored(folder, bert):  # noqa: F811
    (bert / "receipt.json").write_text(json.dumps({"files": {"config.json": {}}}))
    assert stage(folder) == 0
    assert "receipt.json" not in read_own_lock(folder / "mine.yaml").encoders["mine"].files


def _models(size: int) -> dict[str, torch.nn.Module]:
    common = {"vocab_size": size, "max_position_embeddings": 34, **SMALL}
    relative = {"relative_attention": True, "position_buckets": 8, "position_biased_input": False}
    return {
        "albert": AlbertModel(AlbertConfig(**common, embedding_size=16, pad_token_id=0)),
        "deberta-v2": DebertaV2Model(
            DebertaV2Config(**common, **relative, pos_att_type=["p2c", "c2p"], pad_token_id=0)
        ),
        "distilbert": DistilBertModel(
            DistilBertConfig(vocab_size=size, dim=16, n_layers=2, n_heads=2, hidden_dim=32, pad_token_id=0)
        ),
        "llama": LlamaModel(LlamaConfig(**common, eos_token_id=2, pad_token_id=0)),
        "modernbert": ModernBertModel(ModernBertConfig(**common, pad_token_id=0, cls_token_id=1, sep_token_id=2)),
        "roberta": RobertaModel(RobertaConfig(**common, pad_token_id=1)),
        "xlnet": XLNetModel(XLNetConfig(vocab_size=size, d_model=16, n_layer=2, n_head=2, d_inner=32, pad_token_id=0)),
    }


@pytest.mark.parametrize("kind", ["albert", "deberta-v2", "distilbert", "llama", "modernbert", "roberta", "xlnet"])
def test_other_architectures_are_accepted_unless_config_cuts_layers(tmp_path, kind):
    model = _models(write_unigram(tmp_path))[kind]
    model.save_pretrained(tmp_path)
    names = [path.name for path in tmp_path.iterdir()]
    report = check_encoder(tmp_path, names)
    assert report.problems == () and report.facts.startswith(kind)
    key = {"distilbert": "n_layers", "xlnet": "n_layer"}.get(kind, "num_hidden_layers")
    config = json.loads((tmp_path / "config.json").read_text())
    more = {"layer_types": config["layer_types"][:1]} if config.get("layer_types") else {}
    change(tmp_path, **{key: 1}, **more)
    # ALBERT has one layer, which it calls as often as the config says.
    assert len(check_encoder(tmp_path, names).problems) == (kind != "albert")


def test_shipped_encoder_is_accepted(root, folder, tmp_path):  # noqa: F811
    shutil.copytree(root / "published/encoders/tiny-en", folder / "m")
    assert stage(folder) == 0


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "a pointer of Git LFS"),
     (b"<!doctype html><html>Sign in</html>", "a web page")],
)  # fmt: skip
def test_git_lfs_pointer_or_web_page_is_refused(folder, bert, capsys, name, content, expected):  # noqa: F811
    (bert / name).write_bytes(content)
    assert_refused(folder, capsys, f"{name}: {expected}")


@pytest.mark.parametrize("below", ["0_Transformer", "checkpoint-500", "snapshots/abc"])
def test_folder_around_the_encoder_error_names_the_inner_folder(folder, bert, capsys, below):  # noqa: F811
    (bert.rename(folder / "inner") / "1_Pooling").mkdir()
    (folder / "m" / below).parent.mkdir(parents=True)
    (folder / "inner").rename(folder / "m" / below)
    (folder / "m/1_Pooling").mkdir()
    (folder / "m/1_Pooling/config.json").write_text("{}")
    assert_refused(folder, capsys, f"as below this one: {below}")


def test_pad_token_id_other_than_the_tokenizers_is_refused(folder, bert, capsys):  # noqa: F811
    change(bert, pad_token_id=3)
    assert_refused(folder, capsys, "pad_token_id is 3, but the tokenizer pads with 0 ('[PAD]')")


def test_same_size_tokenizer_with_other_token_ids_is_refused(folder, bert, capsys):  # noqa: F811
    vocabulary = json.loads((bert / "tokenizer.json").read_text())["model"]["vocab"]
    (bert / "tokenizer.json").unlink()
    (bert / "tokenizer_config.json").unlink()
    (bert / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.get, reverse=True)))
    assert_refused(folder, capsys, f"pad_token_id is 0, but the tokenizer pads with {len(vocabulary) - 1}")


@pytest.mark.parametrize(
    ("texts", "share"), [(["xx yy", "xx"], "100%"), (["the dog a", "a xx"], "20%"), (["the", "a"], "")]
)
def test_staging_logs_the_share_of_unknown_tokens(folder, bert, caplog, texts, share):  # noqa: F811
    rows = "".join(f"{text},{label}\n" for text, label in zip(texts, ("x", "y"), strict=True))
    (folder / "a.csv").write_text("body,label\n" + rows)
    task = {"train": "a.csv", "evaluation": "a.csv", "text": "body"}
    encoders = {"tiny": {"model": "./m"}}
    path = write_suite(folder, {"t": task}, encoders=encoders, protocol={"max_length": 16})
    with caplog.at_level("INFO"):
        assert main(["stage", str(path)]) == 0
    (line,) = [line for line in caplog.messages if "max_length 16 cuts" in line]
    assert line.count(f" {share} of all tokens unknown") == line.count("unknown") == 2 * bool(share)

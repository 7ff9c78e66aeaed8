"""An encoder folder is checked by its files: each fault gets one line, and all are reported together."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from test_own_data import folder, write_suite  # noqa: F401
from test_run_cell import write_encoder
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DebertaV2Config,
    DebertaV2Model,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

from steadytune.encoders.folder import examine
from steadytune.errors import SteadyTuneError
from steadytune.store.pinning_own import pin_new
from steadytune.suite.own import lock_path

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("encoders") / "good"
    write_encoder(found)
    return found


@pytest.fixture
def bert(good, tmp_path) -> Path:
    """A copy of the good folder for tests to damage."""
    return Path(shutil.copytree(good, tmp_path / "my bert"))


def change(folder: Path, name: str = "config.json", **values) -> None:  # noqa: F811
    path = folder / name
    kept = {key: value for key, value in (json.loads(path.read_text()) | values).items() if value != "absent"}
    path.write_text(json.dumps(kept))


def test_good_folder_has_no_problems(bert):
    report = examine(bert)
    assert report.problems == ()
    assert report.max_length == 16
    assert "bert, 2 layers, width 16" in report.facts


def write_unigram(folder: Path) -> int:  # noqa: F811
    """Write a DeBERTa-v2-like tokenizer; return its vocabulary size."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="[UNK]")
    tokenizer.train_from_iterator(["Zürich is nice", "a plain text"], trainer)
    ends = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    names = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "cls", "sep", "unk")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return tokenizer.get_vocab_size()


@pytest.mark.parametrize("kind", ["deberta-v2", "modernbert", "roberta"])
def test_max_length_is_found_for_other_architectures(tmp_path, kind):
    size = write_unigram(tmp_path)
    relative = {"relative_attention": True, "position_buckets": 8, "position_biased_input": False}
    common = {"vocab_size": size, "max_position_embeddings": 34, **SMALL}
    match kind:
        case "deberta-v2":
            model = DebertaV2Model(DebertaV2Config(**common, **relative, pos_att_type=["p2c", "c2p"], pad_token_id=0))
        case "modernbert":
            model = ModernBertModel(ModernBertConfig(**common, pad_token_id=0, cls_token_id=1, sep_token_id=2))
        case _:
            model = RobertaModel(RobertaConfig(**common, pad_token_id=1))
    model.save_pretrained(tmp_path)
    report = examine(tmp_path)
    assert report.problems == ()
    # DeBERTa's positions are relative; RoBERTa's start after the padding token's id.
    assert report.max_length == {"deberta-v2": None, "modernbert": 34, "roberta": 32}[kind]


def test_classification_head_is_dropped_and_its_labels_are_named(bert):
    config = BertConfig.from_pretrained(bert, id2label={0: "schlecht", 1: "gut"})
    BertForSequenceClassification(config).save_pretrained(bert)
    report = examine(bert)
    assert report.problems == ()
    assert "schlecht, gut" in report.facts
    assert "dropped" in report.facts


def test_pickled_weights_problem_gives_a_working_conversion_command(bert):
    (bert / "model.safetensors").unlink()
    torch.save(BertModel(BertConfig.from_pretrained(bert)).state_dict(), bert / "pytorch_model.bin")
    (problem,) = examine(bert).problems
    assert "pytorch_model.bin" in problem
    code = re.search(r'python -c "(.+)"', problem)
    assert code
    exec(code[1])
    assert examine(bert).problems == ()


def spoil(folder: Path, fault: str) -> None:  # noqa: F811
    match fault:
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "damaged":
            data = (folder / "model.safetensors").read_bytes()
            (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
        case "no tokenizer":
            for path in folder.glob("tokenizer*"):
                path.unlink()
        case "more tokens":
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.add_tokens(["[NEW]"])
            tokenizer.save_pretrained(folder)
        case "vocab_size":
            change(folder, vocab_size=5000)
        case "pad_token_id":
            change(folder, pad_token_id=None)
        case "start token":
            change(folder, "tokenizer.json", post_processor=None)
        case "3 layers":
            change(folder, num_hidden_layers=3)
        case "bart":
            change(folder, model_type="bart")
        case "not JSON":
            (folder / "config.json").write_text("{")
        case "model_type":
            change(folder, model_type="absent")
        case "PEFT adapter":
            (folder / "config.json").rename(folder / "adapter_config.json")


FAULTS = ("no weights", "damaged", "no tokenizer", "more tokens", "vocab_size", "pad_token_id", "start token",
          "3 layers", "bart", "not JSON", "model_type", "PEFT adapter")  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_reported_as_one_problem_that_names_it(bert, fault):
    spoil(bert, fault)
    (problem,) = examine(bert).problems
    said = {"more tokens": "resize_token_embeddings"}.get(fault, fault)
    assert said in problem


def test_all_problems_of_all_encoders_are_reported_together(folder, good):  # noqa: F811
    for name, faults in {"one": ("no tokenizer", "3 layers"), "two": ("pad_token_id", "start token")}.items():
        shutil.copytree(good, folder / name)
        for fault in faults:
            spoil(folder / name, fault)
    entries = {name: {"model": f"./{name}"} for name in ("one", "two")}
    grid = [{"encoders": ["one", "two"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
    path = write_suite(folder, {}, encoders=entries, grid=grid)
    with pytest.raises(SteadyTuneError) as error:
        pin_new(path)
    lines = str(error.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["encoders.one", "encoders.one", "encoders.two", "encoders.two"]
    assert not lock_path(path).exists()


def test_max_length_beyond_the_encoder_is_refused_before_training(folder, good):  # noqa: F811
    shutil.copytree(good, folder / "one")
    grid = [{"encoders": ["one"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
    path = write_suite(folder, {}, encoders={"one": {"model": "./one"}}, grid=grid, protocol={"max_length": 17})
    with pytest.raises(SteadyTuneError, match=r"max_length: 17.*16"):
        pin_new(path)

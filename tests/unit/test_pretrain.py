"""Pretraining of the mini encoder: same bits after an interruption, a folder that loads offline, no pickles."""

import json
import re
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
import yaml
from test_stage_command import project, trained  # noqa: F401 (fixtures)
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from minilanguage import corpus
from steadytune.cli import main
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.locks import is_held
from steadytune.pretraining import mini as module
from steadytune.pretraining.mini import pretrain
from steadytune.pretraining.pretraining_data import FALSE, GARBLED, TRUE, Batches, tokenize
from steadytune.pretraining.tokenizer import build_tokenizer, build_vocabulary
from steadytune.store.receipt import verify

CONFIG = Path(__file__).parents[2] / "config" / "encoders" / "mini.yaml"
SHRUNK = {
    "layers": 2,
    "width": 16,
    "heads": 2,
    "feed_forward": 32,
    "steps": 20,
    "masked": 4,
    "judged": 4,
    "threads": 1,
    "checkpoint_every": 5,
    "log_every": 4,
}


@pytest.fixture(autouse=True)
def restore_global_settings():
    threads, fill = torch.get_num_threads(), torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
    torch.utils.deterministic.fill_uninitialized_memory = fill


@pytest.fixture(scope="module")
def rows():
    return corpus.rows(Random(0), 60)


@pytest.fixture
def store(tmp_path, rows):
    folder = tmp_path / "store" / "datasets" / "steadytune" / "mini" / "corpus"
    folder.mkdir(parents=True)
    parquet.write_table(pa.Table.from_pylist(rows), folder / "train-00000-of-00001.parquet")
    return tmp_path / "store"


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.read_text()) | SHRUNK))
    return path


def test_an_interrupted_run_resumes_to_the_same_bytes(config, store, tmp_path, monkeypatch):
    pretrain(config, store, tmp_path / "whole")
    step, calls = module._step, []

    def fail_after_ten(*arguments):
        calls.append(1)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(module, "_step", fail_after_ten)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, store, tmp_path / "resumed")
    assert not (tmp_path / "resumed").exists()
    calls[:] = [0] * 100
    pretrain(config, store, tmp_path / "resumed")
    assert len(calls) == 110, "the second run continues at the last checkpoint, step 10"
    for name in ("model.safetensors", "tokenizer.json", "config.json", "curve.csv"):
        assert sha256(tmp_path / "whole" / name) == sha256(tmp_path / "resumed" / name), name
    curve = (tmp_path / "whole" / "curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve] == ["step", "4", "8", "12", "16", "20"]


def test_a_checkpoint_of_other_settings_is_not_continued(config, store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_write", lambda *_: None)
    pretrain(config, store, tmp_path / "out")  # leaves its checkpoint of step 15
    config.write_text(config.read_text().replace("seed: 0", "seed: 1"))
    calls, step = [], module._step
    monkeypatch.setattr(module, "_step", lambda *arguments: calls.append(1) or step(*arguments))
    pretrain(config, store, tmp_path / "out")
    assert len(calls) == 20


def test_the_folder_is_a_checkpoint_with_receipt_and_without_pickles(config, store, tmp_path):
    folder = tmp_path / "store" / "models" / "steadytune" / "mini"
    pretrain(config, store, folder)
    receipt = verify(folder)
    assert receipt.source == "pretrained"
    assert set(receipt.files) == {path.name for path in folder.iterdir()} - {"receipt.json"}
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes == {".safetensors", ".json", ".csv", ".yaml", ".parquet"}
    assert [path.name for path in folder.parent.iterdir()] == ["mini"], "nothing partial is left"
    record = json.loads((folder / "pretraining.json").read_text())
    assert record["tokens"] > 20 * 8 * 5
    assert record["final"]["step"] == 20


def test_the_folder_loads_offline_with_its_pooler(config, store, tmp_path):
    pretrain(config, store, tmp_path / "out")
    model, info = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "out", num_labels=3, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    assert model.config.hidden_dropout_prob == 0.1
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out", local_files_only=True)
    assert tokenizer.is_fast
    encoded = tokenizer("Every DOG sleeps", "anna sleeps")
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == (
        ["[CLS]", "every", "dog", "sleeps", "[SEP]", "anna", "sleeps", "[SEP]"]
    )
    assert encoded["token_type_ids"] == [0] * 5 + [1] * 3
    assert tokenizer.tokenize("zebra") == ["z", "##e", "##b", "##r", "##a"]
    assert load_encoder(tmp_path / "out", num_labels=2, init_seed=0).num_layers == 2
    assert load_tokenizer(tmp_path / "out")("anna")["input_ids"] == tokenizer("anna")["input_ids"]


@pytest.fixture(scope="module")
def batches(rows):
    told, foils = ([row[name].split("\n") for row in rows] for name in ("text", "foils"))
    tokenizer = build_tokenizer(build_vocabulary((s for d in told + foils for s in d), 512), 64)
    data = tokenize(tokenizer, told, foils)
    return Batches(data, tokenizer, seed=0, masked=16, judged=32, mask_rate=0.4), tokenizer


def test_batches_mask_one_sentence_and_judge_the_other_truthfully(batches, rows):
    source, tokenizer = batches
    true = {line for row in rows for line in row["text"].split("\n")}
    seen = set()
    for step in range(10):
        batch = source.at(step)
        assert np.array_equal(batch.input_ids, source.at(step).input_ids)
        asked = batch.targets[:16] >= 0
        assert 0.1 < asked.sum() / batch.attention_mask[:16].sum() < 0.5
        assert not (batch.targets[16:] >= 0).any()
        for types, row in zip(batch.token_type_ids[:16], asked, strict=True):
            assert len(set(types[row])) <= 1
        for ids, label in zip(batch.input_ids[16:], batch.judgements, strict=True):
            sentences = tokenizer.decode(ids).replace("[PAD]", "").replace("[CLS]", "").strip(" ").split("[SEP]")[:-1]
            last = sentences[-1].strip()
            seen.add((int(label), len(sentences)))
            assert label != TRUE or last in true
    assert seen == {(TRUE, 2), (FALSE, 2), (TRUE, 1), (GARBLED, 1)}


def test_bad_input_is_said_in_one_line(config, store, tmp_path):
    with pytest.raises(SteadyTuneError, match="no such corpus"):
        pretrain(config, tmp_path / "nowhere", tmp_path / "out")
    config.write_text(config.read_text() + "layres: 4\n")
    with pytest.raises(SteadyTuneError, match="layres") as caught:
        pretrain(config, store, tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("steps", 0, "steps: 0: expected greater than 0"),
        ("heads", 0, "heads: 0: expected greater than 0"),
        ("heads", 3, "heads: 3: expected a divisor of width, 16"),
        ("mask_rate", -1.0, "mask_rate: -1.0: expected greater than 0"),
        ("warmup", 7.0, "warmup: 7.0: expected less than 1"),
        ("clip", 0.0, "clip: 0.0: expected greater than 0"),
        ("log_every", 0, "log_every: 0: expected greater than 0"),
        ("learning_rate", float("nan"), "learning_rate: nan: expected a finite number"),
        ("weight_decay", float("inf"), "weight_decay: inf: expected a finite number"),
        ("vocabulary", 76, "vocabulary: 76: expected greater than or equal to 77"),
        ("max_tokens", 8, "max_tokens: 8: expected at least "),
    ],
)
def test_a_setting_without_meaning_is_refused_in_one_line(key, value, said, config, store, tmp_path):
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {key: value}))
    with pytest.raises(SteadyTuneError) as caught:
        pretrain(config, store, tmp_path / "out")
    assert str(caught.value).startswith(f"{config}: {said}") and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_the_longest_input_is_the_longest_pair_and_fits_exactly(config, store, tmp_path, rows):
    """Every word of the corpus is a piece, so that words can be counted."""
    pairs = [
        (told[i - 1], second[i])
        for told, foils in ((row["text"].split("\n"), row["foils"].split("\n")) for row in rows)
        for second in (told, foils)
        for i in range(1, len(told))
    ]
    count = lambda sentence: len(re.findall(r"\w+|[^\w\s]", sentence))  # noqa: E731
    longest = max(count(a) + count(b) for a, b in pairs) + 3
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"steps": 1, "max_tokens": longest - 1}))
    with pytest.raises(SteadyTuneError, match=f"max_tokens: {longest - 1}: expected at least {longest},"):
        pretrain(config, store, tmp_path / "out")
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | {"max_tokens": longest}))
    pretrain(config, store, tmp_path / "out")


def test_the_smallest_vocabulary_is_that_of_letters_and_digits():
    assert len(build_vocabulary(["many other words"], 77)) == 77 == len(build_vocabulary([], 1000))


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize(
    ("arguments", "corpus_of_config", "function", "lock"),
    [
        (("demo.yaml", "own/mini"), "nyu-mll/glue/qnli", "steadytune.pretraining.mini.pretrain",
         "store/.locks/models--own--mini.lock"),
        (("demo.yaml", "own/mini"), {"file": "text"}, "steadytune.pretraining.train.pretrain_text",
         "store/.locks/models--own--mini.lock"),
        (("config/own.yaml", "out/own"), {"file": "text"}, "steadytune.pretraining.train.pretrain_text",
         "out/.own.lock"),
    ],
)  # fmt: skip
def test_an_encoder_is_pretrained_by_one_process_at_a_time(arguments, corpus_of_config, function, lock, monkeypatch):
    """For two work in the same folder beside it. What brings a bundle's encoder takes the same lock as the workflow."""
    Path("config/own.yaml").write_text(yaml.safe_dump({"corpus": corpus_of_config}))
    held = []
    monkeypatch.setattr(function, lambda *_: held.append(is_held(Path(lock))))
    assert main(["pretrain" if "demo.yaml" in arguments else "pretrain-text", *arguments]) == 0
    assert held == [True] and not is_held(Path(lock))

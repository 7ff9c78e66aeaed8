"""Pretraining on a generated corpus: the training rows, and that an interrupted run ends with the same bytes."""

import json
from pathlib import Path
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
import yaml
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from minilanguage import corpus
from steadytune.cli import main
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.locks import is_held
from steadytune.pretraining.examples import NOT_ASKED, Pieces
from steadytune.pretraining.sentences import FALSE, GARBLED, TRUE, SentenceExamples, read_sentences
from steadytune.pretraining.tokenizer import build_vocabulary
from steadytune.pretraining.train import Training, pretrain
from steadytune.store.receipt import Receipt, measure_all, verify, write_receipt

CONFIG = Path(__file__).parents[2] / "config" / "encoders" / "mini.yaml"
SHRUNK = {
    "held_out": 10, "layers": 2, "width": 16, "heads": 2, "feed_forward": 32, "tokens": 20 * 128, "threads": 1,
    "tokens_per_step": 128, "checkpoint_every": 5, "log_every": 4,
}  # fmt: skip


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


@pytest.fixture(scope="module")
def store(tmp_path_factory, rows):
    root = tmp_path_factory.mktemp("corpus") / "store"
    folder = root / "datasets" / "steadytune" / "mini" / "corpus"
    folder.mkdir(parents=True)
    name = "train-00000-of-00001.parquet"
    parquet.write_table(pa.Table.from_pylist(rows), folder / name)
    write_receipt(folder, Receipt("generated", "a test", None, "lock", measure_all(folder, [name])))
    return root


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.read_text()) | SHRUNK))
    return path


def change(config, **values):
    config.write_text(yaml.safe_dump(yaml.safe_load(config.read_text()) | values))


def test_interrupted_run_resumes_to_the_same_bytes(config, store, tmp_path, monkeypatch):
    pretrain(config, store, tmp_path / "whole")
    step, calls = Training._step, []

    def fail_after_ten(self, number, progress):
        calls.append(number)
        if len(calls) == 11:
            raise KeyboardInterrupt
        return step(self, number, progress)

    monkeypatch.setattr(Training, "_step", fail_after_ten)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, store, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    pretrain(config, store, tmp_path / "cut")
    assert calls == [*range(11), *range(10, 20)], "it resumes from the checkpoint of step 10"
    assert verify(tmp_path / "whole").files == verify(tmp_path / "cut").files
    assert len(verify(tmp_path / "cut").files) == 6
    curve = (tmp_path / "whole" / "curve.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in curve] == ["step", "4", "8", "12", "16", "20"]


def test_checkpoint_of_other_settings_is_not_resumed(config, store, tmp_path, monkeypatch):
    step, calls = Training._step, []

    def fail_at_seven(self, number, progress):
        calls.append(number)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return step(self, number, progress)

    monkeypatch.setattr(Training, "_step", fail_at_seven)
    with pytest.raises(KeyboardInterrupt):
        pretrain(config, store, tmp_path / "out")
    change(config, seed=1)
    pretrain(config, store, tmp_path / "out")
    assert calls == [*range(8), *range(20)]


def test_folder_loads_offline_with_its_pooler(config, store, tmp_path):
    folder = tmp_path / "models" / "mini"
    pretrain(config, store, folder)
    receipt = verify(folder)
    assert (receipt.source, receipt.origin) == ("pretrained", "steadytune/mini/corpus")
    assert {path.suffix for path in folder.iterdir()} == {".safetensors", ".json", ".csv", ".md"}
    assert [path.name for path in folder.parent.iterdir()] == ["mini"], "nothing partial is left"
    record = json.loads((folder / "pretraining.json").read_text())
    assert record["final"]["step"] == 20 == record["steps"]
    model, info = AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=3, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
    assert model.config.hidden_dropout_prob == 0.1
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    encoded = tokenizer("Every DOG sleeps", "anna sleeps")
    assert tokenizer.convert_ids_to_tokens(encoded["input_ids"]) == (
        ["[CLS]", "every", "dog", "sleeps", "[SEP]", "anna", "sleeps", "[SEP]"]
    )
    assert encoded["token_type_ids"] == [0] * 5 + [1] * 3
    assert tokenizer.tokenize("zebra") == ["z", "##e", "##b", "##r", "##a"]
    assert load_encoder(folder, num_labels=2, init_seed=0).num_layers == 2
    assert load_tokenizer(folder)("anna")["input_ids"] == tokenizer("anna")["input_ids"]


@pytest.fixture(scope="module")
def examples(store):
    path = store / "datasets" / "steadytune" / "mini" / "corpus" / "train-00000-of-00001.parquet"
    text, tokenizer = read_sentences(path, 512, 64)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    return SentenceExamples(text, Pieces.of(vocabulary), seed=0), vocabulary


def uncovered(batch, vocabulary):
    """Yield (judgement, number of masks, sentences) of each row, with the masked tokens restored."""
    ids = batch.input_ids.copy()
    ids.reshape(-1)[batch.places] = batch.targets
    masks = np.bincount(batch.places // ids.shape[1], minlength=len(ids))
    for row, judgement, count in zip(ids, batch.judgements, masks, strict=True):
        words = " ".join(vocabulary[token] for token in row)
        assert words.startswith("[CLS] ") and words.endswith(" [SEP]")
        yield int(judgement), int(count), tuple(words[6:-6].split(" [SEP] "))


def test_rows_are_neighbouring_sentences_with_true_judgements(examples, rows):
    source, vocabulary = examples
    told = [row["text"].split("\n") for row in rows]
    foils = [row["foils"].split("\n") for row in rows]
    pairs = {(d[i - 1], d[i]) for d in told for i in range(1, len(d))}
    wrong = {(d[i - 1], f[i]) for d, f in zip(told, foils, strict=True) for i in range(1, len(d))}
    alone = {(sentence,) for d in told for sentence in d[1:]}
    right = {(NOT_ASKED, 2): pairs, (NOT_ASKED, 1): alone, (TRUE, 2): pairs, (FALSE, 2): wrong, (TRUE, 1): alone}
    seen, garbled = set(), []
    for step in range(200):
        batch = source.at(step, 512, 64, 0.4)
        assert np.array_equal(batch.input_ids, source.at(step, 512, 64, 0.4).input_ids)
        assert batch.input_ids.size <= 512
        for judgement, masks, sentences in uncovered(batch, vocabulary):
            seen.add((judgement, len(sentences)))
            if judgement == GARBLED:
                garbled.append(sentences not in alone)
            else:
                assert sentences in right[judgement, len(sentences)]
            assert masks == 0 or judgement == NOT_ASKED
    assert seen == {*right, (GARBLED, 1)}
    assert np.mean(garbled) > 0.6, "exchanging a word with itself or with an equal one changes nothing"


def test_masks_lie_in_one_sentence_and_prefer_rare_words(examples):
    source, _ = examples
    covered, total = np.zeros(512), np.bincount(source.text.tokens, minlength=512)
    for step in range(100):
        batch = source.at(step, 512, 64, 0.4)
        second = batch.token_type_ids.reshape(-1)[batch.places]
        row = batch.places // batch.input_ids.shape[1]
        assert all(len(set(second[row == number])) == 1 for number in set(row))
        covered += np.bincount(batch.targets, minlength=512)
    often, rarely = total > 200, (total > 5) & (total < 30)
    assert covered[rarely].sum() / total[rarely].sum() > 1.5 * covered[often].sum() / total[often].sum()


def test_mean_length_of_pairs_is_that_of_uniform_sampling(examples):
    source, _ = examples
    lengths = np.array([])
    for step in range(300):
        batch = source.at(step, 512, 64, 0.4)
        pair = [len(row) for row in batch.input_ids[batch.token_type_ids.any(axis=1)]]
        lengths = np.append(lengths, pair)
    size = np.diff(source.text.sentences)
    expected = np.mean(size[source.second - 2] + size[source.second] + 3)
    assert lengths.mean() == pytest.approx(expected, abs=0.5)


def test_missing_corpus_and_unknown_key_are_rejected(config, store, tmp_path):
    with pytest.raises(SteadyTuneError, match="corpus: not staged"):
        pretrain(config, tmp_path / "nowhere", tmp_path / "out")
    config.write_text(config.read_text() + "layres: 4\n")
    with pytest.raises(SteadyTuneError, match="layres") as caught:
        pretrain(config, store, tmp_path / "out")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("tokens", 0, "tokens: 0"),
        ("heads", 3, "heads: 3: expected a divisor of width, 16"),
        ("mask_rate", -1.0, "mask_rate: -1.0"),
        ("warmup", 7.0, "warmup: 7.0"),
        ("log_every", 0, "log_every: 0"),
        ("learning_rate", float("nan"), "learning_rate: nan"),
        ("weight_decay", float("inf"), "weight_decay: inf"),
        ("vocabulary", 76, "vocabulary: 76"),
        ("held_out", 60, "held_out: 60"),
        ("stretches", [{"until": 1.0, "length": 16}], "length: 16: expected at least "),
    ],
)
def test_invalid_setting_is_a_one_line_error(key, value, message, config, store, tmp_path):
    change(config, **{key: value})
    with pytest.raises(SteadyTuneError) as caught:
        pretrain(config, store, tmp_path / "out")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_vocabulary_is_letters_digits_and_the_most_frequent_words():
    assert len(build_vocabulary(["many other words"], 77)) == 77 == len(build_vocabulary([], 1000))
    assert build_vocabulary(["no dog", "a no", "dog no cat"], 79)[77:] == ["no", "dog"]


@pytest.mark.parametrize(
    ("output", "lock"),
    [
        ("store/models/own/mini", "store/.locks/models--own--mini.lock"),
        ("out/own", "out/.own.lock"),
    ],
)
def test_pretraining_holds_the_encoders_lock(output, lock, tmp_path, monkeypatch):
    """Two processes would share a work folder next to it. Unpacking a bundle's encoder takes the same lock."""
    monkeypatch.chdir(tmp_path)
    held = []
    monkeypatch.setattr("steadytune.pretraining.train.pretrain", lambda *_: held.append(is_held(Path(lock))))
    assert main(["pretrain", "own.yaml", output]) == 0
    assert held == [True] and not is_held(Path(lock))


def test_pretraining_twice_gives_identical_files(config, store, tmp_path):
    for name in ("one", "two"):
        pretrain(config, store, tmp_path / name)
    assert {path.name: sha256(path) for path in (tmp_path / "one").iterdir() if path.name != "README.md"} == {
        path.name: sha256(path) for path in (tmp_path / "two").iterdir() if path.name != "README.md"
    }

"""Pretraining on text: the training rows, the fast forward pass, and how a run ends or resumes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional
from transformers import AutoModelForMaskedLM

from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.pretraining import train as module
from steadytune.pretraining.candidates import draw_candidates
from steadytune.pretraining.examples import NOT_ASKED, Pieces, Text
from steadytune.pretraining.model import build_model, hidden_states, losses, masked_logits, pair_logits
from steadytune.pretraining.settings import Settings
from steadytune.pretraining.text import find_corpus, prepare, split_sentences
from steadytune.pretraining.text_examples import NEXT, OTHER, RESTATED, SWAPPED, TextExamples
from steadytune.rendering.pretraining_curve import draw_curve, plot_curve, read_curve
from steadytune.schema import check
from steadytune.store.receipt import verify

CONFIG = Path(__file__).parents[2] / "config" / "encoders" / "tiny-en.yaml"
CLS, SEP, MASK, FIRST = 2, 3, 4, 5
SUBJECTS, VERBS, PLACES = ("dog", "cat", "bird"), ("sleeps", "sings", "waits"), ("house", "garden", "river", "street")


@pytest.fixture(autouse=True)
def restore_threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def numbered_text(documents=4, sentences=30, length=7):
    """A text whose tokens give their positions: the token at position p is FIRST + p."""
    count = documents * sentences * length
    return Text(
        np.arange(FIRST, FIRST + count, dtype=np.uint16),
        np.arange(0, count + 1, length),
        np.arange(0, documents * sentences + 1, sentences),
    )


def rows_without_masks(text, steps, rows=40, length=32, seed=0):
    """Yield (kind, first segment, second segment) of each row, with the masked tokens restored."""
    pieces = Pieces(CLS, SEP, MASK, FIRST, np.zeros(FIRST + len(text.tokens), bool))
    examples = TextExamples(text, pieces, seed=seed)
    for step in range(steps):
        batch = examples.at(step, rows * length, length, 0.2)
        ids = batch.input_ids.copy()
        ids.reshape(-1)[batch.places] = batch.targets
        for row, types, kind in zip(ids, batch.token_type_ids, batch.judgements, strict=True):
            assert row[0] == CLS and row[-1] == SEP and len(row) == length
            ends = np.flatnonzero(row == SEP)
            assert len(ends) == (1 if kind == NOT_ASKED else 2)
            assert np.array_equal(types, np.arange(length) > ends[0])
            yield int(kind), row[1 : ends[0]], row[ends[0] + 1 : -1]


def test_segment_pairs_match_their_kind():
    text, seen, gaps, shares = numbered_text(), set(), [], []
    for kind, a, b in rows_without_masks(text, steps=10):
        seen.add(kind)
        assert np.array_equal(np.diff(a), np.ones(len(a) - 1)), "a segment is a stretch of the text"
        if kind in (NEXT, OTHER, SWAPPED):
            assert np.array_equal(np.diff(b), np.ones(len(b) - 1))
        if kind == NEXT:
            assert b[0] == a[-1] + 1
        if kind == SWAPPED:
            assert a[0] == b[-1] + 1
        if kind == OTHER:
            gaps.append(b[0] != a[-1] + 1)
        if kind == RESTATED:
            repeated, more = b[b <= a[-1]], b[b > a[-1]]
            assert (np.diff(b) > 0).all(), "the repeated tokens keep their order"
            assert np.array_equal(more, np.arange(len(more)) + a[-1] + 1), "and the text goes on behind them"
            if len(more):
                shares.append(len(repeated) / len(a))
    assert seen == {NEXT, OTHER, SWAPPED, RESTATED, NOT_ASKED}
    assert np.mean(gaps) > 0.9
    assert 0.75 < np.mean(shares) < 0.95


def test_segments_start_at_a_sentence_and_stay_in_one_document():
    text = numbered_text()
    document = lambda tokens: (tokens - FIRST) // (30 * 7)  # noqa: E731
    for kind, a, b in rows_without_masks(text, steps=5):
        assert document(a[0]) == document(a[-1])
        assert (a[0] - FIRST) % 7 == 0
        if kind == NEXT:
            assert (b[0] - FIRST) % 7 == 0
            assert document(a[0]) == document(b[-1])


def test_held_out_documents_are_never_drawn():
    text = numbered_text()
    examples = TextExamples(text, Pieces(CLS, SEP, MASK, FIRST, np.zeros(2000, bool)), seed=0, documents=slice(0, 3))
    last = FIRST + 3 * 30 * 7
    for step in range(5):
        assert examples.at(step, 40 * 32, 32, 0.01).targets.max() < last


def test_whole_words_are_masked_at_the_requested_rate():
    text = numbered_text()
    later = np.zeros(FIRST + len(text.tokens), bool)
    later[FIRST + 1 :: 2] = True  # words of two pieces throughout, even across a sentence border
    examples = TextExamples(text, Pieces(CLS, SEP, MASK, FIRST, later), seed=0)
    batch = examples.at(0, 40 * 32, 32, 0.2)
    assert len(batch.places) == round(0.2 * 40 * 32) == len(np.unique(batch.places))
    ids = batch.input_ids.copy().reshape(-1)
    ids[batch.places] = batch.targets
    chosen = np.zeros(ids.shape, bool)
    chosen[batch.places] = True
    inner = [i for i in range(1, len(ids)) if later[ids[i]] and ids[i] == ids[i - 1] + 1]
    assert sum(chosen[i] != chosen[i - 1] for i in inner) <= 1, "at most the last word is cut"
    shown = batch.input_ids.reshape(-1)[batch.places]
    assert 0.7 < (shown == MASK).mean() < 0.9
    assert 0.03 < (shown == batch.targets).mean() < 0.2
    assert not np.isin(batch.targets, (CLS, SEP)).any()


def test_documents_that_are_too_short_are_an_error(tmp_path):
    examples = TextExamples(numbered_text(sentences=2), Pieces(CLS, SEP, MASK, FIRST, np.zeros(2000, bool)), seed=0)
    with pytest.raises(SteadyTuneError, match="has 30 tokens"):
        examples.at(0, 4 * 32, 32, 0.2)


def test_batches_are_reproducible_from_seed_and_step():
    text = numbered_text()
    pieces = Pieces(CLS, SEP, MASK, FIRST, np.zeros(2000, bool))
    first, again, other = (TextExamples(text, pieces, seed=seed).at(3, 8 * 32, 32, 0.2) for seed in (0, 0, 1))
    assert np.array_equal(first.input_ids, again.input_ids)
    assert not np.array_equal(first.input_ids, other.input_ids)


def test_candidates_include_targets_and_estimate_the_vocabulary_sum():
    rng = np.random.default_rng(0)
    targets, scores = rng.integers(0, 40, 60), rng.normal(size=200)
    sums = []
    for _ in range(400):
        among = draw_candidates(rng, targets, 200, 90)
        assert np.array_equal(among.numbers[among.targets], targets)
        assert len(np.unique(among.numbers)) == 90
        sums.append(np.exp(scores[among.numbers] + among.log_weights).sum())
    assert np.mean(sums) == pytest.approx(np.exp(scores).sum(), rel=0.01)
    exact = draw_candidates(rng, targets, 200, 200)
    assert np.array_equal(np.sort(exact.numbers), np.arange(200)) and not exact.log_weights.any()


def test_fast_forward_pass_matches_transformers():
    settings = check(Settings, yaml.safe_load(CONFIG.read_text()) | {"width": 32, "feed_forward": 64}, CONFIG)
    model = build_model(settings, 300, 4)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(FIRST, 300, (4, 48), generator=generator)
    types = (torch.arange(48) > 20).long().expand(4, 48)
    places, judgements = torch.tensor([3, 70, 170]), torch.tensor([0, 3, -100, 1])
    theirs = model.bert(input_ids=ids, token_type_ids=types)
    ours = hidden_states(model, ids, types, torch.float32)
    torch.testing.assert_close(ours, theirs.last_hidden_state, atol=1e-5, rtol=1e-5)
    their_logits = model.cls.predictions(theirs.last_hidden_state).reshape(-1, 300)[places]
    torch.testing.assert_close(masked_logits(model, ours, places), their_logits, atol=1e-5, rtol=1e-5)
    their_pairs = model.cls.seq_relationship(theirs.pooler_output)
    torch.testing.assert_close(pair_logits(model, ours), their_pairs, atol=1e-5, rtol=1e-5)
    targets = torch.tensor([7, 8, 299])
    everything, nothing = torch.arange(300), torch.zeros(300)
    masked, pair = losses(model, ids, types, places, judgements, everything, nothing, targets, torch.float32)
    torch.testing.assert_close(masked, functional.cross_entropy(their_logits, targets))
    torch.testing.assert_close(pair, functional.cross_entropy(their_pairs[[0, 1, 3]], judgements[[0, 1, 3]]))


def test_next_tokens_are_predicted_only_in_rows_without_a_judgement():
    text = numbered_text()
    pieces = Pieces(CLS, SEP, MASK, FIRST, np.zeros(FIRST + len(text.tokens), bool))
    batch = TextExamples(text, pieces, seed=0).at(0, 40 * 32, 32, None)
    flat, places = batch.input_ids.reshape(-1), batch.places
    assert MASK not in flat
    assert np.array_equal(batch.targets, flat[places + 1])
    assert set(places // 32) == set(np.flatnonzero(batch.judgements == NOT_ASKED))
    assert (places % 32).max() == 30 and (places % 32).min() == 0, "every place but a row's last, of which none follows"


@pytest.mark.parametrize(("architecture", "last"), [("modernbert", False), ("llama", True)])
def test_other_architectures_learn_and_load_as_encoders(architecture, last, config, tmp_path):
    value = yaml.safe_load(config.read_text()) | {"architecture": architecture, "tokens": 12288, "log_every": 4,
                                                    "candidates": 300}  # fmt: skip
    config.write_text(yaml.safe_dump(value))
    module.pretrain(config, Path(), tmp_path / "out")
    curve = [line.split(",") for line in (tmp_path / "out/curve.csv").read_text().splitlines()]
    words = [float(line[curve[0].index("held_out_loss")]) for line in curve[1:]]
    assert words[-1] < words[0]
    encoder = load_encoder(tmp_path / "out", num_labels=2, init_seed=0)
    assert (encoder.model.config.model_type, encoder.sentence_token == -1) == (architecture, last)
    assert not any(name.startswith("model.") for name in encoder.fresh), "every pretrained weight was read"


def test_sentences_end_at_punctuation_but_not_after_initials():
    text = 'He met J. R. Smith in 1920. "Yes!" It was 3.5 m (he said.) Then U.S. law applied? 4 did.'
    assert split_sentences(text) == [
        "He met J. R. Smith in 1920.", '"Yes!"', "It was 3.5 m (he said.)", "Then U.S. law applied?", "4 did.",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Twelve documents of a small language."""
    rng = np.random.default_rng(0)
    draw = lambda words: words[int(rng.integers(len(words)))]  # noqa: E731
    paragraph = lambda: " ".join(f"The {draw(SUBJECTS)} {draw(VERBS)} near a {draw(PLACES)}." for _ in range(12))  # noqa: E731
    path = tmp_path_factory.mktemp("corpus") / "small.txt"
    path.write_text("\n\n".join("\n".join(paragraph() for _ in range(4)) for _ in range(12)) + "\n")
    return path


def test_corpus_is_tokenized_once_without_changing_its_text(corpus, tmp_path):
    text, tokenizer = prepare(corpus, 300, 32, tmp_path / "cache")
    assert len(text.documents) - 1 == 12
    assert len(text.sentences) - 1 == 12 * 4 * 12
    assert text.sentences[-1] == len(text.tokens)
    written = corpus.read_text().replace(".", " .").lower().split()
    pieces = tokenizer.convert_ids_to_tokens(text.tokens.tolist())
    assert " ".join(pieces).replace(" ##", "").split() == written
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}
    again, _ = prepare(corpus, 300, 32, tmp_path / "cache")
    assert np.array_equal(again.tokens, text.tokens)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")} == made


@pytest.fixture
def config(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYTUNE_CORPUS", str(corpus.parent))
    settings = yaml.safe_load(CONFIG.read_text()) | {
        "vocabulary": 300, "held_out": 2, "word_pieces": "pieces.txt", "candidates": 200, "width": 16,
        "feed_forward": 32, "compile": False, "tokens": 12 * 256, "tokens_per_step": 256,
        "checkpoint_every": 5, "log_every": 4,
        "stretches": [{"until": 0.5, "length": 16}, {"until": 1.0, "length": 32}],
    }  # fmt: skip
    letters = "abcdefghijklmnopqrstuvwxyz."
    words = [*SUBJECTS, *VERBS, *PLACES, "the", "near"]
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters), *words]
    pieces += [f"[unused{number}]" for number in range(300 - len(pieces))]
    (tmp_path / "pieces.txt").write_text("\n".join(pieces) + "\n")
    settings["corpus"] |= {"file": corpus.name, "sha256": sha256(corpus)}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def cut_in_the_eighth_step(monkeypatch):
    """Interrupt the eighth step taken and no other; return the list that collects the numbers of the steps."""
    step, calls = module.Training._step, []

    def fail_at_eight(self, number, progress):
        calls.append(number)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return step(self, number, progress)

    monkeypatch.setattr(module.Training, "_step", fail_at_eight)
    return calls


def test_interrupted_run_resumes_to_the_same_weights(config, tmp_path, monkeypatch):
    module.pretrain(config, Path(), tmp_path / "whole")
    calls = cut_in_the_eighth_step(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        module.pretrain(config, Path(), tmp_path / "cut")
    assert not (tmp_path / "cut").exists()
    module.pretrain(config, Path(), tmp_path / "cut")
    assert calls == [*range(8), *range(5, 12)], "it goes on from the checkpoint of step 5"
    assert sha256(tmp_path / "whole" / "model.safetensors") == sha256(tmp_path / "cut" / "model.safetensors")
    whole, cut = ((tmp_path / name / "curve.csv").read_text().splitlines() for name in ("whole", "cut"))
    assert whole == cut
    assert [line.split(",")[0] for line in whole] == ["step", "4", "8", "12"]


def test_checkpoint_of_other_word_pieces_is_not_resumed(config, tmp_path, monkeypatch):
    """Two pieces are swapped in the file of word pieces; its name in the settings stays the same."""
    calls = cut_in_the_eighth_step(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        module.pretrain(config, Path(), tmp_path / "cut")
    path = config.with_name("pieces.txt")
    path.write_text(path.read_text().replace("dog\ncat", "cat\ndog"))
    module.pretrain(config, Path(), tmp_path / "cut")
    assert calls == [*range(8), *range(12)], "it starts anew, for the checkpoint of step 5 is of other pieces"


def test_time_limit_ends_the_schedule_early(config, tmp_path, monkeypatch):
    now, step = [0.0], module.Training._step
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    rates = []

    def three_seconds(self, number, progress):
        now[0] += 3
        result = step(self, number, progress)
        rates.append(self.optimisers.rate)
        return result

    monkeypatch.setattr(module.Training, "_step", three_seconds)
    module.pretrain(config, Path(), tmp_path / "out", minutes=0.25)
    record = json.loads((tmp_path / "out" / "pretraining.json").read_text())
    assert record["steps"] == 5, "15 seconds at 3 a step, where the tokens would take 12 steps"
    assert record["final"]["progress"] == 1
    assert record["minutes"] == 0.25
    assert rates[-1] < rates[-2] < rates[-3], "the cycle comes to its end all the same"


def test_output_folder_is_small_loads_offline_and_has_a_model_card(config, tmp_path):
    module.pretrain(config, Path(), tmp_path / "out")
    folder = tmp_path / "out"
    verify(folder)
    assert {path.name for path in tmp_path.iterdir()} == {"out", config.name, "pieces.txt"}, "nothing partial is left"
    assert not list(folder.glob("*.bin"))
    encoder = load_encoder(folder, num_labels=2, init_seed=0)
    assert encoder.num_layers == 2
    model = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.convert_ids_to_tokens(tokenizer("The Dog", "sings")["input_ids"]) == (
        ["[CLS]", "the", "dog", "[SEP]", "sings", "[SEP]"]
    )
    assert next(model.parameters()).isfinite().all()
    card = (folder / "README.md").read_text()
    record = json.loads((folder / "pretraining.json").read_text())
    assert f"{record['parameters']:,} parameters" in card
    assert f"masked-word loss\n  {record['final']['held_out_loss']:.3f}" in card
    weights = (folder / "model.safetensors").stat().st_size
    assert 2 * record["parameters"] < weights < 2 * record["parameters"] + 10_000, "two bytes a parameter"


def test_invalid_settings_and_corpora_are_rejected(config, corpus, tmp_path, monkeypatch):
    written = config.read_text()
    for old, new, said in (
        ("candidates: 200", "candidates: 20", "candidates from 51"),
        ("until: 0.5", "until: 1.5", "at most 1"),
        ("length: 16", "length: 17", "divide tokens_per_step"),
        ("vocabulary: 300", "vocabulary: 100000", "vocabulary: 100000"),
        ("vocabulary: 300", "vocabulary: 301", "expected 301 different pieces"),
        ("held_out: 2", "held_out: 12", "held_out: 12"),
        ("warmup", "warmpu", "warmup"),
        ("heads: 2", "heads: 3", "heads: 3: expected a divisor of width, 16"),
        ("dropout:", "architecture: llama\ndropout:", "candidates from 256"),
        ("clip: 1.0", "clip: .inf", "clip: inf: expected a finite number"),
        (sha256(corpus), "a" * 64, "SHA-256 aaaa"),
    ):
        config.write_text(written.replace(old, new))
        with pytest.raises(SteadyTuneError, match=said) as caught:
            module.pretrain(config, Path(), tmp_path / "out")
        assert "\n" not in str(caught.value)
    with pytest.raises(SteadyTuneError, match="no such corpus"):
        find_corpus("elsewhere.txt")
    monkeypatch.delenv("STEADYTUNE_CORPUS")
    with pytest.raises(SteadyTuneError, match="STEADYTUNE_CORPUS"):
        find_corpus(corpus.name)


def test_curve_is_drawn_from_the_csv_alone(tmp_path):
    path = tmp_path / "curve.csv"
    path.write_text(
        "step,tokens,masked_loss,held_out_loss,held_out_accuracy,held_out_pair_accuracy\n"
        "1,1000000,6,6.5,0.1,0.4\n2,2000000,5,5.5,0.2,0.6\n"
    )
    left, right = plot_curve(read_curve(path)).axes
    assert [np.asarray(line.get_xydata()).tolist() for line in left.lines[:2]] == [
        [[1, 6], [2, 5]],
        [[1, 6.5], [2, 5.5]],
    ]
    assert [np.asarray(line.get_xydata()).tolist() for line in right.lines[:2]] == [
        [[1, 10], [2, 20]],
        [[1, 40], [2, 60]],
    ]
    drawn = draw_curve(path, tmp_path / "curve")
    assert [path.suffix for path in drawn if path.stat().st_size] == [".pdf", ".svg", ".png"]
    path.write_text("step,masked_loss\n1,2\n")
    with pytest.raises(SteadyTuneError, match="expected the curve of a pretraining on text"):
        read_curve(path)


def test_shipped_config_is_valid():
    settings = check(Settings, yaml.safe_load(CONFIG.read_text()), CONFIG)
    assert settings.max_tokens == 128
    assert settings.rate(settings.warmup) == pytest.approx(1)
    assert settings.rate(1.0) == 0

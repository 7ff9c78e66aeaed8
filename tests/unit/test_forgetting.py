"""Forgetting: the masked-word loss compared with transformers' full model, and its table and figure."""

import numpy as np
import pandas as pd
import pytest
import torch
from test_inside_stage import demo, look_inside  # noqa: F401 (a fixture)
from test_run_cell import suite  # noqa: F401 (a fixture)
from transformers import AutoConfig, AutoModelForMaskedLM, BertConfig, BertForMaskedLM

from steadytune.encoders.batching import Batcher
from steadytune.encoders.loading import load_encoder
from steadytune.layers.inside import forgetting
from steadytune.layers.inside.forgetting import masked_word_loss
from steadytune.layout import inside_table_path
from steadytune.rendering.figures import draw
from steadytune.rendering.tables import make_table
from steadytune.results.description import describe
from steadytune.results.loading import load_results
from steadytune.suite.loading import load_suite
from steadytune.tasks.data import Encoded
from steadytune.trials.tiny import LAYOUTS

MASK, SPECIAL = 4, frozenset({0, 1, 2, 3, 4})
CONFIG = BertConfig(vocab_size=12, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                    max_position_embeddings=16, initializer_range=0.2)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    BertForMaskedLM(CONFIG).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def batcher(folder) -> tuple[Batcher, list[list[int]]]:
    texts = [[2, 5, 6, 7, 3], [2, 8, 9, 3], [2, 10, 11, 5, 6, 3]]
    encoder = load_encoder(folder, 2, 0)
    encoded = Encoded([np.array(text) for text in texts], None, np.zeros(3, dtype=np.int64), np.arange(3), 0)
    return Batcher(encoded, encoder.padding, 2), texts


def whole_model(folder, state, texts) -> float:
    """The loss of transformers' masked model with an encoder's weights, all words masked, text by text."""
    model = BertForMaskedLM.from_pretrained(folder).eval()
    model.bert.load_state_dict(state, strict=False)
    losses = []
    for text in texts:
        words = torch.tensor([text])
        free = ~torch.isin(words, torch.tensor(sorted(SPECIAL)))
        labels = words.masked_fill(~free, -100)
        output = model(input_ids=words.masked_fill(free, MASK), labels=labels)
        losses += [output.loss.item()] * int(free.sum())
    return float(np.mean(losses))


@pytest.mark.parametrize("tuned", [False, True])
def test_loss_equals_that_of_transformers_masked_model(tuned, folder, monkeypatch):
    monkeypatch.setattr(forgetting, "SHARE", 1.1)
    data, texts = batcher(folder)
    encoder = load_encoder(folder, 2, 0)
    if tuned:
        with torch.no_grad():
            for parameter in encoder.model.bert.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    state = {name: value.clone() for name, value in encoder.model.bert.state_dict().items()}
    found = masked_word_loss(encoder, data, folder, MASK, SPECIAL)
    assert found == pytest.approx(whole_model(folder, state, texts), abs=1e-5)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "xlnet"])
def test_masked_word_head_is_found_in_every_architecture(layout, tmp_path, monkeypatch):
    monkeypatch.setattr(forgetting, "SHARE", 1.1)
    model_type, values = LAYOUTS[layout]
    torch.manual_seed(0)
    AutoModelForMaskedLM.from_config(AutoConfig.for_model(model_type, **values)).save_pretrained(tmp_path)
    data, texts = batcher(tmp_path)
    words = [torch.tensor([text]) for text in texts]
    model, sums = AutoModelForMaskedLM.from_pretrained(tmp_path).eval(), []
    for text in words:
        free = text > MASK
        loss = model(input_ids=text.masked_fill(free, MASK), labels=text.masked_fill(~free, -100)).loss
        sums += [loss.item()] * int(free.sum())
    found = masked_word_loss(load_encoder(tmp_path, 2, 0), data, tmp_path, MASK, SPECIAL)
    assert found == pytest.approx(np.mean(sums), abs=1e-5)


def test_same_words_are_masked_for_every_encoder(folder, monkeypatch):
    seen = []
    data, _ = batcher(folder)
    for seed in (0, 1):
        encoder = load_encoder(folder, 2, seed)
        inner = encoder.model.forward
        monkeypatch.setattr(
            encoder.model, "forward", lambda *a, inner=inner, **k: seen.append(k["input_ids"]) or inner(*a, **k)
        )
        masked_word_loss(encoder, data, folder, MASK, SPECIAL)
    half = len(seen) // 2
    assert half == 2
    assert all(torch.equal(*pair) for pair in zip(seen[:half], seen[half:], strict=True))


def test_loss_is_none_without_a_masked_word_head_or_mask_token(folder, tmp_path):
    data, _ = batcher(folder)
    BertForMaskedLM.from_pretrained(folder).bert.save_pretrained(tmp_path / "bare")
    encoder = load_encoder(tmp_path / "bare", 2, 0)
    assert masked_word_loss(encoder, data, tmp_path / "bare", MASK, SPECIAL) is None
    assert masked_word_loss(encoder, data, folder, None, SPECIAL) is None


def test_forgetting_table_compares_before_and_after(demo, tmp_path, monkeypatch):  # noqa: F811
    losses = iter([3.0, 3.5, 2.0])
    monkeypatch.setattr("steadytune.layers.inside.stage.masked_word_loss", lambda *_: next(losses))
    text = (tmp_path / "demo.yaml").read_text().replace("  probes:", "  forgetting: mini-cola\n  probes:")
    (tmp_path / "demo.yaml").write_text(text)
    changed = load_suite(tmp_path / "demo.yaml")
    look_inside(changed)
    rows = [
        {"encoder": "tiny", "method": "vanilla", "task": "cola", "seed": seed, "status": "ok", "evaluation_set": "cola",
         "kind": "in_domain", "metric": "matthews", "headline": True, "value": value, "majority": 0.0, "seconds": 1.0,
         "stale": "", "n": 40, "truncated": 0, "seen_in_training": 0, "train_examples": 64, "train_truncated": 0}
        for seed, value in ((0, 0.4), (1, 0.6))
    ]  # fmt: skip
    results = load_results(changed.results, describe(changed), pd.DataFrame(rows))
    (line,) = make_table("forgetting", results).lines
    assert tuple(map(str, line)) == ("vanilla", "cola", "2.00", "3.25 ± 0.35", "+1.25", "50.0", "2")
    axes = draw("score-forgetting", results).axes[0]
    assert sorted(axes.collections[0].get_offsets()[:, 0].tolist()) == pytest.approx([1.0, 1.5])
    # The score of a seed that was not looked into does not count.
    path = inside_table_path(changed)
    measured = pd.read_parquet(path)
    measured[~measured["seed"].isin([1])].to_parquet(path)
    (line,) = make_table("forgetting", results).lines
    assert tuple(map(str, line)) == ("vanilla", "cola", "2.00", "3.00", "+1.00", "40.0", "1")

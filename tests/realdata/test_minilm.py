"""The encoder interface and the variability metric on a real checkpoint: all-MiniLM-L6-v2, a BERT stored in fp16."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from staged_store import STORE

from steadytune.encoders.batching import Batcher
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.layers.pooling import special_token_ids
from steadytune.layers.variability import variability
from steadytune.tasks.data import Encoded

FOLDER = STORE / "models" / "sentence-transformers" / "all-MiniLM-L6-v2"

PREMISES = [
    "The treaty was signed in {city} in {year} after two years of negotiations.",
    "A fire destroyed the old library of {city} in {year}, the police said on Monday.",
    "The {city} museum, which opened in {year}, shows more than 400 paintings.",
    "The company moved its headquarters to {city} in {year} and hired 300 people.",
]
CITIES = ["Oslo", "Lisbon", "Nairobi", "Lima"]


@pytest.fixture(scope="module")
def encoder():
    return load_encoder(FOLDER, num_labels=2, init_seed=0)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(FOLDER)


@pytest.fixture
def inputs(tokenizer):
    first = ["A man is playing a guitar on a small stage.", "It rains."]
    second = ["Somebody makes music.", "The sun is out."]
    return dict(tokenizer(first, second, padding=True, return_tensors="pt"))


def test_fp16_checkpoint_loads_in_fp32_with_its_pooler(encoder):
    stored = load_file(FOLDER / "model.safetensors")
    loaded = encoder.model.state_dict()
    assert {value.dtype for value in loaded.values()} == {torch.float32}
    for name in stored.keys() - {"embeddings.position_ids"}:
        assert torch.equal(loaded[f"bert.{name}"], stored[name].float())
    assert encoder.fresh == ("classifier.weight", "classifier.bias")
    assert set(encoder.head_parameters()) == set(encoder.fresh)
    assert (encoder.num_layers, encoder.width) == (6, 384)


def test_hidden_states_match_transformers_and_resume_reproduces_them(encoder, inputs):
    encoder.model.eval()
    expected = encoder.model(**inputs, output_hidden_states=True)
    output = encoder(inputs, on_layer_input=lambda _, hidden: hidden, keep_hidden=True)
    assert torch.equal(output.logits, expected.logits)
    assert all(map(torch.equal, output.hidden, expected.hidden_states))
    encoder.model.train()
    output = encoder(inputs, keep_hidden=True, resumable_from=2)
    resumed = encoder.resume(2, output.hidden[2])
    assert len(resumed) == 4
    assert all(map(torch.equal, resumed, output.hidden[3:]))
    assert not torch.equal(output.logits, expected.logits), "dropout is on"


def test_variability_is_lower_for_real_labels_than_for_shuffled_ones(encoder, tokenizer):
    texts, hypotheses, labels = [], [], []
    for index in range(64):
        city, year = CITIES[index % 4], 1900 + index
        texts.append(PREMISES[index // 4 % 4].format(city=city, year=year))
        label = index // 16 % 2
        hypotheses.append(f"Something happened in {city}." if label else f"Nothing happened anywhere before {year}.")
        labels.append(label)
    rows = tokenizer(texts, hypotheses)

    def measure(classes):
        encoded = Encoded(
            input_ids=[np.array(ids) for ids in rows["input_ids"]],
            token_type_ids=[np.array(ids) for ids in rows["token_type_ids"]],
            labels=np.array(classes),
            rows=np.arange(64),
            truncated=0,
        )
        return variability(encoder, Batcher(encoded, encoder.padding, 16), special_token_ids(tokenizer))

    real = measure(labels)
    shuffled = measure(np.random.default_rng(0).permutation(labels))
    assert len(real.nu) == 7
    assert all(math.isfinite(value) and value > 0 for value in real.nu)
    assert real.best_layer == 1 + int(np.argmin(real.nu[1:]))
    assert real.counts == (32, 32)
    assert max(real.nu) < min(shuffled.nu)

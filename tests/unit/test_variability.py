"""nu compared with its written-out definition, and edge cases."""

import math

import numpy as np
import pytest
import torch
from oracles.variability import VARIANTS, definition
from transformers import BertConfig, BertForSequenceClassification

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.layers.pooling import pool_tokens, special_token_ids
from steadytune.layers.variability import VariabilityAccumulator, class_indices, variability
from steadytune.suite.variability import NuSettings
from steadytune.tasks.data import Encoded


def accumulate(features, labels, batch=7, **settings):
    """nu of `features` (layers, n, width) given in batches."""
    features, labels = torch.as_tensor(features), torch.as_tensor(labels)
    accumulator = VariabilityAccumulator(np.bincount(labels.numpy()).tolist(), NuSettings(**settings))
    for start in range(0, len(labels), batch):
        accumulator.update(features[:, start : start + batch], labels[start : start + batch])
    return accumulator.result()


def sample(sizes, width=12, layers=3, offset=0.0, seed=0):
    """Imbalanced classes in shuffled order: features (layers, n, width) float64, labels (n,)."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = generator.normal(size=(layers, len(sizes), width))
    mixing = generator.normal(size=(layers, width, width))
    noise = generator.normal(size=(layers, len(labels), width)) @ mixing
    return centres[:, labels] + 0.3 * noise + offset, labels


@pytest.mark.parametrize("sizes", [(40, 11), (5, 30, 18), (9, 1, 14, 2, 6, 20)])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_streamed_nu_matches_the_definition(sizes, offset):
    features, labels = sample(sizes, offset=offset)
    expected = [definition(layer, labels) for layer in features]
    assert accumulate(features, labels) == pytest.approx(expected, rel=1e-9)


def test_nu_is_invariant_to_batches_order_rotation_shift_and_scale():
    features, labels = sample((20, 13, 8))
    expected = accumulate(features, labels)
    assert accumulate(features, labels, batch=41) == pytest.approx(expected, rel=1e-9)
    assert accumulate(features[:, ::-1].copy(), labels[::-1].copy(), batch=3) == pytest.approx(expected, rel=1e-9)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))
    assert accumulate(features @ rotation + 2.0, labels) == pytest.approx(expected, rel=1e-9)
    assert accumulate(1e-3 * features, labels) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_nu_match_their_definitions(variant):
    features, labels = sample((5, 30, 18, 1))
    expected = [definition(layer, labels, **variant) for layer in features]
    assert accumulate(features, labels, **variant) == pytest.approx(expected, rel=1e-9)


def test_two_unequal_classes_match_the_closed_form():
    features, labels = sample((31, 9), width=40, layers=2)
    closed = []
    for layer in features:
        first, second = layer[labels == 0], layer[labels == 1]
        d = (first.mean(axis=0) - second.mean(axis=0)) / 2
        within = (np.cov(first.T, bias=True) + np.cov(second.T, bias=True)) / 2
        closed.append(d @ within @ d / (2 * (d @ d) ** 2))
    assert accumulate(features, labels) == pytest.approx(closed, rel=1e-9)


def test_two_classes_match_hand_calculation():
    # Means (+-2, 0), one unit of scatter along each axis: nu = d' Sigma_w d / (2 |d|^4) = 4 / (2 * 16).
    cross = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    mean = np.array([2.0, 0.0])
    features = np.concatenate([cross + mean, cross - mean])[None]
    assert accumulate(features, np.repeat([0, 1], 4)) == pytest.approx((1 / 8,), rel=1e-12)


def test_classes_weigh_equally_regardless_of_size():
    features, labels = sample((10, 10))
    repeated = np.concatenate([np.arange(20), *[np.flatnonzero(labels == 1)] * 5])
    expected = accumulate(features, labels)
    assert accumulate(features[:, repeated], labels[repeated]) == pytest.approx(expected, rel=1e-9)


def test_single_precision_features_are_accumulated_in_double_precision():
    features, labels = sample((4000, 3000), width=6, layers=1, offset=30.0)
    single = features.astype(np.float32)
    assert accumulate(single, labels, 64) == pytest.approx((definition(single[0].astype(float), labels),), rel=1e-9)


def test_single_example_adds_no_scatter_and_empty_class_is_ignored():
    features = np.array([[[0.0], [2.0], [5.0]]])
    # Means 1 and 5, Sigma_w = (1 + 0) / 2, Sigma_b = 4.
    assert accumulate(features, [0, 0, 1]) == pytest.approx((0.5 / 4 / 2,), rel=1e-12)
    assert accumulate(features, [0, 0, 2]) == accumulate(features, [0, 0, 1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nu_is_infinite_if_class_means_coincide(dtype):
    labels = np.array([0, 1, 0, 1, 0, 1])
    constant = np.full((6, 4), 0.1)
    same_means = np.random.default_rng(0).normal(size=(3, 4)).repeat(2, axis=0) + 9
    rounding = constant * (1 + np.finfo(dtype).eps / 4 * np.array([[1], [-1]] * 3))
    features = np.stack([constant, same_means, rounding]).astype(dtype)
    assert accumulate(features, labels, batch=2) == (math.inf,) * 3


def test_nu_is_zero_for_collapsed_classes():
    centres = np.random.default_rng(0).normal(size=(20, 4, 6))
    assert all(0 <= value < 1e-12 for value in accumulate(centres[:, np.arange(40) % 4], np.arange(40) % 4))


@pytest.mark.parametrize("gap", [0.0, 1e-9])
def test_two_coinciding_classes_of_three_match_the_definition(gap):
    features, labels = sample((6, 6, 6), layers=1)
    features[0, labels == 2] = features[0, labels == 1] + gap
    assert accumulate(features, labels) == pytest.approx((definition(features[0], labels),), rel=1e-9)


def test_undefined_nu_is_refused():
    for counts, message in [([5], "at least 2 classes, got 1"), ([3, 0], "got 1"), ([1, 1], "one example a class")]:
        with pytest.raises(SteadyTuneError, match=message):
            VariabilityAccumulator(counts)
    features, labels = sample((5, 5))
    features[1, 3, 2] = np.nan
    with pytest.raises(SteadyTuneError, match="layer 1 are not finite"):
        accumulate(features, labels)
    accumulator = VariabilityAccumulator([5, 5])
    accumulator.update(torch.zeros(1, 2, 3), torch.tensor([0, 1]))
    with pytest.raises(SteadyTuneError, match=r"given \[1, 1\] .* announced were \[5, 5\]"):
        accumulator.result()


HIDDEN = torch.tensor([[[1.0], [2.0], [4.0], [8.0], [math.nan]], [[3.0], [5.0], [7.0], [9.0], [11.0]]])
INPUTS = {"attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]])}
SPECIAL = torch.tensor([[1, 0, 0, 1, 1], [1, 0, 1, 0, 1]])


@pytest.mark.parametrize(
    ("tokens", "sentence_token", "expected"),
    [
        ("mean_without_special", 0, [3.0, 7.0]),
        ("mean_without_cls", 0, [14 / 3, 8.0]),
        ("mean", 0, [3.75, 7.0]),
        ("cls", 0, [1.0, 3.0]),
        ("cls", -2, [8.0, 9.0]),
        ("last", 0, [8.0, 11.0]),
    ],
)
def test_token_choices_pool_the_expected_tokens(tokens, sentence_token, expected):
    pooled = pool_tokens(HIDDEN, INPUTS, SPECIAL, tokens, sentence_token)
    assert pooled.tolist() == [[pytest.approx(value)] for value in expected]
    both_layers = pool_tokens(torch.stack([HIDDEN, 2 * HIDDEN]), INPUTS, SPECIAL, tokens, sentence_token)
    assert torch.equal(both_layers, torch.stack([pooled, 2 * pooled]))


def test_last_token_is_found_with_left_padding():
    hidden, mask = HIDDEN.flip(1), {"attention_mask": INPUTS["attention_mask"].flip(1)}
    assert pool_tokens(hidden, mask, SPECIAL, "last", -1).tolist() == [[1.0], [3.0]]


def test_invalid_token_choice_or_no_token_left_is_refused():
    with pytest.raises(SteadyTuneError, match=r"token choice 'cl' .*'cls'"):
        pool_tokens(HIDDEN, INPUTS, SPECIAL, "cl")
    with pytest.raises(SteadyTuneError, match="no token left"):
        pool_tokens(HIDDEN, INPUTS, torch.ones_like(SPECIAL))


def test_regression_targets_become_classes():
    scores = np.array([0.0, 0.5, 1.49, 4.8, 2.5])
    classes, indices = class_indices(scores)
    assert classes.tolist() == [0, 1, 3, 5]
    assert indices.tolist() == [0, 1, 1, 3, 2]
    assert class_indices(scores, "exact")[0].tolist() == sorted(scores.tolist())
    assert class_indices(np.array([2, 0, 2]))[1].tolist() == [1, 0, 1]
    with pytest.raises(SteadyTuneError, match=r"regression rule 'rounded'.*'round'"):
        class_indices(scores, "rounded")


def test_special_tokens_exclude_unk_and_mask():
    class Tokenizer:
        cls_token_id, sep_token_id, pad_token_id, unk_token_id, mask_token_id = 2, 3, 0, 1, 4
        bos_token_id = eos_token_id = None

    assert special_token_ids(Tokenizer()) == {0, 2, 3}


def tiny_encoder():
    torch.manual_seed(0)
    config = BertConfig(vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16)
    return Encoder(BertForSequenceClassification(config))


def tiny_data(labels):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 9, size=len(labels))
    ids = [np.concatenate([[2], generator.integers(5, 40, size=length), [3]]) for length in lengths]
    return Encoded(input_ids=ids, token_type_ids=None, labels=labels, rows=np.arange(len(ids)), truncated=0)


def test_variability_of_an_encoder_matches_the_definition():
    encoder, labels = tiny_encoder(), np.array([0, 1, 2, 2, 0, 1, 0, 0, 2, 1, 0])
    encoder.model.train()
    encoded = tiny_data(labels)
    result = variability(encoder, Batcher(encoded, encoder.padding, 4), {0, 2, 3})
    features = [[], [], []]
    for ids in encoded.input_ids:
        states = encoder.model(torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states
        for layer, state in enumerate(states):
            features[layer].append(state[0, 1:-1].mean(dim=0).double().detach().numpy())
    expected = [definition(np.stack(layer), labels) for layer in features]
    assert result.nu == pytest.approx(expected, rel=1e-4)
    assert result.best_layer == 1 + int(np.argmin(expected[1:]))
    assert result.classes == (0, 1, 2)
    assert result.counts == (5, 3, 3)


def test_embedding_layer_has_infinite_nu_on_the_sentence_token(caplog):
    encoder = tiny_encoder()
    batcher = Batcher(tiny_data(np.array([0, 1] * 6)), encoder.padding, 4)
    result = variability(encoder, batcher, {0, 2, 3}, NuSettings(tokens="cls"))
    assert math.isinf(result.nu[0])
    assert all(math.isfinite(value) for value in result.nu[1:])
    assert result.best_layer > 0
    assert "layers [0]" in caplog.text


def test_encoder_without_a_separating_layer_is_refused():
    encoded = tiny_data(np.array([0, 1, 0, 1]))
    encoded.input_ids[:] = [encoded.input_ids[0]] * 4
    encoder = tiny_encoder()
    with pytest.raises(SteadyTuneError, match="no layer tells the classes apart"):
        variability(encoder, Batcher(encoded, encoder.padding, 4), {0, 2, 3})

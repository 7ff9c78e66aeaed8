"""What is done for speed: dropout drawn by the word, attention with it, and the table of words that are trained."""

import numpy as np
import pytest
import torch
from oracles.plain import tiny_bert
from test_encoders import CONFIGS, make, make_inputs

from steadytune.encoders.dropout import ATTENTION, Mask, QuickDropout, attention, use_quick_dropout
from steadytune.encoders.encoder import Encoder
from steadytune.methods import registry
from steadytune.methods.base import Composition
from steadytune.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.batching import Batcher
from steadytune.training.words import NarrowEmbedding, train_words

TYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_dropout_drops_at_its_rate_and_keeps_the_mean(dtype, p):
    torch.manual_seed(0)
    size = 400_000
    mask = Mask((size,), dtype, p)
    kept = mask.select(torch.ones(size, dtype=dtype)).double()
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    # Five standard deviations, and what 14 bits round p by.
    assert abs(kept.mean() - (1 - p)) < 5 * (p * (1 - p) / size) ** 0.5 + 2**-15
    assert mask.scale == pytest.approx(1 / (1 - p), rel=2**-14 / (1 - p))
    # Neighbours are independent, at every distance at which words of 64 bits could tie them together.
    centred = kept - kept.mean()
    for distance in (1, 2, 3, 4, 8):
        correlation = (centred[distance:] * centred[:-distance]).mean() / centred.square().mean()
        assert abs(correlation) < 5 / size**0.5


def test_the_gradient_passes_where_the_value_did():
    torch.manual_seed(1)
    layer, x = QuickDropout(0.3).train(), torch.ones(1000, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert 0 < (y == 0).sum() < 1000


def test_a_state_of_torchs_generator_brings_the_masks_back_and_each_call_has_its_own():
    layer, x = QuickDropout(0.3).train(), torch.ones(1000)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("padded", [False, True])
def test_attention_and_its_gradients_equal_the_formula(padded):
    torch.manual_seed(3)
    query, key, value = (torch.randn(2, 5, 3, 4, dtype=torch.float64).transpose(1, 2).requires_grad_() for _ in "qkv")
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, ..., 3:] = False
    state = torch.get_rng_state()
    output, _ = attention(torch.nn.Module(), query, key, value, mask if padded else None, 0.4, 0.7)
    torch.set_rng_state(state)
    drawn = Mask((2, 3, 5, 5), torch.float64, 0.4)
    factors = drawn.select(torch.ones(2, 3, 5, 5, dtype=torch.float64)) * drawn.scale
    scores = 0.7 * torch.einsum("bhid,bhjd->bhij", query, key)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1) if padded else scores.softmax(-1)
    expected = torch.einsum("bhij,bhjd->bihd", weights * factors, value)
    torch.testing.assert_close(output, expected)
    towards = torch.randn_like(expected)
    found = torch.autograd.grad((output * towards).sum(), (query, key, value))
    for one, other in zip(found, torch.autograd.grad((expected * towards).sum(), (query, key, value)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("layout", CONFIGS)
def test_every_architecture_draws_all_of_its_dropout_here_and_resumes(layout, monkeypatch):
    encoder, inputs = make(layout), make_inputs(layout)
    evaluated = encoder(inputs).logits
    use_quick_dropout(encoder.model)
    torch.testing.assert_close(encoder(inputs).logits, evaluated)
    encoder.model.train()

    def only_without(input, p=0.0, *_, **__):
        assert p == 0, "torch draws a mask"
        return input

    monkeypatch.setattr(torch.nn.functional, "dropout", only_without)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)
    hidden = encoder(inputs, keep_hidden=True, resumable_from=1).hidden
    for again, before in zip(encoder.resume(1, hidden[1].contiguous()), hidden[2:], strict=True):
        assert torch.equal(again, before)
    has_its_own = layout.startswith(("deberta", "xlnet"))
    assert (encoder.model.config._attn_implementation == ATTENTION) != has_its_own


def words(method="vanilla", **changes):
    """A tiny encoder on texts with the words 5 and 7, its narrowed table, and the table before."""
    encoder = Encoder(tiny_bert().float())
    before = encoder.model.get_input_embeddings().weight.detach().clone()
    texts = [np.array([5, 7]), np.array([7, 7, 5])]
    batcher = Batcher(Encoded(texts, None, np.arange(2), np.arange(2), 0), encoder, 2)
    composition = Composition([part.build() for part in registry.parse(method)[0]])
    protocol = Protocol(weight_decay=0.5, **changes)
    return encoder, batcher, train_words(encoder, composition, batcher, protocol, lambda step: 0.1), before


def test_the_trained_table_has_the_splits_words_and_padding_and_reads_the_same():
    encoder, batcher, table, before = words()
    module = encoder.model.get_input_embeddings()
    assert type(module) is NarrowEmbedding
    assert torch.equal(module.weight, before[[0, 5, 7]])
    ids = batcher.batch(np.arange(2)).inputs["input_ids"]
    assert torch.equal(module(ids), before[ids])
    module(ids).sum().backward()
    assert torch.equal(module.weight.grad[:, 0], torch.tensor([0.0, 2.0, 3.0])), "padding has no gradient"
    with torch.no_grad():
        module.weight += 1
    table.widen(3)
    assert type(module) is torch.nn.Embedding
    expected = before * (1 - 0.1 * 0.5) ** 3
    expected[[0, 5, 7]] = before[[0, 5, 7]] + 1
    torch.testing.assert_close(module.weight.detach(), expected)
    assert torch.equal(module(torch.tensor([9])), module.weight[[9]])
    table.narrow()
    assert torch.equal(module.weight, before[[0, 5, 7]] + 1)


@pytest.mark.parametrize(
    ("method", "changes"),
    [("l2-sp", {}), ("recadam", {}), ("child-tuning-f", {}), ("prior-decay", {}), ("vanilla", {"precision": "fp16"})],
)
def test_what_moves_every_word_trains_the_whole_table(method, changes):
    encoder, _, table, _ = words(method, **changes)
    assert table is None
    assert type(encoder.model.get_input_embeddings()) is torch.nn.Embedding


def test_a_frozen_table_is_left_alone():
    encoder = Encoder(tiny_bert())
    encoder.model.get_input_embeddings().weight.requires_grad_(False)
    assert train_words(encoder, Composition([]), None, Protocol(), lambda step: 0.1) is None

"""Optimisations for speed: quick dropout masks, attention with them, and training only the words that occur."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from oracles.plain import tiny_bert
from test_encoders import CONFIGS, make, make_inputs

from steadytune.encoders.batching import Batcher
from steadytune.encoders.dropout import ATTENTION, QuickDropout, attention, use_quick_dropout
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.masks import Mask, TorchMask, draw_mask
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.loop import fit
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
    # Five standard deviations, plus the rounding of p to 14 bits.
    assert abs(kept.mean() - (1 - p)) < 5 * (p * (1 - p) / size) ** 0.5 + 2**-15
    assert mask.scale == pytest.approx(1 / (1 - p), rel=2**-14 / (1 - p))
    # Neighbours are independent, at every distance at which 64-bit words could correlate them.
    centred = kept - kept.mean()
    for distance in (1, 2, 3, 4, 8):
        correlation = (centred[distance:] * centred[:-distance]).mean() / centred.square().mean()
        assert abs(correlation) < 5 / size**0.5


@pytest.mark.parametrize(("p", "drawn_by"), [(0.3, Mask), (0.001, TorchMask), (0.999, TorchMask)])
def test_mask_depends_only_on_its_own_generator(p, drawn_by):
    tensor, generator = torch.ones(400, 500), torch.Generator().manual_seed(3)
    state = generator.get_state()
    torch.manual_seed(0)
    first, second = (draw_mask(tensor, p, generator) for _ in range(2))
    generator.set_state(state)
    torch.manual_seed(1)
    again = draw_mask(tensor, p, generator).select(tensor)
    assert type(first) is drawn_by
    assert torch.equal(again, first.select(tensor))
    kept = torch.stack([mask.select(tensor).flatten() for mask in (first, second)]).double()
    size = tensor.numel()
    # Five standard deviations: of the rate, and of the correlation of two masks.
    assert ((kept.mean(dim=1) - (1 - p)).abs() < 5 * (p * (1 - p) / size) ** 0.5).all()
    assert abs(torch.corrcoef(kept)[0, 1]) < 5 / size**0.5
    assert first.scale == pytest.approx(1 / (1 - p), rel=1e-6)
    assert first.select_(tensor) is tensor
    assert torch.equal(tensor, again)


@pytest.mark.parametrize("p", [0.3, 0.001])
def test_mask_of_one_row_applies_to_every_row(p):
    tensor = torch.arange(1.0, 2001).view(2, 1000)
    mask = draw_mask(tensor, p, None, tensor.shape[1:])
    kept = mask.select(torch.ones(2, 1000))
    assert torch.equal(kept[0], kept[1])
    assert torch.equal(mask.select(tensor), tensor * kept)
    assert torch.equal(mask.select_(tensor.clone()), tensor * kept)


def test_gradient_passes_only_where_the_value_did():
    torch.manual_seed(1)
    layer, x = QuickDropout(0.3).train(), torch.ones(1000, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert 0 < (y == 0).sum() < 1000


def test_dropout_differs_by_call_and_repeats_from_a_torch_rng_state():
    layer, x = QuickDropout(0.3).train(), torch.ones(1000)
    torch.manual_seed(2)
    state = torch.get_rng_state()
    first, second = layer(x), layer(x)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(layer(x), first)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("p", [0.0, 0.4])
@pytest.mark.parametrize("padded", [False, True])
def test_attention_and_its_gradients_equal_the_formula(padded, p, monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)
    torch.manual_seed(3)
    query, key, value = (torch.randn(2, 5, 3, 4, dtype=torch.float64).transpose(1, 2).requires_grad_() for _ in "qkv")
    mask = torch.ones(2, 1, 5, 5, dtype=torch.bool)
    mask[1, ..., 3:] = False
    state = torch.get_rng_state()
    output, _ = attention(torch.nn.Module(), query, key, value, mask if padded else None, p, 0.7)
    torch.set_rng_state(state)
    ones = torch.ones(2, 3, 5, 5, dtype=torch.float64)
    factors = draw_mask(ones, p, None).select(ones) / (1 - p)
    scores = 0.7 * torch.einsum("bhid,bhjd->bhij", query, key)
    weights = scores.masked_fill(~mask, -torch.inf).softmax(-1) if padded else scores.softmax(-1)
    expected = torch.einsum("bhij,bhjd->bihd", weights * factors, value)
    torch.testing.assert_close(output, expected)
    towards = torch.randn_like(expected)
    found = torch.autograd.grad((output * towards).sum(), (query, key, value))
    for one, other in zip(found, torch.autograd.grad((expected * towards).sum(), (query, key, value)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("layout", CONFIGS)
def test_every_architecture_uses_only_quick_dropout_and_resumes_exactly(layout, monkeypatch):
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
    """A tiny encoder, batches of texts with the words 5 and 7, its narrowed table, and the weights before."""
    encoder = Encoder(tiny_bert().float())
    before = encoder.model.get_input_embeddings().weight.detach().clone()
    texts = [np.array([5, 7]), np.array([7, 7, 5])]
    batcher = Batcher(Encoded(texts, None, np.arange(2), np.arange(2), 0), encoder.padding, 2)
    composition = Composition([part.build() for part in registry.parse(method)[0]])
    protocol = Protocol(weight_decay=0.5, **changes)
    return encoder, batcher, train_words(encoder, composition, batcher, protocol, lambda step: 0.1), before


def test_narrowed_table_has_only_used_words_and_padding_and_widens_back():
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
    [("l2-sp", {}), ("child-tuning-d", {}), ("prior-decay", {}), ("vanilla", {"precision": "fp16"})],
)
def test_settings_that_move_every_word_train_the_whole_table(method, changes):
    encoder, _, table, _ = words(method, **changes)
    assert table is None
    assert type(encoder.model.get_input_embeddings()) is torch.nn.Embedding


def test_frozen_table_is_not_narrowed():
    encoder = Encoder(tiny_bert())
    encoder.model.get_input_embeddings().weight.requires_grad_(False)
    assert train_words(encoder, Composition([]), None, Protocol(), lambda step: 0.1) is None


@pytest.mark.parametrize("method", ["vanilla", "recadam", "recadam-released"])
@pytest.mark.parametrize("adamw", ["torch", "transformers-4"])
def test_narrowed_training_ends_with_the_same_table_as_whole_training(method, adamw, monkeypatch):
    """In float64: one factor for all steps moves unused words as the single steps would."""
    ends = []
    for whole in (False, True):
        if whole:
            monkeypatch.setattr("steadytune.training.loop.train_words", lambda *_: None)
        encoder = Encoder(tiny_bert())
        texts = [np.array([5, 7]), np.array([7, 7, 5])]
        batcher = Batcher(Encoded(texts, None, np.arange(2), np.arange(2), 0), encoder.padding, 2)
        settings = {"gamma": 20.0, "k": 0.5, "t0": 2.0} if method != "vanilla" else {}
        composition = Composition([part.build() for part in registry.parse(method, {method: settings})[0]])
        streams, objective = Streams(0), Classification()
        composition.prepare(Setup(encoder, streams, objective, batcher))
        protocol = Protocol(epochs=4, batch_size=2, learning_rate=1e-2, weight_decay=0.5, warmup=0, adamw=adamw)
        with TemporaryDirectory() as folder:
            fit(encoder, composition, batcher, protocol, streams, objective=objective,
                checkpoint=Path(folder) / "c.safetensors", fingerprint="f", on_epoch=dict)  # fmt: skip
        ends.append(encoder.model.get_input_embeddings().weight.detach())
    assert float((ends[0] - ends[1]).abs().max()) < 1e-12

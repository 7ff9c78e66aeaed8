"""Properties of HyPe's noise and LNSR's penalty beyond their formulas."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from oracles.case import SEED
from oracles.plain import tiny_bert

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.hooks import Hooks
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams
from steadytune.tasks.data import Encoded


def prepared(name, changes, model):
    """A method, prepared on a model with three short examples."""
    encoder = Encoder(model)
    data = Batcher(Encoded([np.arange(5, 10)] * 3, None, np.arange(3), np.arange(3), 0), encoder.padding, 3)
    setup = Setup(encoder, Streams(SEED), Classification(), data)
    method = registry.parse(name, {name: changes})[0][0].build()
    method.prepare(setup)
    return method, setup


def test_hype_noise_is_fresh_for_every_layer_and_step():
    method, setup = prepared("hype-u", {"sigma": 0.5}, tiny_bert())
    hidden = torch.zeros(4, 50, 8)
    draws = []
    for step in range(2):
        setup.streams.at_step(step)
        draws += [method.perturb(layer, hidden, setup.streams) for layer in range(2)]
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])
    values = torch.cat(draws).flatten()
    assert values.min() < -0.45
    assert values.max() > 0.45
    assert values.abs().max() <= 0.5
    assert abs(values.mean()) < 0.02


def test_hype_disables_hidden_dropout_and_keeps_attention_dropout():
    _, setup = prepared("hype-n", {}, tiny_bert(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1))
    rates = {name: m.p for name, m in setup.encoder.model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert rates
    assert all((p == 0.1) == name.endswith("attention.self.dropout") for name, p in rates.items())


def test_hype_refuses_layers_that_the_encoder_lacks():
    with pytest.raises(SteadyTuneError, match=r"layers \(1, 2\) do not fit an encoder of 2"):
        prepared("hype-n", {"layers": [1, 2]}, tiny_bert())


@pytest.mark.parametrize("layers", ["lower-quarter", "upper-quarter", ()])
def test_hype_refuses_an_empty_set_of_layers(layers):
    """A quarter of two layers rounds down to none."""
    with pytest.raises(SteadyTuneError, match="are none of an encoder of 2, so nothing would be perturbed"):
        prepared("hype-n", {"layers": layers}, tiny_bert())


def test_lnsr_passes_share_their_dropout():
    model = tiny_bert(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5).train()
    method, setup = prepared("lnsr", {"sigma": 0.0, "layer": 0}, model)
    batch = setup.train.batch(np.arange(3))
    setup.streams.at_step(0)
    with_penalty = method.loss(
        Forward(setup.encoder, Composition([method]).hooks(), setup.streams, setup.objective), batch
    )
    setup.streams.at_step(0)
    without = Forward(setup.encoder, Hooks(), setup.streams, setup.objective)
    assert torch.equal(with_penalty, without.task_loss(without(batch), batch))


def test_lnsr_in_manifold_refuses_a_batch_size_of_one():
    encoder = Encoder(tiny_bert())
    data = Batcher(Encoded([np.arange(5, 10)] * 3, None, np.arange(3), np.arange(3), 0), encoder.padding, 1)
    method = registry.parse("lnsr-in-manifold")[0][0].build()
    with pytest.raises(SteadyTuneError, match="batch_size is 1, expected 2"):
        method.prepare(Setup(encoder, Streams(SEED), Classification(), data))


def test_lnsr_in_manifold_warns_of_a_last_batch_of_one_example(caplog):
    prepared("lnsr-in-manifold", {}, tiny_bert())
    assert not caplog.records
    encoder = Encoder(tiny_bert())
    data = Batcher(Encoded([np.arange(5, 10)] * 3, None, np.arange(3), np.arange(3), 0), encoder.padding, 2)
    registry.parse("lnsr-in-manifold")[0][0].build().prepare(Setup(encoder, Streams(SEED), Classification(), data))
    assert "a single example" in caplog.text


def test_lnsr_refuses_a_layer_that_the_encoder_lacks():
    with pytest.raises(SteadyTuneError, match=r"layer 2 .* do not fit an encoder of 2 layers"):
        prepared("lnsr", {"layer": 2}, tiny_bert())


@pytest.mark.parametrize(
    ("named", "layers"),
    [("all", range(24)), ("lower", range(12)), ("upper", range(12, 24)), ("lower-quarter", range(6)),
     ("upper-quarter", range(18, 24))],
)  # fmt: skip
def test_hype_layer_names_select_the_layers_of_table_18(named, layers):
    method = registry.parse(f"hype-n~layers={named}")[0][0].build()
    encoder = SimpleNamespace(num_layers=24, set_hidden_dropout=lambda value: None)
    method.prepare(SimpleNamespace(encoder=encoder))  # pyright: ignore[reportArgumentType]
    assert vars(method)["layers"] == frozenset(layers)

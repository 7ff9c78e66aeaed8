"""HyPe and LNSR against their formulas, in float64, through the real loop: loss, gradients and two updates."""

import numpy as np
import pytest
import torch
from oracle import PlainAdamW, PlainBert, cross_entropy, tiny_bert

from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Composition, Forward
from steadytune.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.batching import Batcher
from steadytune.training.loop import fit
from steadytune.training.streams import Streams, derive

SEED = 7
PROTOCOL = Protocol(epochs=1, batch_size=3, learning_rate=1e-2, warmup=0, gradient_clip=0.7)


@pytest.fixture
def batcher():
    generator = np.random.Generator(np.random.Philox(3))
    ids = [generator.integers(5, 40, size=size) for size in (5, 7, 4, 6, 5, 9)]
    encoded = Encoded(ids, None, np.array([0, 1, 2, 1, 0, 2]), np.arange(6), 0)
    return lambda model: Batcher(encoded, Encoder(model), PROTOCOL.batch_size)


def train(model, batcher, name, changes, tmp_path, protocol=PROTOCOL):
    parts, _ = registry.parse(name, {name: changes})
    method, streams = Composition([part.build() for part in parts]), Streams(SEED)
    data = batcher(model)
    method.prepare(data.encoder, streams)
    fitted = fit(data.encoder, method, data, protocol, streams, regression=False, checkpoint=tmp_path / "c.safetensors",
                 fingerprint="f", on_epoch=dict)  # fmt: skip
    return fitted, data


def noise_of(step, shape, noise, sigma):
    generator = torch.Generator().manual_seed(derive(SEED, "noise", step))
    draws = {"normal": lambda t: t.normal_(0, sigma, generator=generator),
             "uniform": lambda t: t.uniform_(-sigma, sigma, generator=generator),
             "uniform-released": lambda t: t.uniform_(0, sigma, generator=generator)}  # fmt: skip
    return lambda: draws[noise](torch.empty(shape, dtype=torch.float64))


def hype_loss(bert, batch, step, noise, sigma):
    shape = (*batch.inputs["input_ids"].shape, 8)
    draw = noise_of(step, shape, noise, sigma)
    logits, _ = bert.forward(batch.inputs["input_ids"], batch.inputs["attention_mask"], [draw() for _ in range(2)])
    return cross_entropy(logits, batch.labels)


def lnsr_loss(bert, batch, step, noise, sigma, weight, start):
    ids, mask = batch.inputs["input_ids"], batch.inputs["attention_mask"]
    logits, hidden = bert.forward(ids, mask)
    x = hidden[start]
    generator = torch.Generator().manual_seed(derive(SEED, "noise", step))
    if noise == "gaussian":
        eps = torch.empty(x.shape, dtype=torch.float64).normal_(0, sigma, generator=generator)
    else:
        z = torch.empty(len(x), 1, 1, dtype=torch.float64).normal_(0, sigma, generator=generator)
        others = [(i - 1) % len(x) for i in range(len(x))]
        eps = z * (x[others] - x).detach() * mask[others][..., None]
    noised, penalty = x + eps * mask[..., None], 0.0
    for layer in range(start, 2):
        noised = bert.layer(layer, noised, mask)
        for b, t in mask.nonzero().tolist():
            penalty = penalty + (noised[b, t] - hidden[layer + 1][b, t]).square().sum()
    return cross_entropy(logits, batch.labels) + weight * penalty / mask.sum()


CASES = {
    "hype-n": ({"sigma": 0.1}, lambda *a: hype_loss(*a, "normal", 0.1)),
    "hype-u": ({"sigma": 0.1}, lambda *a: hype_loss(*a, "uniform", 0.1)),
    "hype-u-released": ({"sigma": 0.1}, lambda *a: hype_loss(*a, "uniform-released", 0.1)),
    "lnsr": ({"sigma": 0.2, "weight": 0.5, "layer": 0}, lambda *a: lnsr_loss(*a, "gaussian", 0.2, 0.5, 0)),
    "lnsr-in-manifold": ({"sigma": 0.9, "weight": 2.0}, lambda *a: lnsr_loss(*a, "in-manifold", 0.9, 2.0, 1)),
    "vanilla": ({}, lambda bert, batch, step: hype_loss(bert, batch, step, "normal", 0.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_two_updates_equal_the_formula(name, batcher, tmp_path):
    changes, loss_of = CASES[name]
    model = tiny_bert()
    parameters = {key: p.detach().clone() for key, p in model.named_parameters()}
    plain = PlainAdamW(parameters, PROTOCOL)
    data = batcher(model)
    losses = []
    for step, rows in enumerate(data.order(Streams(SEED).order(0))):
        leaves = {key: p.clone().requires_grad_() for key, p in plain.parameters.items()}
        loss = loss_of(PlainBert(leaves, 2, 2), data.batch(rows), step)
        gradients = dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))
        # Two steps of linear decay without warm-up: the peak, then half of it.
        plain.step(gradients, rate=PROTOCOL.learning_rate * (1 - step / 2))
        losses.append(loss.item())
    fitted, _ = train(model, batcher, name, changes, tmp_path)
    assert fitted.steps == 2
    assert fitted.history[0]["train_loss"] == pytest.approx(np.mean(losses), abs=1e-10)
    worst = max(float((p - plain.parameters[key]).detach().abs().max()) for key, p in model.named_parameters())
    assert worst < 1e-10


@pytest.mark.parametrize(
    ("name", "off"),
    [("hype-n", {"sigma": 0.0, "hidden_dropout": None}), ("hype-u", {"sigma": 0.0, "hidden_dropout": None}),
     ("hype-u-released", {"sigma": 0.0, "hidden_dropout": None}), ("lnsr", {"weight": 0.0}), ("lnsr", {"sigma": 0.0}),
     ("lnsr-in-manifold", {"sigma": 0.0})],
)  # fmt: skip
def test_switched_off_is_vanilla_bit_for_bit(name, off, batcher, tmp_path):
    dropout = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
    models = [tiny_bert(**dropout).float() for _ in range(2)]
    for model, (method, changes) in zip(models, [("vanilla", {}), (name, off)], strict=True):
        train(model, batcher, method, changes, tmp_path)
    for (key, one), (_, other) in zip(models[0].named_parameters(), models[1].named_parameters(), strict=True):
        assert torch.equal(one, other), key


@pytest.mark.parametrize("name", ["hype-n", "hype-u", "hype-u-released", "lnsr", "lnsr-in-manifold"])
def test_switched_on_differs_and_evaluation_adds_nothing(name, batcher, tmp_path):
    model, plain = tiny_bert().float(), tiny_bert().float()
    _, data = train(model, batcher, name, {"sigma": 0.1}, tmp_path)
    train(plain, batcher, "vanilla", {}, tmp_path)
    assert not torch.equal(model.classifier.weight, plain.classifier.weight)
    batch = data.batch(np.arange(3))
    assert torch.equal(data.encoder(batch.inputs).logits, model(**batch.inputs).logits)


def test_noise_is_fresh_for_every_layer_and_step_and_within_bounds():
    method = registry.parse("hype-u", {"hype-u": {"sigma": 0.5}})[0][0].build()
    streams = Streams(SEED)
    hidden = torch.zeros(4, 50, 8)
    draws = []
    for step in range(2):
        streams.at_step(step)
        draws += [method.perturb(layer, hidden, streams) for layer in range(2)]
    assert all(not torch.equal(a, b) for i, a in enumerate(draws) for b in draws[:i])
    values = torch.cat(draws).flatten()
    assert values.min() < -0.45
    assert values.max() > 0.45
    assert abs(values.mean()) < 0.02


def test_hype_turns_hidden_dropout_off_and_keeps_attention_dropout():
    model = tiny_bert(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    registry.parse("hype-n")[0][0].build().prepare(Encoder(model), Streams(SEED))
    rates = {name: m.p for name, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
    assert rates
    assert all((p == 0.1) == name.endswith("attention.self.dropout") for name, p in rates.items())


def test_lnsr_shares_the_dropout_of_both_passes(batcher):
    model = tiny_bert(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5).train()
    data = batcher(model)
    method = registry.parse("lnsr", {"lnsr": {"sigma": 0.0, "layer": 0}})[0][0].build()
    streams = Streams(SEED)
    method.prepare(data.encoder, streams)
    batch = data.batch(np.arange(3))
    streams.at_step(0)
    with_penalty = method.loss(Forward(data.encoder, [method], streams, False), batch)
    streams.at_step(0)
    without = Forward(data.encoder, [], streams, False)
    assert torch.equal(with_penalty, without.task_loss(without(batch), batch))


def test_lnsr_refuses_a_layer_that_the_encoder_lacks():
    method = registry.parse("lnsr", {"lnsr": {"layer": 2}})[0][0].build()
    with pytest.raises(SteadyTuneError, match=r"layer 2 .* do not fit an encoder of 2 layers"):
        method.prepare(Encoder(tiny_bert()), Streams(SEED))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hipe-n", {}, "unknown method 'hipe-n' (did you mean 'hype-n'?)"),
        ("hype-n", {"sigam": 1}, "method hype-n: unknown setting 'sigam' (did you mean 'sigma'?)"),
        ("hype-n", {"sigma": -1.0}, "sigma is -1.0, expected 0 or more"),
        ("hype-n", {"sigma": "much"}, "sigma"),
        ("hype-n+hype-u", {}, "the same method stands twice"),
        ("hype-n~sigma", {}, "'~sigma' is not of the form ~key=value"),
    ],
)
def test_bad_names_and_settings_are_said_in_one_line(name, changes, message):
    with pytest.raises(SteadyTuneError) as error:
        registry.parse(name, {name: changes})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_variant_sets_its_own_value_and_hands_the_protocol_its():
    (part,), rest = registry.parse("hype-n~lr=2e-05~sigma=1e-04")
    assert part.settings["sigma"] == 1e-4
    assert rest == {"lr": "2e-05"}

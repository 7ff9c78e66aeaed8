"""Properties of R3F, R-Drop, SMART and FreeLB beyond their formulas."""

import copy

import numpy as np
import pytest
import torch
from oracles.case import SEED
from oracles.consistency import RDrop
from oracles.plain import tiny_bert
from test_encoders import CONFIGS, make, make_inputs

from steadytune.encoders.batching import Batch, Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.hooks import Hooks
from steadytune.methods.support.objective import Classification, Regression
from steadytune.streams import Streams
from steadytune.tasks.data import Encoded

DROPOUT = {"hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.3}


class Bench:
    """Single losses of a method on one padded batch of a tiny BERT."""

    def __init__(self, name, changes, *, regression=False, model=None, **config):
        if model is None:
            model = tiny_bert(num_labels=1 if regression else 3, **config)
        self.model = model.train()
        labels = np.array([0.5, 2.0, 1.0]) if regression else np.array([0, 1, 2])
        ids = [np.arange(5, 5 + size) for size in (5, 7, 4)]
        self.encoder = Encoder(self.model)
        self.data = Batcher(Encoded(ids, None, labels, np.arange(3), 0), self.encoder.padding, 3)
        self.batch, self.streams = self.data.batch(np.arange(3)), Streams(SEED)
        self.objective = Regression() if regression else Classification()
        self.method = registry.parse(name, {name: changes})[0][0].build()
        self.method.prepare(Setup(self.encoder, self.streams, self.objective, self.data))
        self.forward = Forward(self.encoder, Composition([self.method]).hooks(), self.streams, self.objective)

    def loss(self, step=0):
        self.streams.at_step(step)
        return self.method.loss(self.forward, self.batch)

    def gradients(self, step=0, scale=1.0):
        """The loss and the gradients of all parameters, computed as the training loop does, under a loss scale."""
        self.model.zero_grad(set_to_none=True)
        self.forward.backward = lambda loss: (loss * scale).backward()
        loss = self.loss(step)
        self.forward.backward(loss)
        return loss.detach(), {name: p.grad / scale for name, p in self.model.named_parameters()}

    def task_loss(self, step=0):
        self.streams.at_step(step)
        plain = Forward(self.encoder, Hooks(), self.streams, self.objective)
        return plain.task_loss(plain(self.batch), self.batch)

    def words(self, monkeypatch):
        """The change to the word embeddings in each forward pass of one loss, in order; None if unchanged."""
        seen, encoder = [], type(self.encoder)
        original = encoder.__call__

        def spy(this, inputs, *, on_embeddings=None, **options):
            seen.append(None)

            def record(words):
                changed = on_embeddings(words)
                seen[-1] = (changed - words).detach()
                return changed

            return original(this, inputs, on_embeddings=record if on_embeddings else None, **options)

        monkeypatch.setattr(encoder, "__call__", spy)
        self.loss()
        monkeypatch.undo()
        return seen


def close(left, right, **tolerance):
    assert left.keys() == right.keys()
    for name, value in left.items():
        torch.testing.assert_close(value, right[name], **tolerance)


# ------------------------------------------------------------------------------------------------ all methods


@pytest.mark.parametrize("layout", CONFIGS)
@pytest.mark.parametrize("name", ["r3f", "r-drop", "smart", "smart-released", "freelb"])
def test_every_architecture_gets_gradients_and_ignores_padding(name, layout):
    encoder, inputs, losses = make(layout), make_inputs(layout), []
    encoder.model.train()
    for padding in (0, 7):
        ids = torch.where(inputs["attention_mask"] == 1, inputs["input_ids"], padding)
        method = registry.parse(name)[0][0].build()
        forward = Forward(encoder, Composition([method]).hooks(), Streams(SEED), Classification())
        encoder.model.zero_grad(set_to_none=True)
        loss = method.loss(forward, Batch({**inputs, "input_ids": ids}, torch.tensor([0, 1, 1]), np.arange(3), 19))
        loss.backward()
        losses.append(loss.detach())
    assert torch.isfinite(losses[0])
    torch.testing.assert_close(losses[0], losses[1])
    gradients = [p.grad for p in encoder.model.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    assert sum(bool(gradient.any()) for gradient in gradients) > len(gradients) / 2


@pytest.mark.parametrize(
    ("name", "setting", "value", "message"),
    [
        ("r3f", "sigma", -1.0, "sigma is -1.0, expected at least 0"),
        ("r-drop", "alpha", -0.5, "alpha is -0.5, expected at least 0"),
        ("r-drop", "hidden_dropout", 1.0, "hidden_dropout is 1.0, expected at least 0, below 1"),
        ("smart", "epsilon", 0.0, "epsilon is 0.0, expected above 0"),
        ("smart", "steps", 0, "steps is 0, expected at least 1"),
        ("smart", "momentum", 1.5, "momentum is 1.5, expected at least 0, at most 1"),
        ("freelb", "steps", -1, "steps is -1, expected at least 0"),
    ],
)
def test_settings_out_of_bounds_are_refused(name, setting, value, message):
    with pytest.raises(SteadyTuneError, match=message):
        registry.parse(name, {name: {setting: value}})


@pytest.mark.parametrize("name", ["r3f", "r-drop", "smart", "freelb"])
def test_bf16_gradients_match_single_precision_up_to_rounding(name):
    """Autocast caches copies of the weights: no pass may use another pass's copies, or copies without gradient."""
    bench = Bench(name, {"sigma": 0.02} if name == "r3f" else {}, model=tiny_bert().float())
    bench.gradients()
    with torch.no_grad():
        for parameter in bench.model.parameters():
            parameter.mul_(1.05)
    method = copy.deepcopy(bench.method)
    _, single = bench.gradients(1)
    bench.method = method
    bench.model.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = bench.loss(1)
    loss.backward()
    for parameter_name, gradient in bench.model.named_parameters():
        assert gradient.grad is not None, parameter_name
    found = torch.cat([p.grad.flatten() for p in bench.model.parameters()])
    wanted = torch.cat([gradient.flatten() for gradient in single.values()])
    assert torch.nn.functional.cosine_similarity(found, wanted, dim=0) > 0.99
    assert found.norm() / wanted.norm() == pytest.approx(1, abs=0.1)


# -------------------------------------------------------------------------------------------------------- R3F


def test_r3f_passes_draw_independent_dropout():
    bench = Bench("r3f", {"sigma": 0.0}, **DROPOUT)
    assert bench.loss() > bench.task_loss() + 1e-3
    bench = Bench("r3f", {"sigma": 0.0})
    torch.testing.assert_close(bench.loss(), bench.task_loss(), rtol=0, atol=1e-14)


def test_r3f_uniform_noise_fills_its_bounds(monkeypatch):
    clean, noised = Bench("r3f-u", {"sigma": 0.5}).words(monkeypatch)
    assert clean is None
    assert -0.5 <= noised.min() < -0.45
    assert 0.45 < noised.max() <= 0.5


def test_r3f_released_adds_nothing_for_regression():
    bench = Bench("r3f-released", {"sigma": 0.5}, regression=True, **DROPOUT)
    assert torch.equal(bench.loss(), bench.task_loss())


def test_r3f_adds_no_noise_if_another_method_does(monkeypatch):
    bench = Bench("r3f", {"sigma": 0.5})
    other = registry.parse("hype-n")[0][0].build()
    other.prepare(Setup(bench.encoder, bench.streams, bench.objective, bench.data))
    bench.forward = Forward(bench.encoder, Composition([bench.method, other]).hooks(), bench.streams, bench.objective)
    clean, noised = bench.words(monkeypatch)
    assert clean is None
    assert not noised.any()


# ----------------------------------------------------------------------------------------------------- R-Drop


def test_r_drop_keeps_the_checkpoints_dropout_unless_configured():
    for changes, rate in (({}, 0.3), ({"hidden_dropout": 0.1}, 0.1)):
        model = Bench("r-drop", changes, **DROPOUT).model
        assert model.dropout.p == rate
        assert model.bert.encoder.layer[0].attention.self.dropout.p == 0.3


def test_r_drop_released_loss_matches_the_released_constants():
    """Sums over the batch: CE1 + CE2 + 0.5 * (sum of both KL) / 2; for scores MSE1 + MSE2 + 1.0 * MSE."""
    for regression in (False, True):
        bench = Bench("r-drop-released", {"hidden_dropout": 0.2}, regression=regression)
        case = RDrop({"alpha": 0.5}, released=True, regression=regression)
        leaves = {name: p.detach() for name, p in bench.model.named_parameters()}
        inputs = bench.batch.inputs
        expected = case.loss(case.bert(leaves), inputs["input_ids"], inputs["attention_mask"], bench.batch.labels, 0)
        torch.testing.assert_close(bench.loss(), expected)


# ------------------------------------------------------------------------------------------------------ SMART


def test_smart_proximal_term_shares_dropout_and_starts_at_zero():
    bench = Bench("smart", {"weight": 0.0}, **DROPOUT)
    assert torch.equal(bench.loss(), bench.task_loss())
    with torch.no_grad():
        bench.model.classifier.weight.mul_(2)
    assert bench.loss(1) > bench.task_loss(1) + 1e-4


def test_smart_compares_with_averaged_weights_under_autocast():
    """The pass with averaged weights must neither use autocast's copies of the current weights nor leave its own."""
    bench = Bench("smart", {"weight": 0.0, "momentum": 1.0}, model=tiny_bert().float())
    first = copy.deepcopy(bench.model)
    bench.loss()
    with torch.no_grad():
        for parameter in bench.model.parameters():
            parameter.mul_(1.2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = bench.loss(1) - bench.task_loss(1)
        before, now = (model(**bench.batch.inputs).logits for model in (first, bench.model))
        expected = bench.objective.symmetric(now, before)
    assert found > 0.01
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_smart_restores_the_weights_in_place_even_after_an_error():
    bench = Bench("smart", {})
    places = {name: p.data_ptr() for name, p in bench.model.named_parameters()}
    values = {name: p.detach().clone() for name, p in bench.model.named_parameters()}
    bench.loss().backward()
    assert places == {name: p.data_ptr() for name, p in bench.model.named_parameters()}
    bench.forward.encoder.model.bert.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        bench.loss(1)
    assert places == {name: p.data_ptr() for name, p in bench.model.named_parameters()}
    assert all(torch.equal(p, values[name]) for name, p in bench.model.named_parameters())


def test_smart_averages_trained_weights_and_smart_released_none():
    bench = Bench("smart", {})
    bench.model.bert.embeddings.requires_grad_(False)
    bench.loss().backward()
    assert set(bench.method.state()) == {name for name, p in bench.model.named_parameters() if p.requires_grad}
    assert Bench("smart-released", {}).method.state() == {}


def test_smart_perturbation_stays_within_epsilon_and_off_padding(monkeypatch):
    bench = Bench("smart", {"sigma": 0.1, "eta": 0.1, "epsilon": 0.05, "proximal_weight": 0.0}, **DROPOUT)
    clean, start, end = bench.words(monkeypatch)
    real = bench.batch.inputs["attention_mask"].bool()
    assert clean is None
    assert start[real].abs().max() > 0.1
    assert end[real].abs().max().item() == pytest.approx(0.05, abs=1e-9)
    assert not start[~real].any()
    assert not end[~real].any()


def test_smart_released_normalises_each_token_by_its_largest_entry(monkeypatch):
    monkeypatch.setattr(Encoder, "embed", lambda self, inputs: self.model.get_input_embeddings()(inputs["input_ids"]))
    bench = Bench("smart-released", {}, **DROPOUT)
    *_, end = bench.words(monkeypatch)
    real = bench.batch.inputs["attention_mask"].bool()
    assert end[real].abs().amax(-1).min() > 0.9
    assert end[real].abs().amax(-1).max() <= 1
    assert not end[~real].any()


def test_smart_without_initial_noise_equals_the_task_loss():
    bench = Bench("smart", {"sigma": 0.0})
    torch.testing.assert_close(bench.loss(), bench.task_loss())


# ----------------------------------------------------------------------------------------------------- FreeLB


def test_freelb_with_zero_delta_matches_vanilla():
    """The passes share their dropout and are averaged, so with delta zero loss and gradients are vanilla's."""
    bench = Bench("freelb", {"init_magnitude": 0.0, "adv_lr": 0.0, "steps": 4}, **DROPOUT)
    loss, gradients = bench.gradients()
    bench.model.zero_grad(set_to_none=True)
    plain = bench.task_loss()
    plain.backward()
    torch.testing.assert_close(loss, plain.detach())
    close(gradients, {name: p.grad for name, p in bench.model.named_parameters()})


def test_freelb_delta_stays_within_max_norm_and_off_padding(monkeypatch):
    bench = Bench("freelb", {"steps": 4, "init_magnitude": 0.3, "adv_lr": 0.3, "max_norm": 0.35}, **DROPOUT)
    start, *later = bench.words(monkeypatch)
    real = bench.batch.inputs["attention_mask"].bool()
    sizes = real.sum(1) * 8
    largest = start.flatten(1).abs().amax(1) * sizes.sqrt()
    assert ((largest > 0.25) & (largest <= 0.3)).all()
    for delta in (start, *later):
        assert not delta[~real].any()
        assert (delta.flatten(1).norm(dim=1) <= 0.35 + 1e-12).all()
    assert len(later) == 3


def test_freelb_is_invariant_to_the_loss_scale():
    bench = Bench("freelb", {}, **DROPOUT)
    (loss, gradients), (scaled_loss, scaled) = bench.gradients(), bench.gradients(scale=2.0**14)
    torch.testing.assert_close(loss, scaled_loss)
    close(gradients, scaled)


def test_freelb_loss_stays_finite_if_gradients_overflow():
    bench = Bench("freelb", {})
    loss, _ = bench.gradients(scale=float("inf"))
    assert torch.isfinite(loss)

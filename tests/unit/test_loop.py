"""The loop: an interrupted cell ends in the same bits, divergence is noticed, precision and schedule hold."""

import numpy as np
import pytest
import torch
from oracles.plain import tiny_bert

from steadytune.encoders.encoder import Encoder
from steadytune.methods import registry
from steadytune.methods.base import Composition, Method, Setup
from steadytune.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.batching import Batcher
from steadytune.training.loop import Diverged, fit
from steadytune.training.objective import Classification
from steadytune.training.optimisation import build_optimizer, learning_rate
from steadytune.training.precision import FIRST_SCALE, Precision
from steadytune.training.streams import Streams


class Killed(Exception):
    pass


def fit_tiny(tmp_path, method="hype-n", kill_after=None, fingerprint="f", **protocol):
    """Three epochs of three steps with dropout and noise; `kill_after` epochs the process dies."""
    generator = np.random.Generator(np.random.Philox(3))
    encoded = Encoded([generator.integers(5, 40, 6) for _ in range(9)], None, np.arange(9) % 3, np.arange(9), 0)
    model = tiny_bert(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2).float()
    data = Batcher(encoded, Encoder(model), 3)
    composition = Composition([part.build() for part in registry.parse(method)[0]])
    streams = Streams(1)
    composition.prepare(Setup(data.encoder, streams, Classification(), data))
    epochs = 0

    def on_epoch():
        nonlocal epochs
        epochs += 1
        if epochs == kill_after:
            raise Killed
        return {"score": float(model.classifier.weight.detach().sum())}

    settings = Protocol(**{"epochs": 3, "batch_size": 3, "learning_rate": 1e-3} | protocol)
    fitted = fit(data.encoder, composition, data, settings, streams, objective=Classification(),
                 checkpoint=tmp_path / "c.safetensors", fingerprint=fingerprint, on_epoch=on_epoch)  # fmt: skip
    return model, fitted


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kill_after", [2, 3])
def test_an_interrupted_cell_ends_in_the_same_bits(kill_after, tmp_path):
    whole, history = fit_tiny(tmp_path / "whole")
    with pytest.raises(Killed):
        fit_tiny(tmp_path / "cut", kill_after=kill_after)
    resumed, rest = fit_tiny(tmp_path / "cut")
    assert (history.resumed, rest.resumed) == (False, True)
    assert same(whole, resumed)
    assert history.history == rest.history
    assert (history.steps, history.tokens) == (rest.steps, rest.tokens) == (9, 9 * 18)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_continued(tmp_path, caplog):
    whole, _ = fit_tiny(tmp_path / "whole")
    for name, spoil in (("other", None), ("damaged", b"not safetensors")):
        with pytest.raises(Killed):
            fit_tiny(tmp_path / name, kill_after=2, fingerprint="another")
        if spoil:
            (tmp_path / name / "c.safetensors").write_bytes(spoil)
        again, fitted = fit_tiny(tmp_path / name)
        assert not fitted.resumed
        assert same(whole, again)
    assert "starting anew" in caplog.text


def test_seeds_and_methods_change_the_result(tmp_path):
    models = [fit_tiny(tmp_path / name, name)[0] for name in ("vanilla", "hype-n")]
    assert not same(*models)


def test_a_loss_that_is_no_number_diverges(tmp_path, monkeypatch):
    monkeypatch.setattr(Method, "loss", lambda self, forward, batch: forward(batch).logits.sum() * float("nan"))
    with pytest.raises(Diverged, match="not finite by step 3"):
        fit_tiny(tmp_path, "vanilla")


def test_steps_replace_epochs(tmp_path):
    _, fitted = fit_tiny(tmp_path, steps=4)
    assert fitted.steps == 4
    assert [entry["step"] for entry in fitted.history] == [3, 4]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_trains_close_to_single(precision, tmp_path):
    single, _ = fit_tiny(tmp_path / "fp32", "vanilla")
    half, fitted = fit_tiny(tmp_path / precision, "vanilla", precision=precision)
    assert np.isfinite(fitted.history[-1]["train_loss"])
    assert all(p.dtype == torch.float32 for p in half.parameters())
    assert not same(single, half)
    distance = max(
        float((a - b).detach().abs().max()) for a, b in zip(single.parameters(), half.parameters(), strict=True)
    )
    assert distance < 9 * 1e-3


def test_fp16_scale_halves_on_overflow_and_the_step_is_skipped():
    precision = Precision("fp16", "cpu")
    assert not precision.accept(torch.tensor(float("inf")))
    assert precision.scale == FIRST_SCALE / 2
    assert precision.accept(torch.tensor(1.0))
    weight = torch.nn.Parameter(torch.ones(1))
    precision.backward((2 * weight).sum())
    precision.unscale([weight])
    assert weight.grad.item() == 2


def test_learning_rate_rises_from_zero_to_the_peak_and_falls_to_zero():
    protocol = Protocol(learning_rate=1.0, warmup=0.2)
    rates = [learning_rate(protocol, step, 10) for step in range(11)]
    assert rates == pytest.approx([0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0])
    assert Protocol(warmup=100).warmup_steps(1000) == 100


def test_biases_and_norms_are_not_decayed():
    parameters = dict(tiny_bert().named_parameters())
    decayed, others = build_optimizer(parameters, Protocol(weight_decay=0.3)).param_groups
    names = {id(p): name for name, p in parameters.items()}
    assert decayed["weight_decay"] == 0.3
    assert others["weight_decay"] == 0
    assert all("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in others["params"])
    assert not any("LayerNorm" in names[id(p)] or names[id(p)].endswith("bias") for p in decayed["params"])


@pytest.mark.parametrize(("key", "value"), [("epochs", 0), ("batch_size", -1), ("beta1", 1.0), ("warmup", -0.1)])
def test_protocol_bounds(key, value):
    with pytest.raises(ValueError, match=f"{key} is {value}, expected"):
        Protocol(**{key: value})

"""The training loop: resuming gives the same bits, divergence is detected, precision and schedule are right."""

import os
import re
import signal
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from oracles.plain import tiny_bert
from test_encoders import every_layout, make

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.methods import registry
from steadytune.methods.base import Composition, Method, Setup, Update, overrides
from steadytune.methods.smart import SMART
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training import loop, step
from steadytune.training.interruption import Interrupted, termination
from steadytune.training.loop import Diverged, fit
from steadytune.training.optimisation import build_optimizer, learning_rate
from steadytune.training.precision import FIRST_SCALE, Precision
from steadytune.training.usage import Meter


class Killed(Exception):
    pass


def fit_tiny(tmp_path, method="hype-n", kill_after=None, fingerprint="f", model=None, interrupted=lambda: False,
             seed=1, meter=None, **protocol):  # fmt: skip
    """Train three epochs of three steps with dropout and noise; die after `kill_after` epochs."""
    generator = np.random.Generator(np.random.Philox(3))
    encoded = Encoded([generator.integers(5, 40, 6) for _ in range(9)], None, np.arange(9) % 3, np.arange(9), 0)
    model = tiny_bert(**(model or {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2})).float()
    encoder = Encoder(model)
    data = Batcher(encoded, encoder.padding, 3)
    composition = Composition([part.build() for part in registry.parse(method)[0]])
    streams = Streams(seed)
    composition.prepare(Setup(encoder, streams, Classification(), data))
    epochs = 0

    def on_epoch():
        nonlocal epochs
        epochs += 1
        if epochs == kill_after:
            raise Killed
        return {"score": float(model.classifier.weight.detach().sum())}

    settings = Protocol(**{"epochs": 3, "batch_size": 3, "learning_rate": 1e-3} | protocol)
    fitted = fit(encoder, composition, data, settings, streams, objective=Classification(),
                 checkpoint=tmp_path / "c.safetensors", fingerprint=fingerprint, on_epoch=on_epoch,
                 interrupted=interrupted, meter=meter)  # fmt: skip
    return model, fitted


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("kill_after", [2, 3])
def test_killed_cell_resumes_to_identical_weights_and_history(kill_after, tmp_path):
    whole, history = fit_tiny(tmp_path / "whole")
    with pytest.raises(Killed):
        fit_tiny(tmp_path / "cut", kill_after=kill_after)
    resumed, rest = fit_tiny(tmp_path / "cut")
    assert (history.resumed, rest.resumed) == (False, True)
    assert same(whole, resumed)
    assert history.history == rest.history
    assert (history.steps, history.tokens) == (rest.steps, rest.tokens) == (9, 9 * 18)


@pytest.mark.parametrize("after", [1, 4, 6])
@pytest.mark.parametrize("method", ["hype-n", "smart"])
def test_interrupted_cell_stops_within_a_step_and_resumes_identically(after, method, tmp_path):
    whole, history = fit_tiny(tmp_path / "whole", method)
    steps = iter(range(1, 10))
    with pytest.raises(Interrupted) as ended:
        fit_tiny(tmp_path / "cut", method, interrupted=lambda: next(steps) == after)
    assert ended.value.code == 143
    resumed, rest = fit_tiny(tmp_path / "cut", method)
    assert same(whole, resumed)
    assert rest.resumed
    assert rest.history == history.history
    assert (rest.steps, rest.tokens, rest.flops) == (history.steps, history.tokens, history.flops)


def test_sigterm_only_sets_a_flag():
    with termination() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_resumed_cell_includes_time_and_memory_of_earlier_attempts(tmp_path):
    first, second = Meter(), Meter()
    taken = {"total": 1000.0, "train": 900.0, "joules": 0.0, "memory": {"host": 1 << 60}}
    first.resume(taken)  # far more than the remaining epochs take
    with pytest.raises(Killed):
        fit_tiny(tmp_path, kill_after=2, meter=first)
    fit_tiny(tmp_path, meter=second)
    assert all(second.timing()[name] >= taken[name] for name in ("total", "train"))
    assert second.memory("cpu") == taken["memory"]


def no_safetensors(path):
    path.write_bytes(b"not safetensors")


def flip_a_number(path):
    """Flip a bit in the middle of the tensors, past the header; the first eight bytes give the header's length."""
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    content[(start + len(content)) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("fingerprint", "spoil", "said"),
    [
        ("another", lambda path: None, "of other settings, inputs or code"),
        ("f", no_safetensors, "unreadable"),
        ("f", flip_a_number, "unreadable"),
    ],
)
def test_mismatched_or_damaged_checkpoint_starts_over_with_a_warning(fingerprint, spoil, said, tmp_path, caplog):
    whole, _ = fit_tiny(tmp_path / "whole")
    with pytest.raises(Killed):
        fit_tiny(tmp_path / "cut", kill_after=2, fingerprint=fingerprint)
    spoil(tmp_path / "cut/c.safetensors")
    caplog.clear()
    again, fitted = fit_tiny(tmp_path / "cut")
    assert not fitted.resumed
    assert same(whole, again)
    (warning,) = [message for message in caplog.messages if "starting anew" in message]
    assert said in warning


def test_seed_and_method_change_the_weights(tmp_path):
    plain, noisy = (fit_tiny(tmp_path / name, name)[0] for name in ("vanilla", "hype-n"))
    assert not same(plain, noisy)
    assert not same(plain, fit_tiny(tmp_path / "other", "vanilla", seed=2)[0])


@pytest.mark.parametrize(("every", "step"), [(50, 3), (2, 2)])
def test_nan_loss_diverges_at_the_next_check_or_epoch_end(every, step, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECK_EVERY", every)
    monkeypatch.setattr(Method, "loss", lambda self, forward, batch: forward(batch).logits.sum() * float("nan"))
    with pytest.raises(Diverged, match=f"not finite by step {step}"):
        fit_tiny(tmp_path, "vanilla")


def test_flops_of_one_step_match_the_matrix_products(tmp_path):
    """One step: the matrix products of the forward pass, twice as many backward, and a second pass for R-Drop."""
    counted = {name: fit_tiny(tmp_path / name, name, steps=1)[1].flops for name in ("vanilla", "r-drop", "top-k~k=1")}
    tokens, d, inner, layers = 18, 8, 16, 2
    linear = 2 * tokens * layers * (4 * d * d + 2 * d * inner) + 2 * 3 * (d * d + 3 * d)
    # The two products of attention, for 3 examples of 6 tokens.
    attention = 2 * layers * 2 * 3 * 6 * 6 * d
    # The embedding output needs a gradient, so every product has both backward products.
    assert counted["vanilla"] == pytest.approx(3 * (linear + attention))
    assert counted["r-drop"] == pytest.approx(2 * counted["vanilla"])
    assert counted["top-k~k=1"] < 0.75 * counted["vanilla"]


def test_flash_attention_adds_one_backward_product_to_the_flops(tmp_path):
    """Without dropout torch uses its flash kernel, whose backward pass recomputes the scores: one more product."""
    rates = {"hidden_dropout_prob": 0.0}
    with_dropout, without = (
        fit_tiny(tmp_path / str(p), "vanilla", steps=1, model=rates | {"attention_probs_dropout_prob": p})[1].flops
        for p in (0.1, 0.0)
    )
    product = 2 * 3 * 6 * 6 * 8
    assert without - with_dropout == pytest.approx(2 * product, abs=1)


def test_resumed_fp16_cell_continues_its_loss_scale_schedule(tmp_path, monkeypatch):
    monkeypatch.setattr("steadytune.training.precision.GROWTH_INTERVAL", 5)
    scales = []
    accept = Precision.accept
    monkeypatch.setattr(Precision, "accept", lambda self, norm: (accept(self, norm), scales.append(self.scale))[0])
    fit_tiny(tmp_path / "whole", precision="fp16")
    whole = scales.copy()
    scales.clear()
    with pytest.raises(Killed):
        fit_tiny(tmp_path / "cut", kill_after=2, precision="fp16")
    del scales[3:]
    fit_tiny(tmp_path / "cut", precision="fp16")
    assert scales == whole
    assert len(set(whole)) > 1


def test_counting_flops_changes_no_weights_and_survives_resuming(tmp_path, monkeypatch):
    counted, first = fit_tiny(tmp_path / "counted", "vanilla")
    with pytest.raises(Killed):
        fit_tiny(tmp_path / "cut", "vanilla", kill_after=2)
    assert fit_tiny(tmp_path / "cut", "vanilla")[1].flops == first.flops
    monkeypatch.setattr(step.Step, "_counted", lambda self, batch: nullcontext())
    assert same(counted, fit_tiny(tmp_path / "plain", "vanilla")[0])


class Small:
    """A device whose memory holds at most `size` examples at a time."""

    def __init__(self, monkeypatch, size):
        loss = Method.loss
        self.seen = []

        def limited(method, forward, batch):
            self.seen.append(len(batch.rows))
            if len(batch.rows) > size:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return loss(method, forward, batch)

        monkeypatch.setattr(Method, "loss", limited)


@pytest.mark.parametrize("size", [2, 1])
def test_out_of_memory_splits_the_batch_and_gives_the_same_update(size, tmp_path, monkeypatch):
    """Without dropout the accumulated gradient equals the whole batch's up to rounding."""
    options = {"model": {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}}
    whole, expected = fit_tiny(tmp_path / "whole", "vanilla", **options)
    small = Small(monkeypatch, size)
    parts, fitted = fit_tiny(tmp_path / "parts", "vanilla", **options)
    assert small.seen[: 4 - size] == ([3, 2, 1][: 4 - size] if size == 2 else [3, 2, 1])
    assert fitted.parts == {2: 2, 1: 4}[size]
    assert fitted.history[-1]["train_loss"] == pytest.approx(expected.history[-1]["train_loss"], abs=1e-6)
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


class Shift(Method):
    """Shifts the input of layer 0 in every other pass: passes differ, but an example is shifted alike in any part."""

    calls = 0

    def perturb(self, layer, hidden, streams):
        if layer:
            return hidden
        self.calls += 1
        return hidden + (self.calls % 2) * torch.linspace(-1, 1, hidden.shape[-1], dtype=hidden.dtype)


class Watch(Method):
    """Keeps the gradients accumulated over all parts, as methods see them."""

    def gradients(self, parameters, streams):
        self.found = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}


OWN_LOSS = {
    "freelb": {"adv_lr": 0.5, "max_norm": 0.0},
    "lnsr": {"sigma": 0.5, "weight": 1.0, "layer": 0},
    "lnsr-in-manifold": {"sigma": 0.5, "weight": 1.0, "layer": 0},
    "r-drop": {},
    "r-drop-released": {},
    "r3f": {"sigma": 0.5},
    "r3f-u": {"sigma": 0.5},
    "r3f-released": {"sigma": 0.5},
    "smart": {"sigma": 0.5, "eta": 0.5, "epsilon": 0.5},
    "smart-released": {},
}


def accumulated(name, parts):
    """Loss and gradients of four examples of different lengths, accumulated over `parts` parts."""
    generator = np.random.Generator(np.random.Philox(3))
    ids = [generator.integers(5, 40, size) for size in (5, 8, 2, 6)]
    encoder = Encoder(tiny_bert().train())
    data = Batcher(Encoded(ids, None, np.array([0, 2, 1, 0]), np.arange(4), 0), encoder.padding, 4)
    watch = Watch({})
    methods = [registry.parse(name, {name: OWN_LOSS.get(name, {})})[0][0].build(), watch]
    methods += [Shift({})] if name.startswith("r-drop") else []
    streams, composition = Streams(1), Composition(methods)
    composition.prepare(Setup(encoder, streams, Classification(), data))
    forward = Forward(encoder, composition.hooks(), streams, Classification())
    parameters = dict(encoder.model.named_parameters())
    optimizer = build_optimizer(parameters, Protocol())
    take_step = step.Step(composition, forward, optimizer, Precision("fp32", "cpu"), clip=0.0, parts=parts)
    loss = take_step(data.batch(np.arange(4)), Update(parameters, 0, 0.0))
    return loss.item(), watch.found


def test_own_loss_settings_cover_every_method_that_overrides_loss():
    assert set(OWN_LOSS) == {name for name, (cls, _) in registry.methods().items() if overrides(cls, "loss")}


@pytest.mark.parametrize("name", OWN_LOSS)
def test_parts_of_a_batch_add_up_to_the_whole_loss_and_gradient(name):
    """Noise is drawn in the order of the examples and dropout is off, so only the number of parts differs."""
    (loss, gradients), (plain, _) = accumulated(name, 1), accumulated("vanilla", 1)
    assert abs(loss - plain) > 1e-3
    for parts in (2, 3, 4):
        in_parts, accumulated_gradients = accumulated(name, parts)
        assert in_parts == pytest.approx(loss, abs=1e-10), parts
        for key, gradient in gradients.items():
            torch.testing.assert_close(
                accumulated_gradients[key], gradient, atol=1e-10, rtol=0, msg=f"{key} of {parts}"
            )


def test_memory_probe_leaves_training_unchanged(tmp_path, monkeypatch):
    plain, _ = fit_tiny(tmp_path / "plain", "smart+hype-n")
    monkeypatch.setattr(step.Step, "probe", lambda *_: None)
    assert same(plain, fit_tiny(tmp_path / "without", "smart+hype-n")[0])


def test_out_of_memory_also_splits_the_second_gradient_of_sam(tmp_path, monkeypatch):
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    whole, _ = fit_tiny(tmp_path / "whole", "sam~rho=0.3", model=no_dropout)
    Small(monkeypatch, 1)
    parts, fitted = fit_tiny(tmp_path / "parts", "sam~rho=0.3", model=no_dropout)
    assert fitted.parts == 4
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("rounding", "steps"), [("nearest", 8), ("up", 9), ("down", 8)])
def test_fractional_warmup_steps_follow_the_protocols_rounding(rounding, steps):
    assert Protocol(warmup=0.06, warmup_rounding=rounding).warmup_steps(140) == steps


def test_out_of_memory_on_a_single_example_is_raised(tmp_path, monkeypatch):
    Small(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        fit_tiny(tmp_path, "vanilla")


def test_failed_attempt_does_not_count_in_smarts_weight_average(tmp_path, monkeypatch):
    """SMART averages its weights in the loss; a failed attempt must not count."""
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    whole, _ = fit_tiny(tmp_path / "whole", "smart~weight=0~momentum=0.5", model=no_dropout)
    original, failed = SMART.loss, []

    def fails_once(method, forward, batch):
        loss = original(method, forward, batch)
        if not failed:
            failed.append(True)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss

    monkeypatch.setattr(SMART, "loss", fails_once)
    again, fitted = fit_tiny(tmp_path / "again", "smart~weight=0~momentum=0.5", model=no_dropout)
    assert fitted.parts == 2
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_steps_setting_overrides_epochs(tmp_path):
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


def test_fp16_overflow_halves_the_scale_and_skips_the_step():
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


@every_layout
def test_biases_and_norms_are_not_decayed(layout):
    parameters = dict(make(layout).model.named_parameters())
    decayed, others = build_optimizer(parameters, Protocol(weight_decay=0.3)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.3, 0)
    spared = {name for name, p in parameters.items() if any(p is other for other in others["params"])}
    assert spared == {name for name in parameters if re.search(r"bias$|layer_?norm", name, re.IGNORECASE)}


@pytest.mark.parametrize(("key", "value"), [("epochs", 0), ("batch_size", -1), ("beta1", 1.0), ("warmup", -0.1)])
def test_protocol_refuses_out_of_bounds_values(key, value):
    with pytest.raises(ValueError, match=f"{key} is {value}, expected"):
        Protocol(**{key: value})

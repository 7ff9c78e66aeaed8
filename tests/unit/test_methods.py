"""Every registered method: compared with its formula in float64 in the real loop, and invariants of them all."""

import numpy as np
import pytest
import torch
from oracles import all_cases
from oracles.case import SEED, run
from oracles.plain import tiny_bert

from steadytune.encoders.batching import Batcher, order_digest
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.objective import Classification, Regression
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.loop import fit

PROTOCOL = Protocol(epochs=1, batch_size=3, learning_rate=1e-2, warmup=0, gradient_clip=0.7)
CASES = all_cases()
DROPOUT = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}
NAMES = sorted(registry.methods())


def method_of(label):
    return label.partition("/")[0]


class Run:
    """Two training steps of a method on a tiny BERT, run by the package itself."""

    def __init__(self, tmp_path, label, settings, *, regression=False, dtype=torch.float64, model=None, **protocol):
        name = method_of(label)
        generator = np.random.Generator(np.random.Philox(3))
        ids = [generator.integers(5, 40, size=size) for size in (5, 7, 4, 6, 5, 9)]
        labels = np.array([0.5, 1.0, 2.5, 1.5, 0.0, 2.0]) if regression else np.array([0, 1, 2, 1, 0, 2])
        self.model = model if model is not None else tiny_bert(num_labels=1 if regression else 3).to(dtype)
        self.encoder = Encoder(self.model)
        self.data = Batcher(Encoded(ids, None, labels, np.arange(6), 0), self.encoder.padding, PROTOCOL.batch_size)
        self.before = {key: p.detach().clone() for key, p in self.model.named_parameters()}
        parts, _ = registry.parse(name, {name.partition("+")[0]: settings})
        self.streams, self.objective = Streams(SEED), Regression() if regression else Classification()
        self.method = Composition([part.build() for part in parts])
        self.method.prepare(Setup(self.encoder, self.streams, self.objective, self.data))
        self.prepared = {key: p.detach().clone() for key, p in self.model.named_parameters()}
        self.order = order_digest(self.data.order(self.streams.order(0)))
        self.tmp_path, self.protocol = tmp_path, Protocol(**{**vars(PROTOCOL), **protocol})

    def fit(self):
        self.fitted = fit(self.encoder, self.method, self.data, self.protocol, self.streams,
                          objective=self.objective, checkpoint=self.tmp_path / "c.safetensors", fingerprint="f",
                          on_epoch=dict)  # fmt: skip
        return self

    def batches(self):
        """(ids, mask, labels) of each step, labels in float64."""
        made = [self.data.batch(rows) for rows in self.data.order(Streams(SEED).order(0))]
        return [(b.inputs["input_ids"], b.inputs["attention_mask"],
                 b.labels.double() if b.labels.is_floating_point() else b.labels) for b in made]  # fmt: skip

    @property
    def trained(self):
        return {key for key, p in self.model.named_parameters() if p.requires_grad}

    @property
    def after(self):
        return {key: p.detach() for key, p in self.model.named_parameters()}


def test_every_method_has_an_oracle_case():
    assert {method_of(label) for label in CASES if "+" not in method_of(label)} == set(NAMES)


@pytest.mark.parametrize("label", CASES)
def test_two_updates_equal_the_formula(label, tmp_path):
    assert deviation(label, tmp_path) < 1e-10


@pytest.mark.parametrize("label", ["vanilla", "r3f-released", "child-tuning-d-released", "recadam-released", "sam"])
@pytest.mark.parametrize("changes", [{}, {"gradient_clip": 0.0, "epsilon": 1e-2, "weight_decay": 0.5}])
def test_two_updates_equal_the_formula_with_adamw_transformers_4(label, changes, tmp_path):
    assert deviation(label, tmp_path / "old", adamw="transformers-4", **changes) < 1e-10
    assert deviation(label, tmp_path / "other", expected={"adamw": "torch"}, adamw="transformers-4", **changes) > 1e-8


def deviation(label, tmp_path, expected=None, **protocol):
    """Largest difference from the case in any parameter; `expected` overrides settings of the case's protocol."""
    case = CASES[label]
    ours = Run(tmp_path, label, case.settings, regression=case.regression, **protocol)
    its = Protocol(**{**vars(ours.protocol), **(expected or {})})
    added = {name: value for name, value in ours.prepared.items() if name not in ours.before}
    assert bool(added) == case.adds_parameters
    expected, losses = run(case, {**ours.before, **added}, ours.batches(), its)
    ours.fit()
    assert ours.fitted.steps == 2
    if its == ours.protocol:
        assert ours.fitted.history[0]["train_loss"] == pytest.approx(np.mean(losses), abs=1e-10)
    assert ours.trained == {name for name in expected if case.trained(name)}
    return max(float((value - expected[name]).abs().max()) for name, value in ours.after.items())


@pytest.mark.parametrize("label", [label for label in CASES if method_of(label) != "vanilla"])
def test_case_differs_from_plain_fine_tuning(label, tmp_path):
    case = CASES[label]
    ours = Run(tmp_path / "ours", label, case.settings, regression=case.regression).fit().after
    plain = Run(tmp_path / "plain", "vanilla", {}, regression=case.regression).fit().after
    assert max(float((ours[name] - plain[name]).abs().max()) for name in plain if name in ours) > 1e-6


@pytest.mark.parametrize("label", [label for label, case in CASES.items() if case.off is not None])
def test_switched_off_method_is_vanilla_bit_for_bit(label, tmp_path):
    settings = {**CASES[label].settings, **CASES[label].off}
    models = [tiny_bert(**DROPOUT).float() for _ in range(2)]
    off = Run(tmp_path / "off", label, settings, model=models[0]).fit().after
    plain = Run(tmp_path / "plain", "vanilla", {}, model=models[1]).fit().after
    assert off.keys() == plain.keys()
    for name in plain:
        assert torch.equal(off[name], plain[name]), name


@pytest.mark.parametrize("label", CASES)
def test_evaluation_is_deterministic_and_draws_no_noise(label, tmp_path):
    """In evaluation mode two passes agree bit for bit and draw from neither the noise stream nor torch's generator."""
    case = CASES[label]
    ours = Run(tmp_path, label, case.settings, regression=case.regression, dtype=torch.float32).fit()
    batch = ours.data.batch(np.arange(3))
    states = ours.streams.noise.get_state(), torch.get_rng_state()
    first, second = (ours.encoder(batch.inputs).logits for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(states[0], ours.streams.noise.get_state())
    assert torch.equal(states[1], torch.get_rng_state())
    if not case.adds_parameters:
        assert torch.equal(first, ours.model(**batch.inputs).logits)


@pytest.mark.parametrize("label", CASES)
def test_data_order_and_initial_head_equal_vanillas(label, tmp_path):
    case = CASES[label]
    ours = Run(tmp_path, label, case.settings, regression=case.regression)
    plain = Run(tmp_path, "vanilla", {}, regression=case.regression)
    assert ours.order == plain.order
    head = {name: ours.prepared[name] for name in ours.encoder.head_parameters() if name in plain.prepared}
    assert head
    if not case.perturbs_head:
        assert all(torch.equal(value, plain.prepared[name]) for name, value in head.items())


@pytest.mark.parametrize("label", CASES)
def test_interrupted_run_resumes_to_identical_weights(label, tmp_path):
    case = CASES[label]

    def start(folder):
        model = tiny_bert(num_labels=1 if case.regression else 3, **DROPOUT).float()
        return Run(tmp_path / folder, label, case.settings, regression=case.regression, model=model, epochs=3)

    whole = start("whole").fit()
    cut, epochs = start("cut"), 0

    def dies():
        nonlocal epochs
        epochs += 1
        if epochs == 3:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        fit(cut.encoder, cut.method, cut.data, cut.protocol, cut.streams, objective=cut.objective,
            checkpoint=cut.tmp_path / "c.safetensors", fingerprint="f", on_epoch=dies)  # fmt: skip
    resumed = start("cut").fit()
    assert resumed.fitted.resumed
    assert resumed.fitted.history == whole.fitted.history
    for name, value in whole.after.items():
        assert torch.equal(value, resumed.after[name]), name


@pytest.mark.parametrize("label", CASES)
def test_bf16_training_is_close_to_fp32(label, tmp_path):
    case = CASES[label]
    single, half = (
        Run(tmp_path / p, label, case.settings, regression=case.regression, dtype=torch.float32, precision=p).fit()
        for p in ("fp32", "bf16")
    )
    assert half.fitted.history[0]["train_loss"] == pytest.approx(single.fitted.history[0]["train_loss"], rel=0.05)
    assert single.after.keys() == half.after.keys()
    moved, apart = (
        sum(float((value - other[name]).square().sum()) for name, value in single.after.items()) ** 0.5
        for other in (single.prepared, half.after)
    )
    assert 0 < apart < moved / 2


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hipe-n", {}, "unknown method 'hipe-n' (did you mean 'hype-n'?)"),
        ("hype-n", {"sigam": 1}, "method hype-n: unknown setting 'sigam' (did you mean 'sigma'?)"),
        ("hype-n", {"sigma": -1.0}, "sigma is -1.0, expected at least 0"),
        ("hype-n", {"sigma": "much"}, "sigma"),
        ("hype-n+hype-u", {}, "the composition has the same method twice"),
        ("hype-n~sigma", {}, "'~sigma' is not of the form ~key=value"),
    ],
)
def test_bad_method_name_or_setting_is_a_one_line_error(name, changes, message):
    with pytest.raises(SteadyTuneError) as error:
        registry.parse(name, {name: changes})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_parse_splits_a_variant_into_method_and_protocol_settings():
    (part,), rest = registry.parse("hype-n~lr=2e-05~sigma=1e-04")
    assert part.settings["sigma"] == 1e-4
    assert rest == {"lr": "2e-05"}

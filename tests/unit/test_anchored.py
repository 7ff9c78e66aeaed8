"""Properties beyond their formulas of the methods that stay near the pretrained weights."""

import copy
import re

import numpy as np
import pytest
import torch
from oracles.case import SEED
from oracles.plain import tiny_bert
from test_encoders import every_layout, make

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.mixing import Mix, MixedLinear, set_dropout
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup, Update
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.loop import fit

NAMES = ["l2-sp", "prior-decay", "prior-decay-released", "recadam", "mixout", "mixout-released",
         "child-tuning-f", "child-tuning-d", "child-tuning-d-released"]  # fmt: skip
DROPOUT = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}


class Training:
    """A method, prepared with four examples and an encoder with two labels."""

    def __init__(self, name, changes, encoder):
        generator = np.random.Generator(np.random.Philox(3))
        ids = [generator.integers(6, 40, size=size) for size in (5, 7, 4, 6)]
        self.data = Batcher(Encoded(ids, None, np.array([0, 1, 1, 0]), np.arange(4), 0), encoder.padding, 2)
        self.setup = Setup(encoder, Streams(SEED), Classification(), self.data)
        parts, _ = registry.parse(name, {name.partition("+")[0]: changes})
        self.encoder, self.method = encoder, Composition([part.build() for part in parts])
        self.method.prepare(self.setup)
        self.first = {key: p.detach().clone() for key, p in encoder.model.named_parameters()}

    def fit(self, tmp_path, **protocol):
        defaults = {"epochs": 1, "learning_rate": 1e-3, "warmup": 0}
        return fit(self.encoder, self.method, self.data, Protocol(**defaults | protocol), self.setup.streams,
                   objective=self.setup.objective, checkpoint=tmp_path / "c.safetensors", fingerprint="f",
                   on_epoch=dict)  # fmt: skip

    @property
    def moved(self):
        """Names of the parameters that differ from their first values."""
        return {key for key, p in self.encoder.model.named_parameters() if not torch.equal(p, self.first[key])}


def bert(**changes):
    return Encoder(tiny_bert(**{"num_labels": 2, **changes}).float())


@every_layout
@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_every_architecture(layout, name, tmp_path):
    training = Training(name, {"gamma": 100.0} if name == "recadam" else {}, make(layout))
    assert np.isfinite(training.fit(tmp_path).history[0]["train_loss"])
    assert training.moved & set(training.encoder.head_parameters())
    assert training.moved & set(training.encoder.encoder_parameters())


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("l2-sp", {"weight": -1.0}, "weight is -1.0, expected at least 0"),
        ("l2-sp", {"head_weight": -1.0}, "head_weight is -1.0, expected at least 0"),
        ("prior-decay", {"weight": -1.0}, "weight is -1.0, expected at least 0"),
        ("recadam", {"gamma": -1.0}, "gamma is -1.0, expected at least 0"),
        ("recadam", {"k": -1.0}, "k is -1.0, expected at least 0"),
        ("mixout", {"p": 1.0}, "p is 1.0, expected at least 0, below 1"),
        ("mixout", {"dropout": 1.0}, "dropout is 1.0, expected at least 0, below 1"),
        ("child-tuning-f", {"p": 0.0}, "p is 0.0, expected above 0, at most 1"),
        ("child-tuning-d", {"p": 1.5}, "p is 1.5, expected above 0, at most 1"),
        ("child-tuning-d", {"fisher_examples": 0}, "fisher_examples is 0, expected at least 1"),
    ],
)
def test_settings_out_of_bounds_are_refused(name, changes, message):
    with pytest.raises(SteadyTuneError) as error:
        registry.parse(name, {name: changes})
    assert message in str(error.value)


# --- the pull towards the pretrained weights


def test_recadam_refuses_a_pull_that_would_overshoot(tmp_path):
    training = Training("recadam", {}, bert())
    with pytest.raises(SteadyTuneError, match="times gamma 5000 is 5, expected below 1"):
        # With a warm-up, the rate of the first step is 0.
        training.fit(tmp_path, warmup=0.5)
    # Training shortens the word embeddings to the words in use: compare the rows that the examples read.
    table, words = "bert.embeddings.word_embeddings.weight", training.encoder.model.get_input_embeddings()
    assert training.moved <= {table}
    read = torch.from_numpy(np.unique(np.concatenate(training.data.encoded.input_ids)))
    assert torch.equal(words(read), training.first[table][read])


def test_recadam_keeps_the_pretrained_weights_long_before_t0(tmp_path):
    """Without weight decay the encoder does not move long before t0, where the exponent must not overflow."""
    training = Training("recadam", {"gamma": 10.0, "k": 1.0, "t0": 2000.0}, bert())
    training.fit(tmp_path, warmup=1, weight_decay=0.0, epochs=2)
    assert training.moved == set(training.encoder.head_parameters())


def test_recadam_does_not_scale_weight_decay_by_lambda(tmp_path):
    training = Training("recadam", {"gamma": 10.0, "k": 1.0, "t0": 2000.0}, bert())
    training.fit(tmp_path, steps=1, weight_decay=0.5)
    for name, p in training.encoder.encoder_parameters().items():
        decayed = training.first[name] * (1 - 1e-3 * 0.5 * (p.ndim == 2))
        torch.testing.assert_close(p.detach(), decayed, rtol=1e-6, atol=0)


@pytest.mark.parametrize(("replaces", "pooler"), [(True, set()), (False, {"bert.pooler.dense.weight"})])
def test_prior_decay_replaces_weight_decay_except_in_the_head(replaces, pooler, tmp_path):
    """The loss has zero gradient, so Adam does not move the weights and only decay can."""
    training = Training("prior-decay", {"replaces_decay": replaces}, bert())
    training.setup.objective.loss = lambda logits, labels: (logits * 0).sum()
    training.fit(tmp_path, weight_decay=0.5)
    assert training.moved & {"bert.pooler.dense.weight", "classifier.weight"} == {"classifier.weight"} | pooler


@every_layout
@pytest.mark.parametrize("name", ["l2-sp", "prior-decay"])
def test_covers_weights_pulls_no_bias_or_layer_norm(layout, name):
    """With all parameters moved by 1 and zero gradients, those that are pulled come back a little."""
    training = Training(name, {"covers": "weights", "weight": 0.5}, make(layout))
    parameters = dict(training.encoder.model.named_parameters())
    with torch.no_grad():
        for parameter in parameters.values():
            parameter.add_(1.0)
            parameter.grad = torch.zeros_like(parameter)
    training.method.gradients(parameters, training.setup.streams)
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    training.method.step(optimizer, Update(parameters, 0, 0.1))
    head = training.encoder.head_parameters()
    pulled = {key for key, p in parameters.items() if key not in head and (p - training.first[key] < 0.99).any()}
    assert pulled == {
        key for key in training.encoder.encoder_parameters() if not re.search(r"bias$|layer_?norm", key, re.IGNORECASE)
    }


@pytest.mark.parametrize(("name", "pulled"), [("prior-decay", False), ("prior-decay-released", True)])
def test_only_the_released_prior_decay_pulls_the_head(name, pulled, tmp_path):
    training = Training(name, {"weight": 500.0}, bert())
    training.fit(tmp_path, epochs=3)
    free = Training("prior-decay", {"weight": 0.0}, bert())
    free.fit(tmp_path, epochs=3)

    def distance(run):
        return float((run.encoder.model.classifier.weight.detach() - run.first["classifier.weight"]).norm())

    assert (distance(training) < 0.9 * distance(free)) is pulled


def test_freshly_initialised_pooler_is_neither_anchored_nor_mixed():
    encoder = Encoder(tiny_bert(num_labels=2).float(), ["bert.pooler.dense.weight", "bert.pooler.dense.bias"])
    for name in ("l2-sp", "recadam", "prior-decay"):
        assert not any("pooler" in key for key in Training(name, {}, encoder).method.methods[0].anchors)
    training = Training("mixout", {}, encoder)
    mixed = {key for key, module in training.encoder.model.named_modules() if isinstance(module, MixedLinear)}
    assert mixed
    assert not any("pooler" in key or "classifier" in key for key in mixed)


# --- Mixout


@pytest.mark.parametrize("columns", [False, True])
def test_mixout_is_unbiased_and_masks_entries_or_columns(columns):
    generator = torch.Generator().manual_seed(0)
    value, anchor = torch.randn(2, 50, 40, generator=generator, dtype=torch.float64)
    mix = Mix(0.75, columns, False, Streams(SEED))
    mixed = [mix(value, anchor) for _ in range(2000)]
    assert (sum(mixed) / 2000 - value).abs().mean() < 0.1
    kept = mixed[0] != anchor
    assert (kept == kept[0]).all() == columns
    assert torch.stack([m != anchor for m in mixed]).float().mean() == pytest.approx(0.25, abs=0.01)
    torch.testing.assert_close(mixed[0][kept], (anchor + (value - anchor) / 0.25)[kept])


@pytest.mark.parametrize(("unscaled", "factor"), [(False, 4.0), (True, 1.0)])
def test_mixout_gradient_is_scaled_unless_unscaled_gradient_is_set(unscaled, factor):
    value, anchor = torch.ones(3, 4, requires_grad=True), torch.zeros(3, 4)
    mixed = Mix(0.75, False, unscaled, Streams(SEED))(value, anchor)
    mixed.sum().backward()
    assert torch.equal(mixed.detach(), 4 * (mixed.detach() != 0))
    assert torch.equal(value.grad, factor * (mixed.detach() != 0))


# Six per layer, plus an embedding projection or pooler. XLNet's attention has bare parameters, which are not mixed.
MIXED = {"bert": 19, "roberta": 18, "electra": 19, "albert": 8, "distilbert": 18, "xlnet": 6, "deberta": 18,
         "deberta-v3": 18, "deberta-v2-xlarge": 24}  # fmt: skip


@every_layout
def test_mixout_keeps_parameters_and_uses_every_mixed_layer(layout):
    encoder = make(layout)
    before, keys = dict(encoder.model.named_parameters()), list(encoder.model.state_dict())
    training = Training("mixout", {}, encoder)
    assert list(encoder.model.state_dict()) == keys
    assert all(p is before[name] for name, p in encoder.model.named_parameters())
    mixed = [module for module in encoder.model.modules() if isinstance(module, MixedLinear)]
    called = set()
    for module in mixed:
        module.register_forward_hook(lambda module, *_: called.add(id(module)))
    encoder.model.train()(**training.data.batch(np.arange(4)).inputs)
    assert len(called) == len(mixed) == MIXED[layout]
    linears = [m for name, m in encoder.model.named_modules() if isinstance(m, torch.nn.Linear)]
    head = {id(p) for p in encoder.head_parameters().values()}
    assert len(mixed) == sum(id(m.weight) not in head for m in linears)


@every_layout
def test_set_dropout_to_zero_makes_training_passes_deterministic(layout):
    """A training pass draws no random numbers, also after setting the hidden dropout to 0, as HyPe does."""
    encoder = make(layout)
    set_dropout(encoder, 0.0)
    encoder.set_hidden_dropout(0.0)
    inputs = Training("vanilla", {}, encoder).data.batch(np.arange(4)).inputs
    encoder.model.train()
    state = torch.get_rng_state()
    assert torch.equal(encoder(inputs).logits, encoder(inputs).logits)
    assert torch.equal(state, torch.get_rng_state())
    assert all(module.p == 0 for module in encoder.model.modules() if isinstance(module, torch.nn.Dropout))


def test_mixed_model_can_be_copied_and_can_keep_its_dropout():
    encoder = bert(**DROPOUT)
    encoder.model.eval()
    training = Training("mixout", {"dropout": None}, encoder)
    assert {m.p for m in encoder.model.modules() if isinstance(m, torch.nn.Dropout)} == {0.2}
    inputs = training.data.batch(np.arange(4)).inputs
    assert torch.equal(copy.deepcopy(encoder.model)(**inputs).logits, encoder.model(**inputs).logits)


# --- Child-Tuning


def test_child_tuning_f_keeps_share_p_of_the_gradient_and_rescales_it():
    training = Training("child-tuning-f", {"p": 0.25}, bert())
    parameters = {"w": torch.nn.Parameter(torch.zeros(200, 100)), "unused": torch.nn.Parameter(torch.zeros(2))}
    masks = []
    for step in range(2):
        training.setup.streams.at_step(step)
        parameters["w"].grad = torch.ones(200, 100)
        training.method.gradients(parameters, training.setup.streams)
        assert set(parameters["w"].grad.unique().tolist()) == {0.0, 4.0}
        masks.append(parameters["w"].grad.clone())
    assert all(mask.mean() == pytest.approx(1, abs=0.05) for mask in masks)
    assert not torch.equal(*masks)


@pytest.mark.parametrize("name", ["child-tuning-d", "child-tuning-d-released"])
@pytest.mark.parametrize("p", [0.1, 0.6])
def test_child_tuning_d_selects_share_p_and_leaves_the_model_unchanged(name, p):
    encoder = bert(**DROPOUT)
    before = copy.deepcopy(encoder.model.state_dict())
    for mode in (True, False):
        encoder.model.train(mode)
        training = Training(name, {"p": p}, encoder)
        assert all(module.training is mode for module in encoder.model.modules())
    assert all(parameter.grad is None for parameter in encoder.model.parameters())
    assert all(torch.equal(value, before[key]) for key, value in encoder.model.state_dict().items())
    (masks,) = (method.masks for method in training.method.methods)
    expected = set(encoder.encoder_parameters())
    if name == "child-tuning-d-released":
        expected = {key for key in expected if key.startswith("bert.encoder.layer.")}
    assert set(masks) == expected
    total = sum(mask.numel() for mask in masks.values())
    # A word and a position that occur only together have the same gradient; all ties are kept.
    assert 0 <= sum(int(mask.sum()) for mask in masks.values()) - round(p * total) <= 8


@pytest.mark.parametrize("name", ["child-tuning-d", "child-tuning-d-released"])
def test_child_tuning_d_mask_does_not_depend_on_the_global_generator(name):
    masks = []
    for seed in (1, 2):
        encoder = bert(**DROPOUT)
        torch.manual_seed(seed)
        masks.append(Training(name, {}, encoder).method.methods[0].masks)
    assert all(torch.equal(mask, masks[1][key]) for key, mask in masks[0].items())


def test_child_tuning_d_masks_words_that_no_example_has():
    encoder = bert()
    training = Training("child-tuning-d", {"p": 0.99}, encoder)
    mask = training.method.methods[0].masks["bert.embeddings.word_embeddings.weight"]
    seen = torch.zeros(40, dtype=torch.bool)
    seen[torch.from_numpy(np.concatenate(training.data.encoded.input_ids))] = True
    assert not mask[~seen].any()
    assert mask[seen].all()


def test_child_tuning_d_masked_entries_stay_unless_decayed(tmp_path):
    training = Training("child-tuning-d", {"p": 0.2}, bert())
    training.fit(tmp_path, weight_decay=0.0, epochs=2)
    for name, mask in training.method.methods[0].masks.items():
        value = dict(training.encoder.model.named_parameters())[name]
        assert torch.equal(value[~mask], training.first[name][~mask]), name

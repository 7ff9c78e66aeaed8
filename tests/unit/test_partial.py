"""Invariants, on every layout, of methods that change or choose parameters before training."""

import copy
import math

import pytest
import torch
from oracles.case import SEED
from test_encoders import CONFIGS, every_layout, make, make_inputs

from steadytune.cells.material import weights_digest
from steadytune.encoders.adapters import Adapter
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams

NAMES = ["noisytune", "noisytune-released", "top-k", "bitfit", "houlsby", "adapter-sequential", "lora"]
# Pairs of a method and a layout that it refuses, with the message.
REFUSED = {
    ("top-k", "albert"): r"3 layers share their parameters, .* expected all or none",
    ("houlsby", "xlnet"): "xlnet adds the residual inside its attention module",
    ("adapter-sequential", "xlnet"): "xlnet adds the residual inside its attention module",
    ("lora", "xlnet"): "xlnet has bare parameters for its attention's projections",
}
ADDING = ("houlsby", "adapter-sequential", "lora")


def prepare(name, encoder, streams=None, **settings):
    """Apply the method to the encoder, with settings that suit three layers."""
    if name == "top-k":
        settings.setdefault("k", 1)
    (part,), _ = registry.parse(name, {name: settings})
    # None of these methods looks at the training data.
    part.build().prepare(Setup(encoder, streams or Streams(SEED), Classification(), None))
    return encoder


def snapshot(encoder):
    return {name: p.detach().clone() for name, p in encoder.model.named_parameters()}


def trained(encoder):
    return {name for name, p in encoder.model.named_parameters() if p.requires_grad}


def layouts(name):
    return [layout for layout in CONFIGS if (name, layout) not in REFUSED]


every_pair = pytest.mark.parametrize(("name", "layout"), [(name, layout) for name in NAMES for layout in layouts(name)])
every_adding_pair = pytest.mark.parametrize(
    ("name", "layout"), [(name, layout) for name in ADDING for layout in layouts(name)]
)


@pytest.mark.parametrize(("name", "layout"), REFUSED)
def test_unsupported_architecture_is_refused_in_one_line(name, layout):
    with pytest.raises(SteadyTuneError, match=REFUSED[name, layout]) as error:
        prepare(name, make(layout))
    assert "\n" not in str(error.value)


@every_pair
def test_preparation_depends_only_on_the_seed_and_spares_global_rng(name, layout):
    first, again, other = make(layout), make(layout), make(layout)
    for encoder, seed, disturbance in ((first, SEED, 1), (again, SEED, 2), (other, SEED + 1, 1)):
        streams = Streams(seed)
        torch.manual_seed(disturbance)
        state = torch.get_rng_state()
        prepare(name, encoder, streams)
        assert torch.equal(torch.get_rng_state(), state)
    assert weights_digest(first) == weights_digest(again)
    random = name not in ("top-k", "bitfit")
    assert (weights_digest(first) != weights_digest(other)) is random


@every_pair
def test_exactly_the_trained_parameters_get_gradients(name, layout):
    encoder, inputs = prepare(name, make(layout)), make_inputs(layout)
    encoder.model.train()
    encoder(inputs).logits.square().sum().backward()
    reached = {key for key, p in encoder.model.named_parameters() if p.grad is not None}
    # A parameter that no pass of this layout uses has no gradient under any method.
    plain = make(layout)
    plain.model.train()
    plain(inputs).logits.square().sum().backward()
    idle = {key for key, p in plain.model.named_parameters() if p.grad is None}
    assert reached == trained(encoder) - idle
    assert set(encoder.head_parameters()) <= trained(encoder)


@every_pair
def test_preparation_keeps_pretrained_values_except_noisytune(name, layout):
    encoder = make(layout)
    before = snapshot(encoder)
    prepare(name, encoder)
    after = snapshot(encoder)
    if name.startswith("noisytune"):
        assert after.keys() == before.keys()
        return
    for key, value in before.items():
        where, _, kind = key.rpartition(".")
        assert torch.equal(after[key] if key in after else after[f"{where}.base_layer.{kind}"], value)


# NoisyTune


@every_layout
def test_noisytune_noise_is_bounded_and_spares_the_head_unless_released(layout):
    for name in ("noisytune", "noisytune-released"):
        encoder = make(layout)
        before = snapshot(encoder)
        head = set(encoder.head_parameters())
        prepare(name, encoder, intensity=0.4)
        for key, value in snapshot(encoder).items():
            change, std = (value - before[key]).abs(), before[key].std()
            if key in head and name == "noisytune":
                assert torch.equal(value, before[key])
            elif std > 0:
                assert 0 < change.max() <= 0.2 * std * (1 + 1e-4), key
            else:
                assert change.max() == 0, key
        words = encoder.model.get_input_embeddings().weight
        change = (words.detach() - before[key_of(encoder, words)]) / before[key_of(encoder, words)].std()
        # A uniform distribution of width 0.4, over some hundred entries.
        assert change.std().item() == pytest.approx(0.4 / math.sqrt(12), rel=0.1)
        assert abs(change.mean().item()) < 0.02
        assert trained(encoder) == set(before)


@pytest.mark.parametrize("name", ADDING)
@pytest.mark.parametrize("order", ["noisytune+{}", "{}+noisytune"])
def test_noisytune_in_any_order_spares_parameters_that_methods_add(order, name):
    """The composition gives the weights of NoisyTune followed by the other method, drawing from one stream."""
    together, apart, streams = make("bert"), make("bert"), Streams(SEED)
    parts, _ = registry.parse(order.format(name))
    setup = Setup(together, Streams(SEED), Classification(), None)
    Composition([part.build() for part in parts]).prepare(setup)
    prepare("noisytune", apart, streams)
    prepare(name, apart, streams)
    found, expected = snapshot(together), snapshot(apart)
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in found.items())
    biases = [value for key, value in found.items() if key.endswith(("_adapter.down.bias", "_adapter.up.bias"))]
    assert not any(bias.any() for bias in biases)


def key_of(encoder, parameter):
    return next(name for name, p in encoder.model.named_parameters() if p is parameter)


def test_noisytune_leaves_a_single_value_unchanged():
    encoder = make("bert", num_labels=1)
    before = encoder.model.classifier.bias.detach().clone()
    prepare("noisytune-released", encoder, intensity=1.0)
    assert torch.equal(encoder.model.classifier.bias, before)


def test_noisytune_perturbs_random_weights_except_the_pooler():
    model = make("bert").model
    encoder = Encoder(model, [name for name, _ in model.named_parameters()])
    before = snapshot(encoder)
    prepare("noisytune", encoder)
    after = snapshot(encoder)
    assert torch.equal(after["bert.pooler.dense.weight"], before["bert.pooler.dense.weight"])
    moved = after["bert.encoder.layer.0.output.dense.weight"] - before["bert.encoder.layer.0.output.dense.weight"]
    assert moved.abs().max() > 0


# Top-k


@every_layout
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_top_k_trains_the_top_layers_pooler_and_head(layout, k):
    if layout == "albert" and k in (1, 2):
        with pytest.raises(SteadyTuneError, match="expected all or none"):
            prepare("top-k", make(layout), k=k)
        return
    encoder = prepare("top-k", make(layout), k=k)
    upper = {name for layer in range(3 - k, 3) for name in encoder.layer_parameters(layer)}
    pooler = {name for name in encoder.encoder_parameters() if ".pooler." in name}
    assert bool(pooler) == (layout in ("bert", "albert"))
    assert trained(encoder) == upper | pooler | set(encoder.head_parameters())
    encoder = prepare("top-k", make(layout), k=3, embeddings=True)
    assert trained(encoder) == {name for name, _ in encoder.model.named_parameters()}


def test_top_k_refuses_more_layers_than_there_are():
    with pytest.raises(SteadyTuneError, match="k is 4, but the encoder has 3 layers; expected 0 to 3"):
        prepare("top-k", make("bert"), k=4)


# BitFit


@every_layout
def test_bitfit_trains_only_biases_and_the_head(layout):
    encoder = prepare("bitfit", make(layout))
    inside = trained(encoder) - set(encoder.head_parameters())
    kinds = {name.rpartition(".")[2] for name in encoder.encoder_parameters()}
    assert {name.rpartition(".")[2] for name in inside} == {kind for kind in kinds if "bias" in kind}
    assert not any("weight" in name for name in inside)
    assert any("orm.bias" in name for name in inside), "LayerNorm's are biases"
    subset = prepare("bitfit", make(layout), subset="query-and-feedforward")
    chosen = trained(subset) - set(subset.head_parameters())
    assert chosen < inside
    layers = 1 if layout == "albert" else 3
    assert len(chosen) == layers * (4 if layout == "xlnet" else 2)


# Adapters


@every_adding_pair
def test_added_modules_change_the_output_and_survive_copying(name, layout):
    encoder, inputs = prepare(name, make(layout)), make_inputs(layout)
    for key, p in encoder.model.named_parameters():
        if "_adapter." in key or ".lora_" in key:
            torch.nn.init.normal_(p, std=0.3)
    expected = encoder(inputs).logits
    assert not torch.allclose(expected, make(layout)(inputs).logits)
    copied = Encoder(copy.deepcopy(encoder.model), encoder.fresh)
    assert torch.equal(copied(inputs).logits, expected)
    with torch.no_grad():
        for key, p in encoder.model.named_parameters():
            if "_adapter." in key or ".lora_" in key:
                p.zero_()
    assert torch.equal(copied(inputs).logits, expected), "the copy works with adapters of its own"
    assert torch.equal(encoder(inputs).logits, make(layout)(inputs).logits), "nothing is left without them"
    encoder.model.load_state_dict(copied.model.state_dict())
    assert torch.equal(encoder(inputs).logits, expected)


@every_adding_pair
def test_added_modules_act_in_partial_passes_and_after_truncation(name, layout):
    settings = {"dropout": 0.3} if name == "lora" else {"initial_std": 0.3}
    encoder, inputs = prepare(name, make(layout), **settings), make_inputs(layout)
    encoder.model.train()
    for key, p in encoder.model.named_parameters():
        if ".lora_B." in key:
            torch.nn.init.normal_(p, std=0.3)
    hidden = encoder(inputs, keep_hidden=True, resumable_from=1).hidden
    for state, again in zip(hidden[2:], encoder.resume(1, hidden[1]), strict=True):
        assert torch.equal(state, again)
    encoder.set_hidden_dropout(0.0)
    encoder.model.eval()
    hidden = encoder(inputs, keep_hidden=True).hidden
    encoder.truncate(2)
    assert torch.equal(encoder(inputs, keep_hidden=True).hidden[2], hidden[2])


# The last linear map of each sublayer.
LAST = {
    "albert": ("attention.dense", "ffn_output"),
    "distilbert": ("attention.out_lin", "ffn.lin2"),
}


@pytest.mark.parametrize("layout", layouts("houlsby"))
def test_houlsby_adapter_comes_right_before_the_residual(layout):
    """An adapter that only adds a vector has the effect of adding it to the sublayer's last bias."""
    adapted, shifted, inputs = prepare("houlsby", make(layout)), make(layout), make_inputs(layout)
    modules = list(dict.fromkeys(shifted.layers()))
    adapters = [m for m in adapted.model.modules() if isinstance(m, Adapter)]
    assert len(adapters) == 2 * len(modules)
    places = [(m, path) for m in modules for path in LAST.get(layout, ("attention.output.dense", "output.dense"))]
    with torch.no_grad():
        for number, (adapter, (module, path)) in enumerate(zip(adapters, places, strict=True)):
            adapter.up.weight.zero_()
            vector = torch.randn(16, generator=torch.Generator().manual_seed(number))
            adapter.up.bias.copy_(vector)
            module.get_submodule(path).bias.add_(vector)
    torch.testing.assert_close(adapted(inputs).logits, shifted(inputs).logits)
    assert not torch.allclose(adapted(inputs).logits, make(layout)(inputs).logits)


@pytest.mark.parametrize("layout", layouts("houlsby"))
def test_houlsby_starts_near_the_identity_and_trains_layer_norms(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    before = encoder(inputs).logits
    prepare("houlsby", encoder)
    torch.testing.assert_close(encoder(inputs).logits, before, rtol=0, atol=1e-4)
    inside = trained(encoder) - set(encoder.head_parameters())
    norms = {name for name in inside if "_adapter." not in name}
    assert all("orm" in name for name in norms)
    # A scale and a shift for each sublayer, and for DeBERTa-v2's convolution, which belongs to layer 0.
    sublayers = 2 if layout == "albert" else 6
    assert len(norms) == 2 * (sublayers + (layout == "deberta-v2-xlarge"))


def test_initial_adapter_weights_have_their_width_and_deviation():
    for name, std, width, cut in (("houlsby", 1e-3, 64, True), ("adapter-sequential", 0.02, 256, False)):
        encoder = prepare(name, make("bert"))
        adapters = [m for m in encoder.model.modules() if isinstance(m, Adapter)]
        assert all(adapter.down.out_features == width for adapter in adapters)
        assert all(not linear.bias.any() for adapter in adapters for linear in (adapter.down, adapter.up))
        values = torch.cat([w.flatten() for a in adapters for w in (a.down.weight, a.up.weight)]).detach() / std
        assert (values.abs().max() <= 2) == cut
        # A standard normal truncated at two has a deviation of 0.880.
        assert values.std().item() == pytest.approx(0.880 if cut else 1, rel=0.03)


def test_adapters_can_be_limited_to_some_layers():
    encoder = prepare("adapter-sequential", make("bert"), layer=2, count=1, head="top")
    inside = trained(encoder) - set(encoder.head_parameters())
    assert {name.split(".")[3] for name in inside} == {"1"}
    assert encoder.num_layers == 3
    assert prepare("adapter-sequential", make("bert"), layer=2).num_layers == 2
    with pytest.raises(SteadyTuneError, match="4 layers up to layer 4 do not fit an encoder of 3"):
        prepare("adapter-sequential", make("bert"), layer=4)
    with pytest.raises(SteadyTuneError, match="share their parameters"):
        prepare("adapter-sequential", make("albert"), layer=2, count=1, head="top")


# LoRA


@pytest.mark.parametrize("layout", layouts("lora"))
def test_lora_starts_as_the_pretrained_model_and_matrix_a_is_bounded(layout):
    encoder, inputs = make(layout), make_inputs(layout)
    before = encoder(inputs).logits
    prepare("lora", encoder)
    assert torch.equal(encoder(inputs).logits, before)
    found = {name: p for name, p in encoder.model.named_parameters() if ".lora_" in name}
    assert found.keys() | encoder.head_parameters().keys() == trained(encoder)
    a = torch.cat([p.detach().flatten() for name, p in found.items() if ".lora_A." in name])
    assert 0.9 / 4 < a.abs().max() <= 1 / 4
    assert not any(p.any() for name, p in found.items() if ".lora_B." in name)
    calls = 1 if layout == "albert" else 3
    assert len(found) == 2 * calls * len(encoder.architecture.projections)


def test_lora_can_draw_matrix_a_from_a_normal_distribution():
    encoder = prepare("lora", make("bert"), initial="normal", rank=4)
    a = torch.cat([p.detach().flatten() for name, p in encoder.model.named_parameters() if ".lora_A." in name])
    assert a.std().item() == pytest.approx(1 / 4, rel=0.15)
    assert a.abs().max() > 0.4


# Settings


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("noisytune", {"intensity": -0.1}, "intensity is -0.1, expected at least 0"),
        ("top-k", {"k": -1}, "k is -1, expected at least 0"),
        ("bitfit", {"subset": "query"}, "subset"),
        ("houlsby", {"size": 0}, "size is 0, expected at least 1"),
        ("houlsby", {"initial_std": 0.0}, "initial_std is 0.0, expected above 0"),
        ("adapter-sequential", {"layer": 0}, "layer is 0, expected at least 1, 'selected' or 'top'"),
        ("adapter-sequential", {"count": -1}, "count is -1, expected at least 0"),
        ("lora", {"rank": 0}, "rank is 0, expected at least 1"),
        ("lora", {"alpha": 0.0}, "alpha is 0.0, expected above 0"),
        ("lora", {"dropout": 1.0}, "dropout is 1.0, expected at least 0, below 1"),
    ],
)
def test_settings_out_of_bounds_are_refused(name, settings, message):
    with pytest.raises(SteadyTuneError) as error:
        registry.parse(name, {name: settings})
    assert message in str(error.value)


def test_two_methods_that_choose_trained_parameters_are_refused():
    with pytest.raises(SteadyTuneError, match="top-k and lora both choose what is trained"):
        registry.parse("top-k+lora")
    assert registry.parse("noisytune+lora")
    assert registry.parse("houlsby+hype-n")

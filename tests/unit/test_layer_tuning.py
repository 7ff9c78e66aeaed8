"""Layer tuning on every architecture, and the cached prefix: the same numbers, less work."""

import numpy as np
import pytest
import torch
from test_encoders import CONFIGS, make

from steadytune.encoders.batching import Batcher
from steadytune.encoders.dropout import use_quick_dropout
from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Composition, Setup
from steadytune.methods.hype import HyPe
from steadytune.methods.registry import parse
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.objective import Classification
from steadytune.methods.support.prefix import FrozenPrefix
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.loop import fit
from steadytune.training.precision import Precision

SHARED = {"albert"}
READS_TWICE = {"deberta-v2-xlarge"}


def trained(layout, tmp_path, name, epochs=3, selected=None, changes=None, **settings):
    """The encoder after some epochs, the result of `fit`, and the method's frozen prefix, if any."""
    generator = np.random.Generator(np.random.Philox(3))
    ids = [generator.integers(6, 40, size=size) for size in (5, 7, 4, 6, 5, 9)]
    encoder = make(layout)
    data = Batcher(Encoded(ids, None, np.arange(6) % 2, np.arange(6), 0), encoder.padding, 3)
    method = Composition([part.build() for part in parse(name, changes or {name.partition("+")[0]: settings})[0]])
    streams, objective = Streams(0), Classification()
    method.prepare(Setup(encoder, streams, objective, data, selected))
    protocol = Protocol(epochs=epochs, batch_size=3, learning_rate=1e-3)
    fitted = fit(encoder, method, data, protocol, streams, objective=objective, checkpoint=tmp_path / "c.safetensors",
                 fingerprint="f", on_epoch=dict)  # fmt: skip
    return encoder, fitted, method.hooks().prefix


@pytest.mark.parametrize("layout", CONFIGS)
def test_variability_tune_keeps_and_trains_layers_up_to_the_selected(layout, tmp_path):
    encoder, fitted, _ = trained(layout, tmp_path, "variability-tune", selected=2)
    assert encoder.num_layers == 2
    frozen = {name for name, p in encoder.model.named_parameters() if not p.requires_grad}
    assert frozen == set(encoder.embedding_parameters())
    assert np.isfinite(fitted.history[-1]["train_loss"])


@pytest.mark.parametrize("layout", sorted(CONFIGS.keys() - SHARED - READS_TWICE))
def test_cached_prefix_gives_the_same_results_for_fewer_flops(layout, tmp_path):
    """The reference run is prepared alike, so in both, dropout is off below the tuned block and on above it."""
    settings = {"layer": 3, "count": 1, "cache": True}
    cached, fitted, _ = trained(layout, tmp_path / "cached", "layer-tune", **settings)
    with pytest.MonkeyPatch.context() as patch:
        # The same preparation, but every pass runs the whole model.
        patch.setattr(Forward, "_above_prefix", lambda self, prefix, batch, _: self.encoder(batch.inputs))
        whole, reference, _ = trained(layout, tmp_path / "whole", "layer-tune", **settings)
    assert fitted.history[-1]["train_loss"] == pytest.approx(reference.history[-1]["train_loss"], abs=1e-6)
    for (name, one), (_, other) in zip(cached.model.named_parameters(), whole.model.named_parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0, msg=name)
    assert fitted.flops < 0.7 * reference.flops
    assert cached.num_layers == 3


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_cached_states_equal_a_training_pass_at_the_same_precision(precision):
    encoder = make("bert")
    use_quick_dropout(encoder.model)
    generator = np.random.Generator(np.random.Philox(3))
    ids = [generator.integers(6, 40, size=size) for size in (5, 7, 4, 6)]
    data = Batcher(Encoded(ids, None, np.zeros(4, np.int64), np.arange(4), 0), encoder.padding, 2)
    autocast = Precision(precision, "cpu").autocast
    prefix, batch = FrozenPrefix(encoder, data, 2, autocast), data.batch(np.array([1, 3]))
    encoder.model.train()
    with autocast():
        expected = encoder(batch.inputs, keep_hidden=True).hidden[2].detach()
    real = batch.inputs["attention_mask"].bool()
    assert prefix(batch).dtype == expected.dtype
    torch.testing.assert_close(prefix(batch)[real], expected[real], atol=1e-6 if precision == "fp32" else 2e-2, rtol=0)
    whole = encoder(batch.inputs, keep_hidden=True).hidden[2].detach()
    assert ((prefix(batch)[real] - whole[real]).abs().max() < 1e-6) == (precision == "fp32")


@pytest.mark.parametrize("name", ["noisytune+layer-tune", "layer-tune+noisytune"])
def test_cache_is_computed_with_the_weights_used_in_training(name, tmp_path):
    """NoisyTune changes the frozen layers too: training and evaluation must use the same weights."""
    settings = {"layer": 3, "count": 2, "cache": True}
    encoder, _, prefix = trained(
        "bert", tmp_path, name, changes={"layer-tune": settings, "noisytune": {"intensity": 1.0}}
    )
    rows = np.arange(6)
    generator = np.random.Generator(np.random.Philox(3))
    ids = [generator.integers(6, 40, size=size) for size in (5, 7, 4, 6, 5, 9)]
    batch = Batcher(Encoded(ids, None, np.arange(6) % 2, rows, 0), encoder.padding, 6).batch(rows)
    real = batch.inputs["attention_mask"].bool()
    assert prefix is not None
    expected = encoder(batch.inputs, keep_hidden=True).hidden[1]
    torch.testing.assert_close(prefix(batch)[real], expected[real], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["hype-n+layer-tune", "layer-tune+hype-n"])
def test_layers_are_dropped_before_other_methods_select_theirs(name, tmp_path, monkeypatch):
    seen = set()
    perturb = HyPe.perturb

    def watched(method, layer, hidden, streams):
        changed = perturb(method, layer, hidden, streams)
        if not torch.equal(changed, hidden):
            seen.add(layer)
        return changed

    monkeypatch.setattr(HyPe, "perturb", watched)
    changes = {"layer-tune": {"layer": 2}, "hype-n": {"layers": "upper", "sigma": 0.1}}
    trained("bert", tmp_path, name, epochs=1, changes=changes)
    assert seen == {1}


def test_unsupported_caches_and_shared_layers_are_refused(tmp_path):
    with pytest.raises(SteadyTuneError, match="cache needs frozen embeddings"):
        trained("bert", tmp_path, "layer-tune", cache=True)
    with pytest.raises(SteadyTuneError, match="no other method of the cell"):
        trained("bert", tmp_path, "layer-tune+hype-n", layer=3, count=1, cache=True)
    with pytest.raises(SteadyTuneError, match="reads its embedding output twice"):
        trained("deberta-v2-xlarge", tmp_path, "layer-tune", layer=3, count=1, cache=True)
    with pytest.raises(SteadyTuneError, match="share their parameters"):
        trained("albert", tmp_path, "layer-tune", layer=3, count=1)

"""The variability stage: from a suite's settings to the file it writes, and when it reruns."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from test_run_cell import SUITE, suite  # noqa: F401 (a fixture)

from steadytune.dag.dag import Dag
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.layers.stage import write_variability
from steadytune.layout import variability_path
from steadytune.suite.loading import load_suite


def load(folder, variability, **changes):
    path = folder / "layers.yaml"
    path.write_text(yaml.safe_dump(SUITE | {"variability": variability} | changes))
    return load_suite(path)


def study(folder, **settings):
    """The JSON that the stage writes for the tiny suite; NaN and Infinity fail the test."""
    loaded = load(folder, {"encoders": ["tiny"]} | settings)
    write_variability(loaded, "tiny", "cola")
    return json.loads(variability_path(loaded, "tiny", "cola").read_text(), parse_constant=pytest.fail)


@pytest.mark.usefixtures("suite")
def test_study_computes_everything_in_one_forward_pass(tmp_path, monkeypatch):
    batches = []
    forward = Encoder.__call__
    monkeypatch.setattr(Encoder, "__call__", lambda *args, **options: batches.append(1) or forward(*args, **options))
    found = study(tmp_path)
    assert len(batches) == 1
    assert found["examples"] == sum(found["counts"]) == 64
    assert found["settings"]["tokens"] == "mean_without_special"
    assert found["best_layer"] == 1 + int(np.argmin(found["nu"][1:]))
    bands = found["bands"]
    assert (bands["examples"], bands["resamples"]) == (64, 200)
    assert all(low <= (high or np.inf) for low, high in zip(bands["low"], bands["high"], strict=True))
    assert sum(bands["share"]) == pytest.approx(1)
    assert [point["examples"] for point in found["robustness"]["scarcity"]] == [10, 20, 50]
    assert {point["examples"] for point in found["robustness"]["imbalance"]} == {int(max(found["counts"]) / 0.95)}
    assert all(len(point["nu"]) == 3 for point in found["robustness"]["imbalance"])
    assert set(found["selectors"]) == {"cka", "probe", "h_score"}
    # A linear probe finds the word that determines the label.
    assert max(found["selectors"]["probe"]["scores"]) > max(found["counts"]) / 64 + 0.1


@pytest.mark.usefixtures("suite")
def test_study_is_reproducible_and_its_parts_are_optional(tmp_path):
    whole = study(tmp_path)
    assert study(tmp_path) == whole
    bare = study(tmp_path, resamples=0, draws=0, selectors=False)
    assert bare["nu"] == whole["nu"]
    assert [bare[name] for name in ("bands", "robustness", "selectors")] == [None] * 3
    others = [study(tmp_path, tokens=tokens, draws=0, selectors=False) for tokens in ("cls", "last", "mean")]
    assert len({tuple(found["nu"]) for found in (whole, *others)}) == 4
    # Every text begins with the same token, so its embedding cannot separate the classes.
    assert others[0]["nu"][0] is others[0]["bands"]["low"][0] is others[0]["bands"]["high"][0] is None


@pytest.mark.usefixtures("suite")
def test_choose_by_corrected_picks_the_layer_by_corrected_values(tmp_path):
    settings = {"resamples": 40, "draws": 0, "selectors": False}
    by_nu, corrected = (study(tmp_path, choose_by=name, **settings) for name in ("nu", "corrected"))
    assert by_nu["bands"] == corrected["bands"]
    rivals = [math.inf if value is None else value for value in corrected["bands"]["corrected"][1:]]
    assert corrected["best_layer"] == 1 + int(np.argmin(rivals))
    with pytest.raises(SteadyTuneError, match="expected `resamples` of at least 1 where `choose_by` is 'corrected'"):
        study(tmp_path, choose_by="corrected", resamples=0)


@pytest.mark.usefixtures("suite")
def test_with_too_few_kept_examples_only_nu_is_measured(tmp_path, caplog):
    found = study(tmp_path, kept_examples=2)
    assert found["bands"] is found["robustness"] is found["selectors"] is None
    assert "nu alone is measured" in caplog.text


@pytest.mark.parametrize(
    ("variability", "words"),
    [
        (["tinny"], "variability: unknown encoder 'tinny' (did you mean 'tiny'?)"),
        ({"tokns": "mean"}, "unknown key 'variability.tokns' (did you mean 'tokens'?)"),
        ({"tokens": "bos"}, "variability.tokens: 'bos': expected 'mean_without_special', 'mean_without_cls', 'mean'"),
        ({"sizes": [100, 10]}, "variability.sizes: [100, 10]: expected values in ascending order, each once"),
        ({"majority_shares": [0.5, 1.0]}, "variability.majority_shares.1: 1.0: expected below 1"),
        ({"kept_examples": 1}, "variability.kept_examples: 1: expected at least 2"),
        ({"resamples": -1}, "variability.resamples: -1: expected at least 0"),
        ({"weighting": "none"}, "variability.weighting: 'none': expected 'class' or 'size'"),
    ],
)
def test_invalid_setting_is_refused_in_one_line(variability, words, tmp_path):
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, variability)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_study_reruns_only_if_settings_it_depends_on_change(tmp_path, monkeypatch):
    monkeypatch.setattr("steadytune.dag.dag.suite_lock", lambda _: None)

    def digest(variability=("tiny",), **changes):
        loaded = load(tmp_path, list(variability) if isinstance(variability, tuple) else variability, **changes)
        return Dag(loaded).variability_digest(SimpleNamespace(encoder="tiny", task="cola"))

    random = {"tiny": {"model": "a/tiny", "weights": "random"}}
    protocol = SUITE["protocol"]
    same = [
        digest(),
        digest({"encoders": ["tiny"], "tokens": "mean_without_special"}),
        digest({"encoders": ["tiny", "other"]}, encoders=SUITE["encoders"] | {"other": {"model": "a/other"}}),
        digest(protocol=protocol | {"learning_rate": 1e-5, "epochs": 1}),
    ]
    assert len(set(same)) == 1
    others = [
        digest({"encoders": ["tiny"], "tokens": "mean"}),
        digest({"encoders": ["tiny"], "draws": 5}),
        digest(encoders=random),
        digest(protocol=protocol | {"max_length": 8}),
        digest(protocol=protocol | {"evaluation_batch_size": 8}),
    ]
    assert len({same[0], *others}) == 6

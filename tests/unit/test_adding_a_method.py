"""docs/adding-a-method.md: its code works unchanged, under the tests that it names."""

import inspect
import re
import sys

import numpy as np
import pytest
import test_methods
import torch

import steadytune.methods
from steadytune.methods import registry
from steadytune.methods.listing import field_docs
from steadytune.suite.loading import load_suite

NAME = "gradient-noise"
LABELS = ("gradient-noise", "gradient-noise/constant")
GENERIC = sorted(
    name
    for name, value in vars(test_methods).items()
    if name.startswith("test_") and list(inspect.signature(value).parameters) == ["label", "tmp_path"]
)


@pytest.fixture
def page(root):
    return (root / "docs/adding-a-method.md").read_text()


def block(page, path):
    """The page's code block whose first line names `path`."""
    (code,) = re.findall(rf"```\w+\n# {re.escape(path)}\n(.*?)```", page, flags=re.DOTALL)
    return code


@pytest.fixture
def added(page, tmp_path, monkeypatch):
    """The page's cases, after its method and cases have joined the package's."""
    folder = tmp_path / "methods"
    folder.mkdir()
    (folder / "gradient_noise.py").write_text(block(page, "src/steadytune/methods/gradient_noise.py"))
    monkeypatch.setattr(steadytune.methods, "__path__", [*steadytune.methods.__path__, str(folder)])
    registry.methods.cache_clear()
    oracle = {}
    exec(block(page, "tests/unit/oracles/gradient_noise.py"), oracle)
    for label, case in oracle["CASES"].items():
        monkeypatch.setitem(test_methods.CASES, label, case)
    yield oracle["CASES"]
    registry.methods.cache_clear()
    sys.modules.pop("steadytune.methods.gradient_noise", None)
    vars(steadytune.methods).pop("gradient_noise", None)


def test_pages_method_is_not_in_the_registry_yet():
    assert NAME not in registry.methods()


def test_page_names_exactly_the_generic_tests(page):
    assert set(re.findall(r"`(test_\w+)`", page)) == set(GENERIC)


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("check", GENERIC)
def test_pages_cases_pass_every_generic_test(check, label, added, tmp_path):
    assert set(added) == set(LABELS)
    if added[label].off is not None or "switched_off" not in check:
        getattr(test_methods, check)(label, tmp_path)


def test_pages_noise_has_the_documented_variance(added):
    (part,), _ = registry.parse(NAME, {NAME: {"eta": 0.09}})
    method = part.build()
    method.prepare(None)
    parameter = torch.nn.Parameter(torch.zeros(100, 100))
    streams = test_methods.Streams(0)
    for step in range(3):
        streams.at_step(step)
        parameter.grad = torch.ones(100, 100)
        method.gradients({"w": parameter, "unused": torch.nn.Parameter(torch.zeros(1))}, streams)
        assert parameter.grad.std().item() == pytest.approx((0.09 / (1 + step) ** 0.55) ** 0.5, rel=0.05)
        assert parameter.grad.mean().item() == pytest.approx(1, abs=0.02)


def test_pages_method_composes_with_hype(added, tmp_path):
    together = test_methods.Run(tmp_path / "both", f"{NAME}+hype-n", {"eta": 0.02}).fit()
    alone = test_methods.Run(tmp_path / "one", NAME, {"eta": 0.02}).fit()
    assert together.fitted.steps == 2
    change = max(float((together.after[name] - alone.after[name]).abs().max()) for name in alone.after)
    assert 0 < change < 0.1
    assert np.isfinite(together.fitted.history[0]["train_loss"])


def test_pages_suite_is_valid(added, page, tmp_path):
    path = tmp_path / "gradient-noise.yaml"
    path.write_text(block(page, "config/gradient-noise.yaml"))
    suite = load_suite(path)
    methods = {cell.method for cell in suite.cells}
    assert {f"{NAME}~eta=1e-08", f"{NAME}~eta=1e-06"} < methods
    (spec,) = (suite.spec(cell) for cell in suite.cells if str(cell) == f"mini/{NAME}~eta=1e-08/mini-rte/seed-0")
    assert spec.parts[0].settings == {"eta": 1e-8, "gamma": 0.3}


def test_pages_settings_are_listed_with_their_meaning(added):
    cls, _ = registry.methods()[NAME]
    docs = field_docs(cls.Settings)
    assert docs["eta"].startswith("Variance of the noise at the first step")
    assert set(docs) == {"eta", "gamma"}

"""A suite's file: what it spans, and one clear line for everything that can be wrong in it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from steadytune.cell import Cell
from steadytune.errors import SteadyTuneError
from steadytune.suite import find_suite, load_suite

SUITE = {
    "suite": "demo",
    "title": "A demonstration",
    "encoders": {"mini": {"model": "steadytune/mini"}},
    "protocol": {"epochs": 2},
    "methods": {"hype-n": {"sigma": 0.01}},
    "grid": [{"encoders": ["mini"], "methods": ["vanilla", "hype-n"], "tasks": ["mini-rte"], "seeds": 3}],
    "overrides": [{"task": "mini-*", "method": "hype-*", "protocol": {"epochs": 5}}],
}


def load(tmp_path, **changes):
    path = tmp_path / "demo.yaml"
    path.write_text(yaml.safe_dump(SUITE | changes))
    return load_suite(path)


def message(tmp_path, **changes):
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, **changes)
    assert "\n" not in str(error.value)
    assert "demo.yaml" in str(error.value)
    return str(error.value)


def grid(**changes):
    return [SUITE["grid"][0] | changes]


def test_the_grid_spans_every_combination_once_in_order(tmp_path):
    suite = load(tmp_path, grid=[*SUITE["grid"], *grid(seeds=[2, 7])])
    assert [str(cell) for cell in suite.cells][:4] == [
        "mini/vanilla/mini-rte/seed-0", "mini/vanilla/mini-rte/seed-1", "mini/vanilla/mini-rte/seed-2",
        "mini/hype-n/mini-rte/seed-0"]  # fmt: skip
    assert len(suite.cells) == 8
    assert {cell.seed for cell in suite.cells} == {0, 1, 2, 7}


def test_a_spec_resolves_defaults_overrides_and_the_variants_own_values(tmp_path):
    suite = load(tmp_path, grid=grid(methods=["vanilla", "hype-n", "hype-n~lr=3e-05~sigma=1e-04"]))
    vanilla, hype, variant = (suite.spec(cell) for cell in suite.cells if cell.seed == 0)
    assert (vanilla.protocol.epochs, hype.protocol.epochs) == (2, 5)
    assert vanilla.protocol.weight_decay == 0.1
    assert hype.parts[0].settings["sigma"] == 0.01
    assert hype.parts[0].settings["hidden_dropout"] == 0.0
    assert variant.parts[0].settings["sigma"] == 1e-4
    assert variant.protocol.learning_rate == 3e-5
    assert hype.transfer[0] == "mini-rte-constructions"
    assert len({spec.digest() for spec in (vanilla, hype, variant)}) == 3
    assert all(suite.spec(cell).cell == cell for cell in suite.cells)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"protocl": {}}, "unknown key 'protocl' (did you mean 'protocol'?)"),
        ({"protocol": {"epoch": 3}}, "protocol: unknown key 'epoch' (did you mean 'epochs'?)"),
        ({"protocol": {"epochs": "many"}}, "protocol: epochs: 'many': expected a valid integer"),
        ({"protocol": {"epochs": 0}}, "epochs is 0, expected above 0"),
        ({"protocol": {"precision": "fp8"}}, "precision: 'fp8': expected 'fp32', 'bf16' or 'fp16'"),
        ({"grid": grid(tasks=["mini-rtee"])}, "unknown task 'mini-rtee' (did you mean 'mini-rte'?)"),
        ({"grid": grid(methods=["hype"])}, "unknown method 'hype' (did you mean 'hype-"),
        ({"grid": grid(encoders=["mino"])}, "grid: unknown encoder 'mino' (did you mean 'mini'?)"),
        ({"grid": grid(tasks=["mini-rte-overlap"])}, "task 'mini-rte-overlap' is for evaluation only"),
        ({"grid": grid(seeds=[])}, "grid.0.seeds"),
        ({"grid": []}, "grid"),
        ({"methods": {"hype-n": {"sgima": 1}}}, "method hype-n: unknown setting 'sgima' (did you mean 'sigma'?)"),
        ({"suite": "My Suite"}, "suite: 'My Suite': expected String should match pattern"),
        ({"encoders": {"mini": {"model": "a/b", "weights": "rand"}}}, "encoders.mini.weights: 'rand'"),
        ({"transfer": {"mini-rte": ["snly"]}}, "unknown task 'snly' (did you mean 'snli'?)"),
        ({"transfer": {"mini-rte": ["sst2"]}}, "says nothing about a set of (negative, positive)"),
        ({"tables": ["mian"]}, "tables: unknown table 'mian' (did you mean 'main'?)"),
        ({"methods": {"hype-m": {"sigma": 0.1}}}, "methods.hype-m: unknown method 'hype-m' (did you mean 'hype-"),
        ({"methods": {"r-drop": {"alfa": 1}}}, "methods.r-drop: method r-drop: unknown setting 'alfa' (did you mean"),
        ({"methods": {"r-drop": {"grid": {"wieght": [1]}}}}, "methods.r-drop: unknown key 'wieght' (did you mean"),
        ({"methods": {"hype-n": {"grid": {"sigma": [None]}}}}, "expected a finite number, true, false or a word"),
        ({"methods": {"hype-n": {"sigma": float("inf")}}}, "sigma is inf, expected a finite number"),
        ({"protocol": {"warmup": -1.0}}, "demo.yaml: protocol: warmup is -1.0, expected 0 or more"),
        ({"protocol": {"weight_decay": float("inf")}}, "protocol: weight_decay is inf, expected a finite number"),
        ({"overrides": [{"method": "hypen-n"}]}, "overrides.0: unknown method 'hypen-n' (did you mean 'hype-n'?)"),
        ({"overrides": [{"task": "mini-*", "protocol": {"epochz": 1}}]}, "overrides.0.protocol: unknown key 'epochz'"),
        ({"overrides": [{"protocol": {"warmup": -1}}]}, "overrides.0.protocol: warmup is -1"),
        ({"transfer": {"mini-rt": ["mini-rte"]}}, "transfer: unknown task 'mini-rt' (did you mean 'mini-rte'?)"),
        ({"grid": grid(seeds=[-1])}, "grid.0.seeds.0: -1: expected greater than or equal to 0"),
        ({"grid": grid(seeds=[0, 0])}, "grid.0.seeds: [0, 0]: expected each seed once"),
        ({"figures": ["seedspread"]}, "figures: unknown figure 'seedspread' (did you mean 'seed-spread'?)"),
    ],
)
def test_bad_input_is_said_in_one_line(changes, expected, tmp_path):
    assert expected in message(tmp_path, **changes)


def test_an_encoder_starts_from_other_weights_on_some_tasks(tmp_path):
    encoders = {"mini": {"model": "steadytune/mini", "models": {"mini-rte": "steadytune/tuned"}}}
    suite = load(tmp_path, encoders=encoders, grid=grid(tasks=["mini-rte", "mini-cola"]))
    assert {cell.task: suite.spec(cell).model for cell in suite.cells} == {
        "mini-rte": "steadytune/tuned",
        "mini-cola": "steadytune/mini",
    }
    assert suite.models() == ["steadytune/mini", "steadytune/tuned"]
    assert "encoders.mini.models: unknown task 'mini-cola'" in message(tmp_path, encoders={
        "mini": {"model": "steadytune/mini", "models": {"mini-cola": "steadytune/tuned"}}})  # fmt: skip


def test_files_that_are_no_suite(tmp_path):
    with pytest.raises(SteadyTuneError, match="no such file"):
        load_suite(tmp_path / "absent.yaml")
    (tmp_path / "broken.yaml").write_text("suite: [unclosed")
    with pytest.raises(SteadyTuneError, match="not valid YAML at line 1"):
        load_suite(tmp_path / "broken.yaml")
    (tmp_path / "twice.yaml").write_text("suite: a\nsuite: b\n")
    with pytest.raises(SteadyTuneError, match=r"line 2.*key 'suite' stands twice"):
        load_suite(tmp_path / "twice.yaml")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("mini/hype-m/mini-rte/seed-0", "unknown method 'hype-m' (did you mean 'hype-n'?)"),
        ("mini/vanilla/mini-rte/seed-9", "seed 9 is not among its seeds [0, 1, 2]"),
        ("mni/vanilla/mini-rte/seed-0", "unknown encoder 'mni' (did you mean 'mini'?)"),
    ],
)
def test_a_cell_outside_the_grid_names_the_nearest(cell, expected, tmp_path):
    with pytest.raises(SteadyTuneError, match="no cell") as error:
        load(tmp_path).spec(Cell.parse(cell))
    assert expected in str(error.value)


@pytest.mark.parametrize("text", ["mini/vanilla/rte", "mini/vanilla/rte/0", "mini/vanilla/rte/seed-x"])
def test_a_cells_name_has_one_form(text):
    with pytest.raises(SteadyTuneError, match="expected encoder/method/task/seed-<n>"):
        Cell.parse(text)


def test_every_shipped_suite_loads_and_is_found_by_name(root, monkeypatch):
    monkeypatch.chdir(root)
    for path in sorted(Path("config").glob("*.yaml")):
        if path.name != "lock.yaml":
            assert load_suite(find_suite(path.stem)).cells
    with pytest.raises(SteadyTuneError, match=r"unknown suite 'mnii' \(did you mean 'mini'\?\)"):
        find_suite("mnii")


def test_the_environment_variable_replaces_the_local_store(tmp_path, monkeypatch):
    monkeypatch.setenv("STEADYTUNE_STORE", "/elsewhere")
    assert load(tmp_path, sources={"order": ["local"], "local": "here"}).sources.local == Path("/elsewhere")


def test_planning_needs_no_torch(root):
    code = (
        "import sys; from pathlib import Path; from steadytune.dag import Dag; Dag.load([], {}).tables;"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'pandas', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False,
                          env={"PYTHONPATH": str(root / "src"), "PATH": ""})  # fmt: skip
    assert done.returncode == 0, done.stderr

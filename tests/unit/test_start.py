"""Cells that start from another cell's fine-tuned encoder."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file
from test_run_cell import SUITE, suite  # noqa: F401 (a fixture)

from steadytune.cells import run
from steadytune.cells.freshness import statuses
from steadytune.cells.material import Material
from steadytune.cells.record import read_record
from steadytune.cells.verify import verify_cell
from steadytune.claims.files import suite_claims
from steadytune.errors import SteadyTuneError
from steadytune.layout import cells_folder, handover_path, record_path
from steadytune.methods.registry import parse
from steadytune.rendering.entries import start_notes
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite
from steadytune.suite.start import Start
from steadytune.suite.variants import expand

PARENT, CHILD = Cell("tiny", "vanilla", "mini-cola", 0), Cell("tiny", "vanilla@mini-cola", "cola", 0)
START = {"task": "mini-cola"}


@pytest.fixture
def make(suite, tmp_path):  # noqa: F811
    def make(start=START, seeds=1, methods=("vanilla",), **changes):
        value = SUITE | {"transfer": {"cola": []}} | changes
        value["grid"] = [SUITE["grid"][0] | {"seeds": seeds, "start": start, "methods": list(methods)}]
        (tmp_path / "demo.yaml").write_text(yaml.safe_dump(value))
        return load_suite(tmp_path / "demo.yaml")

    return make


def train(made):
    run.run_cell(made, PARENT, weights=handover_path(made, PARENT))
    run.run_cell(made, CHILD)
    return read_record(record_path(made, PARENT)), read_record(record_path(made, CHILD))


def state_of(made, cell):
    return next(status for status in statuses(made) if status.cell == cell)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ({"task": "mnli", "seed": "same"}, "hype-n@mnli~sigma=0.1"),
        ({"task": "mnli@10k", "seed": 0}, "hype-n@mnli@10k,seed-0~sigma=0.1"),
        ({"task": "mnli", "method": "hype-n+r-drop"}, "hype-n@mnli,hype-n+r-drop~sigma=0.1"),
        ({"task": "mnli", "method": "lnsr", "seed": 3}, "hype-n@mnli,lnsr,seed-3~sigma=0.1"),
    ],
)
def test_start_is_encoded_in_the_method_name(start, name):
    start = Start(**start)
    assert start.added_to("hype-n~sigma=0.1") == name
    assert Start.of(name) == start
    assert parse(name) == parse("hype-n~sigma=0.1"), "the method is the same"
    assert start.parent(Cell("e", name, "rte", 5)).seed == (5 if start.seed is None else start.seed)


@pytest.mark.parametrize("text", ["", "mnli,", "mnli,a,b", "mnli,seed-x", "mnli,seed-²", "mnli,seed-" + "9" * 5000])
def test_malformed_start_in_a_method_name_is_refused(text):
    with pytest.raises(SteadyTuneError, match="METHOD@TASK"):
        Start.of(f"vanilla@{text}")


def test_grid_expands_variants_that_have_a_start():
    assert expand("hype-n@mnli", {"hype-n": {"sigma": [0.1]}}, {"lr": [1e-5]}) == ["hype-n@mnli~lr=1e-05~sigma=0.1"]


def test_parent_cells_are_added_to_the_suite(make):
    same = make(seeds=2)
    children = [Cell("tiny", "vanilla@mini-cola", "cola", seed) for seed in (0, 1)]
    assert list(same.cells) == [*children, PARENT, Cell("tiny", "vanilla", "mini-cola", 1)]
    assert "steadytune/mini/cola" in same.datasets()
    one = make(START | {"seed": 0}, seeds=2)
    assert [cell.task for cell in one.cells] == ["cola", "cola", "mini-cola"]
    assert {one.spec(cell).start for cell in one.cells[:2]} == {PARENT}
    assert one.spec(PARENT).start is None
    assert "start" not in one.spec(PARENT).to_dict()
    assert one.spec(PARENT).transfer == ()


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"task": "mini-colla"}, r"start\.task.*mini-colla.*mini-cola"),
        ({"task": "cola"}, r"start\.task.*cola.*block"),
        ({"task": "hans"}, r"start\.task.*hans.*evaluation"),
        ({"task": "mini-cola", "seed": -1}, r"start\.seed.*same"),
        ({"task": "mini-cola", "method": "vanila"}, r"start\.method.*vanila.*vanilla"),
        ({"task": "mini-cola", "method": "lora"}, r"start\.method.*lora.*whole encoder"),
        ({"task": "mini-cola", "method": "hype-n~sigma=1"}, r"start\.method.*hype-n~sigma=1"),
        ({"task": "mini-cola", "seeds": 0}, r"start\.seeds.*seed"),
    ],
)
def test_invalid_start_in_a_suite_is_refused_with_its_key(make, start, words):
    with pytest.raises(SteadyTuneError, match=rf"demo\.yaml.*{words}"):
        make(start)


def test_child_starts_from_the_parents_encoder_with_a_new_head(make):
    made = make()
    with pytest.raises(SteadyTuneError, match=f"steadytune finetune .*{PARENT} --hand-over"):
        run.run_cell(made, CHILD)
    run.run_cell(made, PARENT, weights=handover_path(made, PARENT))
    spec, weights = made.spec(CHILD), load_file(handover_path(made, PARENT))
    plain, started = (
        Material.load(spec, made.file.store, "cpu", None, weights=path).encoder
        for path in (None, handover_path(made, PARENT))
    )
    changed = 0
    for name, parameter in started.model.named_parameters():
        own = dict(plain.model.named_parameters())[name]
        head = name in plain.head_parameters()
        assert torch.equal(parameter, own if head else weights[name])
        changed += not head and not torch.equal(parameter, own)
    assert changed > 10


def test_child_record_names_its_parent_and_goes_stale_with_it(make):
    made = make()
    parent, child = train(made)
    assert child.status == "ok"
    assert child.spec["start"] == vars(PARENT)
    assert (child.parent.cell, child.parent.fingerprint) == (str(PARENT), parent.fingerprint)
    assert parent.parent is None
    assert [status.state for status in statuses(made)] == ["fresh", "fresh"]
    longer = make(overrides=[{"task": "mini-cola", "protocol": {"epochs": 7}}])
    assert (state_of(longer, CHILD).state, state_of(longer, CHILD).cause) == ("stale", "settings")
    # The parent is trained again with other settings: the child did not start from these weights.
    run.run_cell(longer, PARENT, weights=handover_path(longer, PARENT))
    assert (state_of(longer, PARENT).state, state_of(longer, CHILD).cause) == ("fresh", "inputs")
    record_path(longer, PARENT).unlink()
    assert state_of(longer, CHILD).cause == "unstaged"


def test_child_can_be_verified_without_handed_over_weights(make):
    made = make()
    train(made)
    handover_path(made, PARENT).unlink()
    assert verify_cell(made, CHILD, cells_folder(made)).level == "identical"


def test_child_of_a_diverged_parent_is_diverged(make):
    made = make(overrides=[{"task": "mini-cola", "protocol": {"learning_rate": 1e38, "warmup": 0.0}}])
    parent, child = train(made)
    assert (parent.status, child.status) == ("diverged", "diverged")
    assert str(PARENT) in child.reason


def test_only_an_unfinished_child_depends_on_its_parents_weights(make):
    from steadytune.dag.dag import Dag

    def named(cell):
        return SimpleNamespace(cell=str(cell), keys=lambda: ["cell"])

    made = make(START | {"seed": 0}, seeds=2)
    child = made.cells[1]
    Path("config").mkdir(exist_ok=True)
    (made.path.parent / "config/lock.yaml").write_text("{}")
    dag = Dag(made)
    assert str(handover_path(made, PARENT)) in dag.cell_inputs(named(child))
    assert str(handover_path(made, PARENT)) not in dag.cell_inputs(named(PARENT))
    assert dag.handover_pattern == str(PARENT).replace("-", r"\-")
    longer = Dag(make(START | {"seed": 0}, seeds=2, overrides=[{"task": "mini-cola", "protocol": {"epochs": 7}}]))
    assert dag.cell_digest(named(child)) != longer.cell_digest(named(child))
    # A finished child needs no weights: they have been deleted by then.
    record_path(made, child).parent.mkdir(parents=True)
    record_path(made, child).write_text(json.dumps({}))
    assert str(handover_path(made, PARENT)) not in dag.cell_inputs(named(child))


def test_table_notes_state_the_start_and_whether_parents_varied():
    (same, one) = start_notes(SimpleNamespace(methods=("vanilla", "vanilla@mnli", "lnsr@mnli,seed-0~lr=1")))
    assert "from mnli" in same
    assert "its own parent" in same
    assert "leave out how parents vary" in one


def test_claim_can_name_a_method_with_a_start(make, tmp_path):
    claim = {"id": "start", "sentence": "It helps.", "where": "here", "statistic": "difference", "margin": 1.0,
             "encoders": ["tiny"], "method": "vanilla@mini-cola", "against": ["vanilla"],
             "tasks": ["cola"]}  # fmt: skip
    (tmp_path / "config/claims").mkdir(parents=True)
    path = tmp_path / "config/claims/ours.yaml"
    path.write_text(yaml.safe_dump({"paper": "ours", "source": "us", "claims": [claim]}))
    (found,) = suite_claims(make(claims=["start"]))
    assert found.methods == ("vanilla@mini-cola", "vanilla")
    path.write_text(yaml.safe_dump({"paper": "ours", "source": "us", "claims": [claim | {"method": "vanilla@colla"}]}))
    with pytest.raises(SteadyTuneError, match=r"colla.*cola"):
        suite_claims(make(claims=["start"]))

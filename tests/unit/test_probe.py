"""Probing: short runs of staged cells, which the plan then uses, and a line on what is left out."""

import logging
import shutil

import pytest
import yaml
from locks import pins
from test_run_cell import SUITE, suite  # noqa: F401 (a fixture)

from steadytune.cli import main
from steadytune.layout import LOCK
from steadytune.planning.probe import MEASURED, choose
from steadytune.store.receipt import RECEIPT
from steadytune.suite.loading import load_suite

STORED = ("models/a/tiny", "datasets/nyu-mll/glue/cola", "datasets/steadytune/mini/cola")


def entry(files):
    return {"local": {"origin": "a test", "licence": "MIT", "files": pins(files)}}


@pytest.fixture
def project(suite, tmp_path, monkeypatch, root):  # noqa: F811
    """The suite with a method in two variants, and a lock that also lists an encoder that is not staged."""
    lock = {"datasets": {}, "models": {"a/absent": entry({"config.json": b"{}"})}}
    for where in STORED:
        kind, _, key = where.partition("/")
        files = (tmp_path / "store" / where).iterdir()
        lock[kind][key] = entry({file.name: file.read_bytes() for file in files if file.name != RECEIPT})
    (tmp_path / LOCK).parent.mkdir(exist_ok=True)
    (tmp_path / LOCK).write_text(yaml.safe_dump(lock))
    grid = SUITE["grid"][0] | {"methods": ["vanilla", "hype-n"], "seeds": 2}
    value = SUITE | {"sources": {"order": ["local"], "local": "elsewhere"}, "grid": [grid]}
    value["methods"] = {"hype-n": {"grid": {"sigma": [0.001, 0.01]}}}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(value))
    monkeypatch.setattr("steadytune.cells.leases.visible_gpus", list)
    return tmp_path


def plan(capsys, caplog):
    """What `plan --probe` prints and logs."""
    caplog.clear()
    caplog.set_level(logging.INFO)
    capsys.readouterr()
    assert main(["plan", "demo.yaml", "--probe"]) == 0
    return capsys.readouterr().out, caplog.messages


def probed(project):
    return sorted(str(path.parent.relative_to(project / "results/demo-probe/cells"))
                  for path in project.glob("results/demo-probe/cells/**/record.json"))  # fmt: skip


def test_plan_has_no_unknown_times_after_a_probe(project, capsys, caplog):
    assert main(["plan", "demo.yaml"]) == 0
    assert "steadytune plan demo --probe" in capsys.readouterr().out
    said, logged = plan(capsys, caplog)
    # One variant represents its method, and one seed represents all.
    assert probed(project) == ["tiny/hype-n~sigma=0.001/cola/seed-0", "tiny/vanilla/cola/seed-0"]
    assert "6 cells, 0 recorded, 6 to run" in said
    assert "(scaled)" in said
    assert "unknown" not in said
    assert not [line for line in logged if "not probed" in line or "nothing probed" in line]
    _, logged = plan(capsys, caplog)
    assert "2 of 2 cells were probed before: results/demo-probe" in logged
    assert not [line for line in logged if line.startswith("probing")]


def test_probe_lists_what_is_not_staged_if_nothing_can_be_probed(project, capsys, caplog):
    for where in STORED[1:]:
        shutil.rmtree(project / "store" / where)
    _, logged = plan(capsys, caplog)
    assert logged == [
        "nothing probed: not staged: datasets/nyu-mll/glue/cola, datasets/steadytune/mini/cola; "
        "`steadytune stage demo` fetches them"
    ]
    assert probed(project) == []


def test_probe_names_the_encoder_that_is_not_staged(project, capsys, caplog):
    value = yaml.safe_load((project / "demo.yaml").read_text())
    value["encoders"]["absent"] = {"model": "a/absent"}
    value["grid"][0] |= {"encoders": ["absent", "tiny"], "methods": ["vanilla"]}
    (project / "demo.yaml").write_text(yaml.safe_dump(value))
    _, logged = plan(capsys, caplog)
    assert logged[-1] == (
        "not probed: vanilla of a/absent: not staged: models/a/absent; `steadytune stage demo` fetches them"
    )
    assert probed(project) == ["tiny/vanilla/cola/seed-0"]


def test_probe_takes_the_first_staged_task_and_skips_waiting_methods(project, tmp_path):
    value = SUITE | {"transfer": {"cola": [], "rte": []}}
    value["grid"] = [SUITE["grid"][0] | {"tasks": ["rte", "cola"], "methods": ["vanilla", "variability-tune"]}]
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(value))
    states = {"models/a/tiny": "ok", "datasets/nyu-mll/glue/rte": "damaged", "datasets/nyu-mll/glue/cola": "ok"}
    chosen, left = choose(load_suite(tmp_path / "demo.yaml"), states)
    assert {pair: cell.task for pair, cell in chosen.items()} == {("a/tiny", "vanilla"): "cola"}
    assert left == {
        ("a/tiny", "variability-tune"): {"datasets/nyu-mll/glue/rte": "damaged", "variability-tune": MEASURED}
    }

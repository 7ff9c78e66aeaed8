"""The status of cells: fresh as long as what a record depends on is the same, and the first reason where it is not."""

import subprocess
import sys

import pytest
import yaml
from test_run_cell import SUITE, outcome, suite  # noqa: F401 (a fixture)

from steadytune.cells import fingerprint as cells
from steadytune.cells.status import describe, differences, statuses
from steadytune.layout import record_path, running_path
from steadytune.locks import hold
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.loading import load_suite


def states(of):
    return [(status.state, status.why) for status in statuses(of)]


def changed(tmp_path, **keys):
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | keys))
    return load_suite(tmp_path / "demo.yaml")


@pytest.fixture
def finished(suite):  # noqa: F811
    outcome(suite)
    return suite


def test_missing_then_fresh(suite):  # noqa: F811
    assert states(suite) == [("missing", "no record")]
    outcome(suite)
    assert states(suite) == [("fresh", "")]
    assert describe(suite) == "1 fresh"


def test_other_settings_are_named(finished, tmp_path):
    other = changed(tmp_path, protocol=SUITE["protocol"] | {"epochs": 7})
    assert states(other) == [("stale", "protocol.epochs is 7, was 6")]


def test_the_page_ends_in_the_commands_that_train_again(finished, tmp_path):
    assert describe(changed(tmp_path, protocol=SUITE["protocol"] | {"epochs": 7})).splitlines() == [
        "stale       tiny/vanilla/cola/seed-0: protocol.epochs is 7, was 6",
        "1 stale",
        "`steadytune run demo` trains what is missing, damaged, or has other settings or inputs",
        "one cell again, whatever its state: "
        "`steadytune run demo -- --force results/demo/cells/tiny/vanilla/cola/seed-0/record.json`",
    ]


def test_a_title_changes_nothing(finished, tmp_path):
    assert states(changed(tmp_path, title="Another")) == [("fresh", "")]


def test_other_data_is_named(finished, tmp_path):
    folder = tmp_path / "store/datasets/nyu-mll/glue/cola"
    (folder / "more.txt").write_text("x")
    names = [path.name for path in folder.iterdir() if path.name != "receipt.json"]
    write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))
    assert states(finished) == [("stale", "input nyu-mll/glue/cola has other content")]
    (folder / "receipt.json").unlink()
    ((state, why),) = states(finished)
    assert state == "stale"
    assert "not there to compare" in why


def test_other_code_is_told(finished, monkeypatch):
    monkeypatch.setattr(cells, "code_digest", lambda paths: "another")
    ((state, why),) = states(finished)
    assert (state, "code" in why) == ("stale", True)


def test_damaged_and_set_aside_records_are_quarantined(finished):
    path = record_path(finished, finished.cells[0])
    path.write_text(path.read_text()[:100])
    assert states(finished) == [("quarantined", "a damaged record")]
    path.rename(path.with_name("record.json.quarantined"))
    assert states(finished) == [("quarantined", "a damaged record was set aside")]


def test_a_cell_is_running_as_long_as_its_lock_is_held(finished):
    with hold(running_path(finished, finished.cells[0])):
        assert states(finished) == [("running", "")]
    assert states(finished) == [("fresh", "")]


def test_a_cell_is_trained_by_one_process_at_a_time(finished):
    """The command itself waits for whoever trains the cell."""
    cell = finished.cells[0]
    command = [sys.executable, "-m", "steadytune", "finetune", str(finished.path), str(cell)]
    path = record_path(finished, cell)
    path.unlink()
    with hold(running_path(finished, cell)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert any(f"{cell}: waiting for another process that trains it" in line for line in process.stderr)
        process.kill()
        process.communicate(timeout=20)
    assert not path.exists()


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 1}}, None),
        ({"a": {"b": 1}}, {"a": {"b": 2}}, "a.b is 1, was 2"),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": 3}]}, "a.1.b is null, was 3"),
        ({"a": 1, "b": 2}, {"a": 1}, "b is new"),
        ({"a": 1}, {"a": 1, "b": 2}, "b is gone"),
        ({"a": [1]}, {"a": [1, 2]}, "a is [1], was [1, 2]"),
    ],
)
def test_differences_name_the_place(now, then, said):
    assert list(differences(now, then)) == ([] if said is None else [said])

"""The status of cells: fresh if nothing that the record depends on has changed, else the first reason why not."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml
from alterations import flip_undated, reseal
from test_run_cell import SUITE, changed, outcome, suite, trained  # noqa: F401 (a fixture)

from steadytune.cells import fingerprint as cells
from steadytune.cells import run
from steadytune.cells.freshness import differences, statuses
from steadytune.cells.run import run_cell
from steadytune.dag.status import describe
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.outputs import no_predictions, write_table
from steadytune.evaluation.transfer import evaluate_transfer
from steadytune.files import sha256
from steadytune.layout import cell_folder, file_cache_path, metrics_path, record_path, running_path
from steadytune.locks import hold
from steadytune.results.collect import collect, gather
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.training.loop import Diverged, fit


def states(of):
    return [(status.state, status.why) for status in statuses(of)]


@pytest.fixture
def finished(suite):  # noqa: F811
    outcome(suite)
    return suite


@pytest.fixture
def two(tmp_path, suite):  # noqa: F811
    return trained(tmp_path, 2)


@pytest.fixture
def three(tmp_path, suite):  # noqa: F811
    return trained(tmp_path, 3)


def test_cell_is_missing_before_and_fresh_after_training(suite):  # noqa: F811
    assert states(suite) == [("missing", "no record")]
    outcome(suite)
    assert states(suite) == [("fresh", "")]
    assert describe(suite) == "1 fresh"


def test_stale_status_names_the_changed_setting(finished, tmp_path):
    other = changed(tmp_path, protocol=SUITE["protocol"] | {"epochs": 7})
    assert states(other) == [("stale", "protocol.epochs is 7, was 6")]


def test_status_output_ends_with_the_retrain_command(finished, tmp_path):
    lines = describe(changed(tmp_path, protocol=SUITE["protocol"] | {"epochs": 7})).splitlines()
    assert lines[:2] == ["stale       tiny/vanilla/cola/seed-0: protocol.epochs is 7, was 6", "1 stale"]
    assert "`steadytune run demo`" in lines[2]
    assert len(lines) == 3


def test_records_no_longer_planned_are_counted(finished, tmp_path):
    assert "does not plan" not in describe(finished)
    grid = [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["cola"], "seeds": [7]}]
    assert "1 record more of cells that the suite does not plan" in describe(changed(tmp_path, grid=grid))


def test_status_counts_cells_without_a_record_by_encoder_and_method(suite, tmp_path):  # noqa: F811
    methods = ["vanilla", "noisytune~intensity=0.1", "noisytune~intensity=0.2", "hype-n"]
    grid = [{"encoders": ["tiny"], "methods": methods, "tasks": ["cola"], "seeds": [0, 1]}]
    made = changed(tmp_path, grid=grid)
    vanilla, noisy = made.cells[:2], made.cells[2:6]
    run_cell(made, noisy[-1])
    damaged = record_path(made, vanilla[1])
    damaged.parent.mkdir(parents=True)
    damaged.write_text("{")
    lines = describe(made).splitlines()
    assert lines[0].startswith(f"quarantined {vanilla[1]}: ")
    assert lines[1] == f"missing     {vanilla[0]}: no record"
    assert lines[2].startswith("missing     tiny/noisytune: 3 of 4 cells") and str(noisy[0]) in lines[2]
    assert lines[3].startswith("missing     tiny/hype-n: none of 2 cells")
    assert lines[4] == "6 missing, 1 quarantined, 1 fresh"


def test_changed_title_keeps_cells_fresh(finished, tmp_path):
    assert states(changed(tmp_path, title="Another")) == [("fresh", "")]


def test_edited_analysis_plan_is_reported_but_cells_stay_fresh(suite, tmp_path):  # noqa: F811
    plan = tmp_path / "plan.md"
    plan.write_text("Three seeds.")
    planned = changed(tmp_path, analysis_plan="plan.md")
    outcome(planned)
    assert describe(planned) == "1 fresh"
    plan.write_text("Four seeds.")
    said = "1 cell ran under another version of the analysis plan, or none"
    assert describe(changed(tmp_path, analysis_plan="plan.md")).splitlines() == ["1 fresh", said]
    assert describe(changed(tmp_path)).splitlines() == ["1 fresh", said]


def test_changed_or_missing_data_makes_a_cell_stale(finished, tmp_path):
    folder = tmp_path / "store/datasets/nyu-mll/glue/cola"
    (folder / "more.txt").write_text("x")
    names = [path.name for path in folder.iterdir() if path.name != "receipt.json"]
    write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))
    assert states(finished) == [("stale", "input nyu-mll/glue/cola has changed")]
    (folder / "receipt.json").unlink()
    ((state, why),) = states(finished)
    assert state == "stale"
    assert "cannot be compared" in why


def test_changed_code_makes_a_cell_stale(finished, monkeypatch):
    monkeypatch.setattr(cells, "code_digest", lambda paths: "another")
    ((state, why),) = states(finished)
    assert (state, "code" in why) == ("stale", True)


def test_damaged_and_set_aside_records_are_quarantined(finished):
    path = record_path(finished, finished.cells[0])
    path.write_text(path.read_text()[:100])
    ((state, why),) = states(finished)
    assert state == "quarantined"
    assert str(path) in why
    path.rename(path.with_name("record.json.quarantined"))
    assert states(finished) == [("quarantined", "a damaged record was set aside")]


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def state_of(suite, **how):  # noqa: F811
    (found,) = statuses(suite, **how)
    return found.state


def test_edited_record_is_quarantined(finished):
    path = record_path(finished, finished.cells[0])
    edited(path, '"steps": 48', '"steps": 49')
    assert state_of(finished) == "quarantined"


@pytest.mark.parametrize("name", ["predictions.parquet", "history.csv"])
def test_changed_or_deleted_file_next_to_a_record_quarantines_it(finished, name):
    assert state_of(finished) == "fresh"
    path = record_path(finished, finished.cells[0]).with_name(name)
    # The file's change time (ctime) still reveals it.
    flip_undated(path)
    assert state_of(finished) == "quarantined"
    path.unlink()
    assert state_of(finished) == "quarantined"


def forge_score(suite):  # noqa: F811
    change = {"accuracy": 0.9575}
    reseal(record_path(suite, suite.cells[0]), lambda record: record["evaluations"][0]["metrics"].update(change))


def test_predictions_refute_a_forged_score(finished):
    forge_score(finished)
    assert state_of(finished, scores=True) == "quarantined"
    # The finding is remembered.
    assert state_of(finished) == "quarantined"
    assert "accuracy is 0.9575" in next(iter(statuses(finished))).why


@pytest.mark.parametrize("gathered", [lambda of: collect(of) or pd.read_parquet(metrics_path(of)), gather])
def test_forged_score_is_collected_as_quarantined_without_a_value(gathered, finished):
    forge_score(finished)
    table = gathered(finished)
    assert set(table["status"]) == {"quarantined"}
    assert table["value"].isna().all()


def test_record_lacking_an_evaluation_is_quarantined(finished):
    path = record_path(finished, finished.cells[0])
    reseal(path, lambda record: record["evaluations"].pop())
    assert state_of(finished, deep=True) == "quarantined"


def forge(suite, change):  # noqa: F811
    """Apply `change` to the table of the first cell's predictions, and adapt its record so that everything agrees."""
    cell = suite.cells[0]
    path, spec = record_path(suite, cell), suite.spec(cell)
    frame = change(pd.read_parquet(path.with_name("predictions.parquet")))
    frame.to_parquet(path.with_name("predictions.parquet"), index=False)

    def agree(record):
        record["files"]["predictions.parquet"] = sha256(path.with_name("predictions.parquet"))
        for evaluation in record["evaluations"]:
            own = frame[frame["evaluation_set"] == evaluation["set"]]
            source, target = spec.tasks[spec.task], spec.tasks[evaluation["set"]]
            labels = own["label"].to_numpy().astype(np.int64)
            found = evaluate_transfer(source, target, own[["logit_0", "logit_1"]].to_numpy(), labels)
            evaluation |= {key: value for key, value in found.items() if key in evaluation}

    reseal(path, agree)


def first_label_forged(frame):
    return frame.assign(label=frame["label"].where(frame.index > 0, 1 - frame["label"]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (first_label_forged, "cola: the gold labels of its predictions differ"),
        (lambda frame: frame[1:], "cola: its predictions are of other examples"),
        (lambda frame: pd.concat([frame[:1], frame]), "cola: its predictions are of other examples"),
        (lambda frame: frame.assign(prediction=1 - frame["prediction"]), "its answers are not those of its logits"),
    ],
)  # fmt: skip
def test_forged_predictions_are_quarantined(finished, change, why):
    """The hash and the scores in the record do not reveal it: both are forged too."""
    forge(finished, change)
    assert state_of(finished, scores=True) == "quarantined"
    assert why in statuses(finished)[0].why


@pytest.mark.parametrize("training", [True, False])
def test_forged_divergence_is_quarantined_if_training_finished(finished, training):
    """A bad score is hidden along with its predictions, but the history still lists every epoch."""
    path = record_path(finished, finished.cells[0])
    write_table(path.with_name("predictions.parquet"), no_predictions())

    def hide(record):
        record.update(status="diverged", reason="the training loss was not finite by step 9", evaluations=[])
        record["files"]["predictions.parquet"] = sha256(path.with_name("predictions.parquet"))
        record["training"] = record["training"] if training else None

    reseal(path, hide)
    assert state_of(finished, scores=True) == "quarantined"
    assert "says diverged, but training finished" in statuses(finished)[0].why


def test_cell_that_diverges_in_training_is_fresh(suite, monkeypatch):  # noqa: F811
    def diverge(*_, **__):
        raise Diverged("the training loss was not finite by step 9")

    monkeypatch.setattr(run, "fit", diverge)
    assert outcome(suite).status == "diverged"
    assert state_of(suite, scores=True) == "fresh"


def test_cell_with_non_finite_outputs_is_diverged_and_fresh(suite, tmp_path, monkeypatch):  # noqa: F811
    def spoil(encoder, *arguments, **keywords):
        fitted = fit(encoder, *arguments, **keywords)
        encoder.model.classifier.bias.data[0] = np.nan
        return fitted

    monkeypatch.setattr(run, "fit", spoil)
    # With evaluation after each epoch, predictions made inside `fit` would count as the final model's.
    silent = changed(tmp_path, protocol=SUITE["protocol"] | {"evaluate_epochs": False})
    assert outcome(silent).status == "diverged"
    assert state_of(silent, scores=True) == "fresh"


def test_forged_labels_are_found_in_records_of_other_code(finished, monkeypatch):
    forge(finished, first_label_forged)
    monkeypatch.setattr(cells, "code_digest", lambda paths: "another")
    assert state_of(finished, scores=True) == "quarantined"
    assert "cola: the gold labels of its predictions differ" in statuses(finished)[0].why


def test_recorded_cells_are_checked_against_staged_labels(finished):
    forge(finished, first_label_forged)
    assert state_of(finished, scores=True, as_recorded=True) == "quarantined"


@pytest.mark.parametrize("as_recorded", [True, False])
def test_labels_are_checked_against_other_cells_if_no_data_are_staged(three, tmp_path, as_recorded):
    (tmp_path / "store/datasets/nyu-mll/glue/cola/receipt.json").unlink()
    honest = "fresh" if as_recorded else "stale"
    assert {found.state for found in statuses(three, scores=True, as_recorded=as_recorded)} == {honest}
    forge(three, first_label_forged)
    for scores in (True, False):
        found = statuses(three, scores=scores, as_recorded=as_recorded)
        assert [each.state for each in found] == ["quarantined", honest, honest]
    assert found[0].why == "cola: the gold labels of its predictions differ from those of other cells"


@pytest.mark.parametrize(("key", "value"), [("majority_rate", 0.99), ("majority", {"accuracy": 0.99, "matthews": 0.0})])
def test_forged_majority_is_quarantined(finished, key, value):
    path = record_path(finished, finished.cells[0])
    reseal(path, lambda record: record["evaluations"][0].update({key: value}))
    assert state_of(finished, scores=True) == "quarantined"
    assert "is 0.99, its predictions give" in statuses(finished)[0].why


def test_damaged_file_cache_keeps_cells_fresh(finished):
    assert state_of(finished) == "fresh"
    file_cache_path(finished).write_text('{"tiny/vanilla/cola/seed-0": 3')
    assert state_of(finished) == "fresh"
    file_cache_path(finished).write_text('{"tiny/vanilla/cola/seed-0": 3}')
    assert state_of(finished) == "fresh"


def test_record_copied_from_another_seed_is_quarantined(tmp_path, suite):  # noqa: F811
    grid = [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["cola"], "seeds": 2}]
    two = changed(tmp_path, grid=grid)
    first, second = two.cells
    run_cell(two, first)
    shutil.copytree(cell_folder(two, first), cell_folder(two, second))
    assert [found.state for found in statuses(two)] == ["fresh", "quarantined"]
    reseal(record_path(two, second), lambda record: record["spec"].update(seed=1))
    assert [found.state for found in statuses(two)] == ["quarantined", "quarantined"]


def copy_results(first, second):
    """Put one cell's results in another's place, but keep the other's spec and order of data."""
    for name in ("predictions.parquet", "history.csv"):
        shutil.copy(first.with_name(name), second.with_name(name))
    source = json.loads(first.read_text())
    reseal(second, lambda record: record.update({key: source[key] for key in ("status", "evaluations", "files")}))


def test_seeds_with_equal_predictions_are_quarantined_as_copies(two):
    first, second = (record_path(two, cell) for cell in two.cells)
    copy_results(first, second)
    orders = {json.loads(path.read_text())["training"]["first_order"] for path in (first, second)}
    assert len(orders) == 2
    assert states(two) == [("quarantined", "seeds 0, 1 have the same predictions: copies")] * 2


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_constant_or_nan_predictions_are_not_flagged_as_copies(two, value):
    """Every seed has these logits if a method leaves the head at 0, or if the weights became NaN."""
    first, second = (record_path(two, cell) for cell in two.cells)
    path = first.with_name("predictions.parquet")
    frame = pd.read_parquet(path).assign(logit_0=value, logit_1=value)
    frame.to_parquet(path, index=False)
    reseal(first, lambda record: record["files"].update({path.name: sha256(path)}))
    copy_results(first, second)
    assert states(two) == [("fresh", "")] * 2


def test_changed_pin_makes_cells_stale_and_blocks_training(finished, tmp_path):
    folder = tmp_path / "store/datasets/nyu-mll/glue/cola"
    files = {path.name: {"sha256": sha256(path), "bytes": path.stat().st_size} for path in folder.glob("*.parquet")}
    lock = {"datasets": {"nyu-mll/glue/cola": {"local": {"origin": "a test", "licence": "none", "files": files}}}}
    (tmp_path / "config").mkdir(exist_ok=True)
    (tmp_path / "config/lock.yaml").write_text(yaml.safe_dump(lock))
    local = changed(tmp_path, sources={"order": ["local"], "local": "."})
    assert state_of(local) == "fresh"
    files["train-00000-of-00001.parquet"]["sha256"] = "0" * 64
    (tmp_path / "config/lock.yaml").write_text(yaml.safe_dump(lock))
    (found,) = statuses(local)
    assert (found.state, found.cause) == ("stale", "inputs")
    assert "nyu-mll/glue/cola" in found.why
    with pytest.raises(SteadyTuneError, match="outdated"):
        run_cell(local, local.cells[0])


def test_cell_is_running_while_its_lock_is_held(finished):
    with hold(running_path(finished, finished.cells[0])):
        assert states(finished) == [("running", "")]
    assert states(finished) == [("fresh", "")]


def test_finetune_waits_for_a_process_that_trains_the_same_cell(finished):
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
        ({"a": 1}, {"a": 1, "b": 2}, "b was removed"),
        ({"a": [1]}, {"a": [1, 2]}, "a is [1], was [1, 2]"),
    ],
)
def test_differences_name_the_changed_path(now, then, said):
    assert list(differences(now, then)) == ([] if said is None else [said])

"""Running a cell again: every level of agreement, and the cause that is named."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from alterations import reseal
from scipy import stats
from test_run_cell import SUITE, outcome, suite  # noqa: F401 (a fixture)

from steadytune.cells import verify
from steadytune.cells.agreement import compare
from steadytune.cells.record import read_record
from steadytune.cells.recorded import write_recorded
from steadytune.cells.verify import recorded_cells, sample_cells, verify_cell
from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.layout import cell_folder, cells_folder, recorded_folder, running_path
from steadytune.locks import is_held
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite


@pytest.fixture
def recorded(suite, tmp_path):  # noqa: F811
    """A finished cell and a copy of it that tests may change."""
    outcome(suite)
    (cell,) = suite.cells
    copy = tmp_path / "copy" / str(cell)
    shutil.copytree(cell_folder(suite, cell), copy)
    return cell_folder(suite, cell), copy


def edit(folder, change):
    frame = pd.read_parquet(folder / "predictions.parquet")
    change(frame)
    frame.to_parquet(folder / "predictions.parquet", index=False)


def edit_record(folder, **changes):
    def change(record):
        for path, value in changes.items():
            place = record
            *parents, last = path.split("__")
            for key in parents:
                place = place[int(key) if isinstance(place, list) else key]
            place[last] = value

    reseal(folder / "record.json", change)


def test_record_without_held_out_predictions_is_compared_on_the_rest(recorded):
    folder, again = recorded

    def add(frame):
        for row in range(3):
            frame.loc[len(frame)] = frame.iloc[row].to_dict() | {"evaluation_set": HELD_OUT}

    edit(again, add)
    assert compare(folder, again, []).level == "same logits"


def test_rerun_on_the_same_machine_is_identical_and_keeps_the_record(recorded, suite):  # noqa: F811
    folder, _ = recorded
    before = (folder / "record.json").read_bytes()
    verdict = verify_cell(suite, suite.cells[0], cells_folder(suite))
    assert (verdict.level, verdict.causes) == ("identical", ())
    assert (folder / "record.json").read_bytes() == before
    assert main(["verify", "demo.yaml", "--sample", "1"]) == 0


def test_verify_holds_a_lock_on_the_cell(recorded, suite, monkeypatch):  # noqa: F811
    """Two processes that verify the same cell would write the same files."""
    held = []

    def watched(suite, cell, *rest):
        held.append(is_held(running_path(suite, f"verify/{cell}")))
        return verify_cell(suite, cell, *rest)

    monkeypatch.setattr(verify, "verify_cell", watched)
    assert main(["verify", "demo.yaml", "--sample", "1"]) == 0
    assert held == [True]
    assert not is_held(running_path(suite, f"verify/{suite.cells[0]}"))


def test_history_and_training_are_compared_besides_predictions(recorded):
    folder, copy = recorded
    path = copy / "history.csv"
    whole = path.read_text()
    path.write_text(whole.replace(whole.splitlines()[2].split(",")[2], "0.125"))
    verdict = compare(copy, folder, [])
    assert (verdict.level, verdict.detail) == ("different", "the same predictions, but history.csv differs in epoch 2")
    path.write_text(whole)
    edit_record(copy, training__trainable_parameters=1)
    assert "training differs: trainable_parameters is" in compare(copy, folder, []).detail


@pytest.mark.parametrize("count", ["flops", "inference_flops"])
def test_counted_flops_are_compared_only_under_the_same_torch(recorded, count):
    folder, copy = recorded
    edit_record(copy, **{f"training__{count}": 1.0})
    verdict = compare(copy, folder, [])
    assert verdict.level == "different"
    assert f"the same predictions, but training differs: {count} is" in verdict.detail
    edit_record(copy, environment__torch="2.0")
    assert compare(copy, folder, []).level == "identical"


def test_record_with_other_labels_is_different_due_to_an_edited_file(recorded):
    """The logits are the same, but a score on other labels is not the model's score."""
    folder, copy = recorded

    def forge(frame):
        frame.loc[0, "label"] = 1 - frame.loc[0, "label"]

    edit(copy, forge)
    edit_record(copy, environment__device_name="Another processor")
    verdict = compare(copy, folder, [])
    assert (verdict.level, verdict.detail) == ("different", "the predictions are of other examples or labels")
    assert verdict.causes == ("an edited file",)


def test_verify_refuses_a_record_refuted_by_its_predictions(recorded, suite):  # noqa: F811
    _, copy = recorded
    edit_record(copy, evaluations__0__metrics__accuracy=0.9575)
    with pytest.raises(SteadyTuneError, match=r"accuracy is 0\.9575, its predictions give"):
        verify_cell(suite, suite.cells[0], copy.parents[3])


def test_small_logit_differences_give_same_logits_and_a_likely_cause(recorded):
    folder, copy = recorded
    nudge(copy)
    edit_record(copy, environment__threads=8, environment__torch="2.0")
    verdict = compare(folder, copy, [])
    assert verdict.level == "same logits"
    assert verdict.causes[0] == "threads is 8, was 1"
    assert "likely cause: threads is 8, was 1 (also torch is 2.0" in str(verdict)


def nudge(folder, first=None):
    """Move a column of logits by less than the tolerance, and set its first value to `first` if given."""

    def change(frame):
        frame["logit_0"] += 1e-6
        if first is not None:
            frame.loc[0, "logit_0"] = first

    edit(folder, change)


@pytest.mark.parametrize("broken", [0, 1])
def test_nan_logit_in_only_one_run_differs(broken, recorded):
    nudge(recorded[broken], first=np.nan)
    verdict = compare(*recorded, [])
    assert verdict.level == "same metric"
    assert "logits differ by at most inf" in verdict.detail


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_equal_non_finite_logits_in_both_runs_agree(value, recorded):
    for folder in recorded:
        nudge(folder, first=value)
    nudge(recorded[0])
    assert compare(*recorded, []).level == "same logits"


def test_history_lacking_an_epoch_is_different(recorded):
    folder, copy = recorded
    path = copy / "history.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    verdict = compare(copy, folder, [])
    said = "the same predictions, but history.csv has 5 epochs, now 6"
    assert (verdict.level, verdict.detail) == ("different", said)


def test_changed_input_or_code_is_named_as_the_cause(recorded):
    folder, copy = recorded
    key = read_record(copy / "record.json").inputs[1].key
    edit_record(copy, inputs__1__digest="0" * 64)
    assert compare(copy, folder, []).causes == (f"input {key}",)
    edit_record(copy, fingerprint="0" * 64)
    assert compare(copy, folder, []).causes == (f"input {key}", "the code")


def flip(folder, to_wrong, to_right):
    """Make right answers wrong and wrong answers right, with matching logits."""

    def change(frame):
        own = (frame["evaluation_set"] == "cola").to_numpy()
        right = (frame["prediction"] == frame["label"]).to_numpy()
        for rows in (np.flatnonzero(own & right)[:to_wrong], np.flatnonzero(own & ~right)[:to_right]):
            frame.loc[rows, "prediction"] = 1 - frame.loc[rows, "prediction"]
            frame.loc[rows, ["logit_0", "logit_1"]] = frame.loc[rows, ["logit_1", "logit_0"]].to_numpy()

    edit(folder, change)


def test_flips_count_as_same_metric_only_if_chance_explains_them(recorded):
    folder, copy = recorded
    flip(copy, 3, 0)
    verdict = compare(folder, copy, [])
    assert verdict.level == "same metric"
    # Three flips have p = 1/4 even if all go one way.
    assert "3 of 40 answers flip, 3 to wrong and 0 to right" in verdict.detail and "up to 3 one way" in verdict.detail
    flip(copy, 9, 0)
    # All 12 go one way: p = 2 / 2^12.
    assert stats.binomtest(12, 12).pvalue < 0.05
    assert compare(folder, copy, []).level == "different"


def test_rerun_within_the_interval_of_recorded_seeds_has_same_spread(recorded):
    folder, copy = recorded
    flip(copy, 15, 0)
    value = json.loads((copy / "record.json").read_text())["evaluations"][0]["metrics"]["matthews"]
    assert compare(folder, copy, [value - 0.1, value + 0.1, value]).level == "same spread"
    # mean v + 1, sd 0.1: half-width 4.303 * 0.1 * sqrt(4/3) = 0.497
    verdict = compare(folder, copy, [value + 0.9, value + 1.1, value + 1.0])
    assert verdict.level == "different"
    assert "± 0.4968" in verdict.detail


def test_changed_settings_are_named_before_the_machine_as_cause(recorded):
    folder, copy = recorded
    nudge(copy)
    edit_record(folder, spec__protocol__precision="bf16", environment__device_name="another")
    assert compare(folder, copy, []).causes[0] == 'protocol.precision is "fp32", was "bf16"'


def again(suite, tmp_path, **protocol):  # noqa: F811
    """Run the suite's finished cell again with other settings, and verify it."""
    outcome(suite)
    recorded = tmp_path / "recorded"
    shutil.copytree("results/demo", recorded)
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"protocol": SUITE["protocol"] | protocol}))
    changed = load_suite(tmp_path / "demo.yaml")
    return verify_cell(changed, changed.cells[0], cells_folder(recorded))


def test_changed_precision_is_named_as_the_cause(suite, tmp_path):  # noqa: F811
    verdict = again(suite, tmp_path, precision="bf16")
    assert verdict.level != "identical"
    assert verdict.causes == ('protocol.precision is "bf16", was "fp32"',)
    assert 'likely cause: protocol.precision is "bf16", was "fp32"' in str(verdict)


def test_changed_thread_count_is_named_once(suite, tmp_path):  # noqa: F811
    threads = torch.get_num_threads()
    try:
        verdict = again(suite, tmp_path, threads=2)
    finally:
        torch.set_num_threads(threads)
    # The sums of such a small model may not be split among threads.
    assert verdict.level in ("identical", "same logits")
    assert verdict.causes == ("protocol.threads is 2, was 1",)


def test_first_difference_is_named(recorded):
    folder, copy = recorded
    edit(copy, lambda frame: frame.__setitem__("logit_0", frame["logit_0"] + 1e-4))
    said = str(compare(folder, copy, []))
    assert "first difference: bytes): logits differ by at most 0.0001" in said
    assert said.endswith("; no setting, environment or code differs")


def test_verify_refuses_damaged_predictions(recorded, suite):  # noqa: F811
    folder, _ = recorded
    with (folder / "predictions.parquet").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(SteadyTuneError, match=r"predictions.parquet: damaged: SHA-256"):
        verify_cell(suite, suite.cells[0], cells_folder(suite))


def test_published_cell_can_be_verified(recorded, suite):  # noqa: F811
    write_recorded(suite, recorded_folder(suite))
    shutil.rmtree("results")
    assert main(["verify", "demo.yaml", "--published", "--sample", "1"]) == 0
    with recorded_cells(suite, recorded_folder(suite)) as folder:
        assert read_record(folder / str(suite.cells[0]) / "record.json").status == "ok"


def test_different_final_status_is_reported(recorded):
    folder, copy = recorded
    edit_record(copy, status="diverged")
    assert compare(folder, copy, []).detail == "ended diverged, the record says ok"


def test_unrecorded_cells_cannot_be_verified(recorded, suite, tmp_path):  # noqa: F811
    with pytest.raises(SteadyTuneError, match=r"no recorded cell of suite 'demo'$"):
        verify_cell(suite, suite.cells[0], tmp_path)
    with pytest.raises(SteadyTuneError, match=r"'tiny/vanilla/cola/seed-1'.*(did you mean|known:).*seed-0"):
        verify_cell(suite, Cell("tiny", "vanilla", "cola", 1), cells_folder(suite))
    with pytest.raises(SteadyTuneError, match="0 recorded cells of suite 'demo', 2 were asked for"):
        sample_cells(suite, tmp_path, 2)
    assert main(["verify", "demo.yaml"]) == 2


def test_verify_takes_arguments_in_any_order_and_reports_cell_by_cell(recorded, tmp_path, capsys):
    copy = tmp_path / "theirs"
    shutil.copytree("results/demo", copy)
    cell, absent = "tiny/vanilla/cola/seed-0", "tiny/vanilla/cola/seed-1"
    assert main(["verify", "demo.yaml", "--recorded", "theirs", cell]) == 0
    assert main(["verify", cell, "--recorded", "theirs", "demo.yaml"]) == 2  # the suite is the first name
    capsys.readouterr()
    assert main(["verify", "demo.yaml", cell, "--recorded", "theirs", absent]) == 2
    assert capsys.readouterr().out == f"{cell}: identical: the same predictions, byte for byte, and the same scores\n"


@pytest.mark.parametrize("wrong", ["0", "-1", "two"])
def test_sample_must_be_a_positive_whole_number(wrong, capsys):
    with pytest.raises(SystemExit):
        main(["verify", "demo.yaml", "--sample", wrong])
    assert f"argument --sample: '{wrong}', expected a whole number above 0" in capsys.readouterr().err

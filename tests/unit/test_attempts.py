"""`steadytune finetune` among other attempts: of another process, of a killed process, or on a shared GPU."""

import subprocess
import sys

import pytest
import torch
from test_leases import machine  # noqa: F401 (a fixture)
from test_run_cell import outcome, raising, suite  # noqa: F401 (a fixture)

from steadytune.cells import attempts, leases, run
from steadytune.cells.record import read_record
from steadytune.cli import main
from steadytune.layout import checkpoint_path, handover_path, record_path, running_path
from steadytune.locks import hold

# Two GPUs, and the processes that compute there.
TOOL = """#!/bin/sh
case "$1" in
--query-gpu=*) echo '0, GPU-aaa'; echo '1, GPU-bbb' ;;
*) printf '{}' ;;
esac
"""


def finetune(suite):  # noqa: F811
    return main(["finetune", str(suite.path), str(suite.cells[0])])


@pytest.mark.parametrize(("more", "trained"), [([], False), (["--hand-over"], True)])
def test_finetune_after_waiting_retrains_only_if_weights_are_missing(more, trained, suite):  # noqa: F811
    outcome(suite)
    cell = suite.cells[0]
    before = record_path(suite, cell).read_bytes()
    command = [sys.executable, "-m", "steadytune", "finetune", str(suite.path), str(cell), *more]
    with hold(running_path(suite, cell)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert any(f"{cell}: waiting for another process that trains it" in line for line in process.stderr)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert ("the other process has trained it" in said) != trained
    assert (record_path(suite, cell).read_bytes() != before) == trained
    assert handover_path(suite, cell).exists() == trained


def test_finetune_trains_if_the_process_it_waited_for_left_no_record(suite):  # noqa: F811
    cell = suite.cells[0]
    command = [sys.executable, "-m", "steadytune", "finetune", str(suite.path), str(cell)]
    with hold(running_path(suite, cell)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert any("waiting for another process" in line for line in process.stderr)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert read_record(record_path(suite, cell)).status == "ok"


def test_finetune_removes_partial_files_of_its_own_cell_only(suite):  # noqa: F811
    cell = suite.cells[0]
    places = (checkpoint_path(suite, cell), handover_path(suite, cell), record_path(suite, cell))
    halves = [path.with_name(f".{path.stem}.0123abcd{path.suffix}") for path in places]
    others = [path.with_name(f".seed-01.0123abcd{path.suffix}") for path in places[:2]]
    for path in (*halves, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    assert finetune(suite) == 0
    assert not any(path.exists() for path in halves)
    assert all(path.exists() for path in others), "another cell's, which may be at work"


@pytest.mark.parametrize("place", [record_path, checkpoint_path])
@pytest.mark.parametrize("how", ["another user's", "a file"])
def test_unwritable_folder_is_reported_before_training(how, place, suite, monkeypatch, capsys):  # noqa: F811
    folder = place(suite, suite.cells[0]).parent
    if how == "a file":
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.write_text("not a folder")
    else:
        # Root may write everywhere.
        monkeypatch.setattr(attempts.os, "access", lambda path, mode: path != folder)
    monkeypatch.setattr(run, "run_cell", raising(AssertionError("trained")))
    capsys.readouterr()
    assert finetune(suite) == 2
    said = capsys.readouterr().err
    assert str(folder) in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("slots", "there", "refused"),
    [("1", "GPU-aaa, 7\\n", False), ("1", "GPU-aaa, 7\\nGPU-bbb, 8\\n", False), ("1", "", False),
     ("1", "GPU-aaa, 7\\nGPU-aaa, 8\\n", True), ("2", "GPU-aaa, 7\\n", True)],
)  # fmt: skip
def test_out_of_memory_is_recorded_unless_the_gpu_is_shared(
    slots,
    there,
    refused,
    suite,  # noqa: F811
    machine,  # noqa: F811
    tmp_path,
    capsys,
):
    (tmp_path / "nvidia-smi").write_text(TOOL.format(there))
    machine.setenv(leases.SLOTS_VARIABLE, slots)
    machine.setattr(run, "fit", raising(torch.OutOfMemoryError("CUDA out of memory")))
    assert finetune(suite) == (2 if refused else 0)
    record = record_path(suite, suite.cells[0])
    if refused:
        assert not record.exists()
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("steadytune:")]
        assert "no result: lower STEADYTUNE_SLOTS_PER_GPU" in line
    else:
        assert read_record(record).status == "out_of_memory"

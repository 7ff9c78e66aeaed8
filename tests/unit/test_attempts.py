"""`steadytune finetune` beside other attempts: of another process, of a killed one, on a GPU that is not its own."""

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

# Two GPUs, and who computes there.
TOOL = """#!/bin/sh
case "$1" in
--query-gpu=*) echo '0, GPU-aaa'; echo '1, GPU-bbb' ;;
*) printf '{}' ;;
esac
"""


def finetune(suite):  # noqa: F811
    return main(["finetune", str(suite.path), str(suite.cells[0])])


@pytest.mark.parametrize(("more", "trained"), [([], False), (["--hand-over"], True)])
def test_what_another_process_has_trained_meanwhile_is_trained_again_only_if_weights_are_missing(more, trained, suite):  # noqa: F811
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


def test_another_process_that_leaves_no_record_is_followed(suite):  # noqa: F811
    cell = suite.cells[0]
    command = [sys.executable, "-m", "steadytune", "finetune", str(suite.path), str(cell)]
    with hold(running_path(suite, cell)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert any("waiting for another process" in line for line in process.stderr)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 0, said
    assert read_record(record_path(suite, cell)).status == "ok"


def test_halves_that_a_killed_process_has_left_of_the_cell_go(suite):  # noqa: F811
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
def test_nothing_is_trained_where_nothing_can_be_written(how, place, suite, monkeypatch, capsys):  # noqa: F811
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
def test_too_little_memory_on_a_shared_gpu_is_no_result(
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

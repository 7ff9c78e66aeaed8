"""Faults during a run, one test each: it ends in the bytes of an undisturbed run, or says in one line why it cannot."""

import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from absence import absent
from dag_project import copy_staged
from drills import Drill, kill_at_random, shrunk

from steadytune.cells.record import read_record

CELL = "mini/hype-n/mini-rte@100/seed-0"
TABLE = "results/mini/tables/main.csv"
RECORDS = tuple(f"results/mini/cells/mini/{method}/mini-rte@100/seed-0/record.json" for method in ("vanilla", "hype-n"))
FINETUNE = ("python", "-m", "steadytune", "finetune", "mini", CELL)
GRACE = 30
"""Seconds that a scheduler allows between SIGTERM and SIGKILL."""


def drill_of(folder: Path) -> Drill:
    return Drill(folder, targets=(*RECORDS, TABLE), keep=("store", ".snakemake"))


@pytest.fixture(scope="module")
def finished(root, staged, tmp_path_factory) -> Drill:
    """The small suite, run once to its tables, undisturbed."""
    project = copy_staged(root, staged, tmp_path_factory.mktemp("finished"))
    drill = shrunk(drill_of(project.folder))
    drill.finish()
    drill.expected = drill.end_state()
    return drill


@pytest.fixture
def drill(finished, tmp_path) -> Drill:
    """A copy of the finished suite that a test may disturb."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return drill_of(tmp_path / "copy")


def folder_of(drill: Drill) -> Path:
    return drill.results / "cells" / CELL


def cell_files(state):
    return {name: value for name, value in state.items() if f"cells/{CELL}" in name}


@pytest.mark.long
def test_run_killed_at_random_moments_ends_in_the_same_bytes(drill):
    found = kill_at_random(drill, kills=3, seed=5, longest=9)
    assert found["kills"] == 3
    assert found["files"] > 10
    assert found["differing"] == []


@pytest.mark.long
def test_cell_stopped_by_sigterm_resumes_from_its_checkpoint(drill):
    # Long enough to be interrupted midway.
    settings = {"epochs": 60, "evaluate_epochs": False}
    drill.edit("config/mini.yaml", lambda value: value["protocol"].update(settings))
    assert drill.run(*FINETUNE).returncode == 0
    expected = cell_files(drill.end_state())
    shutil.rmtree(folder_of(drill))
    checkpoint = drill.results / "checkpoints" / f"{CELL}.safetensors"
    process = drill.start(*FINETUNE)
    while not checkpoint.exists():
        assert process.poll() is None, "the cell came to its end before its first checkpoint was seen"
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(GRACE) == 128 + signal.SIGTERM
    assert checkpoint.exists()
    assert not (folder_of(drill) / "record.json").exists()
    done = drill.run(*FINETUNE)
    assert done.returncode == 0, done.stdout
    assert '"resumed": true' in (folder_of(drill) / "record.json").read_text()
    assert cell_files(drill.end_state()) == expected


@pytest.mark.long
def test_cell_that_cannot_write_its_files_leaves_no_record(drill, finished):
    shutil.rmtree(folder_of(drill))

    def quota() -> None:
        # No file may exceed 4 kB: neither predictions nor a checkpoint fits.
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(FINETUNE, cwd=drill.folder, env=drill.environment(), stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.STDOUT, check=False, preexec_fn=quota)  # fmt: skip
    assert done.returncode == 2, done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("steadytune: ")
    assert "File too large" in last
    assert not (folder_of(drill) / "record.json").exists()
    drill.finish()
    assert drill.end_state() == finished.expected


@pytest.fixture
def mount():
    """A function that mounts over a folder until the test ends; skips the test if that is not allowed."""
    mounted = []

    def over(folder: Path, *options: str) -> None:
        done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
        if done.returncode:
            absent(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)

    if not shutil.which("mount"):
        absent("no `mount` on this machine")
    yield over
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.long
def test_run_stopped_by_a_full_disk_finishes_once_there_is_space(drill, finished, mount):
    cells = drill.results / "cells"
    shutil.rmtree(cells)
    cells.mkdir()
    # Two pages: the three files of a cell need three.
    mount(cells, "-t", "tmpfs", "-o", "size=8k", "tmpfs")
    done = drill.run("python", "-m", "steadytune", "run", "mini", "--cores", "2", *drill.targets)
    assert done.returncode != 0
    failed = [line for line in done.stdout.splitlines() if line.startswith("failed: finetune")]
    assert failed
    assert all("No space left on device" in line for line in failed), failed
    assert not list(cells.rglob("record.json"))
    subprocess.run(["umount", str(cells)], check=True)
    drill.finish()
    assert drill.end_state() == finished.expected


@pytest.mark.long
def test_read_only_results_folder_is_named_in_a_one_line_error(drill, finished, mount):
    shutil.rmtree(folder_of(drill))
    mount(drill.results, "--bind", str(drill.results))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(drill.results)], check=True)
    done = drill.run(*FINETUNE)
    assert done.returncode == 2
    last = done.stdout.splitlines()[-1]
    assert last.startswith("steadytune: ")
    assert "results/mini" in last
    assert "Read-only file system" in last
    subprocess.run(["umount", str(drill.results)], check=True)
    drill.finish()
    assert drill.end_state() == finished.expected


@pytest.mark.parametrize(
    "name",
    ["record.json", *(pytest.param(name, marks=pytest.mark.long) for name in ("predictions.parquet", "history.csv"))],
)
def test_damaged_cell_file_is_reported_and_the_cell_retrained(name, drill, finished):
    path = folder_of(drill) / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content[:-20] if name == "record.json" else content)
    said = drill.finish()
    assert name in said
    assert "the cell is trained again" in said
    (folder_of(drill) / "record.json.quarantined").unlink()
    assert drill.end_state() == finished.expected


def test_damaged_metrics_table_is_rebuilt_from_the_records(drill, finished):
    path = drill.results / "metrics.parquet"
    drill.targets += (str(path.relative_to(drill.folder)),)
    path.write_bytes(path.read_bytes()[:-20])
    said = drill.finish()
    assert "metrics.parquet: damaged" in said
    assert drill.end_state() == finished.expected


@pytest.mark.long
def test_damaged_checkpoint_is_not_resumed_from(drill, finished):
    drill.edit("config/mini.yaml", lambda value: value["protocol"].update(epochs=60, evaluate_epochs=False))
    checkpoint = drill.results / "checkpoints" / f"{CELL}.safetensors"
    shutil.rmtree(folder_of(drill))
    process = drill.start(*FINETUNE)
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 1
    checkpoint.write_bytes(content)
    done = drill.run(*FINETUNE)
    assert done.returncode == 0, done.stdout
    assert "unreadable checkpoint, starting anew" in done.stdout
    assert '"resumed": false' in (folder_of(drill) / "record.json").read_text()


@pytest.mark.long
@pytest.mark.parametrize("years", [-20, 20])
def test_clock_jump_changes_no_file_and_retrains_nothing(years, drill, finished):
    """As if the inputs and every second file had been written while the clock was years off."""
    records = {path: (drill.folder / path).read_bytes() for path in RECORDS}
    then = time.time() + years * 365 * 86400
    files = sorted(path for path in drill.folder.glob("results/**/*") if path.is_file())
    for path in (*files[::2], *drill.folder.glob("store/**/*")):
        os.utime(path, (then, then))
    # Leave something to make, and remove Snakemake's metadata about what has not changed.
    (drill.folder / TABLE).unlink()
    shutil.rmtree(drill.folder / ".snakemake/metadata")
    drill.finish()
    assert drill.end_state() == finished.expected
    assert {path: (drill.folder / path).read_bytes() for path in RECORDS} == records, "trained again"


def test_second_run_waits_for_the_first(drill, finished):
    drill.clear()
    first = drill.start()
    time.sleep(1)
    second = drill.start()
    ends = first.wait(300), second.wait(300)
    said = drill.said.read_text()
    assert ends == (0, 0), said
    assert said.count("another run works in this folder; waiting for its end") == 1
    assert drill.end_state() == finished.expected


@pytest.mark.long
def test_run_waits_for_a_manually_started_snakemake_and_keeps_its_locks(drill, finished):
    drill.clear()
    by_hand = drill.start("snakemake", "--cores", "2", *drill.targets)
    while not any((drill.folder / ".snakemake/locks").glob("*")):
        assert by_hand.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    said = drill.finish()
    assert "a Snakemake that was started by hand works in this folder; waiting for its end" in said
    assert "clearing the locks" not in said
    assert by_hand.wait(300) == 0, drill.said.read_text()
    assert drill.end_state() == finished.expected


def test_cell_is_identical_with_and_without_the_worker(drill, finished):
    forked = read_record(folder_of(drill) / "record.json")
    shutil.rmtree(folder_of(drill))
    done = drill.run(*FINETUNE)
    assert done.returncode == 0, done.stdout
    assert cell_files(drill.end_state()) == cell_files(finished.expected)
    assert forked.timing["start"] < read_record(folder_of(drill) / "record.json").timing["start"] / 3


def test_run_stopped_by_sigterm_is_resumed_by_the_next_run(drill, finished):
    settings = {"epochs": 120, "evaluate_epochs": False}
    drill.edit("config/mini.yaml", lambda value: value["protocol"].update(settings))
    shutil.rmtree(drill.results / "cells")
    process = drill.start()
    checkpoints = [
        drill.results / f"checkpoints/mini/{name}/mini-rte@100/seed-0.safetensors" for name in ("vanilla", "hype-n")
    ]
    while not all(path.exists() for path in checkpoints):
        assert process.poll() is None, "the run came to its end before its first checkpoints were seen"
        time.sleep(0.01)
    process.terminate()
    assert process.wait(GRACE) == 128 + signal.SIGTERM
    assert not list((drill.results / "cells").rglob("record.json"))
    assert "resumes" in drill.said.read_text().splitlines()[-1]
    drill.finish()
    assert all(read_record(drill.folder / name).training.resumed for name in RECORDS)

"""A suite on a real SLURM, disturbed in three ways, ends with the same files as an undisturbed local run.

`make slurm` installs Debian's SLURM and runs these tests; the logs are kept in `.make/slurm/`.
"""

import os
import shutil
import subprocess
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from dag_project import Project, copy_project
from slurm import CONFIG, Slurm, wait_for

from steadytune.cells.record import read_record

SUITE = "tests/cluster/suite.yaml"
HUNG, REQUEUED, DRAINED = (
    "mini/hype-n/mini-rte/seed-0",
    "mini/hype-n/mini-rte/seed-1",
    "mini/vanilla/mini-rte/seed-1",
)
ON_SLURM = ["snakemake", "--profile", "profiles/slurm", "--slurm-status-command", "squeue",
            "--slurm-init-seconds-before-status-checks", "5", "--configfile", SUITE]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("STEADYTUNE_SLURM" not in os.environ, reason="starts a SLURM on this machine: `make slurm`"),
]


class Drills:
    """Disturbs cells while they train; `log` records what was done and when."""

    def __init__(self, slurm: Slurm, project: Project) -> None:
        self.slurm, self.project = slurm, project
        self.pending = {HUNG: self.hang, REQUEUED: self.requeue, DRAINED: self.drain}
        self.jobs: dict[str, str] = {}
        self.gpus: set[str | None] = set()
        self.node, self.drained_at = "", datetime.max
        self.log: list[str] = []

    def look(self) -> None:
        """Disturb every cell that is ready for its drill."""
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                cell = next((cell for cell in self.pending if cell in words and "finetune" in words), None)
                if cell and process.cwd() == str(self.project.folder) and self.has_come(cell):
                    seen = process.environ()
                    self.jobs[cell] = seen["SLURM_JOB_ID"]
                    self.gpus.add(seen.get("CUDA_VISIBLE_DEVICES"))
                    self.pending.pop(cell)(process, seen["SLURM_JOB_ID"])
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue

    def has_come(self, cell: str) -> bool:
        """Whether a cell is ready: to be drained, once it runs; otherwise, once it has a checkpoint."""
        return cell == DRAINED or (self.project.results / "checkpoints" / f"{cell}.safetensors").exists()

    def hang(self, process: psutil.Process, job: str) -> None:
        """Suspend the process, so that its job hits its new time limit of one minute however fast the machine is."""
        process.suspend()
        self.slurm.run("scontrol", "update", f"jobid={job}", "timelimit=1")
        self.say(f"{HUNG}: job {job} on {self.slurm.node_of(job)} hangs; its time limit will end it")

    def requeue(self, _: psutil.Process, job: str) -> None:
        """Requeue the job, as an operator, a preemption or a failed node would."""
        self.say(f"{REQUEUED}: job {job} on {self.slurm.node_of(job)} requeued")
        self.slurm.run("scontrol", "requeue", job)

    def drain(self, _: psutil.Process, job: str) -> None:
        """Drain the job's node, which then accepts no further job."""
        self.node, self.drained_at = self.slurm.node_of(job), datetime.now()
        self.slurm.run("scontrol", "update", f"nodename={self.node}", "state=drain", "reason=drill")
        self.say(f"{DRAINED}: job {job} runs on {self.node}, now {self.slurm.state(self.node)}")

    def say(self, text: str) -> None:
        self.log.append(f"{datetime.now():%H:%M:%S} {text}")


@pytest.fixture(scope="module")
def local(root, tmp_path_factory) -> Project:
    """The suite after an undisturbed run on this machine."""
    project = copy_project(root, tmp_path_factory.mktemp("local"))
    done = project.snakemake("--configfile", SUITE)
    assert done.returncode == 0, done.stdout[-3000:]
    return _of_suite(project)


@pytest.fixture(scope="module")
def drilled(root, tmp_path_factory):
    """The project after a run on SLURM with every drill, the drills, and the cluster, which is still running."""
    project = _of_suite(copy_project(root, tmp_path_factory.mktemp("drilled")))
    folder, kept = tmp_path_factory.mktemp("slurm"), root / ".make" / "slurm"
    begin = time.monotonic()
    with Slurm(folder) as slurm, (folder / "snakemake.log").open("w") as output:
        drills = Drills(slurm, project)
        run = subprocess.Popen(ON_SLURM, cwd=project.folder, env=project.environment(), stdout=output, stderr=output)
        try:
            wait_for(lambda: drills.look() or run.poll() is not None, "the run's end", 1500)
            drills.say(f"the run has ended after {time.monotonic() - begin:.0f} s; {drills.node} is "
                       f"{slurm.state(drills.node) if drills.node else 'not drained'}")  # fmt: skip
        finally:
            if run.poll() is None:
                run.kill()
                run.wait()
            _keep(folder, drills, kept)
        assert run.returncode == 0, (folder / "snakemake.log").read_text()[-3000:]
        drills.left = slurm.state(drills.node)
        yield project, drills, slurm
    _keep(folder, drills, kept)
    assert not CONFIG.exists()


@pytest.fixture(scope="module")
def array(drilled) -> str:
    """What Snakemake prints when it retrains two cells as tasks of a job array."""
    project, drills, _ = drilled
    begin = time.monotonic()
    records = [f"results/cluster/cells/{cell}/record.json" for cell in (HUNG, REQUEUED)]
    done = project.run(*ON_SLURM, "--slurm-array-jobs", "finetune", "--force", "--", *records)
    assert done.returncode == 0, done.stdout[-3000:]
    drills.say(f"an array of two cells has ended after {time.monotonic() - begin:.0f} s")
    return done.stdout


def _keep(folder: Path, drills: Drills, kept: Path) -> None:
    """Copy the logs to where a person finds them."""
    (folder / "drills.log").write_text("".join(f"{line}\n" for line in drills.log))
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for file in folder.glob("*.log"):
        shutil.copy(file, kept)


def _of_suite(project: Project) -> Project:
    project.results = project.folder / "results" / "cluster"
    return project


def _ends(slurm: Slurm, job: str) -> list[str]:
    """How a job ended, each time it did."""
    return [end["JobState"] for end in slurm.ended() if end["JobId"] == job]


def test_slurm_run_gives_the_same_files_as_a_local_run(local, drilled):
    project, _, _ = drilled
    names = {path.relative_to(local.results) for pattern in ("cells/**/*.parquet", "cells/**/*.csv", "tables/*")
             for path in local.results.glob(pattern)}  # fmt: skip
    assert len([name for name in names if name.name == "predictions.parquet"]) == 4
    differing = [str(name) for name in names
                 if (project.results / name).read_bytes() != (local.results / name).read_bytes()]  # fmt: skip
    assert differing == []
    model = "store/models/steadytune/mini/model.safetensors"
    assert (project.folder / model).read_bytes() == (local.folder / model).read_bytes()
    assert (project.results / "report.html").exists()


def test_cell_stopped_by_its_time_limit_resumes_from_its_checkpoint(drilled):
    project, drills, slurm = drilled
    assert not drills.pending
    assert _ends(slurm, drills.jobs[HUNG]) == ["TIMEOUT"]
    assert read_record(project.results / "cells" / HUNG / "record.json").training.resumed


def test_requeued_cell_resumes_from_its_checkpoint(drilled):
    project, drills, slurm = drilled
    assert _ends(slurm, drills.jobs[REQUEUED])[-1] == "COMPLETED"
    assert read_record(project.results / "cells" / REQUEUED / "record.json").training.resumed


def test_drained_node_finishes_its_job_and_takes_no_other(drilled):
    project, drills, slurm = drilled
    assert drills.left == "drained"
    assert _ends(slurm, drills.jobs[DRAINED]) == ["COMPLETED"]
    assert not read_record(project.results / "cells" / DRAINED / "record.json").training.resumed
    started = [datetime.fromisoformat(end["StartTime"]) for end in slurm.ended() if end["NodeList"] == drills.node]
    assert max(started) < drills.drained_at


def test_job_gets_the_gpu_that_its_rule_requests(drilled):
    _, drills, _ = drilled
    assert drills.gpus == {"0"}


def test_cells_run_as_tasks_of_a_job_array(local, drilled, array):
    assert "Submitted array job" in array
    assert "The individual task IDs are 1-2" in array
    for cell in (HUNG, REQUEUED):
        folder = drilled[0].results / "cells" / cell
        assert not read_record(folder / "record.json").training.resumed, "not trained again"
        predictions = local.results / "cells" / cell / "predictions.parquet"
        assert (folder / "predictions.parquet").read_bytes() == predictions.read_bytes()

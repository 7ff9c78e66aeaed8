"""At a cluster job's time limit only the Snakemake inside it gets SIGTERM, and has to forward it to its own job."""

import subprocess
import sys
import time

import pytest
from dag_project import copy_project

RECEIPT = "store/datasets/steadytune/mini/rte/receipt.json"
# Stands in for the `python` that jobs call: works until SIGTERM, and records it. The run's worker is not a job.
PYTHON = """#!/bin/sh
case "$*" in *worker*) exit 0 ;; esac
trap 'touch asked; exit 143' TERM
touch works
while :; do sleep 0.1; done
"""


@pytest.fixture
def inside(root, tmp_path):
    """A Snakemake that was started as executors do on a node and whose job is running, and its folder."""
    project = copy_project(root, tmp_path / "project")
    tool = tmp_path / "tools" / "python"
    tool.parent.mkdir()
    tool.write_text(PYTHON)
    tool.chmod(0o755)
    path = f"{tool.parent}:{project.environment()['PATH']}"
    options = ["--mode", "remote", "--cores", "1", "--nolock", "--scheduler", "greedy", "--", RECEIPT]
    process = subprocess.Popen([sys.executable, "-m", "snakemake", *options], cwd=project.folder,
                               env=project.environment(PATH=path),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        for _ in range(1200):
            if (project.folder / "works").exists():
                break
            assert process.poll() is None
            time.sleep(0.1)
        yield process, project.folder
    finally:
        process.kill()
        process.wait()


def test_snakemake_forwards_sigterm_to_its_job(inside):
    process, folder = inside
    process.terminate()
    assert process.wait(60) == 1
    assert (folder / "asked").exists()

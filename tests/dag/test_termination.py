"""A cluster's job at its time limit: the Snakemake inside it alone gets SIGTERM, and its job hears of it."""

import subprocess
import sys
import time

import pytest
from dag_project import copy_project

RECEIPT = "store/datasets/steadytune/mini/rte/receipt.json"
# What jobs call, in its place: it works until it is asked to end, and notes that it was. The run's worker is no job.
PYTHON = """#!/bin/sh
case "$*" in *worker*) exit 0 ;; esac
trap 'touch asked; exit 143' TERM
touch works
while :; do sleep 0.1; done
"""


@pytest.fixture
def inside(root, tmp_path):
    """A Snakemake as executors start it on a node, once its job works; and its folder."""
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


def test_a_job_is_asked_to_end_if_its_snakemake_is(inside):
    process, folder = inside
    process.terminate()
    assert process.wait(60) == 1
    assert (folder / "asked").exists()

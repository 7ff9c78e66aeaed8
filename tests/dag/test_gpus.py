"""How the Snakefile counts GPUs: once per run, in the process that the user started."""

import os
import re

import pytest
from dag_project import copy_project

TOOL = """#!/bin/sh
echo asked >> asked.log
echo '0, GPU-aaa'
echo '1, GPU-bbb'
"""


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A project on a machine that pretends to have two GPUs."""
    project = copy_project(root, tmp_path_factory.mktemp("gpus"))
    tool = project.folder / "tools" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(TOOL)
    tool.chmod(0o755)
    return project


def asked(project, *arguments):
    """How often Snakemake queries the driver, and what it prints."""
    log = project.folder / "asked.log"
    log.write_text("")
    path = os.pathsep.join([str(project.folder / "tools"), project.environment()["PATH"]])
    done = project.run("snakemake", *arguments, PATH=path)
    assert done.returncode == 0, done.stdout[-2000:]
    return len(log.read_text().splitlines()), done.stdout


def test_run_queries_the_driver_once_and_provides_both_gpus(project):
    times, said = asked(project, "--cores", "4", "--", "store/datasets/steadytune/mini/rte/receipt.json")
    assert times == 1
    assert re.search(r"^Provided resources: gpu=\D*2\b", said, re.MULTILINE)


@pytest.mark.parametrize("mode", ["subprocess", "remote"])
def test_snakemake_inside_a_job_does_not_query_the_driver(project, mode):
    assert asked(project, "--dry-run", "--cores", "4", "--mode", mode)[0] == 0

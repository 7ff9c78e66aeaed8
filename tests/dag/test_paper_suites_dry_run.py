"""Snakemake plans the papers' suites, up to thousands of cells, in seconds."""

import re
import resource

import pytest
from dag_project import copy_project


@pytest.mark.parametrize(
    ("paper", "cells"), [pytest.param("hype", 7176, marks=pytest.mark.long), ("variability", 770), ("lnsr", 875)]
)
def test_dry_run_plans_every_cell_within_a_minute_of_cpu_time(paper, cells, root, tmp_path):
    project = copy_project(root, tmp_path)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = project.snakemake("--dry-run", "--quiet", "rules", "--configfile", f"config/paper-{paper}.yaml")
    # CPU time, because other tests run in parallel; the limit is several times what one free core needs.
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 60
    assert done.returncode == 0, done.stdout[-2000:]
    jobs = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)}
    assert jobs["finetune"] + jobs.get("finetune_kept", 0) == cells
    assert jobs["tables"] == jobs["figures"] == jobs["claims"] == 1

"""Fixtures of the DAG's tests."""

import pytest
from dag_project import Project, copy_project, copy_staged


@pytest.fixture(scope="session")
def staged(root, tmp_path_factory) -> Project:
    """A project whose mini encoder is pretrained; copied by tests that must not disturb each other."""
    project = copy_project(root, tmp_path_factory.mktemp("staged"))
    done = project.snakemake(
        "--",
        "store/models/steadytune/mini/receipt.json",
        "store/datasets/steadytune/mini/rte/receipt.json",
        "store/datasets/steadytune/mini/mnli/receipt.json",
        "store/datasets/steadytune/mini/mrpc/receipt.json",
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return project


@pytest.fixture
def project(root, staged, tmp_path) -> Project:
    """A fresh copy with the staged store."""
    return copy_staged(root, staged, tmp_path)

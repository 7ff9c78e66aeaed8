"""A project whose data and encoder are staged, shared by all tests of whole runs and all their processes."""

import fcntl

import pytest
from dag_project import Project, copy_project, copy_staged

STAGED = ("models/steadytune/mini", *(f"datasets/steadytune/mini/{name}" for name in ("rte", "mnli", "mrpc")))


@pytest.fixture(scope="session")
def staged(root, tmp_path_factory, worker_id) -> Project:
    """A project whose mini encoder is pretrained; tests copy it."""
    temporary = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have temporary folders side by side, and share this one.
    folder = (temporary if worker_id == "master" else temporary.parent) / "staged"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "store" / STAGED[0]).exists():
            return Project(folder)
        project = copy_project(root, folder)
        done = project.snakemake("--", *(f"store/{name}/receipt.json" for name in STAGED))
        assert done.returncode == 0, done.stdout[-3000:]
    return project


@pytest.fixture
def project(root, staged, tmp_path) -> Project:
    """A fresh copy with the staged store."""
    return copy_staged(root, staged, tmp_path)

"""A copy of the project with a mini suite cut down to seconds: what the DAG's tests run in."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

# Enough for the DAG to be whole: pretraining, two methods, a degenerate-prone random encoder, transfer, layers.
GRID = [
    {"encoders": ["mini"], "methods": ["vanilla", "hype-n"], "tasks": ["mini-rte"], "seeds": 2},
    {"encoders": ["mini-random"], "methods": ["vanilla"], "tasks": ["mini-rte"], "seeds": 2},
]
INSIDE_FIGURES = ("task-generalisation", "layer-drift", "noise-propagation")
STAGED = ("models/steadytune/mini", *(f"datasets/steadytune/mini/{name}" for name in ("rte", "mnli", "mrpc")))
PRETRAINING = {"tokens": 40960, "tokens_per_step": 1024, "checkpoint_every": 20, "log_every": 20, "threads": 1}


class Project:
    """The copy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results" / "mini"

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy, as a user would in the project; both its outputs are in `stdout`."""
        return subprocess.run(command, cwd=self.folder, env=self.environment(**variables), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=900)  # fmt: skip

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of an activated .venv, without what the tests' own process adds."""
        paths = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "OMP_NUM_THREADS")}
        return kept | {"PATH": paths, **variables}

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake on two cores."""
        return self.run("snakemake", "--cores", "2", *arguments)

    def edit(self, path: str, change) -> None:
        """Change a YAML file by a function."""
        file = self.folder / path
        value = yaml.safe_load(file.read_text())
        change(value)
        file.write_text(yaml.safe_dump(value, sort_keys=False))

    def tables(self) -> dict[str, bytes]:
        """Every table's bytes by file name."""
        return {path.name: path.read_bytes() for path in sorted((self.results / "tables").iterdir())}


def copy_project(root: Path, folder: Path, *, complete: bool = False) -> Project:
    """The files that git knows or would add; the environment and what is published by a link.

    complete: keep every table and figure of the mini suite, and not two tables and a figure.
    """
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root,
                            capture_output=True, text=True, check=True).stdout.splitlines()  # fmt: skip
    for name in listed:
        if not name.startswith("published/") and (root / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name)
    for name in (".venv", "published"):
        (folder / name).symlink_to(root / name)
    project = Project(folder)
    project.edit("config/mini.yaml", lambda value: _shrink(value, complete))
    project.edit("config/encoders/mini.yaml", lambda value: value.update(PRETRAINING))
    return project


def copy_staged(root: Path, staged: Project, folder: Path, *, complete: bool = False) -> Project:
    """A fresh copy with the staged store, and with what Snakemake knows of it."""
    copy = copy_project(root, folder, complete=complete)
    for name in ("store", ".snakemake"):
        shutil.copytree(staged.folder / name, copy.folder / name)
    return copy


def _shrink(suite: dict, complete: bool) -> None:
    """Leave out what takes as long as the cells themselves; the mini suite's own run has it."""
    del suite["inside"]
    suite["grid"] = GRID
    suite["protocol"]["epochs"] = 2
    suite["figures"] = [name for name in suite["figures"] if name not in INSIDE_FIGURES]
    if not complete:
        suite["figures"], suite["tables"] = ["seed-spread"], ["main", "coverage"]


@pytest.fixture(scope="session")
def staged(root, tmp_path_factory, worker_id) -> Project:
    """A project whose mini encoder is pretrained, shared by all tests and all their processes; tests copy it."""
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

"""A copy of the project whose mini suite takes only seconds: where the DAG's tests run."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

# Enough to run the whole DAG: pretraining, two methods, a random encoder that tends to degenerate, transfer, layers.
GRID = [
    {"encoders": ["mini"], "methods": ["vanilla", "hype-n"], "tasks": ["mini-rte"], "seeds": 2},
    {"encoders": ["mini-random"], "methods": ["vanilla"], "tasks": ["mini-rte"], "seeds": 2},
]
INSIDE_FIGURES = ("task-generalisation", "layer-drift", "noise-propagation")
STAGED = ("models/steadytune/mini", *(f"datasets/steadytune/mini/{name}" for name in ("rte", "mnli", "mrpc")))
PRETRAINING = {"tokens": 40960, "tokens_per_step": 1024, "checkpoint_every": 20, "log_every": 20, "threads": 1}


class Project:
    """A copy of the project."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results = folder / "results" / "mini"

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy as a user would; `stdout` has both of its outputs."""
        return subprocess.run(command, cwd=self.folder, env=self.environment(**variables), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=900)  # fmt: skip

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of an activated .venv, without the variables that the test process adds."""
        paths = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "OMP_NUM_THREADS")}
        return kept | {"PATH": paths, **variables}

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake on two cores."""
        return self.run("snakemake", "--cores", "2", *arguments)

    def edit(self, path: str, change) -> None:
        """Change a YAML file with a function."""
        file = self.folder / path
        value = yaml.safe_load(file.read_text())
        change(value)
        file.write_text(yaml.safe_dump(value, sort_keys=False))

    def tables(self) -> dict[str, bytes]:
        """The bytes of every table, by file name."""
        return {path.name: path.read_bytes() for path in sorted((self.results / "tables").iterdir())}


def copy_project(root: Path, folder: Path, *, complete: bool = False) -> Project:
    """Copy the files that git tracks or would add, and link to the environment and the published files.

    complete: keep every table and figure of the mini suite but those of layers, instead of two tables and one figure.
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
    """A fresh copy with the staged store and Snakemake's metadata about it."""
    copy = copy_project(root, folder, complete=complete)
    for name in ("store", ".snakemake"):
        shutil.copytree(staged.folder / name, copy.folder / name)
    return copy


def _shrink(suite: dict, complete: bool) -> None:
    """Drop the parts that take as long as the cells themselves; a run of the real mini suite covers them."""
    del suite["inside"]
    suite["grid"] = GRID
    suite["protocol"]["epochs"] = 2
    suite["figures"] = [name for name in suite["figures"] if name not in INSIDE_FIGURES]
    if not complete:
        suite["figures"], suite["tables"] = ["seed-spread"], ["main", "coverage"]


@pytest.fixture(scope="session")
def staged(root, tmp_path_factory, worker_id) -> Project:
    """A project with staged data and a pretrained mini encoder, shared by all test processes; tests copy it."""
    temporary = tmp_path_factory.getbasetemp()
    # Each pytest-xdist process has its own temporary folder; they share the one next to these.
    folder = (temporary if worker_id == "master" else temporary.parent) / "staged"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "store" / STAGED[0]).exists():
            return Project(folder)
        project = copy_project(root, folder)
        done = project.snakemake("--", *(f"store/{name}/receipt.json" for name in STAGED))
        assert done.returncode == 0, done.stdout[-3000:]
    return project

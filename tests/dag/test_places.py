"""README's commands where people have the project: another user, a home of theirs, any name of a folder, no locale."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from dag_project import Project, copy_project

SCRIPTS = ("steadytune", "snakemake")
OTHER = "nobody"
CELL = "results/mini/cells/mini/hype-n/mini-rte/seed-0"
COMMANDS = (
    "steadytune plan mini",
    "steadytune status mini",
    "steadytune verify mini --sample 1",
    "steadytune claims mini",
    "steadytune compare mini hype-n vanilla",
    "steadytune model mini mini/hype-n/mini-rte --to my-model",
    "steadytune export mini --as ro-crate --to results/mini.zip",
    "steadytune methods",
    "steadytune stage mini",
    f"steadytune run mini -- --force {CELL}/record.json",
    "snakemake --cores all --configfile config/mini.yaml",
    "snakemake --report results/jobs.html",
)

pytestmark = pytest.mark.xdist_group("places")


class Place(Project):
    """A copy that another user has, if this one may become another; its own environment, with the packages of ours."""

    def __init__(self, folder: Path, home: Path) -> None:
        super().__init__(folder)
        self.home = home
        self.identity = {"user": OTHER, "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}

    def environment(self, **variables: str) -> dict[str, str]:
        """Nothing of ours but the path."""
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(self.folder / "src"), "HOME": str(self.home)}
        return own | {"LANG": "C", "LC_ALL": "C", "USER": OTHER, "LOGNAME": OTHER, **variables}

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the other user, who lets nobody else read what it makes."""
        return subprocess.run(command, cwd=self.folder, env=self.environment(**variables), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False, timeout=900,
                              umask=0o077, **self.identity)  # fmt: skip

    def make_environment(self) -> None:
        """A .venv at this place: its path is in every script that pip would have written."""
        place = self.folder / ".venv"
        packages, scripts = next(place.resolve().glob("lib/python3*/site-packages")), place.resolve() / "bin"
        place.unlink()
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        # A Python of one user's own is often in a home that nobody else may enter.
        found = [Path(sys.base_prefix, "bin", version), Path("/usr/bin", version), Path("/usr/local/bin", version)]
        python = next(path for path in found if self._may_run(path))
        subprocess.run([python, "-m", "venv", "--without-pip", place], check=True)
        own = next(place.glob("lib/python3*/site-packages"))
        (own / "project.pth").write_text(f"{packages}\n")
        for name in SCRIPTS:
            _, code = (scripts / name).read_text().split("\n", 1)
            # As pip writes it if the path has a space.
            start = f"#!/bin/sh\n'''exec' \"{place / 'bin' / 'python'}\" \"$0\" \"$@\"\n' '''\n"
            (place / "bin" / name).write_text(start + code, encoding="utf-8")
            (place / "bin" / name).chmod(0o755)

    def _may_run(self, python: Path) -> bool:
        try:
            return subprocess.run([python, "-c", ""], check=False, cwd="/", **self.identity).returncode == 0
        except OSError:
            return False


@pytest.fixture
def place(root) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        folder, home = Path(top, "my über project"), Path(top, "home")
        home.mkdir()
        folder.mkdir()
        copy_project(root, folder)
        place = Place(folder, home)
        place.make_environment()
        if place.identity:
            for path in (Path(top), *Path(top).rglob("*")):
                shutil.chown(path, OTHER, "nogroup") if not path.is_symlink() else None
        yield place


def test_readmes_commands_for_another_user_in_an_awkward_folder_without_a_locale(place):
    # The environment is there; making it would fetch every package again.
    done = place.run("make", "run", "CORES=2", "--old-file=.venv/.ready")
    assert done.returncode == 0, done.stdout[-3000:]
    assert done.stdout.splitlines()[-1] == "results/mini/report.html"
    record = place.folder / CELL / "record.json"
    before = record.stat().st_mtime_ns
    for command in COMMANDS:
        done = place.run(*command.split())
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
        assert "Traceback" not in done.stdout, command
    assert record.stat().st_mtime_ns > before
    for path in ("my-model/model.safetensors", "results/mini.zip", "results/jobs.html"):
        assert (place.folder / path).stat().st_size > 0

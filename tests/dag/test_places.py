"""The project in real surroundings: other users, odd folder names, no locale, a store that several users fill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dag_project import Project, copy_project
from drills import shrunk

from steadytune.locks import is_held

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

pytestmark = pytest.mark.long


class Place(Project):
    """A copy owned by another user, if this user may become another; it has its own environment with our packages."""

    umask = 0o077

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.home = folder.with_name(f"home for {folder.name}")
        self.home.mkdir()
        self.identity: dict[str, Any] = (
            {"user": OTHER, "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        )

    def environment(self, **variables: str) -> dict[str, str]:
        """The other user's environment, which inherits only PATH from ours."""
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(self.folder / "src"), "HOME": str(self.home)}
        return own | {"LANG": "C", "LC_ALL": "C", "USER": OTHER, "LOGNAME": OTHER, **variables}

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the other user, by default with a umask that lets nobody else read."""
        return subprocess.run(command, cwd=self.folder, env=self.environment(**variables), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False, timeout=900,
                              umask=self.umask, **self.identity)  # fmt: skip

    def start(self, *command: str) -> subprocess.Popen[Any]:
        """Start a command as the other user, without waiting; its output is appended to `said`."""
        with self.said.open("ab") as file:
            return subprocess.Popen(command, cwd=self.folder, env=self.environment(), stdout=file, umask=self.umask,
                                    stderr=subprocess.STDOUT, **self.identity)  # fmt: skip

    @property
    def said(self) -> Path:
        """The log with the output of all started processes."""
        return self.folder / "said.log"

    def give_away(self) -> None:
        """Make the other user the owner of everything."""
        if self.identity:
            for path in (self.folder, self.home, *self.folder.rglob("*")):
                if not path.is_symlink():
                    shutil.chown(path, OTHER, "nogroup")

    def make_environment(self) -> None:
        """Make a .venv in this place, whose path is in every script as if pip had written it."""
        place = self.folder / ".venv"
        packages, scripts = next(place.resolve().glob("lib/python3*/site-packages")), place.resolve() / "bin"
        place.unlink()
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        # A user's own Python is often in a home folder that nobody else may enter.
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
def top() -> Iterator[Path]:
    """A folder that everyone may enter, unlike pytest's temporary folders."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def make_place(root: Path, folder: Path) -> Place:
    folder.mkdir()
    copy_project(root, folder)
    place = Place(folder)
    place.make_environment()
    return place


def test_commands_work_for_another_user_in_an_odd_folder_without_locale(root, top):
    place = make_place(root, top / "my über project")
    place.give_away()
    # The environment exists; making it would fetch every package again.
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


def test_two_users_share_a_store_though_one_is_killed_while_waiting(root, top):
    store, run = top / "store", ("steadytune", "run", "mini", "--cores", "2", "--")
    first, second = (make_place(root, top / name) for name in ("first", "second"))
    for place in (first, second):
        shrunk(place).edit("config/mini.yaml", lambda value: value.update(store=str(store)))
    first.identity, first.umask = {}, 0o022
    second.give_away()
    running = first.start(*run, "results/mini/tables/main.csv")
    wait_until(running, lambda: is_held(store / ".locks/inputs.lock"))
    # The second run makes only one file, but needs the same inputs.
    waiting = second.start(*run, "results/mini/metrics.parquet")
    wait_until(waiting, lambda: "another run that fills the same store" in second.said.read_text())
    assert running.poll() is None
    waiting.kill()
    assert waiting.wait(20) == -signal.SIGKILL
    assert running.wait(600) == 0, first.said.read_text()[-3000:]
    assert (first.results / "tables/main.csv").is_file()
    before = {path: path.stat().st_mtime_ns for path in store.glob("*/**/receipt.json")}
    assert any("models" in path.parts for path in before)
    # The second user may not remove what the first user's killed process left.
    left = next(path for path in before if "models" in path.parts).with_name(".receipt.0123abcd.json")
    left.write_text("{")
    done = second.run(*run, "results/mini/metrics.parquet")
    assert done.returncode == 0, done.stdout[-3000:]
    assert before == {path: path.stat().st_mtime_ns for path in store.glob("*/**/receipt.json")}


def wait_until(process: subprocess.Popen, happened) -> None:
    while not happened():
        assert process.poll() is None, "it ended early"
        time.sleep(0.05)

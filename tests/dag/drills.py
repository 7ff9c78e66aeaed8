"""Fault drills: a disturbed small suite has to end in the same bytes as an undisturbed one, except for measurements.

`python tests/dag/drills.py --kills 50` kills 50 runs at random moments and reports the result.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pandas as pd
from dag_project import Project, copy_project

Copy = TypeVar("Copy", bound=Project)
COMMAND = ("python", "-m", "steadytune", "run", "mini", "--cores", "2")
GRID = [{"encoders": ["mini"], "methods": ["vanilla", "hype-n"], "tasks": ["mini-rte@100"], "seeds": 1}]
SUITE = {"transfer": {"mini-rte@100": []}, "variability": [], "claims": [], "tables": ["main"], "figures": []}
# Parts of a record that describe the run rather than its results.
MEASURED = ("timing", "memory", "usage", "seal")
MEASURED_TRAINING = ("resumed",)
# Contains dates and durations; every result that it shows is also in the tables.
LEFT_OUT = ("report.html",)
# By name, a pattern that matches the victim's command line; a job may be of any rule.
VICTIMS = {
    "everything": "",
    "the run": "-m steadytune run",
    "snakemake": "-m snakemake",
    "a job": "-m steadytune (?!run)",
    "the worker": "-m steadytune.worker.server",
}


class Drill(Project):
    """A copy of the project with a suite that takes seconds."""

    def __init__(self, folder: Path, targets: Sequence[str] = (), keep: Sequence[str] = ()) -> None:
        """`targets` limits runs to a part of the suite; `clear` leaves the folders named in `keep`."""
        super().__init__(folder)
        self.targets = ("--", *targets) if targets else ()
        self.keep = keep

    def environment(self, **variables: str) -> dict[str, str]:
        """A user's environment, with the code of this copy."""
        return super().environment(PYTHONPATH=str(self.folder / "src"), **variables)

    def finish(self) -> str:
        """Run to the end, undisturbed, and return the output."""
        done = self.run(*COMMAND, *self.targets)
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a run, or another command, in a new session; its output is appended to `said`."""
        with self.said.open("ab") as file:
            return subprocess.Popen(command or (*COMMAND, *self.targets), cwd=self.folder, env=self.environment(),
                                    start_new_session=True, stdout=file, stderr=subprocess.STDOUT)  # fmt: skip

    @property
    def said(self) -> Path:
        """The log with the output of all started processes."""
        return self.folder / "drill.log"

    def clear(self) -> None:
        """Kill the processes left by killed runs, then return to a fresh checkout."""
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink() == self.folder:
                    os.kill(int(process.name), signal.SIGKILL)
        for name in {"results", "store", ".snakemake"}.difference(self.keep):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def end_state(self) -> dict[str, object]:
        """By path, the files that a run leaves: their bytes or, if they have measurements, values without these."""
        found: dict[str, object] = {}
        for folder in (self.results, self.folder / "store"):
            for path in sorted(folder.rglob("*")):
                name = str(path.relative_to(self.folder))
                scratch = {"logs", "made", "running", ".locks", ".downloads"} & set(path.parts)
                if path.is_file() and not scratch and path.name not in LEFT_OUT:
                    found[name] = _without_measures(path)
        return found


def make_drill(root: Path, folder: Path) -> Drill:
    """A copy with the small suite and an empty store."""
    copy_project(root, folder)
    return shrunk(Drill(folder))


def shrunk(drill: Copy) -> Copy:
    """Give a copy the small suite, and return it."""
    drill.edit("config/mini.yaml", lambda value: value.update(SUITE, grid=GRID))
    drill.edit("config/mini.yaml", lambda value: value["encoders"].pop("mini-random", None))
    return drill


def kill_at_random(drill: Drill, kills: int, seed: int, longest: float) -> dict[str, object]:
    """Kill runs at random moments, each resuming the one before; start over whenever a run reaches its end.

    Args:
        drill: its undisturbed end state is determined first.
        kills: number of kills.
        seed: seed of the moments and victims.
        longest: a run is killed at most this many seconds after its start.
    """
    drill.clear()
    drill.finish()
    expected = drill.end_state()
    drill.clear()
    choice, victims, finished, differing = random.Random(seed), Counter(), 0, set()
    while victims.total() < kills:
        process = drill.start()
        try:
            process.wait(choice.uniform(0.2, longest))
        except subprocess.TimeoutExpired:
            victims[_kill(process, choice)] += 1
        else:
            assert process.returncode == 0, drill.said.read_text()[-3000:]
            finished += 1
            differing |= _difference(expected, drill.end_state())
            drill.clear()
    drill.finish()
    differing |= _difference(expected, drill.end_state())
    return {"kills": victims.total(), "victims": dict(victims), "finished": finished + 1, "files": len(expected),
            "differing": sorted(differing)}  # fmt: skip


def _kill(process: subprocess.Popen, choice: random.Random) -> str:
    """Kill -9 one of a run's processes, or all of them, and return the name of the victim."""
    found = _processes(process.pid)
    there = {name: [pid for pid, command in found.items() if re.search(pattern, command)]
             for name, pattern in VICTIMS.items()}  # fmt: skip
    victim = choice.choice([name for name, pids in there.items() if pids])
    # The surviving processes carry on, and the next run has to wait for them. A run whose job died ends by itself.
    for pid in there[victim] if victim == "everything" else there[victim][:1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return victim


def _processes(session: int) -> dict[int, str]:
    """Command lines by process id of a session. A process group would not do: a run's Snakemake has its own."""
    listed = subprocess.run(["ps", "-eo", "pid=,sid=,args="], capture_output=True, text=True, check=True).stdout
    rows = (line.split(None, 2) for line in listed.splitlines())
    return {int(row[0]): row[2] for row in rows if len(row) == 3 and int(row[1]) == session}


def _difference(expected: dict[str, object], found: dict[str, object]) -> set[str]:
    """Files that differ, are missing or should not exist."""
    return {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}


def _without_measures(path: Path) -> object:
    if path.name == "record.json":
        record = json.loads(path.read_text())
        assert record["training"], record["reason"]
        for name in MEASURED:
            del record[name]
        for name in MEASURED_TRAINING:
            record["training"].pop(name)
        return json.dumps(record, sort_keys=True)
    if path.name == "metrics.parquet":
        return pd.read_parquet(path).drop(columns="seconds").to_csv()
    return path.read_bytes()


def main() -> None:
    """Run the drill as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=25, help="seconds after which a run is killed at the latest")
    options = parser.parse_args()
    root = Path(__file__).resolve().parents[2]
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        found = kill_at_random(make_drill(root, Path(folder)), options.kills, options.seed, options.longest)
        found["seconds"] = round(time.monotonic() - started)
    sys.stdout.write(json.dumps(found) + "\n")
    sys.exit(bool(found["differing"]))


if __name__ == "__main__":
    main()

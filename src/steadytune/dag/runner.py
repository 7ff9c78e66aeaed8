"""`steadytune run`: Snakemake with a progress line, that may be killed and started again at any moment."""

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from steadytune.cells.record import damaged_file, read_record
from steadytune.dag.supervision import supervise
from steadytune.errors import SteadyTuneError
from steadytune.files import read_parquet
from steadytune.layout import calibration_path, inside_table_path, metrics_path, record_path, slices_path
from steadytune.locks import hold, take
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

# Snakemake's folder in the working folder, and inside it the locks that a killed run leaves behind.
STATE = Path(".snakemake")
LOCKS = STATE / "locks"
# Held by one `steadytune run` and the Snakemake that it has started.
LOCK = STATE / "steadytune.lock"
# Shared by every Snakemake that was started by hand, which may be during a run.
BY_HAND = STATE / "by-hand.lock"
DRY_RUN = {"-n", "--dry-run", "--dryrun"}
HELD = "STEADYTUNE_RUN"
"""Set in the environment of a Snakemake that `steadytune run` has started."""


def run(suite: Suite, cores: str, arguments: Sequence[str]) -> int:
    """Run a suite; Snakemake's exit status.

    One `steadytune run` at a time works in a folder. What a killed run left there is cleared while no Snakemake that
    was started by hand works in it either: only then are Snakemake's own locks nobody's.

    Args:
        suite: the suite.
        cores: `all` or a number.
        arguments: further arguments for Snakemake.
    """
    command = [sys.executable, "-m", "snakemake", "--configfile", str(suite.path), "--logger", "steadytune"]
    # Last, because it takes one value and the options before it any number: targets may follow.
    command += ["--cores", cores]
    environment = os.environ | {
        # Jobs call `python`, which has to be this one, in an activated environment or not.
        "PATH": _first(str(Path(sys.executable).parent), "PATH"),
        "PYTHONPATH": _first(str(Path(__file__).resolve().parents[1]), "PYTHONPATH"),
        HELD: "1",
    }
    with hold(LOCK, said="another run works in this folder; waiting for its end") as lock:
        with hold(BY_HAND, said="a Snakemake that was started by hand works in this folder; waiting for its end"):
            if not DRY_RUN.intersection(arguments):
                _set_damaged_aside(suite)
                _clear_damaged_tables(suite)
            if LOCKS.is_dir() and any(LOCKS.iterdir()):
                log.info("clearing the locks of a run that was killed")
                subprocess.run([*command, "--unlock", "--quiet", "all"], env=environment, check=True)
        # Snakemake holds the lock too: if this process alone is killed, it goes on, and the next run waits for it.
        status, stopped = supervise([*command, *arguments], environment, lock)
    if stopped:
        log.info("stopped; `steadytune run %s` resumes", shlex.quote(str(suite.path)))
    return status


def share_folder() -> None:
    """For a Snakemake that was started by hand: keep the next `steadytune run` waiting until this process ends.

    To be called before Snakemake takes its own locks, which must not be taken for a killed run's. What it and a run
    that is under way would collide in is Snakemake's to find.
    """
    if HELD not in os.environ:
        take(BY_HAND, shared=True)


def _first(folder: str, variable: str) -> str:
    """A path variable with `folder` before what it holds."""
    return os.pathsep.join(filter(None, (folder, os.environ.get(variable))))


def _set_damaged_aside(suite: Suite) -> None:
    """Rename records that cannot be read, or whose files are damaged, so that their cells are trained again."""
    for cell in suite.cells:
        path = record_path(suite, cell)
        if path.exists():
            try:
                damage = damaged_file(read_record(path), path.parent)
            except SteadyTuneError as error:
                damage = str(error)
            if damage:
                aside = path.with_name(f"{path.name}.quarantined")
                path.rename(aside)
                log.warning("%s; the record is kept as %s, and the cell is trained again", damage, aside.name)


def _clear_damaged_tables(suite: Suite) -> None:
    """Remove gathered tables that cannot be read: Snakemake takes a file for whole, and makes one that is missing."""
    for path in (metrics_path(suite), inside_table_path(suite), slices_path(suite), calibration_path(suite)):
        if path.exists():
            try:
                read_parquet(path)
            except SteadyTuneError as error:
                path.unlink()
                log.warning("%s", error)

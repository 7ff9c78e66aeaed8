"""`steadytune run`: Snakemake with a progress line, which may be killed and started again at any moment."""

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from snakemake.common import get_appdirs

from steadytune.dag import repair
from steadytune.dag.ownership import own_results
from steadytune.dag.supervision import supervise
from steadytune.errors import SteadyTuneError
from steadytune.layout import SOURCE, first_on_path, project_file, report_path, store_lock_path
from steadytune.locks import hold, take
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

# Snakemake's folder in the working folder, and inside it the locks that a killed run leaves behind.
STATE = Path(".snakemake")
LOCKS = STATE / "locks"
# Held by one `steadytune run` and the Snakemake that it has started.
LOCK = STATE / "steadytune.lock"
# Shared by every Snakemake that was started by hand, which may happen during a run.
BY_HAND = STATE / "by-hand.lock"
INPUTS = "inputs"
"""The store's lock that a run holds while it stages what is missing."""
STAGING = ("stage_dataset", "stage_encoder", "pretrain")
"""The rules whose outputs are in the store."""
NO_RUN = ("archive", "cleanup_metadata", "cleanup_shadow", "conda_cleanup_envs", "conda_create_envs_only",
          "container_cleanup_images", "d3dag", "dag", "delete_all_output", "delete_temp_output", "detailed_summary",
          "export_cwl", "filegraph", "generate_unit_tests", "lint", "list_changes", "list_conda_envs",
          "list_input_changes", "list_params_changes", "list_rules", "list_target_rules", "list_untracked",
          "print_compilation", "rulegraph", "summary", "touch", "unlock")  # fmt: skip
"""Options with which Snakemake runs no job: it prints, or tidies."""
STARTED_BY_RUN = "STEADYTUNE_RUN"
"""Set in the environment of a Snakemake that `steadytune run` has started."""


def run(suite: Suite, cores: str, arguments: Sequence[str], *, stale: bool = False) -> int:
    """Run a suite; Snakemake's exit status.

    Only one `steadytune run` at a time works in a folder. It clears what a killed run left there, but not while a
    Snakemake that was started by hand is running: Snakemake's own locks may then be in use.

    Args:
        suite: the suite.
        cores: `all` or a number.
        arguments: further arguments for Snakemake.
        stale: also train again what was trained by other code.

    Raises:
        SteadyTuneError: Snakemake's cache cannot be written, or inputs cannot be staged.
    """
    _check_cache()
    with hold(LOCK, message="another run works in this folder; waiting for its end") as lock:
        snakemake = _Snakemake(suite, cores, lock)
        with hold(BY_HAND, message="a Snakemake that was started by hand works in this folder; waiting for its end"):
            if LOCKS.is_dir() and any(LOCKS.iterdir()):
                log.info("clearing the locks of a run that was killed")
                snakemake.unlock()
            kind, status, stopped = _kind(arguments), 0, False
            if kind == "dry run":
                _log_repairs(suite, arguments, stale=stale)
            elif kind == "run":
                status, stopped = _repair(snakemake, arguments, stale=stale)
        # If this process alone is killed, Snakemake still holds the lock, and the next run waits for it.
        if kind == "run" and not status:
            status, stopped = _stage_inputs(snakemake, arguments, stale=stale)
            repair.keep_dates(suite)
        if not status:
            status, stopped = snakemake.run(arguments)
    if stopped:
        log.info("stopped; `steadytune run %s` resumes", suite.argument)
    elif not status and not arguments and report_path(suite).is_file():
        log.info("%s", report_path(suite))
    return status


def _check_cache() -> None:
    """Make a folder in Snakemake's cache, as Snakemake does: in a home that is full or read-only it cannot.

    Raises:
        SteadyTuneError: it cannot.
    """
    folder = Path(get_appdirs().user_cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryDirectory(dir=folder).cleanup()
    except OSError as error:
        raise SteadyTuneError(f"{folder}: {error.strerror}: Snakemake keeps its copies of rules there; expected "
                              "XDG_CACHE_HOME to be a folder that can be written") from None  # fmt: skip


class _Snakemake:
    """Snakemake on a suite, in a process that holds the lock of this run too."""

    def __init__(self, suite: Suite, cores: str, lock: int) -> None:
        self.suite = suite
        self._lock = lock
        self._command = [sys.executable, "-m", "snakemake", "--snakefile", str(project_file(Path("Snakefile")))]
        self._command += ["--configfile", str(suite.path), "--logger", "steadytune"]
        self._cores = ["--cores", cores]
        self._environment = os.environ | {
            # Jobs call `python`, which has to be this one, in an activated environment or not.
            "PATH": first_on_path(Path(sys.executable).parent, "PATH"),
            "PYTHONPATH": first_on_path(SOURCE, "PYTHONPATH"),
            STARTED_BY_RUN: "1",
        }

    def run(self, arguments: Sequence[str], *, until: Sequence[str] = ()) -> tuple[int, bool]:
        """Run it, up to some rules if `until` names any; its exit status, and whether a signal ended it."""
        options = ["--until", *until] if until else []
        # `--cores` takes a single value, so that targets may follow it; the options before it take any number.
        return supervise([*self._command, *options, *self._cores, *arguments], self._environment, self._lock)

    def unlock(self) -> None:
        """Remove Snakemake's own locks."""
        command = [*self._command, *self._cores, "--unlock", "--quiet", "all"]
        subprocess.run(command, env=self._environment, check=True)


def _kind(arguments: Sequence[str]) -> Literal["run", "dry run", "no run"]:
    """Whether Snakemake would run jobs, say which it would run, or neither, as where it refuses its arguments.

    Raises:
        SteadyTuneError: it would end in a traceback.
    """
    if not any(argument.startswith("-") for argument in arguments):
        return "run"
    # The import takes seconds.
    from snakemake.cli import get_argument_parser
    from snakemake.exceptions import CliException

    try:
        options = get_argument_parser().parse_known_args(arguments)[0]
    except CliException:
        return "no run"
    except ValueError as error:
        # An option that takes any number of values has taken a target too, say.
        raise SteadyTuneError(f"run: Snakemake cannot read what follows --: {error}; expected "
                              "options in Snakemake's form, and another -- before targets") from None  # fmt: skip
    if any(getattr(options, name) for name in NO_RUN) or (options.report and not options.report_after_run):
        return "no run"
    return "dry run" if options.dryrun else "run"


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """Snakemake's arguments without the targets."""
    # The import takes seconds.
    from snakemake.cli import get_argument_parser

    targets = list(get_argument_parser().parse_known_args(arguments)[0].targets)
    options, count = [argument for argument in arguments if argument != "--"], len(targets)
    # They stand together; an option before them may have a value of the same name.
    places = [place for place in range(len(options)) if options[place : place + count] == targets]
    place = places[-1] if places and places[0] else 0
    return options[:place] + options[place + count :]


def _log_repairs(suite: Suite, arguments: Sequence[str], *, stale: bool) -> None:
    """Log what `_repair` would do."""
    repair.redate_future(suite, dry=True)
    repair.restage(suite, dry=True)
    repair.set_aside(suite, arguments, code=stale, dry=True)
    repair.keep_dates(suite, dry=True)


def _repair(snakemake: _Snakemake, arguments: Sequence[str], *, stale: bool) -> tuple[int, bool]:
    """Remove or set aside what cannot be believed, and pretrain damaged or outdated encoders again.

    Returns:
        What Snakemake's run returned if it failed, else (0, False).
    """
    suite = snakemake.suite
    own_results(suite)
    repair.redate_future(suite)
    for receipt, made in repair.restage(suite).items():
        status, stopped = snakemake.run([*_options(arguments), "--until", *STAGING, "--", str(receipt)])
        if status:
            return status, stopped
        os.utime(receipt, ns=(made, made))
    repair.set_aside(suite, arguments, code=stale)
    repair.clear_leftovers(suite)
    return 0, False


def _stage_inputs(snakemake: _Snakemake, arguments: Sequence[str], *, stale: bool) -> tuple[int, bool]:
    """Stage and pretrain what the targets need and the store lacks, one run at a time.

    Not left to the jobs: a job that waits for another run's staging and is then interrupted loses its outputs, because
    Snakemake deletes them, and the other run has just made the same files.

    Returns:
        What Snakemake's run returned if a signal ended it, else (0, False): what cannot be staged fails again in the
        run itself, which goes on with the rest.
    """
    suite = snakemake.suite
    if repair.unstaged(suite):
        with hold(
            store_lock_path(suite.file.store, INPUTS), message="waiting for another run that fills the same store"
        ):
            # The other run may have staged it.
            still = repair.unstaged(suite)
            status, stopped = snakemake.run(arguments, until=STAGING) if still else (0, False)
        if stopped:
            return status, stopped
        if not repair.unstaged(suite):
            # Only now can results from elsewhere be compared with their inputs.
            repair.set_aside(suite, arguments, code=stale)
    return 0, False


def share_folder() -> None:
    """For a Snakemake that was started by hand: keep the next `steadytune run` waiting until this process ends.

    Call it before Snakemake takes its own locks, so that they are not mistaken for those of a killed run. Conflicts
    with a run that is under way are left to Snakemake.
    """
    if STARTED_BY_RUN in os.environ:
        return
    try:
        take(BY_HAND, shared=True, wait=False)
    except BlockingIOError:
        # Not info: Snakemake shows only warnings of other loggers.
        log.warning("a `steadytune run` is checking this folder; waiting for it")
        take(BY_HAND, shared=True)

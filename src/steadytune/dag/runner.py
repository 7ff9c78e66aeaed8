"""`steadytune run`: Snakemake with a progress line; it can be killed and started again at any moment."""

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
from steadytune.dag.dates import keep_dates, redate_future
from steadytune.dag.leftovers import clear_leftovers
from steadytune.dag.ownership import own_results
from steadytune.dag.supervision import supervise
from steadytune.errors import SteadyTuneError
from steadytune.layout import project_file, project_folder, report_path, store_lock_path
from steadytune.locks import hold, take
from steadytune.source import SOURCE, first_on_path
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

# Snakemake's folder in the working folder, and in it the locks that a killed run leaves behind.
STATE = Path(".snakemake")
LOCKS = STATE / "locks"
# Held by a single `steadytune run` and the Snakemake that it has started.
LOCK = STATE / "steadytune.lock"
# Shared by all Snakemake processes that were started by hand, even during a run.
BY_HAND = STATE / "by-hand.lock"
INPUTS = "inputs"
"""The store's lock that a run holds while it stages missing inputs."""
STAGING = ("stage_dataset", "stage_encoder", "pretrain")
"""The rules whose outputs are in the store."""
NO_RUN = ("archive", "cleanup_metadata", "cleanup_shadow", "conda_cleanup_envs", "conda_create_envs_only",
          "container_cleanup_images", "d3dag", "dag", "delete_all_output", "delete_temp_output", "detailed_summary",
          "export_cwl", "filegraph", "generate_unit_tests", "lint", "list_changes", "list_conda_envs",
          "list_input_changes", "list_params_changes", "list_rules", "list_target_rules", "list_untracked",
          "print_compilation", "rulegraph", "summary", "touch", "unlock")  # fmt: skip
"""Options with which Snakemake runs no job but prints or cleans up something."""
STARTED_BY_RUN = "STEADYTUNE_RUN"
"""Set in the environment of a Snakemake that `steadytune run` has started."""


def run(suite: Suite, cores: str, arguments: Sequence[str], *, stale: bool = False) -> int:
    """Run a suite and return Snakemake's exit status.

    Only one `steadytune run` at a time works in a folder. It clears what a killed run left there, after waiting for any
    Snakemake that was started by hand, because Snakemake's own locks may be in use until then.

    Args:
        suite: the suite.
        cores: `all` or a number.
        arguments: further arguments for Snakemake.
        stale: also make again what was made by other code.

    Raises:
        SteadyTuneError: Snakemake's cache is not writable, it cannot work in the project's folder, or inputs cannot be
            staged.
    """
    _check_folder()
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
        # If only this process is killed, Snakemake still holds the lock, and the next run waits for it.
        if kind == "run" and not status:
            status, stopped = _stage_inputs(snakemake, arguments, stale=stale)
            keep_dates(suite)
        if not status:
            status, stopped = snakemake.run(arguments)
    if stopped:
        log.info("stopped; `steadytune run %s` resumes", suite.argument)
    elif not status and not arguments and report_path(suite).is_file():
        log.info("%s", report_path(suite))
    return status


def _check_folder() -> None:
    """Check that the project's path has no braces: Snakemake takes those in the paths of environments for wildcards.

    Raises:
        SteadyTuneError: it has.
    """
    if set("{}") & set(folder := str(project_folder().absolute())):
        raise SteadyTuneError(f"{folder}: Snakemake cannot work there; expected a path without {{ or }}")


def _check_cache() -> None:
    """Check that Snakemake can create folders in its cache, which fails if the home folder is full or read-only.

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
    """Snakemake for a suite, in a process that also holds this run's lock."""

    def __init__(self, suite: Suite, cores: str, lock: int) -> None:
        self.suite = suite
        self._lock = lock
        self._command = [sys.executable, "-m", "snakemake", "--snakefile", str(project_file(Path("Snakefile")))]
        self._command += ["--configfile", str(suite.path), "--logger", "steadytune"]
        self._cores = ["--cores", cores]
        self._environment = os.environ | {
            # Jobs call `python`, which must be this interpreter even if its environment is not activated.
            "PATH": first_on_path(Path(sys.executable).parent, "PATH"),
            "PYTHONPATH": first_on_path(SOURCE, "PYTHONPATH"),
            STARTED_BY_RUN: "1",
        }

    def run(self, arguments: Sequence[str], *, until: Sequence[str] = ()) -> tuple[int, bool]:
        """Run Snakemake, up to the rules in `until` if any; its exit status, and whether a signal ended it."""
        options = ["--until", *until] if until else []
        # Targets can follow `--cores`, which takes a single value; the options before it take any number of values.
        return supervise([*self._command, *options, *self._cores, *arguments], self._environment, self._lock)

    def unlock(self) -> None:
        """Remove Snakemake's own locks."""
        command = [*self._command, *self._cores, "--unlock", "--quiet", "all"]
        subprocess.run(command, env=self._environment, check=True)


def _kind(arguments: Sequence[str]) -> Literal["run", "dry run", "no run"]:
    """Whether Snakemake would run jobs, only list them, or neither, for example because it rejects its arguments.

    Raises:
        SteadyTuneError: Snakemake would end in a traceback.
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
        # For example, an option that takes any number of values has also taken a target.
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
    # Targets are consecutive; an option before them may have a value of the same name.
    places = [place for place in range(len(options)) if options[place : place + count] == targets]
    place = places[-1] if places and places[0] else 0
    return options[:place] + options[place + count :]


def _log_repairs(suite: Suite, arguments: Sequence[str], *, stale: bool) -> None:
    """Log what `_repair` would do."""
    redate_future(suite, dry=True)
    repair.restage(suite, dry=True)
    repair.set_aside(suite, arguments, code=stale, dry=True)
    keep_dates(suite, dry=True)


def _repair(snakemake: _Snakemake, arguments: Sequence[str], *, stale: bool) -> tuple[int, bool]:
    """Remove or set aside invalid results, and pretrain damaged or outdated encoders again.

    Returns:
        The result of Snakemake's run if it failed, else (0, False).
    """
    suite = snakemake.suite
    own_results(suite)
    redate_future(suite)
    for receipt, made in repair.restage(suite).items():
        status, stopped = snakemake.run([*_options(arguments), "--until", *STAGING, "--", str(receipt)])
        if status:
            return status, stopped
        os.utime(receipt, ns=(made, made))
    repair.set_aside(suite, arguments, code=stale)
    clear_leftovers(suite)
    return 0, False


def _stage_inputs(snakemake: _Snakemake, arguments: Sequence[str], *, stale: bool) -> tuple[int, bool]:
    """Stage and pretrain what the targets need and the store lacks, one run at a time.

    This is not left to the jobs: if a job is interrupted while it waits for another run's staging, Snakemake deletes
    the job's outputs, which are the files that the other run has just made.

    Returns:
        The result of Snakemake's run if a signal ended it, else (0, False): staging that fails here fails again in the
        run itself, which continues with the rest.
    """
    suite = snakemake.suite
    if repair.unstaged(suite):
        with hold(
            store_lock_path(suite.file.store, INPUTS), message="waiting for another run that fills the same store"
        ):
            # Another run may have staged everything in the meantime.
            still = repair.unstaged(suite)
            status, stopped = snakemake.run(arguments, until=STAGING) if still else (0, False)
        if stopped:
            return status, stopped
        if not repair.unstaged(suite):
            # Only now can results from elsewhere be compared with their inputs.
            repair.set_aside(suite, arguments, code=stale)
    return 0, False


def share_folder() -> None:
    """In a Snakemake that was started by hand, make the next `steadytune run` wait until this process ends.

    Call this before Snakemake takes its own locks, so that they are not mistaken for a killed run's. Conflicts with a
    run that is under way are left to Snakemake.
    """
    if STARTED_BY_RUN in os.environ:
        return
    try:
        take(BY_HAND, shared=True, wait=False)
    except BlockingIOError:
        # Not info, because Snakemake shows only warnings of other loggers.
        log.warning("a `steadytune run` is checking this folder; waiting for it")
        take(BY_HAND, shared=True)

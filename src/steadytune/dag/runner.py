"""`steadytune run`: Snakemake with a progress line, that may be killed and started again at any moment."""

import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from steadytune.dag import repair
from steadytune.dag.ownership import own_results
from steadytune.dag.supervision import supervise
from steadytune.layout import SOURCE, first_on_path, project_file, report_path, store_lock_path
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
INPUTS = "inputs"
"""The store's lock that a run holds while it brings what is not staged yet."""
BRINGING = ("stage_dataset", "stage_encoder", "pretrain")
"""The rules whose outputs are in the store."""
HELD = "STEADYTUNE_RUN"
"""Set in the environment of a Snakemake that `steadytune run` has started."""


def run(suite: Suite, cores: str, arguments: Sequence[str], *, stale: bool = False) -> int:
    """Run a suite; Snakemake's exit status.

    One `steadytune run` at a time works in a folder. What a killed run left there is cleared while no Snakemake that
    was started by hand works in it either: only then are Snakemake's own locks nobody's.

    Args:
        suite: the suite.
        cores: `all` or a number.
        arguments: further arguments for Snakemake.
        stale: also train again what was trained by other code.
    """
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(project_file(Path("Snakefile")))]
    command += ["--configfile", str(suite.path), "--logger", "steadytune"]
    # Last, because it takes one value and the options before it any number: targets may follow.
    command += ["--cores", cores]
    environment = os.environ | {
        # Jobs call `python`, which has to be this one, in an activated environment or not.
        "PATH": first_on_path(Path(sys.executable).parent, "PATH"),
        "PYTHONPATH": first_on_path(SOURCE, "PYTHONPATH"),
        HELD: "1",
    }
    with hold(LOCK, said="another run works in this folder; waiting for its end") as lock:
        with hold(BY_HAND, said="a Snakemake that was started by hand works in this folder; waiting for its end"):
            if LOCKS.is_dir() and any(LOCKS.iterdir()):
                log.info("clearing the locks of a run that was killed")
                subprocess.run([*command, "--unlock", "--quiet", "all"], env=environment, check=True)
            dry = _is_dry(arguments)
            status, stopped = _repair(suite, command, arguments, environment, lock, stale=stale, dry=dry)
        # Snakemake holds the lock too: if this process alone is killed, it goes on, and the next run waits for it.
        if not dry and not status:
            # What cannot be staged fails again below, where Snakemake goes on with the rest.
            lacking = repair.unstaged(suite)
            status, stopped = _bring_inputs(suite, command, arguments, environment, lock) if lacking else (0, False)
            status = status if stopped else 0
            if lacking and not status and not repair.unstaged(suite):
                # What was trained elsewhere can be compared with its inputs only now.
                repair.set_aside(suite, arguments, code=stale)
            repair.keep_dates(suite)
        if not status:
            status, stopped = supervise([*command, *arguments], environment, lock)
    if stopped:
        log.info("stopped; `steadytune run %s` resumes", shlex.quote(str(suite.path)))
    elif not status and not arguments and report_path(suite).is_file():
        log.info("%s", report_path(suite))
    return status


def _is_dry(arguments: Sequence[str]) -> bool:
    """Whether Snakemake would only say what it would do, or refuse its arguments."""
    if not any(argument.startswith("-") for argument in arguments):
        return False
    # The import takes seconds.
    from snakemake.cli import get_argument_parser
    from snakemake.exceptions import CliException

    try:
        return get_argument_parser().parse_known_args(arguments)[0].dryrun
    except CliException:
        return True


def _options(arguments: Sequence[str]) -> Sequence[str]:
    """Snakemake's arguments without the targets, which stand before the options or after them."""
    # The import takes seconds.
    from snakemake.cli import get_argument_parser

    targets = list(get_argument_parser().parse_known_args(arguments)[0].targets)
    if targets and list(arguments[: len(targets)]) == targets:
        return arguments[len(targets) :]
    options = [argument for argument in arguments if argument != "--"]
    return options[: len(options) - len(targets)]


def _repair(
    suite: Suite,
    command: Sequence[str],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    lock: int,
    *,
    stale: bool,
    dry: bool,
) -> tuple[int, bool]:
    """Get what cannot be believed out of the way, and encoders trained again first; the first failure of `supervise`.

    `dry`: only say what would be done.
    """
    if dry:
        repair.restage(suite, dry=True)
        repair.set_aside(suite, arguments, code=stale, dry=True)
        repair.keep_dates(suite, dry=True)
        return 0, False
    own_results(suite)
    for receipt, made in repair.restage(suite).items():
        training = [*command, *_options(arguments), "--until", *BRINGING, "--", str(receipt)]
        status, stopped = supervise(training, environment, lock)
        if status:
            return status, stopped
        os.utime(receipt, ns=(made, made))
    repair.set_aside(suite, arguments, code=stale)
    repair.clear_leftovers(suite)
    return 0, False


def _bring_inputs(
    suite: Suite, command: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str], lock: int
) -> tuple[int, bool]:
    """Stage and pretrain what the targets need and the store lacks, one run at a time; what `supervise` returns.

    If a job ends early, Snakemake deletes what it was to make: waiting inside a job for another run would take away
    what that run has made meanwhile.
    """
    with hold(store_lock_path(suite.file.store, INPUTS), said="waiting for another run that fills the same store"):
        if not repair.unstaged(suite):
            return 0, False
        # Before --cores, because it takes any number of values.
        return supervise([*command[:-2], "--until", *BRINGING, *command[-2:], *arguments], environment, lock)


def share_folder() -> None:
    """For a Snakemake that was started by hand: keep the next `steadytune run` waiting until this process ends.

    To be called before Snakemake takes its own locks, which must not be taken for a killed run's. What it and a run
    that is under way would collide in is Snakemake's to find.
    """
    if HELD in os.environ:
        return
    try:
        take(BY_HAND, shared=True, wait=False)
    except BlockingIOError:
        # A warning, because Snakemake shows nothing less of other loggers than its own.
        log.warning("a `steadytune run` looks at what lies in this folder; waiting until it has")
        take(BY_HAND, shared=True)

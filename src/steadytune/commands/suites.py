"""Commands on a whole suite: run it, plan it, show its status, verify and record its cells."""

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.commands.arguments import Commands, amount, cores, count, hours
from steadytune.commands.loading import load, load_checked, load_pinned
from steadytune.commands.results import warn_if_nothing_learned
from steadytune.errors import SteadyTuneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

# Snakemake options that may run jobs on other machines.
ELSEWHERE = ("--executor", "-e", "--profile", "--workflow-profile")


def run(options: argparse.Namespace) -> int:
    """Run a suite through Snakemake with a progress line."""
    from steadytune.dag.runner import run
    from steadytune.results.loading import load_or_empty
    from steadytune.results.selection import select

    suite = load_pinned(options)
    _warn_of_slow_precisions(suite, options.passed, stale=options.stale)
    status = run(suite, options.cores, options.passed, stale=options.stale)
    if not status and not options.passed:
        warn_if_nothing_learned(select(load_or_empty(suite)))
    return status


def _warn_of_slow_precisions(suite: "Suite", passed: "Sequence[str]", *, stale: bool) -> None:
    """Warn of each precision that this machine's processor lacks instructions for, if cells will run on it.

    stale: whether cells trained by other code are trained again too.
    """
    from steadytune.cells.freshness import statuses
    from steadytune.cells.leases import visible_gpus
    from steadytune.planning.precision import slow_precisions

    elsewhere = any(argument.startswith(ELSEWHERE) for argument in passed)
    # Read the records only if some cell's precision is slow here: there may be thousands.
    if elsewhere or visible_gpus() or not slow_precisions(suite, suite.cells):
        return
    left = [found.cell for found in statuses(suite) if found.needs_training(stale=stale)]
    for line in slow_precisions(suite, left):
        log.warning("%s", line)


def plan(options: argparse.Namespace) -> None:
    """Print what a suite still has to run, what that takes, and what it can show."""
    from steadytune.planning.page import describe
    from steadytune.planning.plan import Plan

    if options.cells_at_once and not options.device_stated:
        raise SteadyTuneError("--cells-at-once needs --device: for this machine the number is known")
    suite = load_pinned(options)
    if options.probe:
        from steadytune.planning.probe import probe

        probe(suite)
    plan = Plan.make(suite, options.device_stated, options.cells_at_once)
    page = describe(plan, options.budget, effect=options.effect, sd=options.sd)
    page.write_targets(suite)
    sys.stdout.write(page.text + "\n")


def status(options: argparse.Namespace) -> None:
    """List which cells are fresh, missing, running, stale or quarantined, and why."""
    from steadytune.dag.status import describe

    sys.stdout.write(describe(load_checked(options), deep=options.deep) + "\n")


def verify(options: argparse.Namespace) -> int:
    """Run recorded cells again and report how closely they agree (exit 1: one differs)."""
    from steadytune.cells.agreement import LEVELS
    from steadytune.cells.verify import recorded_cells, sample_cells, verify_cell, verifying
    from steadytune.suite.cell import Cell

    suite, found = load(options), []
    with recorded_cells(suite, options.recorded, published=options.published) as recorded:
        cells = [Cell.parse(text) for text in options.cells]
        cells += sample_cells(suite, recorded, options.sample, options.seed) if options.sample else []
        if not cells:
            raise SteadyTuneError("verify: name a cell as ENCODER/METHOD/TASK/seed-N, or draw some with --sample N")
        try:
            for cell in cells:
                with verifying(suite, cell):
                    found.append(verify_cell(suite, cell, recorded))
                log.info("%s", found[-1])
        finally:
            # Worst first. If a later cell fails, the comparisons so far are still printed.
            found.sort(key=lambda verdict: LEVELS.index(verdict.level), reverse=True)
            sys.stdout.write("".join(f"{verdict}\n" for verdict in found))
    return int(any(verdict.level == "different" for verdict in found))


def record(options: argparse.Namespace) -> None:
    """Write a suite's recorded cells to published/recorded, or restore them from there."""
    from steadytune.cells.recorded import restore, write_recorded
    from steadytune.layout import recorded_folder, results_folder

    suite = load(options)
    folder, results = recorded_folder(suite), results_folder(suite)
    if options.restore:
        sys.stdout.write(f"{results}: {len(restore(folder, results))} cells restored from {folder}\n")
    else:
        sys.stdout.write(f"{folder}: {write_recorded(suite, folder)} cells recorded\n")


def add_to(commands: Commands) -> None:
    """Add the commands on a whole suite to the command line."""
    command = commands.add("run", run, network=True)
    command.add_argument("--cores", type=cores, default="all", help="cores to use (default: all)")
    command.add_argument("--stale", action="store_true", help="also train again what was trained by other code")
    command.epilog = "What follows -- goes to snakemake: targets, or more options."
    command = commands.add("plan", plan, network=True)
    command.add_argument(
        "--device",
        dest="device_stated",
        metavar="NAME=FLOPS",
        help="plan for this device, where a cell reaches this rate (H100=2e14), instead of for this machine",
    )
    command.add_argument(
        "--cells-at-once", type=count, metavar="N", help="cells that run on that device at the same time (default: 1)"
    )
    command.add_argument(
        "--budget",
        type=hours,
        metavar="40h",
        help="list the cells that decide the most claims in this many device-hours in results/<suite>/plan.txt",
    )
    command.add_argument(
        "--effect", type=amount, default=1.0, metavar="POINTS", help="the difference that matters (default: 1)"
    )
    command.add_argument(
        "--sd",
        type=amount,
        metavar="POINTS",
        help="assume this standard deviation of two methods' difference on a task and seed, not the recorded one",
    )
    command.add_argument(
        "--probe", action="store_true", help="first run short cells here, to measure how long cells take"
    )
    command = commands.add("status", status)
    command.add_argument("--deep", action="store_true", help="hash every file again, and compute every score again")
    command = commands.add("verify", verify, device=True)
    command.add_argument("cells", nargs="*", default=[], metavar="ENCODER/METHOD/TASK/seed-N", help="recorded cells")
    command.add_argument("--sample", type=count, default=0, metavar="N", help="draw N recorded cells at random")
    command.add_argument("--seed", type=int, metavar="N", help="seed of that draw: the same seed draws the same cells")
    against = command.add_mutually_exclusive_group()
    against.add_argument(
        "--recorded",
        type=Path,
        metavar="FOLDER",
        help="a results folder that holds the records, instead of results/<suite>",
    )
    against.add_argument("--published", action="store_true", help="compare with published/recorded/<suite>")
    command.epilog = "One line per cell: identical, same logits, same metric, same spread, or different."
    command = commands.add("record", record)
    command.add_argument("--restore", action="store_true", help="write what is recorded to results/<suite> instead")

"""The command line: commands, their options, and exit codes."""

import argparse
import errno
import logging
import os
import select
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from steadytune import __version__
from steadytune.cells.leases import leased_gpu
from steadytune.commands import inputs, jobs, results, starting, suites
from steadytune.commands.arguments import CommandParser, Parser, amount, count, hours
from steadytune.errors import SteadyTuneError
from steadytune.exports.registry import MODULES as EXPORTS
from steadytune.offline import go_offline

Command = Callable[[argparse.Namespace], int | None]
# The disk is full, over quota, read-only or gone (NFS), or a path leads through a file: not a fault of the program, so
# that a traceback would not help.
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE,
           errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 2 for bad input (one line on stderr), 130 after Ctrl-C, 141 if unread."""
    own, passed = _split(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(own)
    options.passed = passed
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    # It logs every glyph that it leaves out of a PDF's font.
    logging.getLogger("fontTools").setLevel(logging.WARNING)
    if options.offline:
        go_offline()
    try:
        with leased_gpu() if options.device else nullcontext():
            status = options.run(options) or 0
        sys.stdout.flush()
        return status
    except SteadyTuneError as error:
        sys.stderr.write(f"steadytune: {error}\n")
        return 2
    except KeyboardInterrupt:
        # Training, and a run whose jobs are at work, handle Ctrl-C themselves.
        sys.stderr.write("steadytune: interrupted\n")
        return 130
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"steadytune: {where}{error.strerror or error}\n")
        return 2


def _nobody_reads() -> bool:
    """Whether stdout is a pipe that its reader, such as `head`, has closed; then nothing is written to it any more."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if closed:
        # Python writes what is left when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split `run`'s arguments from Snakemake's, which follow `--`: argparse understands that only before any option."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, ()
    at = list(arguments).index("--")
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="steadytune", description=(sys.modules["steadytune"].__doc__ or ""))
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=CommandParser)

    def command(name: str, function: Command, *, suite: bool = True, device: bool = False) -> argparse.ArgumentParser:
        doc = function.__doc__ or ""
        summary = doc[:1].lower() + doc[1:].removesuffix(".")
        added = subparsers.add_parser(name, help=summary, description=summary)
        # These need the network: to stage, to start jobs that stage, or to read new own tasks from the hub.
        added.set_defaults(run=function, device=device, offline=name not in ("run", "stage", "plan", "pin"))
        if suite:
            added.add_argument("suite", metavar="SUITE", help="a suite's file, or its name here or under config/")
        return added

    run = command("run", suites.run)
    run.add_argument("--cores", default="all", help="cores to use (default: all)")
    run.add_argument("--stale", action="store_true", help="also train again what was trained by other code")
    run.epilog = "What follows -- goes to snakemake: targets, or more options."
    plan = command("plan", suites.plan)
    plan.add_argument("--device", dest="device_stated", metavar="NAME=FLOPS", help="plan for this device, assuming "
                      "that a cell reaches this rate on it (H100=2e14), instead of for this machine")  # fmt: skip
    plan.add_argument("--cells-at-once", type=count, metavar="N", help="cells that run on that device at the same "
                      "time (default: 1)")  # fmt: skip
    plan.add_argument("--budget", type=hours, metavar="40h", help="choose the cells that decide the most claims "
                      "within this many device-hours, and list them in results/<suite>/plan.txt")  # fmt: skip
    plan.add_argument("--effect", type=amount, default=1.0, metavar="POINTS", help="the difference that matters "
                      "(default: 1)")  # fmt: skip
    plan.add_argument("--sd", type=amount, metavar="POINTS", help="assume this standard deviation of the difference "
                      "between two methods on a task and seed, instead of recorded ones")  # fmt: skip
    plan.add_argument("--probe", action="store_true", help="first run short cells here, to measure how long cells take")
    status = command("status", suites.status)
    status.add_argument("--deep", action="store_true", help="hash every file again, and compute every score again")
    verify = command("verify", suites.verify, device=True)
    verify.add_argument("cells", nargs="*", default=[], metavar="ENCODER/METHOD/TASK/seed-N", help="recorded cells")
    verify.add_argument("--sample", type=count, default=0, metavar="N", help="draw N recorded cells at random")
    verify.add_argument("--seed", type=int, metavar="N", help="seed of that draw: the same seed draws the same cells")
    against = verify.add_mutually_exclusive_group()
    against.add_argument("--recorded", type=Path, metavar="FOLDER", help="a results folder that holds the records, "
                         "instead of results/<suite>")  # fmt: skip
    against.add_argument("--published", action="store_true", help="compare with published/recorded/<suite>")
    verify.epilog = "One line per cell: identical, same logits, same metric, same spread, or different."
    record = command("record", suites.record)
    record.add_argument("--restore", action="store_true", help="write what is recorded to results/<suite> instead")
    claims = command("claims", results.claims)
    claims.add_argument("--missing", metavar="CLAIM", help="print the files that one claim still needs, and no verdict")
    claims.add_argument("--write", action="store_true", help="write claims.json too")
    compared = command("compare", results.compare)
    compared.add_argument("first", metavar="A", help="a method or variant, as the suite's grid names it, or "
                          "ENCODER/METHOD")  # fmt: skip
    compared.add_argument("second", metavar="B", help="the one it is compared with")
    compared.add_argument("--effect", type=amount, default=1.0, metavar="POINTS", help="the difference that matters, "
                          "for the number of seeds needed (default: 1)")  # fmt: skip
    model = command("model", results.model, device=True)
    model.add_argument("cell", nargs="?", metavar="CELL", help="ENCODER/METHOD/TASK/seed-N; without seed-N, the best "
                       "seed; in a suite of one task it may be left out: the best cell")  # fmt: skip
    model.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="a new folder")
    model.add_argument(
        "--adapter", action="store_true", help="for LoRA: write only its matrices and the head, for peft"
    )
    simulated = command("simulate", results.simulate)
    simulated.add_argument("--seeds", type=count, metavar="N", help="number of seeds, instead of the suite's")
    simulated.add_argument("--sd", type=amount, default=2.0, metavar="POINTS", help="standard deviation of the "
                           "difference between two methods on a task and seed (default: 2)")  # fmt: skip
    simulated.add_argument("--effect", type=amount, metavar="POINTS", help="the claimed difference (default: the one "
                           "that these seeds show with 80 %% power)")  # fmt: skip
    simulated.add_argument("--replicates", type=count, default=2000, metavar="N", help="simulated studies for each "
                           "true effect (default: 2000)")  # fmt: skip
    exported = command("export", results.export)
    exported.add_argument(
        "--as", dest="form", choices=EXPORTS, required=True, metavar="FORMAT", help=", ".join(EXPORTS)
    )
    exported.add_argument(
        "--to", type=Path, required=True, metavar="PATH", help="a new folder; for ro-crate, a folder or a .zip"
    )
    exported.add_argument("--stale", action="store_true", help="also export what other code has made, marked as such")
    site = command("site", results.site, suite=False)
    site.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where index.html is written")
    site.add_argument("--recorded", type=Path, action="append", metavar="FOLDER", help="a recorded suite, or a folder "
                      "of them; may be given several times (default: published/recorded)")  # fmt: skip
    new = command("new", starting.new, suite=False)
    new.add_argument("kind", choices=("suite", "task", "method", "claim"), help="what to start")
    new.add_argument("name", nargs="?", metavar="NAME", help="default: my-suite, my-task, …")
    command("methods", starting.methods, suite=False)
    checked = command("check-method", starting.check_method, suite=False)
    checked.add_argument("file", type=Path, metavar="FILE", help="a Python file with a method")
    stage = command("stage", inputs.stage)
    stage.add_argument("kind", nargs="?", choices=("datasets", "models"), help="only these")
    stage.add_argument("key", nargs="?", help="only this one: its key in the lock")
    stage.add_argument("--glue", type=Path, metavar="FOLDER", help="import GLUE's tasks from its classic folder")
    stage.add_argument("--encoders", type=Path, metavar="FOLDER", help="import encoders from FOLDER/<owner>/<name>/")
    instead = stage.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="only check what is staged (exit 2: something is wrong)")
    instead.add_argument("--bundle", type=Path, metavar="FILE", help="then write everything to one tar file")
    instead.add_argument("--from", dest="source", type=Path, metavar="FILE", help="unpack such a file, then check")
    pinned = command("pin", inputs.pin)
    pinned.add_argument(
        "--accept", required=True, metavar="NAME", help="a task or encoder that the suite brings itself"
    )
    command("lock", inputs.lock, suite=False)
    subsets = command("subsets", inputs.subsets, suite=False)
    subsets.add_argument("--store", type=Path, default=Path("store"), help="where the data sets are staged")
    pretrain = command("pretrain", inputs.pretrain, suite=False, device=True)
    pretrain.add_argument("config", type=Path, help="a file of config/encoders/")
    pretrain.add_argument("output", type=Path, help="the encoder's folder; an interrupted run resumes")
    pretrain.add_argument("--store", type=Path, default=Path("store"), help="where a generated corpus is staged")
    pretrain.add_argument("--minutes", type=amount, help="end by the clock if the tokens would take longer")
    curve = command("pretraining-curve", inputs.pretraining_curve, suite=False)
    curve.add_argument("curve", type=Path, metavar="CSV", help="the curve.csv in an encoder's folder")
    curve.add_argument("stem", type=Path, help="where the figure goes, without .pdf, .svg and .png")

    # Run by the workflow's jobs; each can also be run by hand.
    finetune = command("finetune", jobs.finetune, device=True)
    finetune.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    finetune.add_argument(
        "--hand-over",
        action="store_true",
        help="also write the fine-tuned weights, for the inside stage or for cells that start from this one",
    )
    variability = command("variability", jobs.variability, device=True)
    variability.add_argument("encoder")
    variability.add_argument("task")
    inside = command("inside", jobs.inside, device=True)
    inside.add_argument("cell", metavar="ENCODER/METHOD/TASK/seed-N", type=str)
    inside_before = command("inside-before", jobs.inside_before, device=True)
    inside_before.add_argument("encoder")
    inside_before.add_argument("task")
    command("inside-table", jobs.inside_table)
    collect = command("collect", jobs.collect)
    collect.add_argument(
        "--as-recorded", action="store_true", help="for recorded suites: compare neither code nor inputs"
    )
    predictions = command("predictions", jobs.predictions)
    predictions.add_argument("cell", nargs="?", metavar="ENCODER/METHOD/TASK/seed-N", help="for --to")
    predictions.add_argument("--to", type=Path, metavar="FILE.csv", help="a new file for the cell's predictions, with "
                             "texts and label names")  # fmt: skip
    render = command("render", jobs.render)
    render.add_argument("what", choices=("tables", "figures", "report", "notebook"))
    render.add_argument(
        "--processes", type=count, default=1, metavar="N", help="processes that draw figures (default: 1)"
    )
    return parser

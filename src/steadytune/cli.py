"""The command line: argument parsing and exit codes."""

import argparse
import errno
import logging
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from steadytune import __version__
from steadytune.cells.leases import leased_gpu
from steadytune.commands import inputs, jobs, results, starting, suites
from steadytune.commands.arguments import Commands, Parser
from steadytune.errors import SteadyTuneError
from steadytune.offline import go_offline

# The disk is full, over quota, read-only or gone (NFS), or a path leads through a file. None of these is the program's
# fault, so a traceback would not help.
REFUSED = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.ESTALE,
           errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    It is the command's own (0 for success), 2 for bad input or a failing disk (the message is on stderr), 130 after
    Ctrl-C, and 141 if the reader of stdout has closed the pipe.
    """
    _open_closed_streams()
    own, passed = _split(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(own)
    options.passed = passed
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    # fontTools logs every glyph that it leaves out of a PDF's font.
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
        # Training, and a run with active jobs, handle Ctrl-C themselves.
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


def _open_closed_streams() -> None:
    """Let a program whose output somebody has closed (`>&-`), as some batch systems do, write to nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115


def _nobody_reads() -> bool:
    """Whether the reader of stdout, such as `head`, has closed the pipe; if so, redirect stdout to /dev/null."""
    poll = select.poll()
    poll.register(sys.stdout, 0)
    closed = any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    if closed:
        # Python flushes the remaining output at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return closed


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Split `run`'s arguments from Snakemake's, which follow `--`: argparse handles `--` only before any option."""
    if arguments[:1] != ["run"] or "--" not in arguments:
        return arguments, ()
    at = list(arguments).index("--")
    return arguments[:at], arguments[at + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="steadytune", description=(sys.modules["steadytune"].__doc__ or ""))
    parser.add_argument("--version", action="version", version=__version__)
    commands = Commands(parser)
    for module in (suites, results, starting, inputs, jobs):
        module.add_to(commands)
    return parser

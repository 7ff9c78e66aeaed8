"""Commands for getting started: starter files, and the methods."""

import argparse
import sys
from pathlib import Path

from steadytune.commands.arguments import Commands


def new(options: argparse.Namespace) -> None:
    """Write a commented file to start from: a suite, a suite with your own data, a method, or a claim."""
    from steadytune.suite.starting import write_starting_files

    for path in write_starting_files(options.kind, options.name or f"my-{options.kind}", Path()):
        sys.stdout.write(f"{path}\n")


def methods(_: argparse.Namespace) -> None:
    """List the methods, their sources and hyper-parameters."""
    from steadytune.methods.listing import describe_methods

    sys.stdout.write(describe_methods() + "\n")


def check_method(options: argparse.Namespace) -> int:
    """Check a method on tiny encoders (exit 1: a check failed)."""
    from steadytune.suite.method_files import add_methods

    names = add_methods(options.file)
    # Imported last, because it takes seconds: a file with mistakes is refused without that wait.
    from steadytune.trials.checking import check_method

    failed = False
    for name in names:
        sys.stdout.write(f"{name}\n")
        sys.stdout.flush()
        said: dict[str, str] = {}
        for finding in check_method(name):
            failed |= finding.passed is False
            verdict = {True: "passed", False: "FAILED", None: "-"}[finding.passed]
            first = said.setdefault(finding.detail, finding.check)
            detail = finding.detail if finding.passed is not False or first == finding.check else f"as in '{first}'"
            sys.stdout.write(f"  {verdict:<8}{finding.check:<42}{detail}".rstrip() + "\n")
            sys.stdout.flush()
    return int(failed)


def add_to(commands: Commands) -> None:
    """Add the commands for getting started to the command line."""
    command = commands.add("new", new, suite=False)
    command.add_argument("kind", choices=("suite", "task", "method", "claim"), help="what to start")
    command.add_argument("name", nargs="?", metavar="NAME", help="default: my-suite, my-task, …")
    commands.add("methods", methods, suite=False)
    command = commands.add("check-method", check_method, suite=False)
    command.add_argument("file", type=Path, metavar="FILE", help="a Python file with a method")

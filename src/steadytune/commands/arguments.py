"""Parsing of the command line: an error takes one line, with what was expected or the nearest valid name."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from steadytune.errors import nearest, suggestion

Command = Callable[[argparse.Namespace], int | None]


def hours(text: str) -> float:
    """Parse hours from `40h` or `40`."""
    with suppress(ValueError):
        if 0 < (value := float(text.removesuffix("h"))) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"'{text}', expected hours, as 40h")


def amount(text: str) -> float:
    """Parse a number above 0."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"'{text}', expected a number above 0")


def count(text: str) -> int:
    """Parse a whole number above 0."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}', expected a whole number above 0")


def cores(text: str) -> str:
    """Parse a number of cores, or `all`."""
    if text == "all" or (text.isdecimal() and int(text) > 0):
        return text
    raise argparse.ArgumentTypeError(f"'{text}', expected all or a whole number above 0")


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with the nearest valid name."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        # Before Python 3.14, argparse lists every choice and suggests none.
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"unknown '{value}'{suggestion(str(value), action.choices)}")

    def error(self, message: str) -> NoReturn:
        """Exit with 2, without printing the usage, which takes many lines."""
        self.exit(2, f"{self.prog}: {message}; `{self.prog} --help` says more\n")


class CommandParser(Parser):
    """A parser for a command whose options may come before, between or after its positional arguments.

    argparse alone consumes optional positional arguments at the first option, and then refuses any that follow it.
    """

    _intermixed = False

    def parse_known_args(self, args=None, namespace=None):
        """Parse the options first, then the positional arguments, in any order on the command line."""
        if self._intermixed:
            return super().parse_known_args(args, namespace)
        # `parse_known_intermixed_args` calls this method twice: for the options, then for the positional arguments.
        self._intermixed = True
        try:
            found, left = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False
        if left:
            name = left[0].partition("=")[0]
            self.error(f"unknown argument '{name}'{nearest(name, self._option_string_actions)}")
        return found, left


class Commands:
    """The commands of the command line."""

    def __init__(self, parser: Parser) -> None:
        self._added = parser.add_subparsers(
            title="commands", required=True, metavar="COMMAND", parser_class=CommandParser
        )

    def add(
        self, name: str, function: Command, *, suite: bool = True, device: bool = False, network: bool = False
    ) -> argparse.ArgumentParser:
        """Add a command, whose help is its function's docstring.

        Args:
            name: the command's name.
            function: runs the command.
            suite: whether its first argument is a suite.
            device: whether it computes, and so leases a GPU.
            network: whether it needs the network: it stages, starts jobs that stage, or reads a suite's new own tasks
                from the hub.
        """
        doc = function.__doc__ or ""
        summary = doc[:1].lower() + doc[1:].removesuffix(".")
        added = self._added.add_parser(name, help=summary, description=summary)
        added.set_defaults(run=function, device=device, offline=not network)
        if suite:
            added.add_argument("suite", metavar="SUITE", help="a suite's file, or its name here or under config/")
        return added

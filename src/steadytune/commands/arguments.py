"""How a command line is read: in one line where it is wrong, with what was expected or the nearest name."""

import argparse
from contextlib import suppress
from typing import NoReturn

from steadytune.errors import nearest, suggestion


def hours(text: str) -> float:
    """Hours from `40h` or `40`."""
    with suppress(ValueError):
        if 0 < (value := float(text.removesuffix("h"))) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"'{text}', expected hours, as 40h")


def amount(text: str) -> float:
    """A number above 0."""
    with suppress(ValueError):
        if 0 < (value := float(text)) < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"'{text}', expected a number above 0")


def count(text: str) -> int:
    """A whole number above 0."""
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"'{text}', expected a whole number above 0")


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
    """A command whose options may stand anywhere among its names.

    argparse alone consumes optional names at the first option, and then refuses those that follow it.
    """

    _intermixed = False

    def parse_known_args(self, args=None, namespace=None):
        """Options first, then the names, wherever they stood."""
        if self._intermixed:
            return super().parse_known_args(args, namespace)
        # `parse_known_intermixed_args` calls this method twice: for the options, and for the names.
        self._intermixed = True
        try:
            found, left = self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixed = False
        if left:
            name = left[0].partition("=")[0]
            self.error(f"unknown argument '{name}'{nearest(name, self._option_string_actions)}")
        return found, left

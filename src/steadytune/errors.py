"""The one exception that a user is meant to read, and what its messages share: nearest names, shortened values."""

import difflib
import json
from collections.abc import Callable, Iterable


class SteadyTuneError(Exception):
    """Bad input, a line for each mistake: which file, which key, which value, what was expected, the nearest name.

    The command line prints the message alone, without a traceback.
    """


def problems_of(checks: Iterable[Callable[[], object]]) -> list[str]:
    """The lines of what checks raise, in their order, each once."""
    problems = []
    for check in checks:
        try:
            check()
        except SteadyTuneError as error:
            problems += str(error).splitlines()
    return list(dict.fromkeys(problems))


def raise_all(problems: Iterable[str]) -> None:
    """Raise problems as one error, each once and on its own line; do nothing without any."""
    if lines := list(dict.fromkeys(problems)):
        raise SteadyTuneError("\n".join(lines))


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    """` (did you mean 'x'?)` for the closest of `names`, or an empty string where none is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f" (did you mean '{close[0]}'?)" if close else ""


def suggestion(name: str, names: Iterable[str]) -> str:
    """What `nearest` says, or all `names` where none of them is close."""
    names = sorted(names)
    return nearest(name, names) or f"; known: {', '.join(names) or 'none'}"


def short(value: object) -> str:
    """A value of a person's file as a message shows it: on one line of 60 characters at most; `null` and `true` as in
    YAML and JSON.
    """
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown(kind: str, name: str, names: Iterable[str], where: str = "") -> SteadyTuneError:
    """The error for a name that is not in a table: `kind` 'task', say, and the table's `names`."""
    prefix = f"{where}: " if where else ""
    return SteadyTuneError(f"{prefix}unknown {kind} '{name}'{suggestion(name, names)}")

"""The exception whose message users read, and helpers for such messages: nearest names, shortened values."""

import difflib
import json
from collections.abc import Callable, Iterable


class SteadyTuneError(Exception):
    """Bad input, one line per mistake: file, key, value, what was expected and the nearest valid name.

    The command line prints only the message, without a traceback.
    """


def problems_of(checks: Iterable[Callable[[], object]]) -> list[str]:
    """Run the checks and return the message lines of the SteadyTuneErrors they raise, in order, without repeats."""
    problems = []
    for check in checks:
        try:
            check()
        except SteadyTuneError as error:
            problems += str(error).splitlines()
    return list(dict.fromkeys(problems))


def raise_all(problems: Iterable[str]) -> None:
    """Raise all problems as one error, one per line, without repeats; do nothing if there are none."""
    if lines := list(dict.fromkeys(problems)):
        raise SteadyTuneError("\n".join(lines))


def nearest(name: str, names: Iterable[str], cutoff: float = 0.5) -> str:
    """` (did you mean 'x'?)` for the closest of `names`, or an empty string if none is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=cutoff)
    return f" (did you mean '{close[0]}'?)" if close else ""


def suggestion(name: str, names: Iterable[str]) -> str:
    """The hint of `nearest`, or a list of all `names` if none is close."""
    names = sorted(names)
    return nearest(name, names) or f"; known: {', '.join(names) or 'none'}"


def short(value: object) -> str:
    """A value from a user's file as messages show it: one line, at most 60 characters, `null` and `true` as in YAML."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def unknown(kind: str, name: str, names: Iterable[str], where: str = "") -> SteadyTuneError:
    """The error for an unknown name; `kind` is for example 'task', and `names` are the known names."""
    prefix = f"{where}: " if where else ""
    return SteadyTuneError(f"{prefix}unknown {kind} '{name}'{suggestion(name, names)}")

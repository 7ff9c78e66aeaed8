"""Paths in a suite's file: relative to the file, with `~` and environment variables."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from steadytune.errors import SteadyTuneError, short

VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})")
"""`$NAME` or `${NAME}`."""


def expanded(path: str) -> str:
    """A path with `~` and environment variables expanded.

    Raises:
        ValueError: a variable is not set, or there is no such user; the message says what was expected.
    """
    # `Path` would drop a leading `./`, which marks an encoder's folder.
    home, slash, rest = os.path.expanduser(path).partition("/")  # noqa: PTH111
    # A name such as `~backup.csv` is a file's; `~name/` is a user's.
    if slash and home.startswith("~"):
        raise ValueError(f"the folder of a user; there is no user '{home[1:]}'")
    return VARIABLE.sub(_value, home + slash + rest)


def _value(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    # An empty value would turn `$NAME/data` into an absolute path.
    if not (value := os.environ.get(name)):
        raise ValueError(f"environment variables that are set; {name} is not")
    return value


def beside(folder: Path, path: str | Path, where: str) -> Path:
    """A path in a suite's file, expanded and taken relative to the file's folder.

    Args:
        folder: the folder of the suite's file as it was named: if that is a link, the folder of the link.
        path: the path as written in the file.
        where: its key in the file, for messages.

    Raises:
        SteadyTuneError: a variable is not set, or there is no such user.
    """
    try:
        return folder / expanded(str(path))
    except ValueError as error:
        raise SteadyTuneError(f"{where}: {short(str(path))}: expected {error}") from None


def _not_empty(path: Any) -> Any:
    # `Path("")` is the current folder, which is not what an empty key means.
    if isinstance(path, str) and not path.strip():
        raise ValueError("a path: write `.` for the folder itself, or leave out the key")
    return path


NamedPath = Annotated[Path, BeforeValidator(_not_empty)]
"""A path in a suite's file, as written there."""
UserPath = Annotated[NamedPath, AfterValidator(lambda path: Path(expanded(str(path))))]
"""A path in a suite's file, with `~` and environment variables expanded."""

"""Paths as people write them in a suite's file: with `~`, environment variables, and relative to the file."""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from steadytune.errors import SteadyTuneError, short

VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{(\w+)\})")
"""`$NAME` or `${NAME}`."""


def expanded(path: str) -> str:
    """A path with the folder of the user in place of `~`, and the values of environment variables in place of them.

    Raises:
        ValueError: a variable that is not set, or a user whom this machine does not have; what was expected.
    """
    # `Path` would leave out the `./` by which an encoder's folder is told.
    home, slash, rest = os.path.expanduser(path).partition("/")  # noqa: PTH111
    # A name such as `~backup.csv` is a file's; `~name/` is a user's.
    if slash and home.startswith("~"):
        raise ValueError(f"the folder of a user; there is no user '{home[1:]}'")
    return VARIABLE.sub(_value, home + slash + rest)


def _value(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    # An empty one would make an absolute path of a relative one.
    if not (value := os.environ.get(name)):
        raise ValueError(f"environment variables that are set; {name} is not")
    return value


def beside(folder: Path, path: str | Path, where: str) -> Path:
    """A path that a suite's file names, relative to the file's folder.

    Args:
        folder: of the file as it was named: what lies beside a link is what lies beside the suite.
        path: as the file has it.
        where: it stands, for the message.

    Raises:
        SteadyTuneError: a variable that is not set, or a user whom this machine does not have.
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
"""A key of a suite's file that is a path, as the file has it."""
UserPath = Annotated[NamedPath, AfterValidator(lambda path: Path(expanded(str(path))))]
"""The same with `~` and environment variables expanded."""

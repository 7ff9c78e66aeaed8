"""One name, one suite: two files of one name, wherever they lie, would overwrite each other's results."""

import os
import re
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import read_text, write_text
from steadytune.layout import owner_path, results_folder
from steadytune.safe_yaml import read_yaml
from steadytune.suite.suite import Suite


def check_alone(suite: Suite) -> None:
    """Look for another suite of this name: beside its file, in `config/`, or the one that its results are of.

    Raises:
        SteadyTuneError: there is one; the line names both files.
    """
    for folder in (suite.path.parent, Path("config")):
        for other in sorted(folder.glob("*.y*ml")):
            # Editors leave links to nothing beside what is open.
            if other.is_file() and _is_another(suite, other):
                raise _refusal(suite, f"{other} has the same name, and so the same results")
    check_owner(suite)


def check_owner(suite: Suite) -> None:
    """Look at whose results those of this name are.

    A file that is gone, or has another name by now, has given them up: results are copied to other machines, and
    suites are moved.

    Raises:
        SteadyTuneError: another suite's; the line names both files.
    """
    note = owner_path(suite)
    if not note.is_file():
        return
    # Without following links: what a folder of results is a link to has other folders above it.
    owner = Path(os.path.normpath(note.parent.absolute() / read_text(note).strip()))
    if owner.is_file() and _is_another(suite, owner):
        shown = owner.relative_to(Path.cwd()) if owner.is_relative_to(Path.cwd()) else owner
        holder = f"{results_folder(suite)} holds the results of {shown}, which has the same name"
        raise _refusal(suite, f"{holder}: rename one of them, or delete {note} if the results are this file's now")


def own_results(suite: Suite) -> None:
    """Note in a suite's results whose they are, by the file's place as seen from them: a copied project keeps it.

    Raises:
        SteadyTuneError: they are another suite's.
    """
    check_owner(suite)
    note = owner_path(suite)
    place = Path(os.path.relpath(suite.path.absolute(), note.parent.absolute())).as_posix() + "\n"
    if not note.is_file() or read_text(note) != place:
        write_text(note, place)


def _is_another(suite: Suite, path: Path) -> bool:
    """Whether this is another file, of a suite of the same name."""
    try:
        # Only what may well be one is read as YAML, which takes a hundred times as long.
        likely = rf"\bsuite\b[\s\S]{{0,40}}\b{re.escape(suite.name)}\b"
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.samefile(suite.path) or not re.search(likely, text):
            return False
        found = read_yaml(path)
    except (OSError, SteadyTuneError):
        # Another user's, or no suite.
        return False
    return isinstance(found, dict) and found.get("suite") == suite.name


def _refusal(suite: Suite, reason: str) -> SteadyTuneError:
    return SteadyTuneError(f"{suite.path}: suite: '{suite.name}': {reason}")

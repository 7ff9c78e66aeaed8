"""One suite per name: two suite files with the same name, in any folders, would overwrite each other's results."""

import os
import re
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import read_text, write_text
from steadytune.layout import owner_path, results_folder
from steadytune.safe_yaml import read_yaml
from steadytune.suite.suite import Suite


def check_alone(suite: Suite) -> None:
    """Check that no other suite has this name: next to its file, in `config/`, or as the owner of its results.

    Raises:
        SteadyTuneError: there is another; the line names both files.
    """
    for folder in (suite.path.parent, Path("config")):
        for other in sorted(folder.glob("*.y*ml")):
            # Editors leave dangling links next to open files.
            if other.is_file() and _is_another(suite, other):
                raise _refusal(suite, f"{other} has the same name, and so the same results")
    check_owner(suite)


def check_owner(suite: Suite) -> None:
    """Check that the results under this name do not belong to another suite.

    A suite file that is gone, or now has another suite name, no longer owns them: results are copied to other machines,
    and suites are moved.

    Raises:
        SteadyTuneError: they belong to another suite; the line names both files.
    """
    note = owner_path(suite)
    if not note.is_file():
        return
    # Do not follow links: the target of a linked results folder has other parent folders.
    owner = Path(os.path.normpath(note.parent.absolute() / read_text(note).strip()))
    if owner.is_file() and _is_another(suite, owner):
        shown = owner.relative_to(Path.cwd()) if owner.is_relative_to(Path.cwd()) else owner
        holder = f"{results_folder(suite)} holds the results of {shown}, which has the same name"
        raise _refusal(suite, f"{holder}: rename one of them, or delete {note} if the results are this file's now")


def own_results(suite: Suite) -> None:
    """Write the suite file's path into its results, relative to them: it stays valid when the project is copied.

    Raises:
        SteadyTuneError: the results belong to another suite.
    """
    check_owner(suite)
    note = owner_path(suite)
    place = Path(os.path.relpath(suite.path.absolute(), note.parent.absolute())).as_posix() + "\n"
    if not note.is_file() or read_text(note) != place:
        write_text(note, place)


def _is_another(suite: Suite, path: Path) -> bool:
    """Whether `path` is another file, with a suite of the same name."""
    try:
        # Parse only likely suites as YAML: parsing is a hundred times slower.
        likely = rf"\bsuite\b[\s\S]{{0,40}}\b{re.escape(suite.name)}\b"
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.samefile(suite.path) or not re.search(likely, text):
            return False
        found = read_yaml(path)
    except (OSError, SteadyTuneError):
        # Another user's file, or not a suite.
        return False
    return isinstance(found, dict) and found.get("suite") == suite.name


def _refusal(suite: Suite, reason: str) -> SteadyTuneError:
    return SteadyTuneError(f"{suite.path}: suite: '{suite.name}': {reason}")

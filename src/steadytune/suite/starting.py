"""Commented template files to start from: a suite, a suite with your own data, a method, a claim."""

import re
from collections.abc import Callable
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import write_text
from steadytune.methods import registry

TEMPLATES = Path(__file__).resolve().parents[1] / "starting"
# By kind: each template, and the name of the file written from it.
FILES: dict[str, dict[str, Callable[[str], str]]] = {
    "suite": {"suite.yaml": "{}.yaml".format},
    "task": {
        "task/suite.yaml": "{}.yaml".format,
        "task/train.csv": "{}-train.csv".format,
        "task/dev.csv": "{}-dev.csv".format,
    },
    "claim": {"claim.yaml": "{}.yaml".format},
    "method": {"method.txt": lambda name: f"{name.replace('-', '_')}.py"},
}


def write_starting_files(kind: str, name: str, folder: Path) -> list[Path]:
    """Write the files of `kind`, named after `name`, into a folder and return their paths.

    Raises:
        SteadyTuneError: the name is malformed or belongs to a method of the project, or a file exists already.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise SteadyTuneError(f"'{name}': expected a name of lower-case letters, digits and single hyphens")
    if kind == "method" and name in registry.methods():
        raise SteadyTuneError(f"method '{name}': the project has a method of this name: choose another name")
    targets = {template: folder / file(name) for template, file in FILES[kind].items()}
    for path in targets.values():
        if path.exists():
            raise SteadyTuneError(f"{path}: exists already: choose another name")
    for template, path in targets.items():
        text = (TEMPLATES / template).read_text(encoding="utf-8")
        write_text(path, text.replace("NAME", name).replace("FILE", path.name))
    return list(targets.values())

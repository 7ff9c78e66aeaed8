"""Export formats for a finished suite: one module each, imported on demand."""

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.files import write_text

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite

NOT_FRESH = "NOT-FRESH.txt"
MODULES = {
    "csv": "csv_tables",
    "every-eval-ever": "every_eval_ever",
    "glue-submission": "glue_submission",
    "mlflow": "mlflow",
    "model-card": "model_card",
    "ro-crate": "ro_crate",
    "trackio": "trackio",
    "wandb": "wandb",
}
"""Modules of this package by format; each has a function `export(suite, target)`."""
PACKAGES = {"mlflow": "mlflow", "ro-crate": "rocrate", "trackio": "trackio", "wandb": "wandb"}
"""Optional packages by the format that needs them."""


def check(form: str, target: Path) -> None:
    """Refuse a format whose package is missing, or a target that exists, before any file of a suite is read.

    Raises:
        SteadyTuneError: the package is not installed, or `target` exists; an RO-Crate may replace a zip file.
    """
    package = PACKAGES.get(form)
    if package and find_spec(package) is None:
        raise SteadyTuneError(f"export: the package {package} is not installed; pip install {package}")
    zipped = form == "ro-crate" and target.suffix == ".zip"
    if target.exists() and not (zipped and target.is_file()):
        expected = "a new folder or a file that ends in .zip" if form == "ro-crate" else "a new folder"
        raise SteadyTuneError(f"{target}: exists already; expected {expected}")


def export(suite: "Suite", form: str, target: Path, marked: Sequence[str] = ()) -> None:
    """Write a finished suite in a format, a key of `MODULES`, to `target`: a new folder, or for RO-Crate a zip file.

    marked: sentences on what is not fresh in the suite, written to `NOT-FRESH.txt` in the folder or next to the file.

    Raises:
        SteadyTuneError: the suite is not finished, `target` exists, or a package is not installed.
    """
    check(form, target)
    write: Callable[[Suite, Path], None] = import_module(f"steadytune.exports.{MODULES[form]}").export
    write(suite, target)
    if marked:
        note = target / NOT_FRESH if target.is_dir() else target.with_name(f"{target.name}.{NOT_FRESH}")
        write_text(note, "".join(f"{sentence}\n" for sentence in marked))

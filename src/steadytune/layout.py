"""Where everything lies on disk: the one place that spells the DAG's paths.

What a suite leaves is asked for by the suite, or by the folder of its results where that lies elsewhere: recorded runs,
results that are looked at without their suite. Cells are given as such, or as a path below `cells/`; parts of a path
may be Snakemake's wildcards.

Files of the project (the lock, suites, claims, published numbers, the Snakefile) are given by their paths in its
repository; `project_file` finds them in a clone and in an installed package.
"""

import os
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Kind = Literal["datasets", "models"]
"""What the lock and the store hold."""


class Placed(Protocol):
    """A suite, of which only its name and the place of its results count here."""

    @property
    def name(self) -> str:
        """As in `results/<name>`."""
        ...

    @property
    def results(self) -> Path:
        """The folder of its results."""
        ...


Of: TypeAlias = Placed | Path
"""A suite, or the folder of its results."""

CELLS = "cells"
RECORD = "record.json"
PREDICTIONS = "predictions.parquet"
HISTORY = "history.csv"
UNLABELLED = "unlabelled.parquet"
MODEL = "model.safetensors"
PRETRAINING = "pretraining.json"
"""How an encoder that the project trains itself was trained; beside its weights."""
RESULTS = Path("results")
LOCK = Path("config/lock.yaml")
RECORDED = Path("published/recorded")
SOURCE = Path(__file__).resolve().parents[1]
"""What has to be on Python's path for the package: `src` of a clone, or the site-packages it is installed in."""


def first_on_path(folder: Path, variable: str) -> str:
    """A path variable of the environment (`PATH`, `PYTHONPATH`) with `folder` before what it holds."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get(variable))))


def project_folder() -> Path:
    """The folder with the project's files.

    The current folder if it is a clone (told by its lock); else the clone that this package lies in; else what its
    wheel brought along.
    """
    if LOCK.is_file():
        return Path()
    clone = SOURCE.parent
    return clone if (clone / LOCK).is_file() else SOURCE / "steadytune" / "_project"


def project_file(path: Path) -> Path:
    """A file or folder of the project, by its path in the repository; relative if the current folder is a clone."""
    return project_folder() / path


def staged_folder(store: Path, kind: Kind, key: str) -> Path:
    """The staged entry of the lock of this kind and key."""
    return store / kind / key


def partial_folder(folder: Path) -> Path:
    """Where a folder of the store is made until it is whole."""
    return folder.with_name(f".{folder.name}.partial")


def store_lock_path(store: Path, where: str) -> Path:
    """The lock of who writes the folder of an entry, unpacks a bundle, or reads what was downloaded of a hub set."""
    return store / ".locks" / f"{where.replace('/', '--')}.lock"


def dataset_folder(store: Path, key: str) -> Path:
    """The staged data set of a lock key (`<owner>/<name>/<config>`)."""
    return staged_folder(store, "datasets", key)


def model_folder(store: Path, key: str) -> Path:
    """The staged encoder of a lock key (`<owner>/<name>`)."""
    return staged_folder(store, "models", key)


def results_folder(of: Of) -> Path:
    """Everything that a suite leaves."""
    return of if isinstance(of, Path) else of.results


def owner_path(of: Of) -> Path:
    """Where the file of the suite that the results are of lies, as seen from them."""
    return results_folder(of) / "suite.txt"


def recorded_folder(suite: Placed) -> Path:
    """Runs of a suite that the project publishes: `cells.jsonl.gz` and the files beside it."""
    return RECORDED / suite.name


# A cell.


def cells_folder(of: Of) -> Path:
    """The cells' folders."""
    return results_folder(of) / CELLS


def cell_folder(of: Of, cell: object) -> Path:
    """The record of a cell and the files beside it."""
    # In one step: thousands of cells are asked for.
    return results_folder(of).joinpath(CELLS, str(cell))


def record_path(of: Of, cell: object) -> Path:
    """A cell's `record.json`."""
    return results_folder(of).joinpath(CELLS, str(cell), RECORD)


def predictions_path(of: Of, cell: object) -> Path:
    """A cell's outputs on every example."""
    return cell_folder(of, cell) / PREDICTIONS


def history_path(of: Of, cell: object) -> Path:
    """A cell's epochs."""
    return cell_folder(of, cell) / HISTORY


def model_path(of: Of, cell: object) -> Path:
    """A cell's fine-tuned weights, if the suite keeps them."""
    return cell_folder(of, cell) / MODEL


def handover_path(of: Of, cell: object) -> Path:
    """A cell's fine-tuned weights until they have been measured inside, and other cells have started from them."""
    return results_folder(of) / "handover" / f"{cell}.safetensors"


def verification_folder(of: Of, cell: object) -> Path:
    """Where a recorded cell is run again to be compared with its record."""
    return results_folder(of) / "verify" / str(cell)


def running_path(of: Of, cell: object) -> Path:
    """What a process that trains a cell, or adds to its suite's `looks`, holds locked meanwhile."""
    return results_folder(of) / "running" / f"{cell}.lock"


def file_cache_path(of: Of, what: str = "cells") -> Path:
    """What is cached about the suite's files (`cells`, `products`, `store`): it may be deleted at any time."""
    return results_folder(of) / "running" / f"checked-{what}.json"


def manifests_folder(of: Of) -> Path:
    """What the files that jobs made must be, and what they were made from."""
    return results_folder(of) / "made"


def manifest_path(of: Of, product: str) -> Path:
    """The manifest of one product: the files that one job made."""
    return manifests_folder(of) / f"{product}.json"


def checkpoint_path(of: Of, cell: object) -> Path:
    """An unfinished cell's last epoch, outside of the cell's folder: Snakemake clears that before a job."""
    return results_folder(of) / "checkpoints" / f"{cell}.safetensors"


# What is measured inside encoders, before fine-tuning and after.


def variability_folder(of: Of) -> Path:
    """The measurements of layers."""
    return results_folder(of) / "variability"


def variability_path(of: Of, encoder: str, task: str) -> Path:
    """An encoder's variability per layer on a task."""
    return variability_folder(of) / encoder / f"{task}.json"


def inside_folder(of: Of) -> Path:
    """What is measured inside encoders."""
    return results_folder(of) / "inside"


def inside_path(of: Of, cell: object) -> Path:
    """What is measured inside a cell's fine-tuned encoder; beside it, as `.npz`, what is compared between seeds."""
    return inside_folder(of) / f"{cell}.json"


def inside_before_path(of: Of, encoder: str, task: str) -> Path:
    """The same of an encoder before fine-tuning, on the examples of a task."""
    return inside_folder(of) / encoder / "before" / f"{task}.json"


# What is gathered from all cells.


def metrics_path(of: Of) -> Path:
    """The long table of every score."""
    return results_folder(of) / "metrics.parquet"


def inside_table_path(of: Of) -> Path:
    """The long table of what is measured inside."""
    return results_folder(of) / "inside.parquet"


def analysis_folder(of: Of) -> Path:
    """What is computed from predictions and scores."""
    return results_folder(of) / "analysis"


def slices_path(of: Of) -> Path:
    """Scores on parts of evaluation sets."""
    return analysis_folder(of) / "slices.parquet"


def calibration_path(of: Of) -> Path:
    """Calibration of every cell, and churn between seeds."""
    return analysis_folder(of) / "calibration.parquet"


def claims_path(of: Of) -> Path:
    """The verdict on every claim that the suite names."""
    return analysis_folder(of) / "claims.json"


def looks_path(of: Of) -> Path:
    """When the suite's questions were looked at."""
    return results_folder(of) / "looks.json"


# What is rendered.


def tables_folder(of: Of) -> Path:
    """Every table in its formats."""
    return results_folder(of) / "tables"


def all_tables_path(of: Of) -> Path:
    """Every table in one LaTeX document."""
    return results_folder(of) / "tables.tex"


def macros_path(of: Of) -> Path:
    """The numbers as commands for running text."""
    return results_folder(of) / "macros.tex"


def figures_folder(of: Of) -> Path:
    """Every figure in its formats."""
    return results_folder(of) / "figures"


def notebook_path(of: Of) -> Path:
    """The notebook, executed."""
    return results_folder(of) / "report.ipynb"


def report_path(of: Of) -> Path:
    """The page."""
    return results_folder(of) / "report.html"


def listed_cells_path(of: Of) -> Path:
    """The list of the cells, if it is too long for the page."""
    return results_folder(of) / "cells.csv"

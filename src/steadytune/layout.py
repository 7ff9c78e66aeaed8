"""Where everything is on disk: the only module that spells the DAG's paths.

Functions for results take a suite, or the folder of its results if that is elsewhere, as for recorded runs and for
results read without their suite. A cell is given as such or as a path below `cells/`; parts of a path may be Snakemake
wildcards.

Files of the project (the lock, suites, claims, published numbers, the Snakefile) are given by their paths in the
repository; `project_file` finds them in a clone or in an installed package.
"""

import os
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

Kind = Literal["datasets", "models"]
"""The kinds of entries in the lock and in the store."""


class Placed(Protocol):
    """A suite, of which only the name and the results folder matter here."""

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
"""How the project pretrained an encoder itself; next to the encoder's weights."""
RESULTS = Path("results")
LOCK = Path("config/lock.yaml")
RECORDED = Path("published/recorded")
SOURCE = Path(__file__).resolve().parents[1]
"""The folder that makes this package importable: `src` of a clone, or the site-packages it is installed in."""


def first_on_path(folder: Path, variable: str) -> str:
    """The value of a path variable of the environment (`PATH`, `PYTHONPATH`) with `folder` put first."""
    return os.pathsep.join(filter(None, (str(folder), os.environ.get(variable))))


def project_folder() -> Path:
    """The folder with the project's files.

    The current folder if it is a clone (it has the lock); else the clone that contains this package; else the copy in
    the installed wheel.
    """
    if LOCK.is_file():
        return Path()
    clone = SOURCE.parent
    return clone if (clone / LOCK).is_file() else SOURCE / "steadytune" / "_project"


def project_file(path: Path) -> Path:
    """A file or folder of the project, by its path in the repository; relative if the current folder is a clone."""
    return project_folder() / path


def staged_folder(store: Path, kind: Kind, key: str) -> Path:
    """The folder of a staged entry of the lock."""
    return store / kind / key


def partial_folder(folder: Path) -> Path:
    """Where a folder of the store is built until it is complete."""
    return folder.with_name(f".{folder.name}.partial")


def store_lock_path(store: Path, where: str) -> Path:
    """The lock for filling the store, writing an entry's folder, unpacking a bundle or using hub downloads.

    `where` names which of these, for example `datasets/<key>`.
    """
    return store / ".locks" / f"{where.replace('/', '--')}.lock"


def dataset_folder(store: Path, key: str) -> Path:
    """The staged data set of a lock key (`<owner>/<name>/<config>`)."""
    return staged_folder(store, "datasets", key)


def model_folder(store: Path, key: str) -> Path:
    """The staged encoder of a lock key (`<owner>/<name>`)."""
    return staged_folder(store, "models", key)


def results_folder(of: Of) -> Path:
    """The folder of everything that a suite produces."""
    return of if isinstance(of, Path) else of.results


def owner_path(of: Of) -> Path:
    """The note that says which suite file the results belong to, as a path relative to them."""
    return results_folder(of) / "suite.txt"


def recorded_folder(suite: Placed) -> Path:
    """The project's published runs of a suite: `cells.jsonl.gz` and the files next to it."""
    return RECORDED / suite.name


# A cell.


def cells_folder(of: Of) -> Path:
    """The cells' folders."""
    return results_folder(of) / CELLS


def cell_folder(of: Of, cell: object) -> Path:
    """The folder of a cell's record and other files."""
    # In one step, because callers ask for thousands of cells.
    return results_folder(of).joinpath(CELLS, str(cell))


def record_path(of: Of, cell: object) -> Path:
    """A cell's `record.json`."""
    return results_folder(of).joinpath(CELLS, str(cell), RECORD)


def predictions_path(of: Of, cell: object) -> Path:
    """A cell's outputs for every evaluated example."""
    return cell_folder(of, cell) / PREDICTIONS


def history_path(of: Of, cell: object) -> Path:
    """A cell's history, by epoch."""
    return cell_folder(of, cell) / HISTORY


def model_path(of: Of, cell: object) -> Path:
    """A cell's fine-tuned weights, if the suite keeps them."""
    return cell_folder(of, cell) / MODEL


def handover_path(of: Of, cell: object) -> Path:
    """A cell's fine-tuned weights, kept until its encoder is measured inside and other cells have started from them."""
    return results_folder(of) / "handover" / f"{cell}.safetensors"


def verification_folder(of: Of, cell: object) -> Path:
    """Where a recorded cell is rerun for comparison with its record."""
    return results_folder(of) / "verify" / str(cell)


def running_path(of: Of, cell: object) -> Path:
    """The lock that a process holds while it trains or verifies a cell, or adds to the suite's `looks`."""
    return results_folder(of) / "running" / f"{cell}.lock"


def file_cache_path(of: Of, what: str = "cells") -> Path:
    """The cache of what checking files has found (`cells`, `products`, `store`); it may be deleted at any time."""
    return results_folder(of) / "running" / f"checked-{what}.json"


def manifests_folder(of: Of) -> Path:
    """The manifests: hashes of the files that jobs made, and digests of what they were made from."""
    return results_folder(of) / "made"


def manifest_path(of: Of, product: str) -> Path:
    """The manifest of one product: the files that one job made."""
    return manifests_folder(of) / f"{product}.json"


def checkpoint_path(of: Of, cell: object) -> Path:
    """The latest checkpoint of an unfinished cell, outside its folder, which Snakemake clears before a job."""
    return results_folder(of) / "checkpoints" / f"{cell}.safetensors"


# Measurements inside encoders, before and after fine-tuning.


def variability_folder(of: Of) -> Path:
    """The measurements of the layers' variability."""
    return results_folder(of) / "variability"


def variability_path(of: Of, encoder: str, task: str) -> Path:
    """An encoder's variability per layer on a task."""
    return variability_folder(of) / encoder / f"{task}.json"


def inside_folder(of: Of) -> Path:
    """The measurements inside encoders."""
    return results_folder(of) / "inside"


def inside_path(of: Of, cell: object) -> Path:
    """Measurements inside a cell's fine-tuned encoder; the `.npz` next to it holds what is compared between seeds."""
    return inside_folder(of) / f"{cell}.json"


def inside_before_path(of: Of, encoder: str, task: str) -> Path:
    """The same measurements inside an encoder before fine-tuning, on a task's examples."""
    return inside_folder(of) / encoder / "before" / f"{task}.json"


# Collected from all cells.


def metrics_path(of: Of) -> Path:
    """The long-format table of all scores."""
    return results_folder(of) / "metrics.parquet"


def inside_table_path(of: Of) -> Path:
    """The long-format table of the measurements inside encoders."""
    return results_folder(of) / "inside.parquet"


def analysis_folder(of: Of) -> Path:
    """Analyses of predictions and scores."""
    return results_folder(of) / "analysis"


def slices_path(of: Of) -> Path:
    """Accuracy on slices of evaluation sets."""
    return analysis_folder(of) / "slices.parquet"


def calibration_path(of: Of) -> Path:
    """Calibration of every cell, and churn between seeds."""
    return analysis_folder(of) / "calibration.parquet"


def claims_path(of: Of) -> Path:
    """The verdicts on the claims that the suite names."""
    return analysis_folder(of) / "claims.json"


def looks_path(of: Of) -> Path:
    """The looks at the suite's questions."""
    return results_folder(of) / "looks.json"


# Rendered output.


def tables_folder(of: Of) -> Path:
    """Every table, in each of its formats."""
    return results_folder(of) / "tables"


def all_tables_path(of: Of) -> Path:
    """All tables in one LaTeX document."""
    return results_folder(of) / "tables.tex"


def macros_path(of: Of) -> Path:
    """The numbers as LaTeX commands for running text."""
    return results_folder(of) / "macros.tex"


def figures_folder(of: Of) -> Path:
    """Every figure, in each of its formats."""
    return results_folder(of) / "figures"


def notebook_path(of: Of) -> Path:
    """The executed notebook."""
    return results_folder(of) / "report.ipynb"


def report_path(of: Of) -> Path:
    """The report page."""
    return results_folder(of) / "report.html"


def listed_cells_path(of: Of) -> Path:
    """The list of cells, if it is too long for the report page."""
    return results_folder(of) / "cells.csv"

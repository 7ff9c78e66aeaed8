"""Where everything is on disk: the only module that spells the DAG's paths.

Functions for results take a suite, or the folder of its results if that is elsewhere, as for recorded runs and for
results read without their suite. A cell is given as such or as a path below `cells/`; parts of a path may be Snakemake
wildcards.

Files of the project (the lock, suites, claims, published numbers, the Snakefile) are given by their paths in the
repository; `project_file` finds them in a clone or in an installed package.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from steadytune.source import SOURCE

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
CHECKPOINTS, HANDOVER, LOGS, RUNNING, VERIFY = "checkpoints", "handover", "logs", "running", "verify"
"""Folders of the results with files that are no product."""


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


def record_files(of: Of) -> Iterator[Path]:
    """The records that exist, of cells that the suite plans or not."""
    return (path for group in cells_folder(of).glob("*/*/*") for path in seed_records(group))


def seed_records(group: Path) -> Iterator[Path]:
    """The records of all seeds in the folder of an encoder, method and task."""
    return group.glob(f"seed-*/{RECORD}")


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
    return results_folder(of) / HANDOVER / f"{cell}.safetensors"


def verification_folder(of: Of, cell: object) -> Path:
    """Where a recorded cell is rerun for comparison with its record."""
    return results_folder(of) / VERIFY / str(cell)


def running_path(of: Of, cell: object) -> Path:
    """The lock that a process holds while it trains or verifies a cell, or adds to the suite's `looks`."""
    return results_folder(of) / RUNNING / f"{cell}.lock"


def lock_of(of: Of, path: Path) -> Path:
    """The lock that the writer of a temporary file in the results holds; the inverse of `running_path`."""
    place, *parts = path.relative_to(results_folder(of)).parent.parts or ("",)
    name = path.name[1:].partition(".")[0]
    if not parts or place == VERIFY:
        return running_path(of, "/".join([place, *parts]) or name)
    return running_path(of, "/".join([*parts, name] if place in (CHECKPOINTS, HANDOVER) else parts))


def logs_folder(of: Of) -> Path:
    """The logs of the workflow's jobs."""
    return results_folder(of) / LOGS


def plan_path(of: Of) -> Path:
    """The record paths of the cells that `steadytune plan` chose for a budget."""
    return results_folder(of) / "plan.txt"


def file_cache_path(of: Of, what: str = "cells") -> Path:
    """The cache of what checking files has found (`cells`, `products`, `store`); it may be deleted at any time."""
    return results_folder(of) / RUNNING / f"checked-{what}.json"


def manifests_folder(of: Of) -> Path:
    """The manifests: hashes of the files that jobs made, and digests of what they were made from."""
    return results_folder(of) / "made"


def manifest_path(of: Of, product: str) -> Path:
    """The manifest of one product: the files that one job made."""
    return manifests_folder(of) / f"{product}.json"


def checkpoints_folder(of: Of) -> Path:
    """The checkpoints of unfinished cells, one file each, below their encoder, method and task."""
    return results_folder(of) / CHECKPOINTS


def checkpoint_path(of: Of, cell: object) -> Path:
    """The latest checkpoint of an unfinished cell, outside its folder, which Snakemake clears before a job."""
    return checkpoints_folder(of) / f"{cell}.safetensors"


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

"""Where everything lies on disk: the one place that spells the DAG's paths."""

from pathlib import Path

from steadytune.cell import Cell
from steadytune.record import MODEL, RECORD
from steadytune.suite import Suite

RESULTS = Path("results")
LOCK = Path("config/lock.yaml")
RECORDED = Path("published/recorded")
RECEIPT = "receipt.json"


def dataset_folder(store: Path, key: str) -> Path:
    """The staged data set of a lock key (`<owner>/<name>/<config>`)."""
    return store / "datasets" / key


def model_folder(store: Path, key: str) -> Path:
    """The staged encoder of a lock key (`<owner>/<name>`)."""
    return store / "models" / key


def results_folder(suite: Suite) -> Path:
    """Everything that a suite leaves."""
    return RESULTS / suite.name


def cell_folder(suite: Suite, cell: Cell) -> Path:
    """The record of a cell and the files beside it."""
    return results_folder(suite) / "cells" / str(cell)


def record_path(suite: Suite, cell: Cell) -> Path:
    """A cell's `record.json`."""
    return cell_folder(suite, cell) / RECORD


def model_path(suite: Suite, cell: Cell) -> Path:
    """A cell's fine-tuned weights, where they are kept for a while."""
    return cell_folder(suite, cell) / MODEL


def metrics_path(suite: Suite) -> Path:
    """The long table of every score."""
    return results_folder(suite) / "metrics.parquet"


def variability_path(suite: Suite, encoder: str, task: str) -> Path:
    """An encoder's variability per layer on a task."""
    return results_folder(suite) / "variability" / encoder / f"{task}.json"


def inside_path(suite: Suite, cell: Cell) -> Path:
    """What is measured inside a cell's fine-tuned encoder; beside it, as `.npz`, what is compared between seeds."""
    return results_folder(suite) / "inside" / f"{cell}.json"


def inside_before_path(suite: Suite, encoder: str, task: str) -> Path:
    """The same of an encoder before fine-tuning, on the examples of a task."""
    return results_folder(suite) / "inside" / encoder / "before" / f"{task}.json"


def claims_path(suite: Suite) -> Path:
    """The verdict on every claim that the suite names."""
    return results_folder(suite) / "analysis" / "claims.json"


def inside_table_path(suite: Suite) -> Path:
    """All of it as one long table."""
    return results_folder(suite) / "inside.parquet"


def slices_path(suite: Suite) -> Path:
    """Scores on parts of evaluation sets."""
    return results_folder(suite) / "analysis" / "slices.parquet"


def calibration_path(suite: Suite) -> Path:
    """Calibration of every cell, and churn between seeds."""
    return results_folder(suite) / "analysis" / "calibration.parquet"


def recorded_folder(suite: Suite) -> Path:
    """Runs of a suite that the project publishes, laid out as its results."""
    return RECORDED / suite.name


def verification_folder(suite: Suite, cell: Cell) -> Path:
    """Where a recorded cell is run again to be compared with its record."""
    return results_folder(suite) / "verify" / str(cell)


def running_path(suite: Suite, cell: Cell) -> Path:
    """What a process that trains a cell holds locked meanwhile."""
    return results_folder(suite) / "running" / f"{cell}.lock"


def checkpoint_path(suite: Suite, cell: Cell) -> Path:
    """An unfinished cell's last epoch, outside of the cell's folder: Snakemake clears that before a job."""
    return results_folder(suite) / "checkpoints" / f"{cell}.safetensors"

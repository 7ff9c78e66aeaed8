"""Where everything lies on disk: the one place that spells the DAG's paths."""

from pathlib import Path

from steadytune.cell import Cell
from steadytune.record import RECORD
from steadytune.suite import Suite

RESULTS = Path("results")
LOCK = Path("config/lock.yaml")
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


def metrics_path(suite: Suite) -> Path:
    """The long table of every score."""
    return results_folder(suite) / "metrics.parquet"


def variability_path(suite: Suite, encoder: str, task: str) -> Path:
    """An encoder's variability per layer on a task."""
    return results_folder(suite) / "variability" / encoder / f"{task}.json"


def checkpoint_path(suite: Suite, cell: Cell) -> Path:
    """An unfinished cell's last epoch, outside of the cell's folder: Snakemake clears that before a job."""
    return results_folder(suite) / "checkpoints" / f"{cell}.safetensors"

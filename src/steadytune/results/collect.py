"""Every record of a suite as one long table: a row for each cell x evaluation set x metric."""

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from steadytune.cells.record import Record, read_record
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.transfer import headline_metric
from steadytune.files import write_parquet
from steadytune.layout import metrics_path, record_path
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

COLUMNS = {
    "suite": "string",
    "encoder": "string",
    "method": "string",
    "task": "string",
    "seed": "int64",
    "status": "string",
    "evaluation_set": "string",
    "kind": "string",
    "metric": "string",
    "headline": "bool",
    "value": "float64",
    "n": "Int64",
    "truncated": "Int64",
    "seen_in_training": "Int64",
    "majority_rate": "float64",
    "majority": "float64",
    "train_examples": "Int64",
    "train_truncated": "Int64",
    "seconds": "float64",
}


def collect(suite: Suite) -> None:
    """Write `metrics.parquet`.

    Every planned cell has rows. A cell without scores has its status and NaN: `missing` where there is no record,
    `quarantined` where the record is damaged, which the log says together with the command that trains it again.
    """
    rows = [row for cell in suite.cells for row in _rows(suite, cell, _read(record_path(suite, cell)))]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    write_parquet(metrics_path(suite), table)
    states = table.drop_duplicates(["encoder", "method", "task", "seed"])["status"].value_counts()
    log.info("%s: %d cells: %s", suite.name, len(suite.cells), ", ".join(f"{n} {s}" for s, n in states.items()))


def _read(path: Path) -> Record | str:
    """A cell's record, or the status of a cell that has none."""
    if not path.exists():
        return "missing"
    try:
        return read_record(path)
    except SteadyTuneError as error:
        log.warning("%s; train the cell again: snakemake --cores 1 --force -- %s", error, path)
        return "quarantined"


def _rows(suite: Suite, cell: Cell, record: Record | str) -> Iterator[dict[str, Any]]:
    identity = {"suite": suite.name, "encoder": cell.encoder, "method": cell.method, "task": cell.task}
    identity |= {"seed": cell.seed}
    if isinstance(record, str) or not record.evaluations:
        status = record if isinstance(record, str) else record.status
        seconds = math.nan if isinstance(record, str) else record.timing["total"]
        for name in (cell.task, *suite.spec(cell).transfer):
            yield {
                **identity,
                "status": status,
                "evaluation_set": name,
                "kind": "in_domain" if name == cell.task else "transfer",
                "metric": headline_metric(suite.task(cell.task), suite.task(name)),
                "headline": True,
                "value": math.nan,
                "seconds": seconds,
            }
        return
    for evaluation in record.evaluations:
        for metric, value in evaluation.metrics.items():
            yield {
                **identity,
                "status": record.status,
                "evaluation_set": evaluation.set,
                "kind": evaluation.kind,
                "metric": metric,
                "headline": metric == evaluation.headline,
                "value": math.nan if value is None else value,
                "n": evaluation.n,
                "truncated": evaluation.truncated,
                "seen_in_training": evaluation.seen_in_training,
                "majority_rate": evaluation.majority_rate,
                "majority": evaluation.majority[metric],
                "train_examples": record.training.examples if record.training else None,
                "train_truncated": record.training.truncated if record.training else None,
                "seconds": record.timing["total"],
            }

"""Every record of a suite as one long table, with a row for each cell x evaluation set x metric."""

import logging
import math
from collections.abc import Iterator
from typing import Any

import pandas as pd

from steadytune.cells.freshness import AS_RECORDED, CellStatus, digest, statuses
from steadytune.cells.record import Record
from steadytune.evaluation.transfer import headline_metric
from steadytune.files import write_parquet
from steadytune.layout import metrics_path, record_path
from steadytune.manifests import damage, read_manifest
from steadytune.schema import check
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.text import counted

log = logging.getLogger(__name__)

COLUMNS = {
    "suite": "string",
    "encoder": "string",
    "method": "string",
    "task": "string",
    "seed": "int64",
    "status": "string",
    "stale": "string",
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


def collect(suite: Suite, *, as_recorded: bool = False) -> None:
    """Write `metrics.parquet`.

    Every planned cell has rows. A cell without scores has its status and NaN: `missing` without a record, `quarantined`
    if the record is damaged or refuted by its predictions, `stale` if it has other settings or inputs. The column
    `stale` says why scores that are shown are not fresh.

    as_recorded: do not compare code and inputs, because a recorded suite belongs to the code that it names.
    """
    table = _gather(suite, statuses(suite, scores=True, as_recorded=as_recorded))
    write_parquet(metrics_path(suite), table)
    states = table.drop_duplicates(["encoder", "method", "task", "seed"])["status"].value_counts()
    log.info("%s: %d cells: %s", suite.name, len(suite.cells), ", ".join(f"{n} {s}" for s, n in states.items()))


def gather(suite: Suite, found: list[CellStatus] | None = None) -> pd.DataFrame:
    """The table that `collect` would write; `found`: as for `is_current`."""
    return _gather(suite, found or statuses(suite, scores=True))


def _gather(suite: Suite, found: list[CellStatus]) -> pd.DataFrame:
    why: dict[tuple[str, str], list[Cell]] = {}
    for status in found:
        if status.state in ("quarantined", "stale"):
            why.setdefault((status.state, status.why), []).append(status.cell)
    for (state, reason), cells in why.items():
        # If a suite's inputs are not staged, all cells have the same reason.
        more = f" and {counted(len(cells) - 1, 'more cell')}" if len(cells) > 1 else ""
        log.warning("%s%s: %s: %s", cells[0], more, state, reason)
    rows = [row for status in found for row in _rows(suite, status)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def is_current(suite: Suite, found: list[CellStatus] | None = None) -> bool:
    """Whether `metrics.parquet` is intact and was gathered from the records as they are now.

    `found`: the result of `statuses` with `scores`, and code and inputs compared, if the caller has it.
    """
    if damage(suite, "metrics", [metrics_path(suite)]):
        return False
    made_from = read_manifest(suite, "metrics").made_from
    as_recorded = made_from.get("judged") == AS_RECORDED
    if as_recorded or found is None:
        found = statuses(suite, scores=True, as_recorded=as_recorded)
    return made_from.get("cells") == digest(found)


def _rows(suite: Suite, found: CellStatus) -> Iterator[dict[str, Any]]:
    cell, state = found.cell, "missing" if found.state == "running" else found.state
    record = check(Record, found.record, record_path(suite, cell)) if found.shown else None
    identity = {"suite": suite.name, "encoder": cell.encoder, "method": cell.method, "task": cell.task}
    identity |= {"seed": cell.seed, "stale": found.why if found.shown else ""}
    if record is None or not record.evaluations:
        for name in (cell.task, *suite.spec(cell).transfer):
            yield {
                **identity,
                "status": record.status if record else state,
                "evaluation_set": name,
                "kind": "in_domain" if name == cell.task else "transfer",
                "metric": headline_metric(suite.task(cell.task), suite.task(name)),
                "headline": True,
                "value": math.nan,
                "seconds": record.timing["total"] if record else math.nan,
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

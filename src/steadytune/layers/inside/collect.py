"""Collect all inside measurements, and comparisons between seeds, in one long table, `inside.parquet`.

Each row is one number. Columns: encoder; method (`before` for the encoder before fine-tuning); task; seed and, between
two seeds, other_seed; measure; layer (0 is the embedding output) and, for noise, to_layer; probe and its metric; value.
"""

import logging
import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steadytune.files import read_json, write_parquet
from steadytune.layers.inside.cka import cka
from steadytune.layout import inside_before_path, inside_path, inside_table_path, predictions_path
from steadytune.results.churn import churn
from steadytune.results.inside import BEFORE
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

BY_LAYER = ("token_similarity", "nu", "cka", "parameter_distance")
COLUMNS = {
    "encoder": "string",
    "method": "string",
    "task": "string",
    "seed": "Int64",
    "other_seed": "Int64",
    "measure": "string",
    "layer": "Int64",
    "to_layer": "Int64",
    "probe": "string",
    "metric": "string",
    "value": "float64",
}
Row = dict[str, Any]


def collect_inside(suite: Suite) -> None:
    """Write `inside.parquet`.

    Every cell has a row `looked_into`: 1, or 0 if it left no model worth measuring and so has no other row.
    """
    rows: list[Row] = []
    for encoder, task in suite.inside_pairs():
        key = {"encoder": encoder, "method": BEFORE, "task": task}
        rows += [key | row for row in _numbers(read_json(inside_before_path(suite, encoder, task)))]
    groups: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in suite.inside_cells:
        found = read_json(inside_path(suite, cell))
        key = {"encoder": cell.encoder, "method": cell.method, "task": cell.task, "seed": cell.seed}
        rows.append(key | {"measure": "looked_into", "value": float("nu" in found)})
        if "nu" not in found:
            log.info("%s ended as %s: nothing to measure inside", cell, found["status"])
            continue
        rows += [key | row for row in _numbers(found)]
        groups.setdefault((cell.encoder, cell.method, cell.task), []).append(cell)
    for (encoder, method, task), cells in groups.items():
        key = {"encoder": encoder, "method": method, "task": task}
        rows += [key | row for row in _between_seeds(suite, cells)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    write_parquet(inside_table_path(suite), table)


def _numbers(found: dict[str, Any]) -> Iterator[Row]:
    """The table rows for one file."""
    for name in BY_LAYER:
        for layer, value in enumerate(found.get(name, ())):
            yield {"measure": name, "layer": layer, "value": _number(value)}
    for layer, line in enumerate(found["noise_propagation"]):
        for other, value in enumerate(line):
            if other >= layer:
                yield {"measure": "noise_propagation", "layer": layer, "to_layer": other, "value": _number(value)}
    if (loss := found["masked_word_loss"]) is not None:
        yield {"measure": "masked_word_loss", "value": loss}
    for name, item in found["probes"].items():
        for layer, value in enumerate(item["scores"]):
            identity = {"measure": "probe", "probe": name, "metric": item["metric"], "layer": layer}
            yield identity | {"value": _number(value)}


def _between_seeds(suite: Suite, cells: list[Cell]) -> Iterator[Row]:
    """CKA of every layer, and churn, for each pair of seeds of one method."""
    grams = {cell: _gram(inside_path(suite, cell).with_suffix(".npz")) for cell in cells}
    answers = {cell: _answers(suite, cell) for cell in cells}
    for one, other in combinations(cells, 2):
        pair = {"seed": one.seed, "other_seed": other.seed}
        for layer, matrices in enumerate(zip(grams[one], grams[other], strict=True)):
            yield pair | {"measure": "cka_between_seeds", "layer": layer, "value": cka(*matrices)}
        (first, labels), (second, _) = answers[one], answers[other]
        found = churn(first, second, labels, regression=suite.task(one.task).regression)
        yield pair | {"measure": "churn", "value": found.all}
        yield pair | {"measure": "churn_one_right", "value": found.one_right}


def _gram(path: Path) -> np.ndarray:
    """The stored Gram matrices, (L + 1, n, n)."""
    with np.load(path) as arrays:
        return arrays["gram"]


def _answers(suite: Suite, cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """A cell's answers on its own task's evaluation split, and the gold labels, each (n,)."""
    path = predictions_path(suite, cell)
    table = pd.read_parquet(path, filters=[("evaluation_set", "==", cell.task)]).sort_values("row")
    return table["prediction"].to_numpy(), table["label"].to_numpy()


def _number(value: float | None) -> float:
    return math.nan if value is None else value

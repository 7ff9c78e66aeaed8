"""Predictions on GLUE's hidden test sets, in the files that gluebenchmark.com accepts.

Each file has the columns `index` and `prediction`, with one line per row of the test set, in order.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from steadytune.cells.keeping import best_cell, development_score
from steadytune.cells.record import damaged_file
from steadytune.errors import SteadyTuneError
from steadytune.exports.content import Content
from steadytune.exports.spreadsheet import write_csv
from steadytune.files import atomic_folder, plain
from steadytune.layout import UNLABELLED, cell_folder
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.suite.variants import base


class TestSet(NamedTuple):
    """A file of a submission."""

    name: str
    rows: int
    names: bool = False
    """Whether predictions are class names instead of class numbers."""


FILES = {
    ("cola", "test"): TestSet("CoLA.tsv", 1063),
    ("sst2", "test"): TestSet("SST-2.tsv", 1821),
    ("mrpc", "test"): TestSet("MRPC.tsv", 1725),
    ("stsb", "test"): TestSet("STS-B.tsv", 1379),
    ("qqp", "test"): TestSet("QQP.tsv", 390965),
    ("mnli", "test_matched"): TestSet("MNLI-m.tsv", 9796, names=True),
    ("mnli", "test_mismatched"): TestSet("MNLI-mm.tsv", 9847, names=True),
    ("qnli", "test"): TestSet("QNLI.tsv", 5463, names=True),
    ("rte", "test"): TestSet("RTE.tsv", 3000, names=True),
    ("wnli", "test"): TestSet("WNLI.tsv", 146),
}
"""Files of a submission, by task and split."""


def export(suite: Suite, target: Path) -> None:
    """Write `<encoder>.<method>.zip` for every encoder and method that predicts a test set, and `cells.csv`.

    For each task, the cell with the best development score among all seeds and variants of the method is submitted.

    Raises:
        SteadyTuneError: the suite predicts no GLUE test set, a set's rows differ from GLUE's, or a file is damaged.
    """
    content = Content.load(suite)
    lines: list[tuple[object, ...]] = []
    with atomic_folder(target) as folder:
        folder.mkdir()
        for (encoder, method), cells in _submissions(suite).items():
            for cell in cells:
                if damage := damaged_file(content.records[cell], cell_folder(suite, cell)):
                    raise SteadyTuneError(damage)
                lines.append((encoder, method, cell.task, str(cell), development_score(plain(content.records[cell]))))
            files = {name: text for cell in cells for name, text in _files(suite, cell)}
            with zipfile.ZipFile(folder / f"{encoder}.{method}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
                for name, text in files.items():
                    archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
        if not lines:
            raise SteadyTuneError(
                f"{suite.path}: no test set of GLUE is predicted: expected `predict`, such as {{rte: test}}"
            )
        write_csv(folder / "cells.csv", ("encoder", "method", "task", "cell", "development_score"), lines)


def _submissions(suite: Suite) -> dict[tuple[str, str], list[Cell]]:
    """The cells to submit, by encoder and method."""
    found: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in suite.cells:
        if any((cell.task, split) in FILES for split in suite.spec(cell).predict):
            found.setdefault((cell.encoder, base(cell.method), cell.task), []).append(cell)
    chosen: dict[tuple[str, str], list[Cell]] = {}
    for (encoder, method, _), cells in found.items():
        if best := best_cell(suite, cells):
            chosen.setdefault((encoder, method), []).append(best)
    return chosen


def _files(suite: Suite, cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield the name and text of each submission file that a cell predicts."""
    path = cell_folder(suite, cell) / UNLABELLED
    table, task = pd.read_parquet(path), suite.task(cell.task)
    for split in suite.spec(cell).predict:
        if (cell.task, split) not in FILES:
            continue
        file = FILES[cell.task, split]
        rows = pd.DataFrame(table[table["split"] == split]).sort_values("row")
        if rows["row"].tolist() != list(range(file.rows)):
            raise SteadyTuneError(f"{path}: {len(rows)} rows of {split}: GLUE's {file.name} has {file.rows}")
        output = io.StringIO()
        output.write("index\tprediction\n")
        for row, value in zip(rows["row"], rows["prediction"], strict=True):
            answer = f"{value:.3f}" if task.regression else task.labels[int(value)] if file.names else str(int(value))
            output.write(f"{row}\t{answer}\n")
        yield file.name, output.getvalue()

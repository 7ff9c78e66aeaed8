"""Compare the cells of a suite with each other: find seeds that are copies, and gold labels that others contradict."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from steadytune.cells.file_cache import FileCache
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.layout import PREDICTIONS, Of, predictions_path
from steadytune.suite.cell import Cell

if TYPE_CHECKING:
    import numpy as np

Records = Mapping[Cell, dict[str, Any]]
Reasons = Iterator[tuple[Cell, str]]
"""The cells to reject, and why."""


def copies(of: Of, records: Records) -> Reasons:
    """Cells of one encoder, method and task with identical predictions: two different seeds never give equal logits."""
    alike: dict[tuple[str, ...], list[Cell]] = {}
    for cell, record in records.items():
        # A cell that did not finish has no predictions.
        if record["evaluations"]:
            alike.setdefault((cell.encoder, cell.method, cell.task, record["files"][PREDICTIONS]), []).append(cell)
    for cells in alike.values():
        if len(cells) > 1 and _are_telling(of, cells[0]):
            seeds = ", ".join(str(cell.seed) for cell in cells)
            yield from ((cell, f"seeds {seeds} have the same predictions: copies") for cell in cells)


def _are_telling(of: Of, cell: Cell) -> bool:
    """Whether a cell's logits differ between examples. If not (all NaN, or all 0), another seed may have the same."""
    # Imported here because the import is slow, and hardly any suite has two cells with the same predictions.
    import numpy as np

    logits = [values[np.isfinite(values)] for name, values in _columns(of, cell).items() if name.startswith("logit_")]
    return any(np.unique(values).size > 1 for values in logits)


def outvoted_cells(of: Of, cells: Iterable[Cell], cache: FileCache, *, read: bool) -> Reasons:
    """Cells with a gold label, for some example, that at most half of the cells share.

    This finds forged labels if the data are not staged for comparison.

    Args:
        of: the suite of the cells, or the folder of its results.
        cells: the cells whose scores the other checks allow to be shown.
        cache: caches digests of labels.
        read: read the predictions of cells whose digests are not cached; otherwise, skip these cells.
    """
    alike: defaultdict[tuple[str, str], defaultdict[str, list[Cell]]] = defaultdict(lambda: defaultdict(list))
    for cell in cells:
        compute = (lambda cell=cell: json.dumps(_digests(of, cell))) if read else None
        known = cache.find(f"{cell} labels", [predictions_path(of, cell)], compute)
        for name, digest in json.loads(known or "{}").items():
            # Held-out examples are only comparable within a task, whose training split they come from.
            alike[name, cell.task if name == HELD_OUT else ""][digest].append(cell)
    for (name, _), groups in alike.items():
        if len(groups) > 1:
            yield from _outvoted(of, name, list(groups.values()))


def _outvoted(of: Of, name: str, groups: list[list[Cell]]) -> Reasons:
    """From groups of cells with equal labels on a set, the cells with a label that at most half of all cells share."""
    told = [_labels(_columns(of, cells[0]))[name] for cells in groups]
    votes: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for labels, cells in zip(told, groups, strict=True):
        for row, label in labels:
            votes[row][label] += len(cells)
    for labels, cells in zip(told, groups, strict=True):
        if any(2 * votes[row][label] <= votes[row].total() for row, label in labels):
            why = f"{name}: the gold labels of its predictions differ from those of other cells"
            yield from ((cell, why) for cell in cells)


def _digests(of: Of, cell: Cell) -> dict[str, str]:
    """The digest of each evaluation set's rows and labels, by set."""
    found = _labels(_columns(of, cell))
    return {name: hashlib.sha256(repr(labels).encode()).hexdigest() for name, labels in found.items()}


def _labels(columns: "dict[str, np.ndarray]") -> dict[str, list[tuple[int, str]]]:
    """The row and the label, as text, of each example, by evaluation set; empty for questions, which have no label."""
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    sets, rows = (columns[name].tolist() for name in ("evaluation_set", "row"))
    for name, row, label in zip(sets, rows, map(str, columns.get("label", [])), strict=False):
        found[name].append((row, label))
    return found


def _columns(of: Of, cell: Cell) -> "dict[str, np.ndarray]":
    from steadytune.cells.predictions import read_predictions

    return read_predictions(predictions_path(of, cell))

"""What the records of a suite tell of each other: seeds that are copies of one another."""

from collections.abc import Iterator, Mapping
from typing import Any

from steadytune.layout import PREDICTIONS, Of, predictions_path
from steadytune.suite.cell import Cell

Records = Mapping[Cell, dict[str, Any]]
Whys = Iterator[tuple[Cell, str]]
"""The cells that are not to be believed, and why."""


def copies(of: Of, records: Records) -> Whys:
    """Cells of one encoder, method and task whose predictions are the same: no two seeds give the same logits."""
    alike: dict[tuple[str, ...], list[Cell]] = {}
    for cell, record in records.items():
        # A cell that came to no end has no predictions.
        if record["evaluations"]:
            alike.setdefault((cell.encoder, cell.method, cell.task, record["files"][PREDICTIONS]), []).append(cell)
    for cells in alike.values():
        if len(cells) > 1 and _are_telling(of, cells[0]):
            seeds = ", ".join(str(cell.seed) for cell in cells)
            yield from ((cell, f"seeds {seeds} have the same predictions: copies") for cell in cells)


def _are_telling(of: Of, cell: Cell) -> bool:
    """Whether a cell's logits differ between examples: those that are all NaN, or all 0, another seed may have too."""
    # Slow imports, and hardly any suite has two cells with the same predictions.
    import numpy as np

    from steadytune.cells.recompute import read_columns

    columns = read_columns(predictions_path(of, cell))
    logits = [values[np.isfinite(values)] for name, values in columns.items() if name.startswith("logit_")]
    return any(np.unique(values).size > 1 for values in logits)

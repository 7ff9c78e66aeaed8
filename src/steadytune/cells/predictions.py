"""The predictions beside a record, by column."""

from pathlib import Path

import numpy as np


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """Every column of `predictions.parquet`, over all evaluation sets; `evaluation/outputs.py` says what it holds.

    Raises:
        OSError, ValueError: no such file, or one that is damaged.
    """
    # Not pandas, which takes several times as long for a small file.
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    return {name: table[name].to_numpy() for name in table.column_names}

"""Read the predictions next to a record."""

from pathlib import Path

import numpy as np


def read_predictions(path: Path) -> dict[str, np.ndarray]:
    """The columns of `predictions.parquet`, by name, over all evaluation sets; `evaluation/outputs.py` documents them.

    Raises:
        OSError, ValueError: the file is missing or damaged.
    """
    # Not pandas, which is several times slower for a small file.
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        table = file.read(use_threads=False)
    return {name: table[name].to_numpy() for name in table.column_names}

"""What lies beside a record: every prediction, and the course of the training."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from steadytune.files import atomic_path


def write_predictions(
    path: Path, logits: Mapping[str, np.ndarray], examples: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> None:
    """Write `predictions.parquet`: a row for each example of each evaluation set.

    Columns: `evaluation_set`; `row`, its number in the set's file; `label`, the gold label (class index in the set's
    own label space, or score); `prediction`, the model's class in the space it was trained on, or its score; and
    `logit_0` to `logit_<C-1>`.

    Args:
        path: the file.
        logits: (n, C) float32 by evaluation set; empty for a cell that came to no end.
        examples: (rows (n,), labels (n,)) by evaluation set.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [name for name, values in logits.items() for _ in range(len(values))]
    rows = [examples[name][0] for name in logits]
    labels = [examples[name][1] for name in logits]
    stacked = np.concatenate([*logits.values()]) if logits else np.empty((0, 0), dtype=np.float32)
    columns = {
        "evaluation_set": pa.array(names, pa.string()),
        "row": pa.array(np.concatenate([np.empty(0, np.int64), *rows]).astype(np.int64)),
        "label": pa.array(np.concatenate([np.empty(0), *labels]).astype(np.float64)),
        "prediction": pa.array((stacked.argmax(1) if stacked.shape[1] > 1 else stacked.sum(1)).astype(np.float64)),
    }
    columns |= {f"logit_{i}": pa.array(stacked[:, i]) for i in range(stacked.shape[1])}
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd")


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write `history.csv`: a line an epoch; only the header's first columns where no epoch came to its end."""
    names = list(history[0]) if history else ["epoch", "step", "train_loss", "learning_rate"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)

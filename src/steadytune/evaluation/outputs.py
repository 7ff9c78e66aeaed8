"""What lies beside a record: every prediction, and the course of the training."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.files import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

    from steadytune.evaluation.predict import Predictions


HELD_OUT = "held out"
"""The evaluation set of predictions on the share of the training split that was kept from training; with its space, it
is no task's name."""


def write_predictions(path: Path, predictions: Mapping[str, "Predictions"]) -> None:
    """Write `predictions.parquet`: a row for each example of each evaluation set; none for a cell that came to no end.

    Columns: `evaluation_set`, a task or `HELD_OUT`; `row`, the example's number in the set's file; and, of classes and
    scores, `label`, the gold label (class index in the set's own label space, or score), `prediction`, the model's
    class in the space it was trained on, or its score, and `logit_0` to `logit_<C-1>`. Of answers to questions instead:
    `text`, the answer; `start` and `end`, its first character in the context and the one past its last (-1 and -1 for
    none); `exact_match` and `span_f1`, what it is worth; `logit_start` and `logit_end` (-inf for none).
    """
    import pyarrow as pa

    tables = [
        pa.table({"evaluation_set": [name] * len(columns["row"]), **columns})
        for name, columns in ((name, found.columns()) for name, found in predictions.items())
    ]
    write_table(path, pa.concat_tables(tables) if tables else no_predictions())


def write_unlabelled(path: Path, predictions: Mapping[str, "Predictions"]) -> None:
    """Write `unlabelled.parquet`: a row for each example of each split without labels, in the splits' own order.

    Columns: `split`, `row`, `prediction` and `logit_…`, as in `predictions.parquet`.
    """
    import pyarrow as pa

    tables = []
    for name, found in predictions.items():
        columns = {key: values for key, values in found.columns().items() if key != "label"}
        tables.append(pa.table({"split": [name] * len(columns["row"]), **columns}))
    write_table(path, pa.concat_tables(tables))


def no_predictions() -> "pa.Table":
    """The predictions of a cell that came to no end: the first columns, and no row."""
    import pyarrow as pa

    names = {"evaluation_set": pa.string(), "row": pa.int64(), "label": pa.float64(), "prediction": pa.float64()}
    return pa.schema(names).empty_table()


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a `predictions.parquet` atomically."""
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write `history.csv`: a line an epoch; only the header's first columns where no epoch came to its end."""
    names = list(history[0]) if history else ["epoch", "step", "train_loss", "learning_rate"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)

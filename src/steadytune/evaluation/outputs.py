"""The files next to a record: every prediction, and the training history."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.files import atomic_path

if TYPE_CHECKING:
    import pyarrow as pa

    from steadytune.evaluation.predict import Predictions


HELD_OUT = "held out"
"""The name of the evaluation set that is the held-out share of the training split; no task's name contains a space."""


def write_predictions(path: Path, predictions: Mapping[str, "Predictions"]) -> None:
    """Write `predictions.parquet`: a row for each example of each evaluation set; no rows if training did not finish.

    Columns: `evaluation_set`, a task or `HELD_OUT`, and `row`, the example's number in the set's files.

    For classes and scores: `label`, the gold class index (in the evaluation set's label space) or score; `prediction`,
    the model's class (in the label space it was trained on) or score; and `logit_0` to `logit_<C-1>`.

    For answers to questions: `text`, the answer; `start` and `end` (exclusive), its position in the context in
    characters (-1 and -1 for no answer); `exact_match` and `span_f1`, its scores; and `logit_start` and `logit_end`
    (-inf for no answer).
    """
    import pyarrow as pa

    tables = [
        pa.table({"evaluation_set": [name] * len(columns["row"]), **columns})
        for name, columns in ((name, found.columns()) for name, found in predictions.items())
    ]
    write_table(path, pa.concat_tables(tables) if tables else no_predictions())


def write_unlabelled(path: Path, predictions: Mapping[str, "Predictions"]) -> None:
    """Write `unlabelled.parquet`: a row for each example of each unlabelled split, in the splits' order.

    Columns: `split`, and `row`, `prediction` and `logit_…` as in `predictions.parquet`.
    """
    import pyarrow as pa

    tables = []
    for name, found in predictions.items():
        columns = {key: values for key, values in found.columns().items() if key != "label"}
        tables.append(pa.table({"split": [name] * len(columns["row"]), **columns}))
    write_table(path, pa.concat_tables(tables))


def no_predictions() -> "pa.Table":
    """The predictions of a cell whose training did not finish: the first columns, without rows."""
    import pyarrow as pa

    names = {"evaluation_set": pa.string(), "row": pa.int64(), "label": pa.float64(), "prediction": pa.float64()}
    return pa.schema(names).empty_table()


def write_table(path: Path, table: "pa.Table") -> None:
    """Write a table of predictions atomically."""
    import pyarrow.parquet as pq

    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_history(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write `history.csv`: a line per epoch; only the first header columns if no epoch finished."""
    names = list(history[0]) if history else ["epoch", "step", "train_loss", "learning_rate"]
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)

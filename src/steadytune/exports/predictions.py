"""A cell's predictions as csv, with texts and label names, to read or to open in a spreadsheet."""

from pathlib import Path
from typing import Any

import pandas as pd

from steadytune.cells.material import verified_inputs
from steadytune.cells.record import damaged_file, read_record
from steadytune.errors import SteadyTuneError
from steadytune.exports.spreadsheet import write_csv
from steadytune.layout import cell_folder, predictions_path, record_path
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.tasks.data import load_split
from steadytune.tasks.table import Task


def write_predictions_csv(suite: Suite, cell: Cell, target: Path) -> None:
    """Write every prediction of a cell to a csv file, one line per example of each evaluation set.

    Columns: `evaluation_set`, `row`, the texts under their own column names, `label` (gold) and `prediction` by name,
    then the logits. Gold labels use the evaluation set's label names, predictions those of the trained task. A text
    that a spreadsheet would run as a formula gets a leading apostrophe.

    Raises:
        SteadyTuneError: `target` exists, no record, damaged files, a cell without predictions, or data that changed
            since the cell read them.
    """
    # It may be the file that the texts came from.
    if target.exists():
        raise SteadyTuneError(f"{target}: exists already; expected a new file")
    spec, path = suite.spec(cell), record_path(suite, cell)
    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such record; the cell has not been trained: `steadytune run` does that")
    record = read_record(path)
    if damage := damaged_file(record, cell_folder(suite, cell)):
        raise SteadyTuneError(damage)
    now = {item.key: item.digest for item in verified_inputs(suite, spec)}
    if changed := [item.key for item in record.inputs if now.get(item.key) != item.digest]:
        raise SteadyTuneError(f"{path}: the cell read another content of {changed[0]} than is staged now")
    predictions = pd.read_parquet(predictions_path(suite, cell))
    if predictions.empty:
        raise SteadyTuneError(f"{path}: the cell ended {record.status}: it has no predictions")
    source, parts = spec.tasks[spec.task], []
    for name, task in spec.tasks.items():
        of_set = pd.DataFrame(predictions[predictions["evaluation_set"] == name]).reset_index(drop=True)
        parts.append(_named(of_set, source, task, suite))
    table = pd.concat(parts, ignore_index=True)
    lines = table.astype(object).where(table.notna(), None)
    write_csv(target, list(table.columns), lines.itertuples(index=False))


def _named(predictions: pd.DataFrame, source: Task, target: Task, suite: Suite) -> pd.DataFrame:
    """The rows of one evaluation set with texts and label names.

    source: the trained task, whose labels the predictions use; target: the evaluation set's task.
    """
    data: Any = load_split(target, target.evaluation, suite.file.store).to_pandas()
    texts = data.set_index("row").loc[predictions["row"]].reset_index(drop=True)
    columns: dict[str, Any] = {name: predictions[name] for name in ("evaluation_set", "row")}
    columns |= {_heading(name): texts[key] for name, key in zip(target.text, ("text_a", "text_b"), strict=False)}
    if source.span:
        columns["label"] = [" | ".join(dict.fromkeys(answers["text"])) for answers in texts["answers"]]
        columns["prediction"] = predictions["text"]
        rest = ("start", "end", "exact_match", "span_f1")
    else:
        columns["label"] = _names(predictions["label"].tolist(), target)
        columns["prediction"] = _names(predictions["prediction"].tolist(), source)
        rest = ()
    logits = [name for name in predictions.columns if name.startswith("logit_")]
    return pd.DataFrame(columns | {name: predictions[name] for name in (*rest, *logits)})


def _heading(text: str) -> str:
    """The heading of a column of texts, renamed if it clashes with one of our own columns."""
    ours = text in ("evaluation_set", "row", "label", "prediction") or text.startswith("logit_")
    return f"{text} (text)" if ours else text


def _names(values: list[float], task: Task) -> list[Any]:
    """Class names; for regression, the values unchanged."""
    return values if task.regression else [task.labels[int(value)] for value in values]

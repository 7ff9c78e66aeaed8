"""Splits as training reads them: from the store's parquet files to token ids.

A cell is a process of its own and there are thousands, so nothing here writes a cache: reading and tokenizing a small
split takes well under a second.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steadytune.errors import SteadyTuneError, nearest
from steadytune.tasks.parts import part_rows, rows_between, split_name
from steadytune.tasks.subsets import check_published, subset_rows
from steadytune.tasks.table import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# What stands where a row has no gold label: GLUE's hidden test labels and SNLI's rows without a majority.
NO_GOLD = (None, -1, "-", "")
# Changing this string holds out other examples.
HOLDOUT_STREAM = "steadytune holdout"
ENCODE_BATCH = 1000


def load_split(task: Task, split: str, store: Path, subset: int | None = None) -> "Dataset":
    """A split of a task or a part of one, rows without a gold label dropped, perhaps only its fixed subset of a size.

    Columns: `text_a` (str), `text_b` (str, for pairs), `label` (int index into `task.labels`, or float; 0 where the
    answer is a span, whose column stays), `row` (int, number of the row in the split's files) and the file's other
    columns under their own names, except those that would take one of these four.

    Raises:
        SteadyTuneError: missing files or columns, unknown labels, missing texts, or a subset larger than the split.
    """
    import datasets
    import pyarrow as pa

    asked, (split, part) = split, split_name(split)
    files = _split_files(task, split, store)
    table = _read(files, task)
    columns: dict[str, Any] = {
        name: _text(table.column(column), column, files)
        for name, column in zip(("text_a", "text_b"), task.text, strict=False)
    }
    if task.span:
        labels, kept = _answers(table.column(task.label), columns["text_b"], files)
    else:
        labels, kept = _labels(table.column(task.label), task, files)
    columns |= {"label": pa.array(labels), "row": pa.array(np.arange(table.num_rows))}
    used = {*columns, *task.text, *(() if task.span else (task.label,))}
    columns |= {name: table.column(name) for name in table.column_names if name not in used}
    rows = np.flatnonzero(kept)
    if part:
        rows = np.intersect1d(rows, part_rows(table.column(task.group).to_pylist(), part))
    whole = datasets.Dataset(pa.table(columns).take(pa.array(rows)))
    if subset is None:
        return whole
    if subset > len(rows):
        raise SteadyTuneError(f"{files[0]}: a subset of {subset} examples, but the split has {len(rows)}")
    chosen = subset_rows(labels[rows], subset)
    if asked == task.train:
        check_published(task, rows[chosen], whole)
    return whole.select(chosen)


def read_columns(task: Task, split: str, store: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """The named columns of a split's files, as far as they have them: a value for each row of the files.

    Raises:
        SteadyTuneError: missing files.
    """
    table = _read(_split_files(task, split_name(split)[0], store), task)
    return {name: table.column(name).to_pylist() for name in names if name in table.column_names}


def split_off(dataset: "Dataset", share: float) -> "tuple[Dataset, Dataset]":
    """What is trained on and what is held out: a fixed stratified `share` of the examples, the same for every cell.

    Of questions it is a share of the texts that they are about, each with all of its questions.

    Raises:
        SteadyTuneError: a share that leaves one of the two empty.
    """
    labels = np.array(dataset["label"][:])
    if "answers" in dataset.column_names:
        held_out = rows_between(dataset["text_b"][:], 0, share, HOLDOUT_STREAM)
    else:
        size = round(share * len(labels))
        held_out = subset_rows(labels, size, HOLDOUT_STREAM) if size else np.empty(0, np.int64)
    if not 0 < len(held_out) < len(labels):
        raise SteadyTuneError(f"holdout {share} of {len(labels)} examples leaves nothing on one side")
    return dataset.select(np.setdiff1d(np.arange(len(labels)), held_out)), dataset.select(held_out)


@dataclass(frozen=True)
class Encoded:
    """A tokenized split, unpadded, in the data set's order; n examples."""

    input_ids: list[np.ndarray]
    """Token ids with the special tokens, n arrays (T_i,) int64."""
    token_type_ids: list[np.ndarray] | None
    """Segments, as `input_ids`; None for encoders that have none."""
    labels: np.ndarray
    """(n,): int64 class indices, or float64 scores; of another shape in `spans.Windows`."""
    rows: np.ndarray
    """(n,) int64: each example's row number in the split's files."""
    truncated: int
    """Examples that were longer than the maximum length."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def size(self) -> int:
        """Rows of the data set."""
        return len(self)

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each example, (n,) int64."""
        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)


def encode(dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Encoded:
    """Tokenize what `load_split` gives, special tokens included; of a pair the longer text is cut first.

    Raises:
        SteadyTuneError: a maximum length beyond what the tokenizer's encoder can read.
    """
    check_length(tokenizer, max_length)
    pairs = "text_b" in dataset.column_names
    only_texts = dataset.select_columns(["text_a", "text_b"] if pairs else ["text_a"])
    segmented = "token_type_ids" in tokenizer.model_input_names
    input_ids: list[np.ndarray] = []
    token_type_ids: list[np.ndarray] = []
    truncated = 0
    # Slices and not `Dataset.map`: map fingerprints the tokenizer, and its arrow columns would be unpacked again here.
    for start in range(0, len(dataset), ENCODE_BATCH):
        batch = only_texts[start : start + ENCODE_BATCH]
        first, second = batch["text_a"], batch["text_b"] if pairs else None
        output = tokenizer(
            first, second, truncation="longest_first", max_length=max_length, return_attention_mask=False
        )
        input_ids += _arrays(output["input_ids"])
        if segmented:
            token_type_ids += _arrays(output["token_type_ids"])
        # Only what fills the maximum length can have been cut, so only that is tokenized a second time, whole.
        full = [i for i, ids in enumerate(output["input_ids"]) if len(ids) == max_length]
        if full:
            firsts, seconds = [first[i] for i in full], [second[i] for i in full] if second else None
            whole = tokenizer(firsts, seconds, truncation=False, verbose=False)["input_ids"]
            truncated += sum(len(ids) > max_length for ids in whole)
    # Through lists, because the numpy format of `datasets` would round scores to 32 bits.
    labels, rows = np.array(dataset["label"][:]), np.array(dataset["row"][:], dtype=np.int64)
    return Encoded(input_ids, token_type_ids if segmented else None, labels, rows, truncated)


def check_length(tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
    """Refuse a maximum length beyond what the tokenizer's encoder can read."""
    if max_length > tokenizer.model_max_length:
        raise SteadyTuneError(f"max_length {max_length}: the encoder reads {tokenizer.model_max_length} tokens at most")


def _arrays(lists: list[list[int]]) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int64) for ids in lists]


def _split_files(task: Task, split: str, store: Path) -> list[Path]:
    """The split's parquet files in order, all shards there."""
    folder = store / "datasets" / task.dataset_key
    files = sorted(folder.glob(f"{split}-*-of-*.parquet"))
    if not files:
        splits = {re.sub(r"-\d+-of-\d+$", "", path.stem) for path in folder.glob("*.parquet")}
        there = f"it has {', '.join(sorted(splits))}" if splits else "nothing is staged there"
        raise SteadyTuneError(f"{folder}: no split '{split}' of task '{task.name}'{nearest(split, splits)}; {there}")
    shards = int(files[0].stem.rpartition("-of-")[2])
    if [path.name for path in files] != [f"{split}-{i:05}-of-{shards:05}.parquet" for i in range(shards)]:
        raise SteadyTuneError(f"{folder}: split '{split}' is not whole: found {', '.join(path.name for path in files)}")
    return files


def _read(files: list[Path], task: Task) -> Any:
    """The files as one arrow table, the task's columns in it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for path in files:
        try:
            table = pq.read_table(path)
        except pa.ArrowInvalid as error:
            raise SteadyTuneError(f"{path}: not a parquet file") from error
        for column in (*task.text, task.label, *((task.group,) if task.group else ())):
            if column not in table.column_names:
                raise SteadyTuneError(
                    f"{path}: task '{task.name}' needs column '{column}'; it has {', '.join(table.column_names)}"
                )
        tables.append(table)
    return pa.concat_tables(tables)


def _labels(column: Any, task: Task, files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Class indices or scores (n,), and which rows have a gold label, bool (n,)."""
    values: list[Any] = column.to_pylist()
    index: dict[Any, int] = {value: i for i, value in enumerate(task.values)}
    kept = np.array([value in index or not _missing(value) for value in values], dtype=bool)
    if not kept.any():
        raise SteadyTuneError(f"{files[0]}: no row of column '{task.label}' has a gold label")
    labels = np.zeros(len(values), dtype=np.float64 if task.regression else np.int64)
    for row in np.flatnonzero(kept):
        value = values[row]
        if task.regression and not isinstance(value, int | float):
            raise SteadyTuneError(f"{files[0]}: row {row}: label {value!r} of task '{task.name}' is not a number")
        if not task.regression and value not in index:
            known = ", ".join(repr(name) for name in task.values)
            raise SteadyTuneError(f"{files[0]}: row {row}: label {value!r} of task '{task.name}' is none of {known}")
        labels[row] = value if task.regression else index[value]
    return labels, kept


def _answers(column: Any, contexts: Any, files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Zeros (n,) int64, for the gold of a question is no number, and which questions have an answer, bool (n,)."""
    kept = np.zeros(len(contexts), dtype=bool)
    for row, (answers, context) in enumerate(zip(column.to_pylist(), contexts.to_pylist(), strict=True)):
        texts, starts = (answers.get(key) if isinstance(answers, dict) else None for key in ("text", "answer_start"))
        if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
            raise SteadyTuneError(f"{files[0]}: row {row}: expected lists text and answer_start, found {answers!r}")
        # The first is learned, so it has to be where it is said to be.
        if texts and context[starts[0] : starts[0] + len(texts[0])] != texts[0]:
            raise SteadyTuneError(f"{files[0]}: row {row}: the answer {texts[0]!r} is not at character {starts[0]}")
        kept[row] = bool(texts)
    return np.zeros(len(contexts), dtype=np.int64), kept


def _missing(value: Any) -> bool:
    return value in NO_GOLD or (isinstance(value, float) and math.isnan(value))


def _text(column: Any, name: str, files: list[Path]) -> Any:
    """A text column as plain strings."""
    import pyarrow as pa

    texts: Sequence[Any] = column.to_pylist()
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise SteadyTuneError(f"{files[0]}: row {row}: column '{name}' holds {text!r} where a text is expected")
    return pa.array(texts, type=pa.string())

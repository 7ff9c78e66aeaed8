"""Splits as training reads them: from the store's parquet files to token ids.

Nothing here writes a cache: there are thousands of cells, each in a separate process, and reading and tokenizing a
small split takes well under a second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from steadytune.errors import SteadyTuneError
from steadytune.tasks.parts import part_rows, rows_between, split_name
from steadytune.tasks.reading import Split, read_split, split_files
from steadytune.tasks.subsets import check_published, subset_rows
from steadytune.tasks.table import Task

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# Changing this string changes which examples are held out.
HOLDOUT_STREAM = "steadytune holdout"
ENCODE_BATCH = 1000


def load_split(task: Task, split: str, store: Path, subset: int | None = None) -> "Dataset":
    """Load a split of a task or a part of it, without unlabelled rows; with `subset`, its fixed subset of that size.

    Columns: `text_a` (str), `text_b` (str, for pairs), `label` (int index into `task.labels`, or float) and `row` (int,
    number of the row in the split's files). If the answers are spans, `label` is 0 and there is a column `answers`.

    Raises:
        SteadyTuneError: files are missing; or one line with all mistakes in them, such as missing columns, unknown
            labels and values that are not texts; or the subset is larger than the split.
    """
    import datasets
    import pyarrow as pa

    asked, (split, part) = split, split_name(split)
    found = read_split(task, split_files(task, split, store))
    columns: dict[str, Any] = {
        name: pa.array(found.columns[column], type=pa.string())
        for name, column in zip(("text_a", "text_b"), task.text, strict=False)
    }
    labels = np.array(found.labels, dtype=np.float64 if task.regression else np.int64)
    columns |= {"label": pa.array(labels), "row": pa.array(np.arange(len(labels)))}
    if task.span:
        columns["answers"] = pa.array(found.columns[task.label])
    rows = np.flatnonzero(found.kept)
    if part:
        rows = np.intersect1d(rows, part_rows(found.columns[task.group], part))
    whole = datasets.Dataset(pa.table(columns).take(pa.array(rows)))
    if subset is None:
        return whole
    if subset > len(rows):
        raise SteadyTuneError(f"{found.files[0]}: a subset of {subset} examples, but the split has {len(rows)}")
    chosen = subset_rows(labels[rows], subset)
    if asked == task.train:
        check_published(task, rows[chosen], whole)
    return whole.select(chosen)


def load_unlabelled(task: Task, split: str, store: Path) -> "Dataset":
    """Load every row of a split with the columns of `load_split`, ignoring its labels: `label` is 0 throughout.

    Raises:
        SteadyTuneError: files or text columns are missing, or a column does not hold texts.
    """
    import datasets
    import pyarrow as pa

    found = Split(task, split_files(task, split, store), task.text)
    found.check()
    texts = [found.texts(column) for column in task.text]
    found.check()
    columns = {name: pa.array(values, pa.string()) for name, values in zip(("text_a", "text_b"), texts, strict=False)}
    columns |= {"label": pa.array([0] * len(texts[0])), "row": pa.array(range(len(texts[0])), pa.int64())}
    return datasets.Dataset(pa.table(columns))


def read_columns(task: Task, split: str, store: Path, names: Sequence[str]) -> dict[str, list[Any]]:
    """Read the named columns of a split's files, with a value for each row; columns that are missing are left out.

    Raises:
        SteadyTuneError: files are missing.
    """
    columns = Split(task, split_files(task, split_name(split)[0], store), names).columns
    return {name: values for name, values in columns.items() if values}


def split_off(dataset: "Dataset", share: float) -> "tuple[Dataset, Dataset]":
    """Split off held-out examples: the training and the held-out data set.

    Held out is a fixed stratified `share` of the examples, the same for every cell; for questions, a share of the
    texts, each with all of its questions.

    Raises:
        SteadyTuneError: one of the two would be empty.
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
    """A tokenized, unpadded split of n examples in the data set's order."""

    input_ids: list[np.ndarray]
    """Token ids, including special tokens: n arrays (T_i,) int64."""
    token_type_ids: list[np.ndarray] | None
    """Segment ids, in the shapes of `input_ids`; None for encoders without segments."""
    labels: np.ndarray
    """(n,): int64 class indices, or float64 scores; `spans.Windows` has another shape."""
    rows: np.ndarray
    """(n,) int64: each example's row number in the split's files."""
    truncated: int
    """Number of examples longer than the maximum length."""

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def size(self) -> int:
        """Number of rows of the data set."""
        return len(self)

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each example, (n,) int64."""
        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)


def encode(dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", max_length: int) -> Encoded:
    """Tokenize a data set from `load_split`, with special tokens; in a pair, the longer text is truncated first.

    Raises:
        SteadyTuneError: the maximum length exceeds what the tokenizer's encoder can read.
    """
    check_length(tokenizer, max_length)
    pairs = "text_b" in dataset.column_names
    only_texts = dataset.select_columns(["text_a", "text_b"] if pairs else ["text_a"])
    segmented = "token_type_ids" in tokenizer.model_input_names
    input_ids: list[np.ndarray] = []
    token_type_ids: list[np.ndarray] = []
    truncated = 0
    # Slices rather than `Dataset.map`, which fingerprints the tokenizer and returns Arrow columns to be unpacked again.
    for start in range(0, len(dataset), ENCODE_BATCH):
        batch = only_texts[start : start + ENCODE_BATCH]
        first, second = batch["text_a"], batch["text_b"] if pairs else None
        output = tokenizer(
            first, second, truncation="longest_first", max_length=max_length, return_attention_mask=False
        )
        input_ids += _arrays(output["input_ids"])
        if segmented:
            token_type_ids += _arrays(output["token_type_ids"])
        # Only examples of the maximum length can have been truncated; tokenize them again in full to find out.
        full = [i for i, ids in enumerate(output["input_ids"]) if len(ids) == max_length]
        if full:
            firsts, seconds = [first[i] for i in full], [second[i] for i in full] if second else None
            whole = tokenizer(firsts, seconds, truncation=False, verbose=False)["input_ids"]
            truncated += sum(len(ids) > max_length for ids in whole)
    # Via lists, because the numpy format of `datasets` would round scores to 32 bits.
    labels, rows = np.array(dataset["label"][:]), np.array(dataset["row"][:], dtype=np.int64)
    return Encoded(input_ids, token_type_ids if segmented else None, labels, rows, truncated)


def check_length(tokenizer: "PreTrainedTokenizerBase", max_length: int) -> None:
    """Refuse a maximum length that exceeds what the tokenizer's encoder can read."""
    if max_length > tokenizer.model_max_length:
        raise SteadyTuneError(f"max_length {max_length}: the encoder reads {tokenizer.model_max_length} tokens at most")


def _arrays(lists: list[list[int]]) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int64) for ids in lists]

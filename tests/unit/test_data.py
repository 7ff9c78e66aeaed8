"""Reading splits, fixed subsets, encoding."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from steadytune.errors import SteadyTuneError
from steadytune.tasks.data import encode, load_split
from steadytune.tasks.subsets import subset_rows
from steadytune.tasks.table import TASKS, Task

RTE = TASKS["rte"]
STSB = TASKS["stsb"]
SST2 = TASKS["sst2"]
WORDS = ["<pad>", "<unk>", "<s>", "</s>", "a", "b", "c", "d"]


def write(store: Path, task: Task, split: str, shard: str = "00000-of-00001", /, **columns: list[Any]) -> Path:
    folder = store / "datasets" / task.dataset_key
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{split}-{shard}.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def write_rte(store: Path, labels: list[Any], **columns: list[Any]) -> Path:
    texts: list[Any] = [f"text {i}" for i in range(len(labels))]
    first, second = columns.pop("sentence1", texts), columns.pop("sentence2", texts)
    return write(store, RTE, "train", sentence1=first, sentence2=second, label=labels, **columns)


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer that splits on whitespace and gives `<s> a </s>` or `<s> a </s> b </s>`."""
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore[reportAttributeAccessIssue]
    backend.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=16,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def test_split_has_standard_columns_and_drops_unlabelled_rows(tmp_path: Path) -> None:
    write_rte(tmp_path, [1, -1, 0, None, 1], idx=[7, 8, 9, 10, 11])
    split = load_split(RTE, "train", tmp_path)
    assert split.column_names == ["text_a", "text_b", "label", "row"]
    assert split[:] == {
        "text_a": ["text 0", "text 2", "text 4"],
        "text_b": ["text 0", "text 2", "text 4"],
        "label": [1, 0, 1],
        "row": [0, 2, 4],
    }


def test_string_labels_become_class_indices(tmp_path: Path) -> None:
    task = TASKS["scitail"]
    write(tmp_path, task, "test", premise=["p"] * 3, hypothesis=["h"] * 3, label=["neutral", "entails", "-"])
    assert load_split(task, "test", tmp_path)["label"][:] == [1, 0]


def test_regression_keeps_fractions_and_drops_hidden_scores(tmp_path: Path) -> None:
    texts = ["x", "y", "z", "w"]
    write(tmp_path, STSB, "test", sentence1=texts, sentence2=texts, label=[2.4, -1.0, float("nan"), 5.0])
    split = load_split(STSB, "test", tmp_path)
    assert (split["label"][:], split["row"][:]) == ([2.4, 5.0], [0, 3])


def test_shards_are_read_in_order_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    write(tmp_path, SST2, "train", "00001-of-00002", sentence=["third"], label=[1])
    with pytest.raises(SteadyTuneError, match="split 'train' is not whole: found train-00001"):
        load_split(SST2, "train", tmp_path)
    write(tmp_path, SST2, "train", "00000-of-00002", sentence=["first", "second"], label=[0, 0])
    split = load_split(SST2, "train", tmp_path)
    assert split[:] == {"text_a": ["first", "second", "third"], "label": [0, 0, 1], "row": [0, 1, 2]}


def test_missing_split_error_lists_the_staged_splits(tmp_path: Path) -> None:
    folder = tmp_path / "datasets/nyu-mll/glue/rte"
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "train", tmp_path)
    assert str(error.value) == f"{folder}: no split 'train' of task 'rte'; nothing is staged there"
    write_rte(tmp_path, [0])
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "trian", tmp_path)
    assert str(error.value) == f"{folder}: no split 'trian' of task 'rte' (did you mean 'train'?); it has train"


def test_missing_column_error_names_file_and_columns(tmp_path: Path) -> None:
    path = write(tmp_path, RTE, "train", sentence1=["x"], sentence2=["y"], gold=[0])
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "train", tmp_path)
    assert str(error.value) == f"{path}: task 'rte' needs column 'label'; it has sentence1, sentence2, gold"


def test_unknown_label_error_names_value_and_row(tmp_path: Path) -> None:
    path = write_rte(tmp_path, [0, -1, 2])
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "train", tmp_path)
    assert str(error.value) == f"{path}: row 2: label 2 of task 'rte' is not one of 0, 1"


def test_other_bad_content_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = write_rte(tmp_path, [-1, -1])
    with pytest.raises(SteadyTuneError, match="no row of column 'label' has a gold label"):
        load_split(RTE, "train", tmp_path)
    write_rte(tmp_path, [0, 1], sentence2=["x", None])
    with pytest.raises(SteadyTuneError, match="row 1: column 'sentence2' holds None where a text is expected"):
        load_split(RTE, "train", tmp_path)
    write(tmp_path, STSB, "train", sentence1=["x"], sentence2=["y"], label=["five"])
    with pytest.raises(SteadyTuneError, match="row 0: label 'five' of task 'stsb' is not a finite number"):
        load_split(STSB, "train", tmp_path)
    path.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "train", tmp_path)
    assert str(error.value) == f"{path}: not a parquet file"


def test_task_value_is_a_label_even_if_it_looks_missing(tmp_path: Path) -> None:
    task = replace(SST2, values=(-1, 1))
    write(tmp_path, task, "train", sentence=["x", "y"], label=[1, -1])
    assert load_split(task, "train", tmp_path)["label"][:] == [1, 0]


def test_subset_is_drawn_from_labelled_rows(tmp_path: Path) -> None:
    path = write_rte(tmp_path, [-1, *[0, 1] * 6])
    split = load_split(RTE, "train", tmp_path, subset=4)
    assert sorted(split["label"][:]) == [0, 0, 1, 1]
    assert min(split["row"][:]) >= 1
    assert [f"text {row}" for row in split["row"][:]] == split["text_a"][:]
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "train", tmp_path, subset=13)
    assert str(error.value) == f"{path}: a subset of 13 examples, but the split has 12"


def test_subset_allocates_classes_by_largest_remainder() -> None:
    # 5 of 10 rows: shares 2.5, 1.5, 1.0; floors 2, 1, 1 and the row left over goes to the first of equal remainders.
    labels = np.array([0] * 5 + [1] * 3 + [2] * 2)
    assert np.bincount(labels[subset_rows(labels, 5)]).tolist() == [3, 1, 1]
    # 4 of 10 rows: shares 2.0, 1.2, 0.8.
    assert np.bincount(labels[subset_rows(labels, 4)]).tolist() == [2, 1, 1]
    assert subset_rows(labels, 10).tolist() == list(range(10))


def test_subset_rows_never_change() -> None:
    # Philox's raw stream keyed by SHA-256("steadytune subset"): published subsets depend on it.
    labels = np.arange(20) % 2
    assert subset_rows(labels, 6).tolist() == [2, 5, 10, 13, 18, 19]
    assert subset_rows(labels, 6).tolist() == subset_rows(labels.astype(float), 6).tolist()


def test_subsets_are_nested_and_spread_over_the_file() -> None:
    labels = np.arange(4000) % 2
    thousand, two_thousand = subset_rows(labels, 1000), subset_rows(labels, 2000)
    assert set(thousand) <= set(two_thousand)
    assert (np.diff(thousand) > 0).all()
    # A uniform draw of 1000 of 4000 has mean row 2000 with a standard error of about 32.
    assert abs(thousand.mean() - 2000) < 160


def test_regression_subset_is_stratified_by_rounded_score() -> None:
    scores = np.array([0.2] * 10 + [4.9] * 30)
    assert np.rint(scores[subset_rows(scores, 8)]).tolist() == [0.0] * 2 + [5.0] * 6


@pytest.mark.parametrize("size", [0, -1, 4])
def test_subset_of_impossible_size_is_refused(size: int) -> None:
    with pytest.raises(SteadyTuneError, match="but there are 3"):
        subset_rows(np.zeros(3), size)


def test_encode_pairs_with_segments_truncates_the_longer_text(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    # <s> and two </s>: 8 tokens leave 5 words. The longer text of a pair is cut first.
    write_rte(tmp_path, [0, -1, 1, 1], sentence1=["a b", "a", "a b", "a b c d a"], sentence2=["c", "a", "c d a", "b c"])
    encoded = encode(load_split(RTE, "train", tmp_path), tokenizer, max_length=8)
    assert [ids.tolist() for ids in encoded.input_ids] == [
        [2, 4, 5, 3, 6, 3],
        [2, 4, 5, 3, 6, 7, 4, 3],
        [2, 4, 5, 6, 3, 5, 6, 3],
    ]
    assert encoded.token_type_ids is not None
    assert encoded.token_type_ids[0].tolist() == [0, 0, 0, 0, 1, 1]
    assert encoded.input_ids[0].dtype == encoded.token_type_ids[0].dtype == encoded.labels.dtype == np.int64
    assert (encoded.labels.tolist(), encoded.rows.tolist()) == ([0, 1, 1], [0, 2, 3])
    # The second example fills the length exactly, so it is not truncated.
    assert encoded.truncated == 1
    assert (len(encoded), encoded.lengths.tolist()) == (3, [6, 8, 8])


def test_encode_single_texts_without_segments(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    write(tmp_path, STSB, "train", sentence1=["a b c"], sentence2=["a"], label=[2.5])
    single = replace(STSB, text=("sentence1",))
    encoded = encode(load_split(single, "train", tmp_path), tokenizer, max_length=4)
    assert encoded.token_type_ids is None
    assert [ids.tolist() for ids in encoded.input_ids] == [[2, 4, 5, 3]]
    assert encoded.labels.tolist() == [2.5] and encoded.labels.dtype == np.float64
    assert encoded.truncated == 1


def test_encode_counts_truncated_texts_over_all_batches(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadytune.tasks.data.ENCODE_BATCH", 2)
    write(tmp_path, SST2, "train", sentence=["a", "b c d", "c", "d a b", "a b"], label=[0, 1, 0, 1, 0])
    encoded = encode(load_split(SST2, "train", tmp_path), tokenizer, max_length=4)
    assert encoded.lengths.tolist() == [3, 4, 3, 4, 4]
    assert encoded.truncated == 2


def test_encode_refuses_a_max_length_beyond_the_encoder(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    write_rte(tmp_path, [0])
    with pytest.raises(SteadyTuneError, match="max_length 17: the encoder reads 16 tokens at most"):
        encode(load_split(RTE, "train", tmp_path), tokenizer, max_length=17)


def test_reading_leaves_no_files_behind(tmp_path: Path) -> None:
    write_rte(tmp_path / "store", [0, 1])
    before = sorted(tmp_path.rglob("*"))
    code = (
        "from pathlib import Path\n"
        "from steadytune.tasks.data import load_split\n"
        "from steadytune.tasks.table import TASKS\n"
        f"assert len(load_split(TASKS['rte'], 'train', Path({str(tmp_path / 'store')!r}))) == 2\n"
    )
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "HF_HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=os.environ | home, check=True)
    assert sorted(tmp_path.rglob("*")) == before

"""Parquet files as found in practice: differing layouts, shards, types and labels, and which are refused and why."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steadytune.errors import SteadyTuneError
from steadytune.store.contents import check_content
from steadytune.store.file_pins import store_name
from steadytune.tasks.data import load_split
from steadytune.tasks.summary import summarise
from steadytune.tasks.table import TASKS

RTE = TASKS["rte"]
FIRST, SECOND, LABELS = ["a", "b", "c", "d"], ["e", "f", "g", "h"], [0, 1, 1, 0]


def table(first=FIRST, second=SECOND, label=LABELS, **more):
    return pa.table({"sentence1": first, "sentence2": second, "label": label, **more})


def write(store: Path, **files) -> Path:
    """Write each table as `NAME.parquet`, where a name may include a folder (`train/0000`); return their folder."""
    folder = store / "datasets" / RTE.dataset_key
    for name, value in files.items():
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(value, path)
    return folder


def named(value: pa.Table, names: list[str]) -> pa.Table:
    """The table with class names in its metadata, as `datasets` writes them."""
    features = {"label": {"names": names, "_type": "ClassLabel"}}
    return value.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}}).encode()})


def refusal(store: Path) -> str:
    with pytest.raises(SteadyTuneError) as error:
        load_split(RTE, "train", store)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00001"],
        ["train-00000-of-00001-b42a775f407cee45"],
        ["train"],
        ["train/0000"],
        ["train-00000-of-00001", "train-extra-00000-of-00001"],
    ],
)
def test_every_file_layout_is_read(tmp_path, names):
    write(tmp_path, **dict.fromkeys(names, table()))
    assert load_split(RTE, "train", tmp_path)["text_a"][:] == FIRST


def test_split_sharing_only_a_name_prefix_is_not_read(tmp_path):
    write(tmp_path, **{"train-extra-00000-of-00001": table()})
    assert "no split 'train'" in refusal(tmp_path)
    assert "train-extra" in refusal(tmp_path)


def test_split_with_a_missing_shard_is_refused(tmp_path):
    write(tmp_path, **{"train/0001": table()})
    assert "not whole" in refusal(tmp_path)


@pytest.mark.parametrize(
    "other",
    [
        table(label=pa.array(LABELS, pa.int32())),
        table(first=pa.array(FIRST, pa.large_string())),
        table(first=pa.array(FIRST).dictionary_encode()),
        table(note=["x"] * 4),
        table(note=pa.nulls(4)),
    ],
)
def test_shards_with_different_schemas_are_read(tmp_path, other):
    write(tmp_path, **{"train-00000-of-00002": table(), "train-00001-of-00002": other})
    data = load_split(RTE, "train", tmp_path)
    assert (data["text_a"][:], data["label"][:]) == (FIRST * 2, LABELS * 2)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("k", "v")]] * 4, pa.map_(pa.string(), pa.string())),
        pa.array([b"0" * 16] * 4, pa.binary(16)),
        pa.array([1] * 4, pa.duration("ns")),
    ],
)
def test_unused_columns_of_any_type_are_ignored(tmp_path, column):
    write(tmp_path, train=table(other=column))
    assert load_split(RTE, "train", tmp_path)["label"][:] == LABELS


@pytest.mark.parametrize(
    "labels",
    [
        ["0", "1", "1", "0"],
        ["0.0", "1.0", "1.0", "0.0"],
        [0.0, 1.0, 1.0, 0.0],
        [False, True, True, False],
        ["entailment", "not_entailment", "Not-Entailment", "0"],
    ],
)
def test_equivalent_label_forms_are_read_alike(tmp_path, labels):
    write(tmp_path, train=table(label=labels))
    assert load_split(RTE, "train", tmp_path)["label"][:] == LABELS


def test_class_names_in_the_file_determine_the_labels(tmp_path):
    write(tmp_path, train=named(table(), ["not_entailment", "entailment"]))
    assert load_split(RTE, "train", tmp_path)["label"][:] == [1, 0, 0, 1]
    write(tmp_path, train=named(table(), ["entailment", "not_entailment"]))
    assert load_split(RTE, "train", tmp_path)["label"][:] == LABELS


@pytest.mark.parametrize(
    "names", [["positive", "negative"], ["entailment", "neutral", "contradiction"], ["entailment"]]
)
def test_class_names_that_contradict_the_task_are_refused(tmp_path, names):
    write(tmp_path, train=named(table(), names))
    said = refusal(tmp_path)
    assert "label" in said
    assert names[0] in said
    assert "not_entailment" in said


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (table(first=[{"text": text} for text in FIRST]), "struct"),
        (table(first=pa.array([b"a"] * 4, pa.binary())), "binary"),
        (pa.Table.from_arrays([*table().columns, table().column(0)], [*table().column_names, "sentence1"]), "2 times"),
        (table(first=["a", None, "c", None]), "row 1"),
        (table(label=[0.5, 1.0, 0.0, 1.0]), "0.5"),
        (table(label=["0", "maybe", "1", "1"]), "maybe"),
    ],
)
def test_unreadable_column_is_refused_with_file_and_reason(tmp_path, bad, said):
    folder = write(tmp_path, train=bad)
    assert said in refusal(tmp_path)
    assert refusal(tmp_path).startswith(str(folder / "train.parquet"))


def test_all_problems_of_a_file_are_reported_together(tmp_path):
    write(tmp_path, train=table(first=["a", None, "c", "d"], second=[None] * 4, label=[0, 7, 1, 1]))
    said = refusal(tmp_path)
    assert all(part in said for part in ("sentence1", "sentence2", "label 7", "3 more"))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"ab" * 32 + b"\nsize 388682\n"
PAGE = b"\n<!DOCTYPE html><html><title>Sign in</title></html>"


@pytest.mark.parametrize(("content", "said"), [(POINTER, "Git LFS"), (PAGE, "web page")])
def test_staging_refuses_lfs_pointers_and_web_pages(tmp_path, content, said):
    path = tmp_path / "train.parquet"
    path.write_bytes(content)
    with pytest.raises(SteadyTuneError, match=said):
        check_content(path, "datasets/a/b/c: train.parquet")


def test_summary_reports_labels_empty_texts_and_duplicates(tmp_path):
    write(tmp_path, train=table(first=["a", " ", "\u200b\x00", "a"], second=["e", "f", "g", "E."], label=[0, 1, -1, 0]))
    write(tmp_path, validation=table(second=["e", "x", "y", "z"]))
    (train, validation, both), warnings = summarise(RTE, tmp_path)
    assert "4 rows; 'entailment' 66.7%, 'not_entailment' 33.3%" in train
    assert "1 without a label" in train
    assert "sentence1 2" in train
    assert "1 duplicate;" in train
    assert "majority 0.667" in train
    assert "rte validation: 4 rows" in validation
    assert both == "rte: 1 of 4 texts of validation is in train too"
    assert not warnings
    with pytest.raises(SteadyTuneError, match="2 empty texts in column 'sentence1'"):
        summarise(RTE, tmp_path, empty_texts="refuse")


def test_summary_warns_of_texts_with_several_labels_and_their_rows(tmp_path):
    train = {"first": ["a", "b", "A.", "c", "a", "d"], "second": list("xyxzxy"), "label": [0, 1, 1, 0, 0, -1]}
    write(tmp_path, train=table(**train), validation=table(second=["e", "f", "g", "h"]))
    (line,) = summarise(RTE, tmp_path).warnings
    assert "rte train: 1 text has several labels" in line and "'a | x'" in line
    assert line.endswith("entailment (row 0) and not_entailment (row 2)")


@pytest.mark.parametrize(("seconds", "warned"), [("efgh", True), ("efyz", True), ("exyz", False)])
def test_summary_warns_if_evaluation_overlaps_training_widely(tmp_path, seconds, warned):
    write(tmp_path, train=table(second=list("efgh")), validation=table(second=list(seconds)))
    warnings = summarise(RTE, tmp_path).warnings
    assert bool(warnings) == warned and all("validation are in train too" in line for line in warnings)


def test_store_name_keeps_the_split_folder_of_converted_files():
    assert store_name("rte/train/0000.parquet") == "train/0000.parquet"
    assert store_name("rte/train-00000-of-00001.parquet") == "train-00000-of-00001.parquet"

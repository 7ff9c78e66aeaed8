"""Folders of a user's data: the files of each split, and a pin that holds while other files come and go."""

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_own_data import FRAME, refused, save, staged, write_suite

from steadytune.errors import SteadyTuneError
from steadytune.store.own_changes import check_unchanged
from steadytune.suite.loading import load_suite

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return tmp_path


def write(path: Path, *texts: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"body": texts, "label": ["no", "yes"] * (len(texts) // 2)}), path)


@pytest.mark.parametrize(
    ("train", "other"),
    [
        ("train-00000-of-00001", "test-00000-of-00001"),
        ("train/0000", "validation/0000"),
        ("train/part-a", "dev/part-a"),
        ("train", "test"),
        ("training", "val"),
        ("train/0", "valid/0"),
    ],
)
def test_a_folder_of_several_splits_gives_each_its_files(folder, train, other, caplog):
    caplog.set_level("INFO")
    write(folder / f"data/{train}.parquet", "a", "b", "c", "d")
    write(folder / f"data/{other}.parquet", "e", "f")
    entry = {"train": "data", "evaluation": "data", "text": "body"}
    found = staged(write_suite(folder, {"t": entry}))
    assert [split["text_a"][:] for split in found] == [["a", "b", "c", "d"], ["e", "f"]]
    assert f"train from {train}.parquet; evaluation from {other}.parquet" in caplog.text


def test_a_share_is_held_out_of_the_training_files_alone(folder):
    write(folder / "data/train-00000-of-00002.parquet", "a", "b")
    write(folder / "data/train-00001-of-00002.parquet", "c", "d")
    write(folder / "data/test-00000-of-00001.parquet", "e", "f")
    found = staged(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert sorted(text for split in found for text in split["text_a"]) == ["a", "b", "c", "d"]


def test_splits_of_which_none_is_asked_for_are_named(folder):
    write(folder / "data/test.parquet", "a", "b")
    write(folder / "data/validation.parquet", "c", "d")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert "test, validation" in line and "`train`" in line


def test_files_that_are_named_train_are_not_evaluated_on(folder):
    write(folder / "data/train-00000-of-00001.parquet", "a", "b")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert "files of train" in line and "`evaluation`" in line


def test_files_whose_names_say_no_split_are_read_together(folder):
    write(folder / "data/a.parquet", "a", "b")
    write(folder / "data/b.parquet", "c", "d")
    train, _ = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == ["a", "b", "c", "d"]


def test_the_suites_own_folder_is_pinned_by_its_data_alone(folder):
    write(folder / "a.parquet", *"abcdefgh")
    path = write_suite(folder, {"t": {"train": ".", "holdout": 0.5, "text": "body"}})
    write(folder / ".hidden/b.parquet", "hidden", "too")
    found = staged(path)
    assert sorted(text for split in found for text in split["text_a"]) == list("abcdefgh")
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "results/mine/tables").mkdir(parents=True)
    write(folder / "results/mine/metrics.parquet", "no", "data")
    check_unchanged(load_suite(path))
    write(folder / "b.parquet", "x", "y")
    with pytest.raises(SteadyTuneError, match="--accept t"):
        check_unchanged(load_suite(path))


def test_a_saved_folder_is_pinned_by_all_its_files_but_hidden_ones(folder):
    name = save(folder, "datasets")
    path = write_suite(folder, {"t": {"train": name, "evaluation": name, "text": "body"}})
    staged(path)
    (folder / name / ".DS_Store").write_bytes(b"x")
    check_unchanged(load_suite(path))
    value = datasets.Dataset.from_pandas(FRAME.assign(body="other")).class_encode_column("label")
    value.save_to_disk(str(folder / name / "train"))
    with pytest.raises(SteadyTuneError, match="--accept t"):
        check_unchanged(load_suite(path))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["train-00000-of-00002"], "not whole: expected 2 files"),
        (["train", "train-00000-of-00001"], "several sets"),
        (["train-00000-of-00001", "train-00000-of-00002", "train-00001-of-00002"], "several sets"),
        (["train", "Train"], "several sets"),
        (["en/train", "de/train"], "several folders, de, en"),
        (["data-00000-of-00002", "other"], "not whole"),
        (["train/0", "train/1", "train/3"], "not whole: expected files 0 to 3"),
        (["1", "2", "02"], "not whole: expected files 1 to 2, each once"),
        (["imdb_train", "imdb_test"], "say test, train in a way that is not read"),
        (["my-train-00000-of-00001", "my-test-00000-of-00001"], "say test, train in a way that is not read"),
        (["train-0", "train-1", "test-0"], "say test, train in a way that is not read"),
    ],
)
def test_a_split_that_is_not_whole_or_there_twice_is_refused(folder, files, said):
    for file in files:
        write(folder / f"data/{file}.parquet", "a", "b")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert said in line


def test_the_names_of_splits_are_read_in_any_case(folder):
    write(folder / "data/Train.parquet", "a", "b", "c", "d")
    write(folder / "data/Validation.parquet", "e", "f")
    found = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert [split["text_a"][:] for split in found] == [["a", "b", "c", "d"], ["e", "f"]]


def test_a_validation_split_of_any_name_comes_before_the_test_split(folder):
    for name, text in {"train": "a", "test": "b", "val": "c"}.items():
        write(folder / f"data/{name}.parquet", text, text + text)
    _, found = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert found["text_a"][:] == ["c", "cc"]


@pytest.mark.parametrize("files", [["imdb_train"], ["train-0", "train-1"]])
def test_files_that_say_train_in_another_way_are_not_evaluated_on(folder, files):
    for file in files:
        write(folder / f"data/{file}.parquet", "a", "b", "c", "d")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert "say train in a way" in line and "`evaluation`" in line


def test_dates_have_gaps(folder):
    for file, text in {"20240101": "a", "20240301": "b"}.items():
        write(folder / f"data/{file}.parquet", text, text + text)
    found = staged(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert sorted(text for split in found for text in split["text_a"]) == ["a", "aa", "b", "bb"]


@pytest.mark.parametrize("splits", [("train", "validation"), ("Training", "Dev"), ("train", "val")])
def test_saved_splits_are_found_by_name_in_any_case(folder, splits, caplog):
    caplog.set_level("INFO")
    value = datasets.Dataset.from_pandas(FRAME)
    datasets.DatasetDict(dict.fromkeys(splits, value)).save_to_disk(str(folder / "data"))
    train, found = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == found["text_a"][:] == FRAME["body"].tolist()
    assert f"train from {splits[0]}; evaluation from {splits[1]}" in caplog.text


@pytest.mark.parametrize("form", [{"type": "numpy"}, {"type": "torch", "columns": ["label"]}, {"type": "pandas"}])
def test_a_saved_format_neither_hides_nor_changes_columns(folder, form):
    value = datasets.Dataset.from_pandas(FRAME.assign(label=[0, 1, 1, 0]))
    value.with_format(**form).save_to_disk(str(folder / "data"))
    train, _ = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == FRAME["body"].tolist() and train["label"][:] == [0, 1, 1, 0]


def test_saved_columns_that_nobody_asks_for_are_not_decoded(folder):
    value = datasets.Dataset.from_pandas(FRAME.assign(image=[{"bytes": b"no image", "path": None}] * 4))
    value.cast_column("image", datasets.Image()).save_to_disk(str(folder / "data"))
    train, _ = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == FRAME["body"].tolist()


def test_a_saved_column_that_is_missing_is_told_with_those_there(folder):
    datasets.Dataset.from_pandas(FRAME).save_to_disk(str(folder / "data"))
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "boddy"}}))
    assert "no column 'boddy' (did you mean 'body'?); it has body, note, label" in line

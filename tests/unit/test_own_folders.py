"""Folders of user data: which files belong to each split, and pins that ignore unrelated files."""

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
def test_split_gets_its_own_files_from_a_shared_folder(folder, train, other, caplog):
    caplog.set_level("INFO")
    write(folder / f"data/{train}.parquet", "a", "b", "c", "d")
    write(folder / f"data/{other}.parquet", "e", "f")
    entry = {"train": "data", "evaluation": "data", "text": "body"}
    found = staged(write_suite(folder, {"t": entry}))
    assert [split["text_a"][:] for split in found] == [["a", "b", "c", "d"], ["e", "f"]]
    assert f"train from {train}.parquet; evaluation from {other}.parquet" in caplog.text


def test_holdout_is_taken_from_training_files_only(folder):
    write(folder / "data/train-00000-of-00002.parquet", "a", "b")
    write(folder / "data/train-00001-of-00002.parquet", "c", "d")
    write(folder / "data/test-00000-of-00001.parquet", "e", "f")
    found = staged(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert sorted(text for split in found for text in split["text_a"]) == ["a", "b", "c", "d"]


def test_folder_without_training_files_error_names_its_splits(folder):
    write(folder / "data/test.parquet", "a", "b")
    write(folder / "data/validation.parquet", "c", "d")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert "test, validation" in line and "`train`" in line


def test_train_files_are_refused_for_evaluation(folder):
    write(folder / "data/train-00000-of-00001.parquet", "a", "b")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert "files of train" in line and "`evaluation`" in line


def test_files_without_a_split_name_are_read_together(folder):
    write(folder / "data/a.parquet", "a", "b")
    write(folder / "data/b.parquet", "c", "d")
    train, _ = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == ["a", "b", "c", "d"]


def test_pin_of_the_suites_folder_covers_only_its_data_files(folder):
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


def test_pin_of_a_saved_data_set_ignores_hidden_files(folder):
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
        (["imdb_train", "imdb_test"], "mention test, train"),
        (["my-train-00000-of-00001", "my-test-00000-of-00001"], "mention test, train"),
        (["train-0", "train-1", "test-0"], "mention test, train"),
    ],
)
def test_incomplete_or_ambiguous_split_is_refused(folder, files, said):
    for file in files:
        write(folder / f"data/{file}.parquet", "a", "b")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert said in line


def test_split_names_are_case_insensitive(folder):
    write(folder / "data/Train.parquet", "a", "b", "c", "d")
    write(folder / "data/Validation.parquet", "e", "f")
    found = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert [split["text_a"][:] for split in found] == [["a", "b", "c", "d"], ["e", "f"]]


def test_validation_split_is_preferred_over_test(folder):
    for name, text in {"train": "a", "test": "b", "val": "c"}.items():
        write(folder / f"data/{name}.parquet", text, text + text)
    _, found = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert found["text_a"][:] == ["c", "cc"]


@pytest.mark.parametrize("files", [["imdb_train"], ["train-0", "train-1"]])
def test_unusual_train_file_names_are_refused_for_evaluation(folder, files):
    for file in files:
        write(folder / f"data/{file}.parquet", "a", "b", "c", "d")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert "mention train" in line and "`evaluation`" in line


@pytest.mark.parametrize("file", ["test", "dev", "imdb_test"])
def test_folder_of_evaluation_files_is_refused_for_training(folder, file):
    write(folder / f"data/{file}.parquet", "a", "b", "c", "d")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert file.removeprefix("imdb_") in line and "name one with `train`" in line


def test_dated_file_names_may_have_gaps(folder):
    for file, text in {"20240101": "a", "20240301": "b"}.items():
        write(folder / f"data/{file}.parquet", text, text + text)
    found = staged(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "body"}}))
    assert sorted(text for split in found for text in split["text_a"]) == ["a", "aa", "b", "bb"]


@pytest.mark.parametrize("splits", [("train", "validation"), ("Training", "Dev"), ("train", "val")])
def test_saved_split_names_are_case_insensitive(folder, splits, caplog):
    caplog.set_level("INFO")
    value = datasets.Dataset.from_pandas(FRAME)
    datasets.DatasetDict(dict.fromkeys(splits, value)).save_to_disk(str(folder / "data"))
    train, found = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == found["text_a"][:] == FRAME["body"].tolist()
    assert f"train from {splits[0]}; evaluation from {splits[1]}" in caplog.text


@pytest.mark.parametrize("form", [{"type": "numpy"}, {"type": "torch", "columns": ["label"]}, {"type": "pandas"}])
def test_saved_output_format_is_ignored(folder, form):
    value = datasets.Dataset.from_pandas(FRAME.assign(label=[0, 1, 1, 0]))
    value.with_format(**form).save_to_disk(str(folder / "data"))
    train, _ = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == FRAME["body"].tolist() and train["label"][:] == [0, 1, 1, 0]


def test_unused_saved_columns_are_not_decoded(folder):
    value = datasets.Dataset.from_pandas(FRAME.assign(image=[{"bytes": b"no image", "path": None}] * 4))
    value.cast_column("image", datasets.Image()).save_to_disk(str(folder / "data"))
    train, _ = staged(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert train["text_a"][:] == FRAME["body"].tolist()


def test_missing_saved_column_error_lists_the_existing_ones(folder):
    datasets.Dataset.from_pandas(FRAME).save_to_disk(str(folder / "data"))
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "holdout": 0.5, "text": "boddy"}}))
    assert "no column 'boddy' (did you mean 'body'?); it has body, note, label" in line

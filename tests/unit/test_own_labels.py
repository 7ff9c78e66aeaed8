"""Labels and metrics of own tasks: valid combinations, and which label a value in a file means."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_own_data import refused, staged, write_suite

from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.store.pinning_own import accept
from steadytune.suite.loading import load_suite
from steadytune.suite.own import lock_path, read_own_lock
from steadytune.tasks.labels import canonical

ROOT = Path(__file__).resolve().parents[2]
ENTRY = {"train": "a.csv", "evaluation": "a.csv", "text": "body"}
ROWS = {"train": "a.jsonl", "evaluation": "a.jsonl", "text": "body"}
ALIKE = [
    ["contradiction", "neutral", "entailment", "equivalent"],
    ["duplicate", "entailment", "neutral"],
    ["a-b", "a b"],
    ["Gut", "gut"],
    ["x", "x", "y"],
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return tmp_path


def write(folder: Path, *labels: str) -> None:
    rows = "".join(f"text {place},{label}\n" for place, label in enumerate(labels))
    (folder / "a.csv").write_text("body,label\n" + rows, encoding="utf-8")


def write_rows(folder: Path, *labels: object) -> None:
    rows = [json.dumps({"body": f"text {place}", "label": label}) for place, label in enumerate(labels)]
    (folder / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")


def pinned(path: Path) -> tuple[str, ...]:
    return read_own_lock(path).tasks["t"].labels


def repin(path: Path, *labels: str) -> None:
    """Replace the labels in the lock, as an earlier version may have pinned them."""
    lock = yaml.safe_load(lock_path(path).read_text())
    lock["tasks"]["t"]["labels"] = list(labels)
    lock_path(path).write_text(yaml.safe_dump(lock))


@pytest.mark.parametrize("labels", ALIKE)
def test_given_labels_that_read_alike_are_refused(folder, labels):
    write(folder, *labels)
    (line,) = refused(write_suite(folder, {"t": ENTRY | {"labels": labels}}))
    first, second = (label for label in labels if [canonical(other) for other in labels].count(canonical(label)) > 1)
    assert f"{first}, {second}" in line and "tasks.t" in line


@pytest.mark.parametrize("labels", ALIKE[:4])
def test_inferred_labels_that_read_alike_are_refused(folder, labels):
    write(folder, *labels)
    (line,) = refused(write_suite(folder, {"t": ENTRY}))
    first, second = sorted(label for label in labels if [canonical(x) for x in labels].count(canonical(label)) > 1)
    assert f"{first}, {second}" in line and "'label'" in line


def test_pinned_labels_that_read_alike_are_refused_until_accepted(folder):
    write(folder, "x", "y")
    path = write_suite(folder, {"t": ENTRY})
    staged(path)
    repin(path, "a-b", "a b")
    with pytest.raises(SteadyTuneError, match=r"tasks\.t.*a-b, a b.*--accept") as error:
        load_suite(path)
    assert "\n" not in str(error.value)
    accept(path, "t")
    assert load_suite(path).task("t").labels == ("x", "y")


@pytest.mark.parametrize("metrics", [{"metric": "f1"}, {"metrics": ["f1"]}])
def test_f1_is_refused_for_three_labels(folder, metrics):
    write(folder, "x", "y", "z")
    path = write_suite(folder, {"t": ENTRY | metrics})
    assert "macro_f1" in refused(path)[0]
    assert "macro_f1" in refused(write_suite(folder, {"t": ENTRY | metrics | {"labels": ["x", "y", "z"]}}))[0]
    staged(write_suite(folder, {"t": ENTRY}))
    # Changing the metric needs no acceptance, so the pinned labels are checked against it.
    write_suite(folder, {"t": ENTRY | metrics})
    with pytest.raises(SteadyTuneError, match=r"tasks\.t.*found 3.*macro_f1"):
        load_suite(path)
    assert main(["plan", str(path)]) != 0
    write(folder, "x", "y")
    accept(path, "t")
    assert load_suite(path).task("t").labels == ("x", "y")


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"metrics": ["span_f1"]}, "span_f1"),
        ({"metric": "pearson_spearman", "metrics": ["accuracy"]}, "accuracy"),
        ({"metrics": ["macro_f1", "pearson_spearman"]}, "pearson_spearman"),
    ],
)
def test_metrics_of_different_kinds_are_refused(folder, change, other):
    write(folder, "1", "2")
    (line,) = refused(write_suite(folder, {"t": ENTRY | change}))
    assert "tasks.t" in line and f"'{other}'" in line and "`metrics`" in line


@pytest.mark.parametrize("labels", [None, ["x", "y"]])
def test_list_or_object_as_label_is_refused(folder, labels):
    write_rows(folder, "x", ["x", "y"], "y", {"a": 1})
    said = refused(write_suite(folder, {"t": ROWS | ({"labels": labels} if labels else {})}))
    assert "['x', 'y'] and {'a': 1}, expected" in said[1] and "(rows 1, 3 and 2 more)" in said[1]


def test_bytes_as_label_are_refused(folder):
    pq.write_table(pa.table({"body": ["a", "b"], "label": [b"x", b"y"]}), folder / "a.parquet")
    said = refused(write_suite(folder, {"t": {"train": "a.parquet", "holdout": 0.5, "text": "body"}}))
    assert "b'x' and b'y'" in said[1] and "(rows 0 and 1)" in said[1]


def test_labels_with_equal_numeric_value_have_a_fixed_order(folder):
    write(folder, "2", "001", "1", "01", "10")
    path = write_suite(folder, {"t": ENTRY})
    staged(path)
    assert pinned(path) == ("001", "01", "1", "2", "10")


def test_circled_digits_are_treated_as_words(folder):
    write(folder, "②", "①")
    path = write_suite(folder, {"t": ENTRY})
    staged(path)
    assert pinned(path) == ("①", "②")


@pytest.mark.parametrize("labels", [[False, True], ["no", "yes"], ["No", "YES"]])
def test_boolean_words_in_a_csv_mean_yes_and_no(folder, labels):
    write(folder, "True", "False", "TRUE", "false")
    train, _ = staged(write_suite(folder, {"t": ENTRY | {"labels": labels}}))
    assert train["label"][:] == [1, 0, 1, 0]


def test_true_stays_a_word_if_it_is_a_label(folder):
    write(folder, "True", "yes", "no")
    train, _ = staged(write_suite(folder, {"t": ENTRY | {"labels": ["no", "yes", "true"]}}))
    assert train["label"][:] == [2, 1, 0]


def test_true_means_yes_only_if_no_is_also_a_label(folder):
    write(folder, "True", "yes", "perhaps")
    said = refused(write_suite(folder, {"t": ENTRY | {"labels": ["perhaps", "yes"]}}))
    assert "'True', expected one of perhaps, yes" in said[1]


@pytest.mark.parametrize("labels", [[0.0, 1.0], ["0.0", "1.0"], [0, 1], [" 0", "1 "]])
def test_given_labels_are_normalised_like_file_values(folder, labels):
    write(folder, "0.0", "1.0", "1")
    path = write_suite(folder, {"t": ENTRY | {"labels": labels}})
    train, _ = staged(path)
    assert train["label"][:] == [0, 1, 1] and pinned(path) == ("0", "1")


@pytest.mark.parametrize("label", [None, "", ["a"]])
def test_invalid_entry_in_labels_is_refused(folder, label):
    write(folder, "x", "y")
    (line,) = refused(write_suite(folder, {"t": ENTRY | {"labels": ["x", label]}}))
    assert "labels.1" in line and "expected a text" in line


def test_minus_one_that_leaves_one_class_is_refused(folder):
    write(folder, "-1", "1", "-1")
    (line,) = refused(write_suite(folder, {"t": ENTRY}))
    assert "1 class," in line and "-1" in line and "`labels`" in line
    train, _ = staged(write_suite(folder, {"t": ENTRY | {"labels": [-1, 1]}}))
    assert train["label"][:] == [0, 1, 0]


@pytest.mark.parametrize(("labels", "kept"), [([-1, 0, 1], [0, 1, 2, 0]), ([0, 1], [0, 1])])
def test_minus_one_among_other_numbers_needs_explicit_labels(folder, labels, kept):
    write(folder, "-1", "0", "1", "-1")
    (line,) = refused(write_suite(folder, {"t": ENTRY}))
    assert "4 rows with -1 besides 0, 1" in line and "`labels`" in line
    train, _ = staged(write_suite(folder, {"t": ENTRY | {"labels": labels}}))
    assert train["label"][:] == kept


def test_minus_one_among_words_means_no_label(folder):
    write(folder, "no", "-1", "yes")
    path = write_suite(folder, {"t": ENTRY})
    train, _ = staged(path)
    assert train["label"][:] == [0, 1] and pinned(path) == ("no", "yes")

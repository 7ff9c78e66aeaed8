"""Values in user files that `stage` refuses before pinning, because training would silently accept them."""

import datetime
import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_own_data import refused, staged, write_suite
from test_own_labels import ENTRY, ROWS, pinned, write, write_rows

ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = {"train": "q.json", "evaluation": "q.json", "format": "squad", "metric": "span_f1"}
SCORES = {"train": "a.csv", "holdout": 0.5, "text": "body", "metric": "pearson_spearman"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return tmp_path


def write_questions(folder: Path, *answers: dict) -> Path:
    paragraph = {"context": "Bern is a city", "qas": [{"id": "1", "question": "Which?", "answers": list(answers)}]}
    (folder / "q.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}), encoding="utf-8")
    return write_suite(folder, {"t": QUESTIONS})


def test_questions_without_any_answer_are_refused(folder):
    assert "no question has an answer" in refused(write_questions(folder))[1]


@pytest.mark.parametrize(
    ("text", "start", "said"),
    [("", 0, "text: '', expected a text that is not empty"), ("x", 14, "answer_start: 14, expected one within")],
)
def test_empty_or_out_of_range_answer_is_refused(folder, text, start, said):
    assert said in refused(write_questions(folder, {"text": text, "answer_start": start}))[1]


@pytest.mark.parametrize("labels", [None, ["a", "b"]])
def test_label_with_a_control_character_is_refused_with_its_row(folder, labels):
    write_rows(folder, "a", "b", "a\x07")
    said = refused(write_suite(folder, {"t": ROWS | ({"labels": labels} if labels else {})}))
    assert "'a\\x07', expected a word without control characters" in said[1] and "(row 2" in said[1]


@pytest.mark.parametrize("word", ["nan", "NaN", "null", "None", "NA"])
def test_missing_value_words_are_classes_only_if_listed(folder, word):
    write(folder, "0", "1", word)
    said = refused(write_suite(folder, {"t": ENTRY}))
    assert f"'{word}', expected a class: write an empty field" in said[1] and "(row 2" in said[1]
    train, _ = staged(write_suite(folder, {"t": ENTRY | {"labels": ["0", "1", word]}}))
    assert train["label"][:] == [0, 1, 2]


def test_invisible_label_is_refused(folder):
    write(folder, "0", "1", "\u200b")
    said = refused(write_suite(folder, {"t": ENTRY}))
    assert "'\\u200b', expected a word that can be seen" in said[1] and "(row 2" in said[1]


def test_lower_case_none_is_a_class(folder):
    write(folder, "favor", "against", "none")
    path = write_suite(folder, {"t": ENTRY})
    staged(path)
    assert pinned(path) == ("against", "favor", "none")


@pytest.mark.parametrize(
    ("one", "other"), [("gut", "gu\u200bt"), ("\u00fc", "u\u0308"), ("-0.0", "0"), ("very good", "very  good")]
)
def test_two_spellings_of_one_class_are_refused_unless_both_listed(folder, one, other):
    write(folder, one, other, "third")
    (line,) = refused(write_suite(folder, {"t": ENTRY}))
    assert "do not look alike" in line and ascii(other) in line
    staged(write_suite(folder, {"t": ENTRY | {"labels": [one, other, "third"]}}))


@pytest.mark.parametrize(
    "value", [datetime.datetime(2020, 1, 1), datetime.date(2020, 1, 1), datetime.timedelta(1), float("inf")]
)
def test_time_or_infinity_as_class_is_refused(folder, value):
    pq.write_table(pa.table({"body": ["a", "b"], "label": [value, value]}), folder / "a.parquet")
    said = refused(write_suite(folder, {"t": {"train": "a.parquet", "holdout": 0.5, "text": "body"}}))
    assert "expected a word or a number (row 0 and 1 more)" in said[1]


@pytest.mark.parametrize("score", ["1e39", "-1e39", "1_000"])
def test_score_beyond_fp32_or_with_underscores_is_refused(folder, score):
    write(folder, "1", "2", score)
    said = refused(write_suite(folder, {"t": SCORES}))
    assert f"'{score}', expected a" in said[1] and "(row 2)" in said[1]


def test_disjoint_evaluation_classes_are_refused_unless_listed(folder):
    write(folder, "0", "1")
    (folder / "b.csv").write_text("body,label\nx,neg\ny,pos\n", encoding="utf-8")
    entry = ENTRY | {"evaluation": "b.csv"}
    (line,) = refused(write_suite(folder, {"t": entry}))
    assert "evaluation has the classes neg, pos" in line and "but 0, 1" in line and "tasks.t" in line
    staged(write_suite(folder, {"t": entry | {"labels": ["0", "1", "neg", "pos"]}}))


def test_evaluation_sharing_one_class_with_training_is_accepted(folder):
    write(folder, "0", "1")
    (folder / "b.csv").write_text("body,label\nx,1\ny,2\n", encoding="utf-8")
    path = write_suite(folder, {"t": ENTRY | {"evaluation": "b.csv"}})
    staged(path)
    assert pinned(path) == ("0", "1", "2")


def test_holdout_that_leaves_one_side_without_answers_is_refused(folder):
    answers = [{"text": "Bern", "answer_start": 0}]
    paragraphs = [
        {
            "context": f"Bern {place}",
            "qas": [{"id": str(place), "question": "Which?", "answers": answers * (not place)}],
        }
        for place in range(4)
    ]
    (folder / "q.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    task = {"train": "q.json", "holdout": 0.5, "format": "squad", "metric": "span_f1"}
    (line,) = refused(write_suite(folder, {"t": task}))
    assert "holdout 0.5 leaves no question with an answer for" in line


def test_holdout_that_leaves_one_side_without_labels_is_refused(folder):
    write(folder, "1", *[""] * 7)
    (line,) = refused(write_suite(folder, {"t": SCORES}))
    assert "holdout 0.5 leaves no row with a label for" in line


def write_splits(folder: Path, train: str, evaluation: str, **more) -> Path:
    """A suite whose splits have the given labels, separated by blanks."""
    write(folder, *evaluation.split())
    (folder / "a.csv").rename(folder / "b.csv")
    write(folder, *train.split())
    return write_suite(folder, {"t": ENTRY | {"evaluation": "b.csv"} | more})


@pytest.mark.parametrize(
    ("train", "evaluation", "more", "said"),
    [
        ("x x x", "x y", {}, "train has one class, x, from which nothing can be learned"),
        ("y y", "x y", {"labels": ["x", "y"]}, "train has one class, y"),
        ("3 3.0", "1 2", {"metric": "pearson_spearman"}, "train has one score, 3.0,"),
        ("1 2", "3 3 3", {"metric": "pearson_spearman"}, "evaluation has one score, 3.0, on which pearson_spearman"),
        ("x y", "y", {"metric": "auroc"}, "evaluation has one class, y, on which auroc has no value"),
        ("x y", "y", {"metrics": ["auroc"]}, "evaluation has one class, y, on which auroc has no value"),
    ],
)
def test_constant_labels_are_refused_if_nothing_can_be_learned_or_scored(folder, train, evaluation, more, said):
    (line,) = refused(write_splits(folder, train, evaluation, **more))
    assert f"tasks.t: {said}" in line


def test_one_class_evaluation_is_accepted_for_accuracy(folder):
    _, evaluation = staged(write_splits(folder, "x y", "y y"))
    assert evaluation["label"][:] == [1, 1]


@pytest.mark.parametrize("blank", ["", "  ", "\u200b"])
def test_text_column_without_any_text_is_refused(folder, blank):
    (folder / "a.csv").write_text(f"body,other,label\na,{blank},x\nb,{blank},y\n", encoding="utf-8")
    said = refused(write_suite(folder, {"t": ENTRY | {"text": ["body", "other"]}}))
    assert "a.csv: column 'other': no row has a text" in said[1]
    staged(write_suite(folder, {"t": ENTRY}))


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize(
    ("kind", "number"), [(pa.date32(), 10**7), (pa.timestamp("us"), 2**62), (pa.duration("s"), 2**62)]
)
def test_time_out_of_pythons_range_is_a_one_line_error(folder, kind, number, saved):
    table = pa.table({"body": ["a", "b"], "label": pa.array([number, 1], kind)})
    if saved:
        datasets.Dataset(table).save_to_disk(str(folder / "a"))
    else:
        pq.write_table(table, folder / "a")
    entry = {"train": "a", "holdout": 0.5, "text": "body", "format": "datasets" if saved else "parquet"}
    (said,) = refused(write_suite(folder, {"t": entry}))
    assert f"{folder / 'a'}: " in said and ("datasets" if saved else "column 'label'") in said


def test_invalid_utf_8_in_parquet_error_names_the_column(folder):
    body = pa.array([b"a", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"body": body, "label": ["x", "y"]}), folder / "a.parquet")
    (said,) = refused(write_suite(folder, {"t": {"train": "a.parquet", "holdout": 0.5, "text": "body"}}))
    assert "column 'body'" in said and "0xff" in said

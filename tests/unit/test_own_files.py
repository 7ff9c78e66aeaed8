"""User files that are incomplete or not what their names say: a one-line error says what they are."""

import gzip
import json
import os
import zipfile
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather
from test_own_data import refused, staged, write_suite

from steadytune.cli import main
from steadytune.suite.own import lock_path, read_own_lock

ROOT = Path(__file__).resolve().parents[2]
CSV = "body,label\na,x\nb,y\n"
TABLE = pa.table({"body": ["a", "b"], "label": ["x", "y"]})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(ROOT)
    return tmp_path


def entry(name: str, **more) -> dict:
    return {"t": {"train": name, "evaluation": name, "text": "body"} | more}


def write_lines(folder: Path, *lines: str) -> Path:
    (folder / "a.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return write_suite(folder, entry("a.jsonl"))


def test_invalid_json_line_error_gives_line_and_column(folder):
    good = ['{"body": "a", "label": "x"}', '{"body": "b", "label": "y"}', ""]
    (found,) = refused(write_lines(folder, *good, '{"body": "c" "label": "y"}', *good))
    assert "line 4, column 14: Expecting ',' delimiter" in found
    (found,) = refused(write_lines(folder, *good, '{"body": "c",', *good))
    assert "line 4, column 14" in found and found.count("line ") == 1


def write_named(path: Path, names: list[str], values: pa.Array) -> None:
    """Write a parquet file with class names as `datasets` stores them, and label values of any type."""
    features = datasets.Features({"body": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    table = pa.table({"body": [f"text {place}" for place in range(len(values))], "label": values})
    pq.write_table(table.replace_schema_metadata(features.arrow_schema.metadata), path)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"txt": "c", "label": "x"}', "line 3: no key 'body'"),
        ('{"bodi": "c", "label": "x"}', "line 3: no key 'body' (did you mean 'bodi'?)"),
        ('{"body": "c", "Label": "x"}', "line 3: no key 'label' (did you mean 'Label'?)"),
        ('{"body": "c", "label": "x", "label": "y"}', "line 3: the key 'label' is there twice"),
    ],
)
def test_missing_or_duplicate_key_in_a_json_line_is_refused(folder, line, said):
    good = ['{"body": "a", "label": "x"}', '{"body": "b", "label": "y", "note": 1}']
    (found,) = refused(write_lines(folder, *good, line))
    assert said in found


def test_null_is_not_treated_as_a_missing_key(folder):
    rows = [{"body": "a", "label": "x"}, {"body": "b", "label": "y"}, {"body": None, "label": None}]
    train, _ = staged(write_lines(folder, *map(json.dumps, rows)))
    assert train["label"][:] == [0, 1]


@pytest.mark.parametrize("indent", [None, 1])
def test_json_array_is_refused_as_json_lines(folder, indent):
    (line,) = refused(write_lines(folder, json.dumps([{"body": "a", "label": "x"}], indent=indent)))
    assert "line 1: a JSON array" in line


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.xyz"])
@pytest.mark.parametrize(
    ("kind", "said"), [("utf-16", "UTF-16"), ("gzip", "gzip"), ("zip", "workbook of Excel"), ("parquet", "parquet")]
)
def test_binary_file_error_names_the_file_type(folder, name, kind, said):
    path = folder / name
    match kind:
        case "utf-16":
            path.write_text(CSV, encoding="utf-16")
        case "gzip":
            path.write_bytes(gzip.compress(CSV.encode()))
        case "zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("a.csv", CSV)
        case _:
            pq.write_table(TABLE, path)
    (line,) = refused(write_suite(folder, entry(name)))
    assert said in line and name in line and "byte 0x" not in line


def test_utf_16_is_read_if_the_suite_sets_the_encoding(folder):
    (folder / "a.csv").write_text(CSV, encoding="utf-16")
    train, _ = staged(write_suite(folder, entry("a.csv", encoding="utf-16")))
    assert train["text_a"][:] == ["a", "b"]


def test_csv_header_may_start_with_the_parquet_magic_bytes(folder):
    (folder / "a.csv").write_text("PAR1,body,label\n1,a,x\n2,b,y\n", encoding="utf-8")
    train, _ = staged(write_suite(folder, entry("a.csv")))
    assert train["text_a"][:] == ["a", "b"]


@pytest.mark.parametrize("separator", ["\n", "\r", '"', ";;", ""])
def test_unusable_separator_is_refused(folder, separator):
    (folder / "a.csv").write_text(CSV, encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.csv", separator=separator)))
    assert "tasks.t.separator: " in line and "expected one character" in line


def test_task_name_over_100_characters_is_refused(folder):
    (folder / "a.csv").write_text(CSV, encoding="utf-8")
    (line,) = refused(write_suite(folder, {"t" * 101: entry("a.csv")["t"]}, grid=[
        {"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["t" * 101], "seeds": 1}]))  # fmt: skip
    assert "expected 100 characters or fewer" in line


@pytest.mark.parametrize("more", [{}, {"separator": ";"}])
def test_excel_sep_line_is_refused_with_the_separator_setting(folder, more):
    (folder / "a.csv").write_text("sep=;\nbody;label\na;x\nb;y\n", encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.csv", **more)))
    assert "Excel's `sep=`" in line and 'separator: ";"' in line


@pytest.mark.parametrize(
    ("value", "said"),
    [({"rows": []}, "no key 'data'"), ([], "another structure"), ({"data": [{"x": 1}]}, "paragraphs")],
)
def test_wrong_question_format_error_names_squad(folder, value, said):
    (folder / "q.json").write_text(json.dumps(value), encoding="utf-8")
    task = {"train": "q.json", "evaluation": "q.json", "format": "squad", "metric": "span_f1"}
    (line,) = refused(write_suite(folder, {"t": task}))
    assert said in line and "SQuAD 1.1" in line


def test_named_pipe_is_refused(folder):
    os.mkfifo(folder / "a.csv")
    train, evaluation = refused(write_suite(folder, entry("a.csv")))
    assert "train: " in train and all("not a regular file" in line for line in (train, evaluation))


def test_too_long_file_name_is_refused(folder, capsys):
    path = write_suite(folder, entry("a" * 400 + ".csv"))
    assert main(["stage", str(path), "datasets"]) == 2
    assert not lock_path(path).exists()
    assert "too long" in capsys.readouterr().err


@pytest.mark.parametrize("values", [pa.array([0.0, 1.0, -1.0]), pa.array(["0", "1", None]), pa.array(["neg", "1", ""])])
def test_class_names_apply_to_indices_of_any_type(folder, values):
    write_named(folder / "a.parquet", ["neg", "pos"], values)
    path = write_suite(folder, entry("a.parquet"))
    train, _ = staged(path)
    assert train["label"][:] == [0, 1]
    assert read_own_lock(path).tasks["t"].labels == ("neg", "pos")


@pytest.mark.parametrize("values", [pa.array([0, 1, 2]), pa.array([0.0, 1.0, 0.5]), pa.array(["0", "1", "7"])])
def test_class_index_without_a_name_is_refused(folder, values):
    write_named(folder / "a.parquet", ["neg", "pos"], values)
    (line,) = refused(write_suite(folder, entry("a.parquet")))
    assert "a.parquet: column 'label': row 2" in line and "neg, pos" in line


def test_numeric_class_name_is_not_an_index(folder):
    write_named(folder / "a.parquet", ["1", "2"], pa.array(["1", "2"]))
    path = write_suite(folder, entry("a.parquet"))
    staged(path)
    assert read_own_lock(path).tasks["t"].labels == ("1", "2")


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_bom_error_names_its_byte_order(folder, order):
    (folder / "a.csv").write_bytes(CSV.encode(order))
    (line,) = refused(write_suite(folder, entry("a.csv")))
    assert "text in UTF-16" in line and f"`encoding: {order}`" in line
    train, _ = staged(write_suite(folder, entry("a.csv", encoding=order)))
    assert train["text_a"][:] == ["a", "b"]


def test_other_binary_table_is_not_mistaken_for_utf_16(folder):
    feather.write_feather(TABLE, folder / "a.feather")
    (line,) = refused(write_suite(folder, entry("a.feather")))
    assert "say its `format`" in line


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "mac-roman"])
@pytest.mark.parametrize("text", ["\ufeffbody,label\na,x\nb,y\n", "body,label\nschön,x\nb,y\n"])
def test_utf_8_file_is_refused_under_another_encoding(folder, encoding, text):
    (folder / "a.csv").write_text(text, encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.csv", encoding=encoding)))
    assert f"text in UTF-8: leave out `encoding: {encoding}`" in line


@pytest.mark.parametrize("text", ["schön", "plain"])
def test_file_valid_in_the_given_encoding_is_read(folder, text):
    (folder / "a.csv").write_text(f"body,label\n{text},x\nb,y\n", encoding="cp1252")
    train, _ = staged(write_suite(folder, entry("a.csv", encoding="cp1252")))
    assert train["text_a"][:] == [text, "b"]


def test_repeated_header_between_rows_is_refused(folder):
    (folder / "a.csv").write_text(CSV + "\n" + CSV, encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.csv")))
    assert "row 2 (line 5): the header once more" in line


def test_quoted_tsv_fields_require_the_quoted_setting(folder):
    (folder / "a.tsv").write_text('body\tlabel\n"a ""b"" c"\tx\n"d"\ty\n', encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.tsv")))
    assert "row 0 (line 2)" in line and "say `quoted: true`" in line and "`quoted: false`" in line
    for quoted, texts in {True: ['a "b" c', "d"], False: ['"a ""b"" c"', '"d"']}.items():
        (folder / str(quoted)).mkdir()
        (folder / str(quoted) / "a.tsv").write_bytes((folder / "a.tsv").read_bytes())
        train, _ = staged(write_suite(folder / str(quoted), entry("a.tsv", quoted=quoted)))
        assert train["text_a"][:] == texts


def test_multi_line_tsv_field_error_suggests_quoted(folder):
    (folder / "a.tsv").write_text('body\tlabel\n"a\nb"\tx\nc\ty\n', encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.tsv")))
    assert "`quoted: true`" in line


@pytest.mark.parametrize(("row", "kept"), [('a, "x"', 'label "x"'), (' "a",x', 'text  "a"')])
def test_blank_before_a_quotation_mark_needs_the_quoted_setting(folder, row, kept):
    (folder / "a.csv").write_text(f"body,label\n{row}\nb,y\n", encoding="utf-8")
    (line,) = refused(write_suite(folder, entry("a.csv")))
    assert "row 0 (line 2)" in line and "a blank before the quotation mark" in line
    path = write_suite(folder, entry("a.csv", quoted=True))
    train, _ = staged(path)
    named = {f"text {train['text_a'][0]}", f"label {read_own_lock(path).tasks['t'].labels[train['label'][0]]}"}
    assert kept in named


def test_text_that_is_itself_a_quotation_is_read(folder):
    (folder / "a.csv").write_text('body,label\n"""Hello,"" he said. ""Bye.""",x\n"""b""",y\n', "utf-8")
    train, _ = staged(write_suite(folder, entry("a.csv")))
    assert train["text_a"][:] == ['"Hello," he said. "Bye."', '"b"']


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train.cvs", "no such file or folder (did you mean 'train.csv'?)"),
        ("nowhere/train.csv", "nowhere/train.csv: no such file or folder"),
        ("link.csv", "link.csv: no such file or folder, but a link whose target is missing"),
        ("https://example.org/train.csv", "expected a path and no address"),
        ("hf://datasets/a/b/train.csv", "expected a path and no address"),
    ],
)
def test_missing_path_error_suggests_the_nearest_name_or_cause(folder, name, said):
    (folder / "train.csv").write_text(CSV, encoding="utf-8")
    (folder / "link.csv").symlink_to(folder / "moved.csv")
    (line,) = refused(write_suite(folder, {"t": {"train": name, "evaluation": "train.csv", "text": "body"}}))
    assert "tasks.t: train: " in line and said in line
    assert ("did you mean" in line) == ("did you mean" in said)

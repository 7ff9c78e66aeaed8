"""A suite's own tasks and encoders: every format, problems reported together, pins, use like built-in tasks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from synthetic import Grid, mark_current
from test_run_cell import write_encoder

from steadytune.cells.freshness import statuses
from steadytune.cells.run import run_cell
from steadytune.claims.comparisons import judge_all
from steadytune.claims.examples import Examples
from steadytune.cli import main
from steadytune.dag.targets import Targets
from steadytune.errors import SteadyTuneError
from steadytune.rendering.tables import make_table
from steadytune.results.loading import load_or_empty
from steadytune.store.inventory import check_lock
from steadytune.store.lock import suite_lock
from steadytune.store.own_changes import check_unchanged
from steadytune.store.pinning_own import accept, pin_new
from steadytune.suite.loading import load_suite
from steadytune.suite.own import lock_path, read_own_lock
from steadytune.tasks.data import load_split

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ['He said "no", and left', "Zürich\tis nice", "line one\nline two", "plain"]
FRAME = pd.DataFrame({"body": TEXTS, "note": "n", "label": ["no", "yes", "yes", "no"]})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a space and an umlaut in its path; the working directory is the project's."""
    monkeypatch.chdir(ROOT)
    found = tmp_path / "mein Ordner ü"
    found.mkdir()
    return found


def write_suite(folder: Path, tasks: dict, **more) -> Path:
    names = list(tasks)
    value = {
        "suite": "mine",
        "title": "Mine",
        "store": str(folder / "store"),
        "encoders": {"tiny": {"model": "steadytune/tiny-en"}},
        "tasks": tasks,
        "grid": [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": names, "seeds": 1}],
    }
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(value | more), encoding="utf-8")
    return path


def staged(path: Path, name: str = "t"):
    """Stage an own task and return its training and evaluation splits."""
    assert main(["stage", str(path), "datasets"]) == 0
    suite = load_suite(path)
    task = suite.task(name)
    return [load_split(task, split, suite.file.store) for split in (task.train, task.evaluation)]


def refused(path: Path) -> list[str]:
    with pytest.raises(SteadyTuneError) as error:
        pin_new(path)
    assert not lock_path(path).exists()
    return str(error.value).splitlines()


def save(folder: Path, form: str) -> str:
    name = f"data.{form}"
    match form:
        case "csv":
            # With a byte order mark and Windows line endings.
            FRAME.to_csv(folder / name, index=False, encoding="utf-8-sig", lineterminator="\r\n")
        case "tsv":
            FRAME.to_csv(folder / name, index=False, sep="\t")
        case "jsonl":
            FRAME.to_json(folder / name, orient="records", lines=True, force_ascii=False)
        case "parquet":
            FRAME.to_parquet(folder / name)
        case "datasets":
            value = datasets.Dataset.from_pandas(FRAME).class_encode_column("label")
            datasets.DatasetDict({"train": value, "validation": value}).save_to_disk(str(folder / name))
    return name


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet", "datasets"])
def test_every_format_gives_the_same_rows(folder, form):
    name = save(folder, form)
    entry = {"train": name, "evaluation": name, "text": "body", "labels": [False, True], "metric": "f1"}
    if form == "tsv":
        entry["quoted"] = True
    train, evaluation = staged(write_suite(folder, {"t": entry}))
    assert train["text_a"][:] == TEXTS
    assert train["label"][:] == evaluation["label"][:] == [0, 1, 1, 0]


def test_tsv_quotation_marks_are_literal_by_default(folder):
    (folder / "a.tsv").write_text('body\tlabel\n"begun\tx\nend"\ty\n', encoding="utf-8")
    train, _ = staged(write_suite(folder, {"t": {"train": "a.tsv", "evaluation": "a.tsv", "text": "body"}}))
    assert train["text_a"][:] == ['"begun', 'end"']


def test_labels_are_inferred_and_their_order_is_pinned(folder):
    rows = [{"body": "a", "label": value} for value in (10, 9.0, "9", 10, None, "", 2)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    path = write_suite(folder, {"t": {"train": "a.jsonl", "evaluation": "a.jsonl", "text": "body"}})
    train, _ = staged(path)
    assert read_own_lock(path).tasks["t"].labels == ("2", "9", "10")
    assert train["label"][:] == [2, 1, 1, 2, 0], "rows without a label, or with -1, are left out"


def test_all_data_problems_are_reported_together(folder):
    rows = [{"body": ["x"], "label": "maybe"}, {"body": "b", "label": "yes"}, {"body": None, "label": "no"}]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    good = {"train": "a.jsonl", "evaluation": "a.jsonl", "text": "body", "labels": ["no", "yes"]}
    said = refused(write_suite(folder, {"t": good, "u": {**good, "text": "bdy"}}))
    assert "tasks.t: 4 problems" in said[0]
    assert any("column 'body'" in line and "expected a text" in line and "row 0" in line for line in said)
    assert any("column 'label': 'maybe', expected one of no, yes" in line and "row 0" in line for line in said)
    assert "tasks.u" in said[-1]
    assert "did you mean 'body'" in said[-1]


def test_unknown_names_and_data_problems_are_reported_together(folder):
    save(folder, "csv")
    (folder / "mine").mkdir()
    good = {"train": "data.csv", "evaluation": "data.csv", "text": "body"}
    grid = [{"encoders": ["tny"], "methods": ["vanila"], "tasks": ["t", "uu"], "seeds": 1}]
    encoders = {"tiny": {"model": "mine"}}
    path = write_suite(folder, {"t": good, "u": good | {"text": "bdy"}}, grid=grid, encoders=encoders)
    said = refused(path)
    assert [line.removeprefix(f"{path}: ").partition(": ")[0] for line in said] == [
        "grid.0.encoders", "grid.0.methods", "grid.0.tasks", "encoders.tiny.model", "tasks.u"]  # fmt: skip
    assert "`./mine`" in said[3]


def test_settings_are_checked_before_anything_is_pinned(folder):
    save(folder, "csv")
    good = {"train": "data.csv", "evaluation": "data.csv", "text": "body"}
    wrong = {"protocol": {"epochz": 3}, "methods": {"hype-n": {"sgma": 1}}, "analysis_plan": "plan.md"}
    grid = [{"encoders": ["tiny"], "methods": ["vanilla", "r-drop~alhpa=1"], "tasks": ["t"], "seeds": 1}]
    path = write_suite(folder, {"t": good, "rte": good}, grid=grid, **wrong)
    said = refused(path)
    assert [line.removeprefix(f"{path}: ").partition(": ")[0] for line in said] == [
        "analysis_plan", "protocol", "methods.hype-n", "tasks.rte", "grid.0.methods"]  # fmt: skip
    assert "did you mean 'sigma'?" in said[2]
    assert not list(folder.glob("*.lock.yaml"))


def test_missing_columns_are_reported_in_one_message(folder):
    save(folder, "csv")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": ["bdy", "note"], "label": "labl"}
    for line in refused(write_suite(folder, {"t": entry})):
        assert "no columns 'bdy' (did you mean 'body'?), 'labl' (did you mean 'label'?); it has" in line


def test_misspelt_label_error_suggests_the_nearest(folder):
    (folder / "a.csv").write_text("body,label\na,positiv\nb,negativ\nc,positv\n", encoding="utf-8")
    entry = {"train": "a.csv", "evaluation": "a.csv", "text": "body", "labels": ["negativ", "positiv"]}
    said = refused(write_suite(folder, {"t": entry}))
    # The same row, in both splits.
    assert said[0].endswith(": 2 problems")
    assert said[1].endswith("'positv', expected one of negativ, positiv (did you mean 'positiv'?) (row 2 and 1 more)")


def test_decimal_commas_need_the_decimal_setting(folder):
    scores = ["3,01", "0,7", " -1,5 ", "k.A."]
    text = "body\tlabel\n" + "".join(f"text {i}\t{score}\n" for i, score in enumerate(scores))
    (folder / "a.tsv").write_text(text, encoding="utf-8")
    entry = {"train": "a.tsv", "holdout": 0.5, "text": "body", "metric": "pearson_spearman"}
    said = refused(write_suite(folder, {"t": entry}))
    assert said[0].endswith(": 4 problems")
    assert said[1].endswith("(rows 0, 1 and 2)") and 'say `decimal: ","`' in said[1]
    assert said[2].endswith("'k.A.', expected a finite number (row 3)")
    # Next to decimal commas a point may be a thousands separator.
    (folder / "a.tsv").write_text(text.replace("k.A.", "1.234"), encoding="utf-8")
    said = refused(write_suite(folder, {"t": entry | {"decimal": ","}}))
    assert said[0].endswith(": 1 problem") and "'1.234', expected a finite number" in said[1]
    (folder / "a.tsv").write_text(text.replace("k.A.", "4"), encoding="utf-8")
    train, evaluation = staged(write_suite(folder, {"t": entry | {"decimal": ","}}))
    assert sorted([*train["label"], *evaluation["label"]]) == [-1.5, 0.7, 3.01, 4.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"body;label\nZ\xfcrich;a\n", 'separator: ";"'),
        (b"body,label\nZ\xfcrich,a\n", "encoding"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (b"body,label\n", "no rows"),
        (b"body,label\na,b,c\nd,e,f,g\n", "row 0 (line 2): expected 2 fields as in the header, found 3"),
        (b"body,label\nhello, a,1\nhi, b,0\n", "row 0 (line 2): expected 2 fields as in the header, found 3"),
        (b'body,label\n"two\nlines",x\n\nb\n', "row 1 (line 5): expected 2 fields as in the header, found 1"),
        (b"body,label,label\na,x,y\n", "2 columns named 'label'"),
        (b'body,label\na,x\nb,"y\nc,x\n', "line 3: unexpected end of data"),
        (b'body,label\n"a \\"b\\" c",x\n', "`quoted: false`"),
        (b"body;label\na;x\nb, c;y\n", 'separator: ";"'),
        (b"body;label\na;x\nb;y\n", 'separator: ";"'),
    ],
)
def test_unreadable_csv_is_refused_with_the_reason(folder, content, said):
    (folder / "a.csv").write_bytes(content)
    path = write_suite(folder, {"t": {"train": "a.csv", "evaluation": "a.csv", "text": "body"}})
    assert said in "".join(refused(path))


def test_blank_lines_and_unused_duplicate_columns_are_ignored(folder):
    text = "\ufeff\nid,body,label,,\n\n1,a,x,,\n  \n2,,y,,\n"
    (folder / "a.csv").write_text(text, encoding="utf-8")
    entry = {"train": "a.csv", "evaluation": "a.csv", "text": "body", "encoding": "utf-8"}
    train, _ = staged(write_suite(folder, {"t": entry}))
    assert (train["text_a"][:], train["label"][:]) == (["a", ""], [0, 1])


def test_very_long_document_is_read(folder):
    (folder / "a.csv").write_text(f"body,label\n{'word ' * 50_000},x\nb,y\n", encoding="utf-8")
    train, _ = staged(write_suite(folder, {"t": {"train": "a.csv", "evaluation": "a.csv", "text": "body"}}))
    assert len(train["text_a"][0]) == 250_000


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (pa.table({"body": ["c"], "lable": ["x"]}), "no column 'label' (did you mean 'lable'?)"),
        (pa.Table.from_arrays([pa.array(["c"])] * 3, ["body", "label", "label"]), "2 columns named 'label'"),
        (None, "cannot be read as parquet"),
    ],
)
def test_deviating_parquet_shard_is_named_in_the_error(folder, second, said):
    (folder / "data").mkdir()
    pq.write_table(pa.table({"body": ["a", "b"], "label": ["x", "y"]}), folder / "data/0.parquet")
    if second is None:
        (folder / "data/1.parquet").write_bytes(b"PAR1 broken PAR1")
    else:
        pq.write_table(second, folder / "data/1.parquet")
    (line,) = refused(write_suite(folder, {"t": {"train": "data", "evaluation": "data", "text": "body"}}))
    assert "data/1.parquet" in line and said in line


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"text": "Bern", "answer_start": "0"}, "answer_start: '0', expected a whole number"),
        ({"text": "city", "answer_start": -4}, "answer_start: -4, expected a whole number"),
        ({"text": 5, "answer_start": 0}, "text: 5, expected a text"),
    ],
)
def test_answer_of_the_wrong_type_is_refused(folder, answer, said):
    paragraph = {"context": "Bern is a city", "qas": [{"id": "1", "question": "Which?", "answers": [answer]}]}
    (folder / "q.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}), encoding="utf-8")
    entry = {"train": "q.json", "evaluation": "q.json", "format": "squad", "metric": "span_f1"}
    assert said in refused(write_suite(folder, {"t": entry}))[1]


def test_question_or_context_that_is_not_text_is_refused(folder):
    paragraph = {"context": ["Bern"], "qas": [{"id": "1", "question": {}, "answers": []}]}
    (folder / "q.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}), encoding="utf-8")
    entry = {"train": "q.json", "evaluation": "q.json", "format": "squad", "metric": "span_f1"}
    said = refused(write_suite(folder, {"t": entry}))
    assert "column 'question': {}, expected a text" in said[1] and "column 'context': ['Bern']" in said[2]


def test_regression_holdout_and_squad_tasks_are_staged(folder):
    pd.DataFrame({"a": list("abcdefghij"), "b": "x", "s": [-1, 0.5, *range(8)]}).to_csv(folder / "s.csv", index=False)
    answers = [{"text": "Bern", "answer_start": 0}]
    paragraph = {"context": "Bern is a city", "qas": [{"id": "1", "question": "Which?", "answers": answers}]}
    (folder / "q.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}), encoding="utf-8")
    path = write_suite(
        folder,
        {
            "scores": {
                "train": "s.csv",
                "holdout": 0.2,
                "text": ["a", "b"],
                "label": "s",
                "metric": "pearson_spearman",
            },
            "qa": {"train": "q.json", "evaluation": "q.json", "format": "squad", "metric": "span_f1"},
        },
    )
    train, apart = staged(path, "scores")
    assert (len(train), len(apart)) == (8, 2)
    assert sorted([*train["label"], *apart["label"]]) == [-1, 0, 0.5, 1, 2, 3, 4, 5, 6, 7], "-1 is a score"
    suite = load_suite(path)
    assert load_split(suite.task("qa"), "train", suite.file.store)["answers"][0]["text"] == ["Bern"]


def test_changed_file_is_refused_until_accepted(folder):
    save(folder, "csv")
    path = write_suite(folder, {"t": {"train": "data.csv", "evaluation": "data.csv", "text": "body"}})
    staged(path)
    before = read_own_lock(path).tasks["t"].splits["train"]
    key = load_suite(path).task("t").dataset_key
    with (folder / "data.csv").open("a", encoding="utf-8") as handle:
        handle.write("more,n,yes\n")
    with pytest.raises(SteadyTuneError) as error:
        check_unchanged(load_suite(path))
    first = str(error.value).splitlines()[0]
    assert before.file_sha256 in first
    assert "--accept t" in first
    accept(path, "t")
    check_unchanged(load_suite(path))
    assert read_own_lock(path).tasks["t"].splits["train"].rows == 5
    assert len(staged(path)[0]) == 5
    assert load_suite(path).task("t").dataset_key != key


def test_changed_label_order_is_refused_but_a_changed_metric_is_not(folder):
    save(folder, "csv")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body", "labels": ["no", "yes"]}
    staged(write_suite(folder, {"t": entry}))
    path = write_suite(folder, {"t": entry | {"labels": ["yes", "no"], "metric": "f1"}})
    with pytest.raises(SteadyTuneError, match=r"labels: \['no', 'yes'\] is pinned, \['yes', 'no'\]") as error:
        check_unchanged(load_suite(path))
    assert "metric" not in str(error.value), "the rows are the same"
    path = write_suite(folder, {"t": {key: value for key, value in entry.items() if key != "labels"}})
    with pytest.raises(SteadyTuneError, match=r"labels: \['no', 'yes'\] is pinned, and the suite names none now"):
        check_unchanged(load_suite(path))


def test_suites_of_one_name_can_share_a_store(folder):
    for place, body in (("a", "one"), ("b", "two")):
        (folder / place).mkdir()
        (folder / place / "data.csv").write_text(f"body,label\n{body},no\n{body}s,yes\n", encoding="utf-8")
        entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body"}
        train, _ = staged(write_suite(folder / place, {"t": entry}, store=str(folder / "store")))
        assert train["text_a"][:] == [body, f"{body}s"]
    train, _ = staged(folder / "a/mine.yaml")
    assert train["text_a"][0] == "one"


def test_own_tasks_support_transfer_and_subsets(folder):
    save(folder, "csv")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body", "labels": ["no", "yes"]}
    other = {**entry, "labels": ["yes", "no"]}
    grid = [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["t", "t@2"], "seeds": 1}]
    path = write_suite(folder, {"t": entry, "other": other}, grid=grid, transfer={"t": ["other"], "t@2": ["other"]})
    staged(path)
    suite = load_suite(path)
    spec = suite.spec(suite.cells[1])
    assert (spec.tasks["t@2"].size, spec.tasks["other"].labels) == (2, ("yes", "no"))
    assert set(spec.to_dict()["own_tasks"]) == {"t@2", "other"}


def own_grid(*tasks: str) -> list[dict]:
    return [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": list(tasks), "seeds": 1}]


@pytest.mark.parametrize("command", ["stage", "plan", "run"])
@pytest.mark.parametrize(
    ("change", "place", "said"),
    [
        ({"grid": own_grid("t", "t@5k")}, "grid.0.tasks", ["'t@5k'", "train", "4 rows"]),
        ({"grid": own_grid("t@5000")}, "grid.0.tasks", ["t@5k"]),
        ({"grid": own_grid("rte@3k", "t")}, "grid.0.tasks", ["'rte@3k'", "2,490 rows"]),
        ({"transfer": {"t": ["t@5"]}}, "transfer.t", ["'t@5'", "evaluation", "4 rows"]),
        ({"figures": ["sizecurves"]}, "figures", ["'sizecurves'", "'size-curves'"]),
        ({"tables": ["mian"]}, "tables", ["'mian'", "'main'"]),
        ({"claims": ["nobodys"]}, "claims", ["'nobodys'"]),
        ({"predict": {"t": "data/new.csv"}}, "predict.t", ["docs/own-data.md"]),
        ({"predict": {"t": "train"}}, "predict.t", ["docs/own-data.md"]),
        ({"grid": own_grid("rte", "t"), "predict": {"rte": "validation"}}, "predict.rte", ["'validation' has labels"]),
        ({"grid": own_grid("rte", "t"), "predict": {"rte": "tset"}}, "predict.rte", ["'tset'", "'test'"]),
        ({"encoders": {"tiny": {"model": "./encoder"}}, "protocol": {"max_length": 512}}, "protocol.max_length",
         ["512", "tokens at most"]),
    ],
)  # fmt: skip
def test_every_command_checks_the_whole_file_before_pinning(folder, capsys, command, change, place, said):
    save(folder, "csv")
    write_encoder(folder / "encoder")
    path = write_suite(folder, {"t": {"train": "data.csv", "evaluation": "data.csv", "text": "body"}}, **change)
    capsys.readouterr()
    assert main([command, str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"steadytune: {path}: {place}: ")
    assert all(part in line for part in said)
    assert not lock_path(path).exists() and not (folder / "store").exists()


def test_subsets_are_compared_with_the_rows_left_for_training(folder, capsys):
    rows = "".join(f"text number {n},{'yes' if n % 2 else 'no'}\n" for n in range(10))
    (folder / "a.csv").write_text(f"body,label\n{rows}no label,\n")
    entry = {"train": "a.csv", "holdout": 0.2, "text": "body"}
    assert main(["plan", str(write_suite(folder, {"t": entry}, grid=own_grid("t@10")))]) == 2
    assert "'t@10': the train split has 9 rows" in capsys.readouterr().err
    # Only staged data show how many rows have a label.
    entry = {"train": "a.csv", "evaluation": "a.csv", "text": "body"}
    assert main(["stage", str(write_suite(folder, {"t": entry}, grid=own_grid("t@11")))]) == 2
    assert "'t@11': the train split has 10 rows with a label" in capsys.readouterr().err
    assert main(["stage", str(write_suite(folder, {"t": entry}, grid=own_grid("t@10")))]) == 0


def test_claims_can_be_about_own_tasks(folder):
    entry = {"train": save(folder, "csv"), "holdout": 0.5, "text": "body", "labels": ["not_entailment", "entailment"]}
    frame = FRAME.assign(label=["not_entailment", "entailment"] * 2)
    frame.to_csv(folder / entry["train"], index=False)
    grid = [{"encoders": ["tiny"], "methods": ["vanilla", "hype-n"], "tasks": ["pairs"], "seeds": 6}]
    path = write_suite(folder, {"pairs": entry}, grid=grid, claims="my claims.yaml")
    claim = {"id": "mine", "sentence": "It gains.", "where": "here", "statistic": "difference", "encoders": ["tiny"],
             "method": "hype-n", "against": ["vanilla"], "tasks": ["pairs"], "margin": 2.0,
             "reading": "two-way"}  # fmt: skip
    claims = {"paper": "mine", "source": "Mine", "claims": [claim]}
    (folder / "my claims.yaml").write_text(yaml.safe_dump(claims))
    staged(path, "pairs")
    scores = {("tiny", m, "pairs", seed): 0.6 + seed / 100 + 0.1 * (m == "hype-n") for m in ("vanilla", "hype-n")
              for seed in range(6)}  # fmt: skip
    made = Grid(name="mine", encoders=("tiny",), tasks=("pairs",), seeds=6, values=scores).write(folder / "results")
    suite = load_suite(path, results=made)
    mark_current(suite)
    verdicts = judge_all(suite, load_or_empty(suite))
    assert [(judged.id, judged.verdict) for judged in verdicts.claims] == [("mine", "reproduced")]
    assert [compared.id for compared in verdicts.comparisons] == ["tiny/hype-n"]
    (row,) = make_table("two-way", load_or_empty(suite)).lines
    assert (row[0], str(row[2]), str(row[3])) == ("pairs", "62.5 ± 1.9", "72.5 ± 1.9")
    assert str(folder / "my claims.yaml") in Targets(suite).claim_files
    claims["claims"] = [claim | {"tasks": ["pears"]}]
    (folder / "my claims.yaml").write_text(yaml.safe_dump(claims))
    with pytest.raises(SteadyTuneError, match=r"my claims\.yaml: claim 'mine': unknown task 'pears'.*'pairs'"):
        judge_all(suite, load_or_empty(suite))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "f2"}, "f2"),
        ({"holdout": 0.5}, "holdout"),
        ({"text": ["body", "label"]}, "text"),
        ({"metric": "pearson", "labels": ["a", "b"]}, "labels"),
        ({"decimal": ","}, "`decimal` only with a metric for numbers"),
        ({"encoding": "utf9"}, "encoding: 'utf9': expected a text encoding"),
        ({"text": ["a", "b", "c"]}, "text: ['a', 'b', 'c']: expected 2 or fewer"),
    ],
)
def test_invalid_task_settings_are_refused(folder, change, said):
    save(folder, "csv")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body"}
    assert said in "".join(refused(write_suite(folder, {"t": entry | change})))


def test_id_column_is_refused_as_label(folder):
    (folder / "a.csv").write_text("body,id\n" + "".join(f"a,{i}\n" for i in range(40)), encoding="utf-8")
    entry = {"train": "a.csv", "holdout": 0.5, "text": "body", "label": "id"}
    assert "40 classes in 40 rows" in refused(write_suite(folder, {"t": entry}))[0]


def test_class_missing_from_training_is_logged(folder, caplog):
    (folder / "a.csv").write_text("body,label\na,x\nb,y\n", encoding="utf-8")
    (folder / "b.csv").write_text("body,label\na,x\nb,z\n", encoding="utf-8")
    entry = {"train": "a.csv", "evaluation": "b.csv", "text": "body"}
    with caplog.at_level("INFO"):
        staged(write_suite(folder, {"t": entry}))
    assert "classes of evaluation that train lacks: z" in caplog.text


def test_unknown_encoder_key_suggests_the_folder_of_that_name(folder):
    write_encoder(folder / "mine")
    grid = [{"encoders": ["mine"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
    path = write_suite(folder, {}, encoders={"mine": {"model": "mine"}}, grid=grid)
    suite = load_suite(path)
    with pytest.raises(SteadyTuneError, match=r"`\./mine`"):
        check_lock(suite, suite_lock(suite))


def test_holdout_keeps_texts_equal_up_to_punctuation_together(folder):
    rows = [f"text {i % 20}{'!' * (i // 20)},{'ab'[i % 2]}\n" for i in range(60)]
    (folder / "a.csv").write_text("body,label\n" + "".join(rows), encoding="utf-8")
    train, apart = staged(write_suite(folder, {"t": {"train": "a.csv", "holdout": 0.25, "text": "body"}}))
    assert (len(train), len(apart)) == (45, 15), "five of the twenty texts, three times each"
    assert not {text.strip("!") for text in train["text_a"]} & {text.strip("!") for text in apart["text_a"]}


def test_repeated_label_mistake_is_reported_in_one_line(folder):
    (folder / "a.csv").write_text("body,label\n" + "a,0\n" * 30 + "b,1\n" * 2000, encoding="utf-8")
    entry = {"train": "a.csv", "holdout": 0.1, "text": "body", "labels": ["no", "yes"]}
    said = refused(write_suite(folder, {"t": entry}))
    assert "2,030 problems" in said[0]
    assert said[1].endswith("column 'label': '0' and '1', expected one of no, yes (rows 0, 30 and 2,028 more)")


def test_many_unexpected_labels_are_reported_in_one_line(folder):
    rows = "".join(f"text,{'01'[i % 2] if i < 4 else f'w{i}'}\n" for i in range(300))
    (folder / "a.csv").write_text(f"body,label\n{rows}", encoding="utf-8")
    entry = {"train": "a.csv", "holdout": 0.1, "text": "body", "labels": ["no", "yes"]}
    head, line = refused(write_suite(folder, {"t": entry}))
    assert head.endswith(": 300 problems")
    assert "'0', '1', 'w4' and 295 other values, expected one of no, yes (rows 0, 1, 4 and 297 more)" in line


def test_every_unreadable_file_has_its_own_error_line(folder):
    (folder / "a.csv").write_text("bdy,label\na,x\n", encoding="utf-8")
    said = refused(write_suite(folder, {"t": {"train": "a.csv", "evaluation": "b.csv", "text": "body"}}))
    assert "'body'" in said[0] and "b.csv: no such file" in said[1]


def test_labels_differing_only_in_case_are_merged_if_listed(folder):
    (folder / "a.csv").write_text("body,label\na,Gut\nb,gut\nc,schlecht\n", encoding="utf-8")
    entry = {"train": "a.csv", "evaluation": "a.csv", "text": "body"}
    assert "Gut, gut" in refused(write_suite(folder, {"t": entry}))[0]
    train, _ = staged(write_suite(folder, {"t": entry | {"labels": ["schlecht", "gut"]}}))
    assert train["label"][:] == [1, 1, 0]


def test_f1_on_more_than_two_classes_is_refused(folder):
    (folder / "a.csv").write_text("body,label\na,x\nb,y\nc,z\n", encoding="utf-8")
    entry = {"train": "a.csv", "evaluation": "a.csv", "text": "body", "metric": "f1"}
    assert "macro_f1" in refused(write_suite(folder, {"t": entry}))[0]


def test_own_encoder_is_pinned_and_copied_without_pickles(folder):
    write_encoder(folder / "my bert")
    (folder / "my bert/training_args.bin").write_bytes(b"pickle")
    path = write_suite(folder, {}, encoders={"mine": {"model": "./my bert"}}, protocol={"max_length": 16},
                       grid=[{"encoders": ["mine"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}])  # fmt: skip
    assert main(["stage", str(path), "models"]) == 0
    key = load_suite(path).spec(load_suite(path).cells[0]).model
    assert key.startswith("own/mine-")
    there = sorted(file.name for file in (folder / "store/models" / key).iterdir())
    wanted = ["config.json", "model.safetensors", "receipt.json", "tokenizer.json", "tokenizer_config.json"]
    assert there == wanted
    (folder / "my bert/model.safetensors").write_bytes(b"others")
    with pytest.raises(SteadyTuneError, match="--accept mine"):
        check_unchanged(load_suite(path))


@pytest.mark.parametrize("name", ["$(touch X)mini", "`touch X`", "a b", "a/b", "a;b", ".hidden"])
def test_encoder_names_unsafe_for_a_shell_are_refused(folder, name):
    grid = [{"encoders": [name], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
    path = write_suite(folder, {}, encoders={name: {"model": "steadytune/tiny-en"}}, grid=grid)
    with pytest.raises(SteadyTuneError, match="encoders"):
        load_suite(path)


def test_jobs_run_for_suite_path_with_spaces_quotes_and_commands(folder):
    path = folder / "$(touch X) it's {a}.yaml"
    write_suite(folder, {}, grid=[{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["mini-rte"], "seeds": 1}])
    (folder / "mine.yaml").rename(path)
    target = folder / "store/models/steadytune/tiny-en/receipt.json"
    for name in ("config", "published", "notebooks"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", path.name,
               "--cores", "1", "--workflow-profile", "none", "--", str(target)]  # fmt: skip
    path_variable = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PATH": path_variable}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert target.is_file()
    assert not (folder / "X").exists()


def test_parquet_labels_use_the_class_names_in_the_file(folder):
    features = {"label": {"names": ["yes", "no"], "_type": "ClassLabel"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = pa.table({"body": ["a", "b"], "label": [0, 1]}).replace_schema_metadata(metadata)
    pq.write_table(table, folder / "a.parquet")
    entry = {"train": "a.parquet", "evaluation": "a.parquet", "text": "body", "labels": ["no", "yes"]}
    train, _ = staged(write_suite(folder, {"t": entry}))
    assert train["label"][:] == [1, 0]


def test_staging_logs_text_lengths_and_truncation(folder, caplog):
    rows = [f"{'wort ' * words},{'ja' if words % 2 else 'nein'}" for words in (1, 2, 3, 40)]
    (folder / "a.csv").write_text("\n".join(["body,label", *rows]), encoding="utf-8")
    entry = {"train": "a.csv", "evaluation": "a.csv", "text": "body"}
    path = write_suite(folder, {"t": entry}, protocol={"max_length": 32})
    with caplog.at_level("INFO"):
        assert main(["stage", str(path)]) == 0
    assert "3 words in the median and 40 at most" in caplog.text
    assert "tiny on t: max_length 32 cuts train 25.0%" in caplog.text


def test_max_length_error_names_suite_encoder_and_task(folder, capsys):
    save(folder, "csv")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body"}
    path = write_suite(folder, {"t": entry}, protocol={"max_length": 5000})
    assert main(["stage", str(path)]) == 2
    said = capsys.readouterr().err
    assert f"steadytune: {path}: tiny on t: max_length 5000: the encoder reads 128 tokens at most" in said


@pytest.mark.parametrize("labels", [["no", "yes"], ["no", "perhaps", "yes"]])
def test_auroc_cell_is_fresh_and_can_be_resampled(folder, labels):
    frame = pd.DataFrame({"body": [f"{name} text {i}" for i in range(6) for name in labels], "label": 6 * labels})
    frame.to_csv(folder / "data.csv", index=False)
    write_encoder(folder / "encoder")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body", "labels": labels, "metric": "auroc"}
    settings = {"epochs": 1, "batch_size": 4, "max_length": 16}
    path = write_suite(folder, {"t": entry}, encoders={"tiny": {"model": "./encoder"}}, protocol=settings)
    assert main(["stage", str(path)]) == 0
    suite = load_suite(path, results=folder / "results")
    run_cell(suite, suite.cells[0])
    assert [status.why for status in statuses(suite, scores=True)] == [""]
    resampled = Examples(suite, suite.results).scores(suite.cells[0], "t")
    (score,) = load_or_empty(suite).scores.values()
    # The mean over resamples equals the score up to the sampling noise of a few examples.
    assert abs(100 * resampled.mean() - score.points[0]) < 5

"""`steadytune predictions SUITE CELL --to FILE.csv`: every prediction with its texts and label names."""

import csv
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_run_cell import SUITE, suite  # noqa: F401 (a fixture)

from steadytune.cells import run
from steadytune.cli import main
from steadytune.exports import predictions
from steadytune.layout import predictions_path
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.loading import load_suite

CELL = "tiny/vanilla/cola/seed-0"
RISKY = ['=HYPERLINK("http://x")', "+1+1", "-2+3", "@SUM(A1)", "\tdog", 'a "quoted", dog\nsleeps', "naïve cat"]


def stage(key, split, sentences, labels):
    folder = Path("store/datasets", key)
    pq.write_table(pa.table({"sentence": sentences, "label": labels}), folder / f"{split}-00000-of-00001.parquet")
    names = [path.name for path in folder.glob("*.parquet")]
    write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))


@pytest.fixture
def trained(suite, tmp_path):  # noqa: F811
    """A cell with evaluation texts that a spreadsheet would run as formulas, and a row without a gold label."""
    stage("nyu-mll/glue/cola", "validation", ["not here", *RISKY], [-1, 0, 1, 0, 1, 0, 1, 0])
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"protocol": SUITE["protocol"] | {"epochs": 1}}))
    trained = load_suite(tmp_path / "demo.yaml")
    run.run_cell(trained, trained.cells[0])
    return trained


def lines():
    with Path("out.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def test_csv_has_one_line_per_prediction_with_label_names(trained):
    assert main(["predictions", "demo.yaml", CELL, "--to", "out.csv"]) == 0
    frame, found = pd.read_parquet(predictions_path(trained, trained.cells[0])), lines()
    assert [line["evaluation_set"] for line in found] == frame["evaluation_set"].tolist()
    own = [line for line in found if line["evaluation_set"] == "cola"]
    assert [int(line["row"]) for line in own] == list(range(1, 8)), "the row without a label is left out"
    names = ("unacceptable", "acceptable")
    assert [line["label"] for line in own] == [names[i % 2] for i in range(7)]
    assert [line["prediction"] for line in found] == [names[int(value)] for value in frame["prediction"]]
    assert [float(line["logit_1"]) for line in found] == pytest.approx(frame["logit_1"].tolist(), rel=1e-5)


def test_texts_that_look_like_formulas_are_quoted(trained):
    main(["predictions", "demo.yaml", CELL, "--to", "out.csv"])
    texts = [line["sentence"] for line in lines() if line["evaluation_set"] == "cola"]
    assert texts == [f"'{text}" for text in RISKY[:5]] + RISKY[5:]


def test_label_names_that_look_like_formulas_are_quoted(trained, monkeypatch):
    spec = trained.spec(trained.cells[0])
    tasks = {name: replace(task, labels=("=1+1", "x\r@SUM(A1)")) for name, task in spec.tasks.items()}
    monkeypatch.setattr(type(trained), "spec", lambda *_: replace(spec, tasks=tasks))
    assert main(["predictions", "demo.yaml", CELL, "--to", "out.csv"]) == 0
    assert {line["label"] for line in lines()} == {"'=1+1", "x\n@SUM(A1)"}


def test_diverged_cell_without_predictions_is_rejected(trained, tmp_path, capsys):
    protocol = SUITE["protocol"] | {"epochs": 1, "learning_rate": 1e30}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"protocol": protocol}))
    diverging = load_suite(tmp_path / "demo.yaml")
    run.run_cell(diverging, diverging.cells[0])
    assert main(["predictions", "demo.yaml", CELL, "--to", "out.csv"]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in (f"{CELL}/record.json", "diverged", "no predictions"))
    assert not Path("out.csv").exists()


def test_data_that_changed_since_the_run_are_rejected(trained, capsys):
    stage("nyu-mll/glue/cola", "validation", ["other", *RISKY], [0, 0, 1, 0, 1, 0, 1, 0])
    assert main(["predictions", "demo.yaml", CELL, "--to", "out.csv"]) == 2
    assert "nyu-mll/glue/cola" in capsys.readouterr().err
    assert not Path("out.csv").exists()


@pytest.mark.parametrize("name", ["row", "label", "prediction", "evaluation_set", "logit_1"])
def test_text_column_with_the_name_of_another_column_is_renamed(trained, monkeypatch, name):
    read, spec = predictions.load_split, trained.spec(trained.cells[0])
    tasks = {key: replace(task, text=(name,)) for key, task in spec.tasks.items()}
    monkeypatch.setattr(type(trained), "spec", lambda *_: replace(spec, tasks=tasks))
    monkeypatch.setattr(predictions, "load_split", lambda task, *more: read(spec.tasks[task.name], *more))
    assert main(["predictions", "demo.yaml", CELL, "--to", "out.csv"]) == 0
    own = [line for line in lines() if line["evaluation_set"] == "cola"]
    assert [line[f"{name} (text)"] for line in own][5:] == RISKY[5:]
    assert [int(line["row"]) for line in own] == list(range(1, 8))
    assert [line["label"] for line in own][:2] == ["unacceptable", "acceptable"]
    assert {line["prediction"] for line in own} <= {"unacceptable", "acceptable"}


@pytest.mark.parametrize("there", ["a file", "a folder"])
def test_existing_output_is_not_overwritten(trained, capsys, there):
    Path("out.csv").write_text("mine\n") if there == "a file" else Path("out.csv").mkdir()
    assert main(["predictions", "demo.yaml", CELL, "--to", "out.csv"]) == 2
    assert "out.csv: exists already" in capsys.readouterr().err
    assert there == "a folder" or Path("out.csv").read_text() == "mine\n"


@pytest.mark.parametrize("arguments", [[CELL], ["--to", "out.csv"]])
def test_cell_and_output_file_require_each_other(trained, arguments, capsys):
    assert main(["predictions", "demo.yaml", *arguments]) == 2
    assert "--to" in capsys.readouterr().err

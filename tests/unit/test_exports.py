"""Exports of a finished suite: cells, means over seeds and verdicts in each format."""

import io
import json
import math
import os
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import ModelCard
from scipy import stats
from synthetic import judged
from test_run_cell import SUITE, WORDS, write_encoder, write_split

from steadytune.cells import run
from steadytune.cells.record import read_record
from steadytune.claims.judged import Verdicts, write_verdicts
from steadytune.cli import main
from steadytune.dag.products import making
from steadytune.errors import SteadyTuneError
from steadytune.exports import registry
from steadytune.exports.content import Content
from steadytune.exports.runs import runs
from steadytune.layout import record_path
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.loading import load_suite

METHODS = ["vanilla", "hype-n~sigma=1e-02"]
FORMULA = "=1+1 gains."


def stage_glue(store):
    """Stage a tiny encoder, mini-cola, and CoLA with all 1,063 rows of its hidden test set."""
    for key in ("nyu-mll/glue/cola", "steadytune/mini/cola"):
        folder = store / "datasets" / key
        write_split(folder, "train", 64, 0)
        write_split(folder, "validation", 40, 1)
        draw = np.random.Generator(np.random.Philox(2))
        texts = [" ".join(draw.choice(WORDS, 3)) for _ in range(1063)]
        pq.write_table(pa.table({"sentence": texts, "label": [-1] * 1063}), folder / "test-00000-of-00001.parquet")
    write_encoder(store / "models/a/tiny")
    for folder in (*(store / "datasets").glob("*/*/*"), store / "models/a/tiny"):
        names = [path.name for path in folder.iterdir() if path.name != ".cache"]
        write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with a finished suite: two methods, two seeds, a verdict, and hidden test predictions."""
    folder, before = tmp_path_factory.mktemp("project"), Path.cwd()
    os.chdir(folder)
    try:
        Path("config").mkdir()
        Path("config/lock.yaml").write_text("{}")
        stage_glue(Path("store"))
        grid = [SUITE["grid"][0] | {"methods": METHODS, "seeds": 2}]
        protocol = SUITE["protocol"] | {"epochs": 3}
        value = SUITE | {"predict": {"cola": "test"}, "grid": grid, "protocol": protocol}
        Path("demo.yaml").write_text(yaml.safe_dump(value))
        suite = load_suite(Path("demo.yaml"))
        for cell in suite.cells:
            run.run_cell(suite, cell)
        gains = judged("mini-gain", "reproduced", seeds=(0, 1))
        with making(suite, "claims"):
            write_verdicts(suite.results, Verdicts("demo", comparisons=(gains, judged("a-formula", "not evaluated"))))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def suite(project, monkeypatch):
    monkeypatch.chdir(project)
    return load_suite(Path("demo.yaml"))


def matthews(suite, method):
    """The development scores of a method by seed, from its records."""
    cells = [cell for cell in suite.cells if cell.method == method]
    return [read_record(record_path(suite, cell)).evaluations[0].metrics["matthews"] for cell in cells]


def export(form, target):
    assert main(["export", "demo.yaml", "--as", form, "--to", str(target)]) == 0


def test_csv_has_cells_means_with_intervals_and_verdicts(suite, tmp_path):
    export("csv", tmp_path / "out")
    cells, means, claims = (pd.read_csv(tmp_path / "out" / f"{name}.csv") for name in ("cells", "means", "claims"))
    own = cells[(cells["evaluation_set"] == "cola") & (cells["metric"] == "matthews")]
    assert own["value"].tolist() == [value for method in METHODS for value in matthews(suite, method)]
    assert own["seed"].tolist() == [0, 1, 0, 1]
    assert json.loads(own["settings"].iloc[-1])["hype-n"]["sigma"] == 0.01
    for method in METHODS:
        values = matthews(suite, method)
        chosen = (means["method"] == method) & (means["evaluation_set"] == "cola") & (means["metric"] == "matthews")
        (found,) = means[chosen].to_dict("records")
        assert found["mean"] == pytest.approx(np.mean(values), abs=1e-12)
        low, high = stats.t.interval(0.95, 1, np.mean(values), np.std(values, ddof=1) / math.sqrt(2))
        assert (found["low"], found["high"]) == pytest.approx((low, high))
        assert found["seeds"] == found["planned_seeds"] == 2
    assert claims["verdict"].tolist() == ["reproduced", "not evaluated"]
    assert claims["effect"].tolist()[0] == 2.4


def test_csv_export_escapes_formulas(suite, tmp_path):
    from steadytune.exports.spreadsheet import write_csv

    write_csv(tmp_path / "out.csv", ("a", "b"), [(FORMULA, -1.5), ("@x", None), ("-3", math.nan)])
    assert (tmp_path / "out.csv").read_text() == f"a,b\n'{FORMULA},-1.5\n'@x,\n-3,\n"


def test_hub_client_reads_means_and_seeds_from_model_cards(suite, tmp_path):
    export("model-card", tmp_path / "out")
    cards = {path.parent.relative_to(tmp_path / "out").as_posix(): path for path in tmp_path.rglob("README.md")}
    assert set(cards) == {f"tiny/{method}/cola" for method in METHODS}
    card = ModelCard.load(cards["tiny/vanilla/cola"])
    (found,) = (
        result
        for result in card.data.eval_results
        if (result.dataset_type, result.metric_type) == ("nyu-mll/glue", "matthews")
    )
    assert found.metric_value == pytest.approx(np.mean(matthews(suite, "vanilla")))
    assert found.metric_args["seeds"] == [0, 1]
    assert "learning rate" in card.text


def test_every_eval_ever_has_a_file_for_each_cell_and_each_mean(suite, tmp_path):
    export("every-eval-ever", tmp_path / "out")
    logs = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("data/*/*/*/*.json")]
    by_name = {log["model_info"]["name"]: log for log in logs}
    assert len(by_name) == len(logs) == 4 + 2
    mean = by_name["demo.tiny.vanilla.cola.mean-over-seeds"]
    (found,) = (
        result["score_details"]
        for result in mean["evaluation_results"]
        if result["evaluation_result_id"] == "cola/in_domain/matthews"
    )
    values = matthews(suite, "vanilla")
    assert found["score"] == pytest.approx(np.mean(values))
    assert found["uncertainty"]["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
    assert found["uncertainty"]["num_samples"] == 2
    assert mean["source_metadata"]["additional_details"]["claim mini-gain"].startswith("reproduced")
    seed = by_name["demo.tiny.vanilla.cola.seed-1"]
    assert json.loads(seed["model_info"]["additional_details"]["seeds"]) == [1]
    assert {result["score_details"]["score"] for result in seed["evaluation_results"]} >= {values[1]}


@pytest.mark.parametrize(("source", "repository"), [("hub", "nyu-mll/glue"), ("url", None), ("local", None)])
def test_every_eval_ever_names_a_hub_repository_only_for_hub_files(source, repository, suite, tmp_path, monkeypatch):
    def read(path):
        record = read_record(path)
        return replace(record, inputs=[replace(item, source=source) for item in record.inputs])

    monkeypatch.setattr("steadytune.exports.content.read_record", read)
    export("every-eval-ever", tmp_path / "out")
    logs = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("data/*/*/*/*.json")]
    results = [found for log in logs for found in log["evaluation_results"] if found["evaluation_name"] == "cola"]
    assert {found["source_data"].get("hf_repo") for found in results} == {repository}
    assert {found["source_data"]["source_type"] for found in results} == {"hf_dataset" if repository else "other"}


def test_tracker_runs_cover_each_cell_each_mean_and_the_verdicts(suite):
    found = {run.name: run for run in runs(Content.load(suite))}
    assert len(found) == 4 + 2 + 1
    cell = found["tiny/hype-n~sigma=1e-02/cola/seed-1"]
    assert (cell.config["seed"], cell.config["hype-n/sigma"], cell.config["protocol/epochs"]) == (1, 0.01, 3)
    assert [line["epoch"] for line in cell.history] == [1, 2, 3]
    assert cell.summary["cola/matthews"] == matthews(suite, METHODS[1])[1]
    mean = found["tiny/vanilla/cola"]
    assert mean.summary["cola/matthews"] == pytest.approx(np.mean(matthews(suite, "vanilla")))
    assert mean.summary["cola/matthews/seeds"] == 2
    # Only what its seeds share.
    assert mean.config["protocol/epochs"] == 3
    assert not {"seed", "seed of dropout", "fingerprint"} & mean.config.keys()
    assert found["claims"].notes["mini-gain/verdict"] == "reproduced"
    assert found["claims"].summary["mini-gain/effect"] == 2.4


def test_aggregate_of_an_unfinished_suite_counts_planned_seeds(suite):
    first, *others = [cell for cell in suite.cells if cell.method == "vanilla"]
    found = Content.of_cells(suite, [first]).aggregates
    assert {(len(score.values), score.planned) for score in found} == {(1, 1 + len(others))}
    assert others


def test_glue_submission_has_every_row_of_the_best_cell_in_order(suite, tmp_path):
    export("glue-submission", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"tiny.vanilla.zip", "tiny.hype-n.zip", "cells.csv"}
    best = suite.cells[int(np.argmax(matthews(suite, "vanilla")))]
    with zipfile.ZipFile(tmp_path / "out/tiny.vanilla.zip") as archive:
        assert archive.namelist() == ["CoLA.tsv"]
        found = pd.read_csv(io.BytesIO(archive.read("CoLA.tsv")), sep="\t")
    expected = pd.read_parquet(record_path(suite, best).with_name("unlabelled.parquet"))
    assert list(found.columns) == ["index", "prediction"]
    assert found["index"].tolist() == list(range(1063))
    assert found["prediction"].tolist() == expected["prediction"].astype(int).tolist()
    cells = pd.read_csv(tmp_path / "out/cells.csv")
    assert cells["cell"].tolist()[0] == str(best)


def test_damaged_predictions_are_refused(suite, tmp_path):
    from steadytune.exports import glue_submission

    paths = [record_path(suite, cell).with_name("unlabelled.parquet") for cell in suite.cells]
    whole = {path: path.read_bytes() for path in paths}
    try:
        for path, content in whole.items():
            path.write_bytes(content[:-9])
        with pytest.raises(SteadyTuneError, match=r"unlabelled\.parquet: damaged: SHA-256"):
            glue_submission.export(suite, tmp_path / "out")
    finally:
        for path, content in whole.items():
            path.write_bytes(content)
    assert not (tmp_path / "out").exists()


def test_glue_test_set_with_a_wrong_row_count_is_refused(suite, tmp_path, monkeypatch, capsys):
    from steadytune.exports import glue_submission

    files = {("cola", "test"): glue_submission.TestSet("CoLA.tsv", 1064)}
    monkeypatch.setattr(glue_submission, "FILES", files)
    assert main(["export", "demo.yaml", "--as", "glue-submission", "--to", str(tmp_path / "out")]) == 2
    assert "1063 rows of test: GLUE's CoLA.tsv has 1064" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def unread(suite, monkeypatch):
    """Fail the test if a file of the suite is read."""
    monkeypatch.setattr("steadytune.dag.products.Products", lambda *_, **__: pytest.fail("the suite's files are read"))


@pytest.mark.parametrize("package", ["mlflow", "wandb", "trackio"])
def test_missing_package_is_named_before_the_suite_is_read(package, unread, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["export", "demo.yaml", "--as", package, "--to", str(tmp_path / "out")]) == 2
    assert f"pip install {package}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("form", "name"), [("csv", "out"), ("csv", "out.zip"), ("ro-crate", "out")])
def test_existing_target_is_refused_before_the_suite_is_read(form, name, unread, tmp_path, capsys):
    (target := tmp_path / name).write_text("mine")
    assert main(["export", "demo.yaml", "--as", form, "--to", str(target)]) == 2
    assert f"{target}: exists already; expected a new folder" in capsys.readouterr().err
    assert target.read_text() == "mine"


def test_unknown_format_error_suggests_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["export", "demo.yaml", "--as", "wanbd", "--to", "out"])
    assert "unknown 'wanbd' (did you mean 'wandb'?)" in capsys.readouterr().err


@pytest.mark.parametrize("form", sorted(registry.MODULES))
def test_every_format_refuses_an_unfinished_suite(form, suite, tmp_path, monkeypatch):
    (tmp_path / "demo.yaml").write_text(Path("demo.yaml").read_text())
    for name in ("store", "config"):
        (tmp_path / name).symlink_to(Path(name).resolve())
    monkeypatch.chdir(tmp_path)
    for package in ("mlflow", "wandb", "trackio"):
        monkeypatch.setitem(sys.modules, package, sys)
    with pytest.raises(SteadyTuneError, match="demo: 4 of 4 cells have no record"):
        registry.export(load_suite(Path("demo.yaml")), form, tmp_path / "out")
    assert not (tmp_path / "out").exists()

"""Whole runs of a cut-down mini suite: from nothing to the report, interrupted, repeated, one cell at a time."""

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import time

import pandas as pd
import pytest
import yaml
from dag_project import copy_staged

from steadytune.cells.record import read_record

CELL = "mini/hype-n/mini-rte/seed-0"
RECORD = f"results/mini/cells/{CELL}/record.json"


def jobs(text):
    """The number of jobs of each rule in the table that a dry run prints."""
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE) if name != "total"}


@pytest.fixture(scope="module")
def finished(root, staged, tmp_path_factory):
    """A project that was run once to its end, with the command of `make run`."""
    project = copy_staged(root, staged, tmp_path_factory.mktemp("finished"), complete=True)
    done = project.run("steadytune", "run", "mini", "--cores", "2")
    assert done.returncode == 0, done.stdout[-3000:]
    project.log = done.stdout
    return project


def test_run_writes_the_report_and_its_tables_and_figures(finished):
    assert (finished.results / "report.html").stat().st_size > 50_000
    for folder, names, suffixes in (("tables", ("main", "transfer", "pretraining", "variability"), "csv tex md html"),
                                    ("figures", ("seed-spread", "transfer", "variability", "learning-curves"),
                                     "pdf svg png")):  # fmt: skip
        for name in names:
            for suffix in suffixes.split():
                assert (finished.results / folder / f"{name}.{suffix}").stat().st_size > 0
    assert r"\newcommand{\miniCellsPlanned}{6}" in (finished.results / "macros.tex").read_text()
    assert r"\input{tables/main.tex}" in (finished.results / "tables.tex").read_text()


def test_progress_shows_the_current_job_and_how_many_are_done(finished):
    lines = finished.log.splitlines()
    assert any(re.match(r"\[ *\d+/\d+\] .*finetune mini/\S+", line) for line in lines)
    assert re.search(r"\[(\d+)/\1\] done in", lines[-2])
    assert lines[-1].endswith("report.html")


def test_metrics_table_covers_every_cell_and_evaluation_set(finished):
    table = pd.read_parquet(finished.results / "metrics.parquet")
    assert len(table.drop_duplicates(["encoder", "method", "task", "seed"])) == 6
    shifts = {f"mini-rte-{shift}" for shift in ("constructions", "vocabulary", "overlap")}
    assert set(table["evaluation_set"]) == {"mini-rte", "mini-mnli", "mini-mrpc"} | shifts
    record = read_record(finished.folder / RECORD)
    assert record.inputs
    assert record.training.initial_weights
    assert record.environment.threads == 1
    assert {evaluation.set for evaluation in record.evaluations} == set(table["evaluation_set"])


def test_methods_share_data_order_and_initial_weights(finished):
    cells = [
        finished.results / "cells/mini" / method / "mini-rte/seed-0/record.json" for method in ("vanilla", "hype-n")
    ]
    one, other = (read_record(path).training for path in cells)
    assert one.first_order == other.first_order
    assert one.initial_weights == other.initial_weights


def test_finished_suite_leaves_nothing_to_do(finished):
    done = finished.snakemake("--dry-run")
    assert "Nothing to be done" in done.stdout


def test_deleted_table_is_rebuilt(finished):
    table, aside = finished.folder / "results/mini/metrics.parquet", finished.folder / "results/metrics.aside"
    table.rename(aside)
    planned = jobs(finished.snakemake("--dry-run").stdout)
    aside.rename(table)
    assert planned["collect"] == 1
    assert "finetune" not in planned


def test_snakemake_report_has_tables_and_figures_with_captions(finished):
    done = finished.snakemake("--report", "results/jobs.html")
    assert done.returncode == 0, done.stdout[-3000:]
    page = (finished.folder / "results/jobs.html").read_text()
    for said in ("results/mini/tables/main.html", "results/mini/figures/seed-spread.svg", "figure learning-curves",
                 "Every seed is a point", '"Transfer": {'):  # fmt: skip
        assert said in page


@pytest.mark.long
def test_retrained_cell_gives_identical_predictions_and_scores(finished):
    folder = (finished.folder / RECORD).parent
    before = (folder / "predictions.parquet").read_bytes(), read_record(finished.folder / RECORD)
    done = finished.snakemake("--force", "--", RECORD)
    assert done.returncode == 0, done.stdout
    again = read_record(finished.folder / RECORD)
    assert (folder / "predictions.parquet").read_bytes() == before[0]
    assert again.evaluations == before[1].evaluations
    assert again.timing != before[1].timing, "the cell was not trained again"
    # Update the tables and claims, which are made from the record: its times have changed.
    assert finished.run("steadytune", "run", "mini", "--cores", "2").returncode == 0


def test_changed_pretraining_settings_redo_every_stage_in_one_run(finished):
    path = finished.folder / "config/encoders/mini.yaml"
    before = path.read_text()
    finished.edit("config/encoders/mini.yaml", lambda value: value.update(steps=41))
    planned = finished.snakemake("--dry-run").stdout
    path.write_text(before)
    assert jobs(planned) == {"pretrain": 1, "finetune": 6, "variability": 1, "collect": 1, "claims": 1, "tables": 1,
                             "figures": 1, "report": 1, "all": 1}  # fmt: skip


def test_cleared_store_retrains_no_finished_cell(finished):
    store, record = finished.folder / "store", finished.folder / RECORD
    kept = {path: path.rename(path.with_name(f"{path.name}.away")) for path in (store, record)}
    try:
        planned = finished.snakemake("--dry-run").stdout
    finally:
        for path, away in kept.items():
            away.rename(path)
    assert jobs(planned)["finetune"] == 1
    assert jobs(planned)["pretrain"] == 1
    assert "variability" not in jobs(planned)


def test_results_older_than_unchanged_inputs_are_kept(finished):
    before = {path: path.read_bytes() for path in finished.results.rglob("*.json") if path.parent.name != "running"}
    # As in a copy: Snakemake's metadata would show that the inputs have not changed.
    notes = finished.folder / ".snakemake/metadata"
    away = notes.rename(notes.with_name("away"))
    try:
        for receipt in (finished.folder / "store").rglob("receipt.json"):
            os.utime(receipt)
        assert jobs(finished.snakemake("--dry-run").stdout)["finetune"] == 6
        done = finished.run("steadytune", "run", "mini", "--cores", "2")
        assert done.returncode == 0, done.stdout
        assert "7 results are older than inputs" in done.stdout
        assert {path: path.read_bytes() for path in before} == before
        assert "Nothing to be done" in finished.snakemake("--dry-run").stdout
    finally:
        shutil.rmtree(notes, ignore_errors=True)
        away.rename(notes)


def test_another_suite_shares_the_store(finished):
    other = yaml.safe_load((finished.folder / "config/mini.yaml").read_text()) | {"suite": "other"}
    (finished.folder / "config/other.yaml").write_text(yaml.safe_dump(other))
    planned = jobs(finished.snakemake("--dry-run", "--configfile", "config/other.yaml").stdout)
    assert planned["finetune"] == 6
    assert not {"stage_dataset", "stage_encoder", "pretrain"} & set(planned)


def test_changed_title_renders_again_but_trains_nothing(finished):
    path = finished.folder / "config/mini.yaml"
    before = path.read_text()
    finished.edit("config/mini.yaml", lambda value: value.update(title="Another title"))
    planned = finished.snakemake("--dry-run").stdout
    path.write_text(before)
    assert set(jobs(planned)) == {"collect", "claims", "tables", "figures", "report", "all"}


@pytest.mark.long
def test_run_killed_three_times_gives_identical_tables(finished, root, staged, tmp_path):
    project = copy_staged(root, staged, tmp_path, complete=True)
    clock = random.Random(1)
    command = ["steadytune", "run", "mini", "--cores", "2"]
    for _ in range(3):
        process = subprocess.Popen(command, cwd=project.folder, env=project.environment(), start_new_session=True,
                                   stderr=subprocess.DEVNULL)  # fmt: skip
        time.sleep(clock.uniform(6, 16))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    done = project.run(*command)
    assert done.returncode == 0, done.stdout[-3000:]
    assert project.tables() == finished.tables()


def test_readme_commands_run(finished, root):
    readme = (root / "README.md").read_text()
    blocks = re.findall(r"^```(?:console|sh|bash)\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    commands = [line.removeprefix("$ ").partition("  #")[0] for block in blocks for line in block.splitlines() if line]
    skipped = ("git clone", "cd ", "make test", "make check", "conda ", "export ")
    run = dict.fromkeys(line.removeprefix(".venv/bin/").strip() for line in commands if not line.startswith(skipped))
    assert len(run) >= 6
    for command in run:
        done = finished.run(*shlex.split(command))
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"

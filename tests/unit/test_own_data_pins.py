"""Own data and encoders are checked against the suite's own lock wherever they are read."""

from dataclasses import replace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_own_data import folder, write_encoder, write_suite  # noqa: F401 (a fixture)

from steadytune.cells.freshness import statuses
from steadytune.cells.run import run_cell
from steadytune.cli import main
from steadytune.dag.products import Products
from steadytune.dag.status import describe
from steadytune.errors import SteadyTuneError
from steadytune.store import pinning_own
from steadytune.store.own_changes import changes
from steadytune.store.receipt import measure_all, read_receipt, write_receipt
from steadytune.suite.loading import load_suite
from steadytune.suite.own import read_own_lock


def test_swapped_own_data_with_a_matching_receipt_is_detected(folder):  # noqa: F811
    frame = pd.DataFrame({"body": [f"text {i}" for i in range(8)], "label": 4 * ["no", "yes"]})
    frame.to_csv(folder / "data.csv", index=False)
    write_encoder(folder / "encoder")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body", "labels": ["no", "yes"]}
    settings = {"epochs": 1, "batch_size": 4, "max_length": 16}
    path = write_suite(folder, {"t": entry}, encoders={"tiny": {"model": "./encoder"}}, protocol=settings)
    assert main(["stage", str(path)]) == 0
    own = load_suite(path, results=folder / "results")
    run_cell(own, own.cells[0])
    assert [status.state for status in statuses(own)] == ["fresh"]
    rows = next((own.file.store / "datasets/own").rglob("train*.parquet"))
    pq.write_table(pa.Table.from_pandas(pd.read_parquet(rows).iloc[::-1], preserve_index=False), rows)
    receipt = read_receipt(rows.parent)
    write_receipt(rows.parent, replace(receipt, files=measure_all(rows.parent, list(receipt.files))))
    (found,) = statuses(own)
    assert (found.state, found.cause) == ("stale", "inputs")
    with pytest.raises(SteadyTuneError, match=r"datasets/own/.*outdated"):
        run_cell(own, own.cells[0])


def test_pinning_reports_that_both_splits_have_the_same_rows(folder, caplog):  # noqa: F811
    caplog.set_level("INFO")
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text(f"body,label\n{name},no\nc,yes\n")
    one, two = ({"train": "a.csv", "evaluation": f"{name}.csv", "text": "body"} for name in ("a", "b"))
    pinning_own.pin_new(write_suite(folder, {"one": one, "two": two}))
    said = {line.partition(":")[0]: line for line in caplog.messages}
    assert "the same rows" in said["one"] and "the same rows" not in said["two"]


def test_pinning_reports_classes_without_training_examples(folder, caplog):  # noqa: F811
    caplog.set_level("INFO")
    (folder / "a.csv").write_text("body,label\na,no\nb,yes\nc,maybe\n")
    (folder / "b.csv").write_text("body,label\nd,no\ne,yess\nf,maybe\ng,mybe\n")
    slip = {"train": "a.csv", "evaluation": "b.csv", "text": "body"}
    pinning_own.pin_new(write_suite(folder, {"slip": slip, "fine": slip | {"evaluation": "a.csv"}}))
    said = {line.partition(":")[0]: line for line in caplog.messages}
    assert "no training example has mybe and yess" in said["slip"]
    assert "no training example" not in said["fine"]


def test_status_names_own_files_changed_since_staging(folder):  # noqa: F811
    data = folder / "data.csv"
    data.write_text("body,label\na,no\nb,yes\nc,no\n")
    write_encoder(folder / "encoder")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body", "labels": ["no", "yes"]}
    path = write_suite(folder, {"t": entry}, encoders={"tiny": {"model": "./encoder"}}, protocol={"max_length": 16})
    assert main(["stage", str(path)]) == 0
    assert "changed" not in describe(load_suite(path))
    before = data.read_text()
    data.write_text(before.replace("b,yes", "b,no"))
    assert f"{data} changed" in describe(load_suite(path))
    with pytest.raises(SteadyTuneError, match="--accept t"):
        Products(load_suite(path)).finished()
    data.unlink()
    assert f"{data} is missing" in describe(load_suite(path))
    data.write_text(before)
    assert "data.csv" not in describe(load_suite(path))
    (folder / "encoder").rename(folder / "elsewhere")
    (line,) = changes(load_suite(path))
    assert f"{folder / 'encoder'} is missing" in line and "config.json" in line


def test_task_and_encoder_may_share_a_name(folder):  # noqa: F811
    (folder / "data.csv").write_text("body,label\na,no\nb,yes\nc,no\n")
    write_encoder(folder / "encoder")
    entry = {"train": "data.csv", "evaluation": "data.csv", "text": "body", "labels": ["no", "yes"]}
    grid = [{"encoders": ["mine"], "methods": ["vanilla"], "tasks": ["mine"], "seeds": 1}]
    path = write_suite(
        folder, {"mine": entry}, encoders={"mine": {"model": "./encoder"}}, grid=grid, protocol={"max_length": 16}
    )
    assert main(["stage", str(path)]) == 0
    suite = load_suite(path)
    assert set(suite.own_lock.tasks) == set(suite.own_lock.encoders) == {"mine"}
    assert main(["pin", str(path), "--accept", "mine"]) == 0


def test_concurrent_accepts_of_different_tasks_keep_both(folder, monkeypatch):  # noqa: F811
    entry = {"text": "body", "labels": ["no", "yes"]}
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text("body,label\na,no\nb,yes\n")
    tasks = {name: {"train": f"{name}.csv", "evaluation": f"{name}.csv", **entry} for name in ("a", "b")}
    path = write_suite(folder, tasks)
    pinning_own.pin_new(path)
    for name in ("a", "b"):
        (folder / f"{name}.csv").write_text("body,label\na,no\nb,yes\nc,yes\n")
    pin_task = pinning_own._pin_task

    def slowly(where, name, *rest):
        if name == "a":
            # Meanwhile another shell accepts b.
            pinning_own.accept(path, "b")
        return pin_task(where, name, *rest)

    monkeypatch.setattr(pinning_own, "_pin_task", slowly)
    pinning_own.accept(path, "a")
    lock = read_own_lock(path)
    assert [lock.tasks[name].splits["train"].rows for name in ("a", "b")] == [3, 3]

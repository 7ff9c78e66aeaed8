"""Real data sets as a user's own files give byte-identical predictions to those of the built-in tasks."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from staged_store import STORE

from steadytune.cli import main
from steadytune.layout import predictions_path
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite
from steadytune.tasks.table import TASKS

SICK, SCITAIL, MRPC = "RobZamp/sick/default", "allenai/scitail/tsv_format", "nyu-mll/glue/mrpc"
# The store has only SciTail's test split; no built-in task uses SICK's relatedness column.
BUILT_IN = {
    "sick-relatedness": replace(
        TASKS["sick"], label="relatedness_score", labels=(), values=(), metric="pearson_spearman",
        metrics=("pearson_spearman", "pearson", "spearman"),
    ),
    "scitail": replace(TASKS["scitail"], train="test", evaluation="test"),
    "mrpc": TASKS["mrpc"],
}  # fmt: skip
OWN = {
    "sick-relatedness": {"text": ["sentence_A", "sentence_B"], "label": "relatedness_score",
                         "metric": "pearson_spearman"},
    "scitail": {"text": ["premise", "hypothesis"], "labels": ["entails", "neutral"]},
    "mrpc": {"text": ["sentence1", "sentence2"], "labels": [0, 1], "metric": "f1"},
}  # fmt: skip


def write_suite(folder: Path, task: str, own: dict | None) -> Path:
    value = {
        "suite": "demo",
        "title": "Demonstration",
        "sources": {"order": ["local"], "local": str(STORE)},
        "encoders": {"tiny": {"model": "steadytune/tiny-en"}},
        "protocol": {"epochs": 1, "batch_size": 8, "learning_rate": 5e-4, "max_length": 48},
        "grid": [{"encoders": ["tiny"], "methods": ["hype-n"], "tasks": [f"{task}@64"], "seeds": 1}],
        "transfer": {f"{task}@64": []},
        "tasks": {task: own} if own else {},
    }
    folder.mkdir()
    path = folder / "demo.yaml"
    path.write_text(yaml.safe_dump(value), encoding="utf-8")
    return path


def predictions(path: Path, task: str, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.chdir(path.parent)
    assert main(["stage", path.name]) == 0
    cell = Cell("tiny", "hype-n", f"{task}@64", 0)
    assert main(["finetune", path.name, str(cell)]) == 0
    return predictions_path(load_suite(path), cell).read_bytes()


def export(task: str, key: str, split: str, folder: Path) -> str:
    """Write a split of the store as a user might have it (csv, jsonl or parquet), and return the file's name."""
    (source,) = (STORE / "datasets" / key).glob(f"{split}-*.parquet")
    frame = pd.read_parquet(source)
    match task:
        case "sick-relatedness":
            frame.to_csv(folder / f"{split}.csv", index=False)
            return f"{split}.csv"
        case "scitail":
            frame.to_json(folder / f"{split}.jsonl", orient="records", lines=True, force_ascii=False)
            return f"{split}.jsonl"
    (folder / f"{split}.parquet").write_bytes(source.read_bytes())
    return f"{split}.parquet"


@pytest.mark.parametrize(("task", "key"), [("sick-relatedness", SICK), ("scitail", SCITAIL), ("mrpc", MRPC)])
def test_own_files_give_the_same_predictions_as_the_built_in_task(task, key, tmp_path, monkeypatch):
    monkeypatch.delenv("STEADYTUNE_STORE", raising=False)
    built_in = replace(BUILT_IN[task], name=task)
    monkeypatch.setitem(TASKS, task, built_in)
    expected = predictions(write_suite(tmp_path / "built-in", task, None), task, monkeypatch)
    # A cell's random streams depend on the task's name, and a user's task may not have the name of a built-in one.
    monkeypatch.delitem(TASKS, task)
    files = tmp_path / "files"
    files.mkdir()
    splits = {"train": built_in.train, "evaluation": built_in.evaluation}
    names = {name: f"../files/{export(task, key, str(split), files)}" for name, split in splits.items()}
    path = write_suite(tmp_path / "own ü", task, OWN[task] | names)
    assert predictions(path, task, monkeypatch) == expected

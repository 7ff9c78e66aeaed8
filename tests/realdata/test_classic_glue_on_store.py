"""GLUE's real texts, written in the classic folder's layout, import as the rows that are in the store."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from staged_store import REPOSITORY, STORE

from steadytune.store.classic_glue import LAYOUTS
from steadytune.store.imports import Imports
from steadytune.store.lock import load_lock
from steadytune.store.staging import stage
from steadytune.suite.file import Sources
from steadytune.tasks.data import load_split
from steadytune.tasks.table import TASKS

GLUE = STORE / "datasets/nyu-mll/glue"
NAMES = {"rte": ("entailment", "not_entailment")}


def rows_of(config: str, split: str) -> list[dict[str, Any]]:
    return pq.read_table(GLUE / config / f"{split}-00000-of-00001.parquet").to_pylist()


def write_task(root: Path, config: str) -> None:
    """Write a task's files; columns that are not read are left out or filled with placeholders."""
    layout = LAYOUTS[config]
    folder = root / layout.folder
    folder.mkdir(parents=True)
    if config == "mrpc":
        write_mrpc(folder)
        return
    for split, (name, _) in layout.files.items():
        lines = []
        for i, row in enumerate(rows_of(config, split)):
            label = NAMES[config][row["label"]] if config in NAMES else str(row["label"])
            texts = [row[column] for column in layout.text]
            lines.append("\t".join(["src", label, "", *texts] if config == "cola" else [str(i), *texts, label]))
        header = [] if config == "cola" else ["\t".join(["index", *layout.text.values(), layout.label])]
        (folder / name).write_text("".join(f"{line}\n" for line in [*header, *lines]), encoding="utf-8")


def write_mrpc(folder: Path) -> None:
    """Write MRPC as Microsoft publishes it: one training file that also has the development pairs."""
    header = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
    for name, splits in (("train", ("validation", "train")), ("test", ("test",))):
        rows = [(split, row) for split in splits for row in rows_of("mrpc", split)]
        lines = [
            f"{row['label']}\t{i}\t{i + 10**6}\t{row['sentence1']}\t{row['sentence2']}"
            for i, (_, row) in enumerate(rows)
        ]
        path = folder / f"msr_paraphrase_{name}.txt"
        path.write_text("".join(f"{line}\n" for line in [header, *lines]), encoding="utf-8-sig")
        if name == "train":
            dev = ["\t".join(ids(i)) for i, (split, _) in enumerate(rows) if split == "validation"]
            (folder / "dev_ids.tsv").write_text("".join(f"{line}\n" for line in dev))


def ids(row: int) -> tuple[str, str]:
    return str(row), str(row + 10**6)


@pytest.mark.parametrize("config", ["cola", "mrpc", "rte", "sst2", "stsb", "wnli"])
def test_imported_task_has_the_same_rows_as_in_the_store(config: str, tmp_path: Path) -> None:
    write_task(tmp_path / "glue", config)
    key, task = f"nyu-mll/glue/{config}", TASKS[config]
    lock = load_lock(REPOSITORY / "config/lock.yaml")
    receipt = stage("datasets", key, lock, Sources(), tmp_path / "store", Imports(glue=tmp_path / "glue"))
    splits = [name.partition("-")[0] for name in receipt.files]
    assert splits == ["train", "validation", *(["test"] if config == "mrpc" else [])]
    for split in splits:
        imported, expected = (load_split(task, split, store) for store in (tmp_path / "store", STORE))
        for column in ("text_a", *(["text_b"] if len(task.text) == 2 else []), "label"):
            assert imported[column][:] == expected[column][:]

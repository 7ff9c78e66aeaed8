"""Every file in a staged store's manifest is pinned in the lock, stages from the `local` source, and can be read.

For every data set in the store, the project's own loader gives the rows and labels that the manifest counts.
"""

import csv
import json
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from staged_store import MANIFEST as MANIFEST_FILE
from staged_store import REPOSITORY, STORE

from steadytune.layout import Kind
from steadytune.store.lock import load_lock
from steadytune.store.receipt import RECEIPT, verify
from steadytune.store.staging import stage
from steadytune.suite.file import Sources
from steadytune.tasks.data import load_split
from steadytune.tasks.table import TASKS, Task

LOCK = load_lock(REPOSITORY / "config/lock.yaml")


def read_manifest() -> dict[tuple[Kind, str], dict[str, dict[str, str]]]:
    """The manifest's rows by (kind, key) and file name; empty if there is no store."""
    found: dict[tuple[Kind, str], dict[str, dict[str, str]]] = defaultdict(dict)
    if MANIFEST_FILE.exists():
        with MANIFEST_FILE.open(encoding="utf-8", newline="") as handle:
            for row in csv.DictReader(handle):
                kind: Kind = "datasets" if row["path"].startswith("datasets/") else "models"
                parts = row["path"].split("/")[1:]
                owned = 3 if kind == "datasets" else 2
                found[kind, "/".join(parts[:owned])]["/".join(parts[owned:])] = row
    return dict(found)


MANIFEST = read_manifest()


def test_lock_pins_exactly_what_the_store_holds() -> None:
    pinned = {
        (kind, key)
        for kind, entries in (("datasets", LOCK.datasets), ("models", LOCK.models))
        for key, entry in entries.items()
        if entry.local
    }
    assert pinned == MANIFEST.keys()


@pytest.mark.parametrize(("kind", "key"), MANIFEST, ids=[f"{kind}/{key}" for kind, key in MANIFEST])
def test_staged_files_match_the_manifests_hashes_rows_and_labels(kind: Kind, key: str, tmp_path: Path) -> None:
    rows = MANIFEST[kind, key]
    receipt = stage(kind, key, LOCK, Sources(order=("local",), local=STORE), tmp_path)
    folder = tmp_path / kind / key
    assert receipt == verify(folder)
    assert {name: (file.sha256, file.bytes) for name, file in receipt.files.items()} == {
        name: (row["sha256"], int(row["bytes"])) for name, row in rows.items()
    }
    assert {path.name for path in folder.iterdir()} == {*rows, RECEIPT}
    for name, row in rows.items():
        if name.endswith(".parquet"):
            assert pq.read_table(folder / name).num_rows == int(row["rows"])
    tasks = [task for task in TASKS.values() if kind == "datasets" and task.dataset_key == key]
    assert tasks or kind == "models"
    for task in tasks:
        for name, row in rows.items():
            labels = load_split(task, name.partition("-")[0], tmp_path)["label"][:]
            assert len(labels) == int(row["rows"])
            assert label_counts(task, labels) == json.loads(row["labels"])


def label_counts(task: Task, labels: list[float]) -> dict[str, int]:
    """Rows by label as the manifest writes it: a file's value or a rounded score; empty if answers are spans."""
    if task.span:
        return {}
    if task.regression:
        return Counter(str(float(round(label))) for label in labels)
    return Counter(str(task.values[int(label)]) for label in labels)

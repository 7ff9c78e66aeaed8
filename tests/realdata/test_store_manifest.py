"""Every file of a staged store's manifest is pinned in the lock and stages through the `local` source."""

import csv
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from staged_store import MANIFEST as MANIFEST_FILE
from staged_store import REPOSITORY, STORE

from steadytune.store.lock import Kind, load_lock
from steadytune.store.receipt import RECEIPT, verify
from steadytune.store.staging import stage
from steadytune.suite import Sources

LOCK = load_lock(REPOSITORY / "config/lock.yaml")


def read_manifest() -> dict[tuple[Kind, str], dict[str, dict[str, str]]]:
    """The manifest's rows by (kind, key) and file name; nothing where there is no store."""
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


def test_the_lock_pins_what_the_store_holds() -> None:
    pinned = {
        (kind, key)
        for kind, entries in (("datasets", LOCK.datasets), ("models", LOCK.models))
        for key, entry in entries.items()
        if entry.local
    }
    assert pinned == MANIFEST.keys()


@pytest.mark.parametrize(("kind", "key"), MANIFEST, ids=[f"{kind}/{key}" for kind, key in MANIFEST])
def test_files_stage_with_the_manifests_hashes_and_rows(kind: Kind, key: str, tmp_path: Path) -> None:
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
            assert pq.read_metadata(folder / name).num_rows == int(row["rows"])
            assert pq.read_table(folder / name).num_rows == int(row["rows"])

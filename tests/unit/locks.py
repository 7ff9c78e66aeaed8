"""Locks of one small data set for the tests of staging, and functions that stage it."""

import hashlib
from pathlib import Path

import pytest

from steadytune.errors import SteadyTuneError
from steadytune.layout import Kind
from steadytune.store.lock import Lock
from steadytune.store.receipt import Receipt
from steadytune.store.staging import stage
from steadytune.suite.file import Sources

KEY = "owner/glue/rte"
REPO = "owner/glue"
FILES = {"rte/train.parquet": b"train rows" * 1000, "rte/validation.parquet": b"validation rows"}
TRAIN, VALIDATION = FILES.values()
TRAIN_PATH = "/datasets/owner/glue/resolve/{}/rte/train.parquet"


def pins(files: dict[str, bytes]) -> dict[str, dict]:
    """The pin of each file, by its name in the store."""
    return {
        name.removeprefix("rte/"): {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
    }


def hub_pin(revision: str | None, files: dict[str, bytes] = FILES) -> dict:
    """A hub pin of the data set; unpinned if `revision` is None."""
    if revision is None:
        return {"repo": REPO, "unpinned": True, "files": {name: {} for name in files}}
    hashes = pins(files)
    return {
        "repo": REPO,
        "revision": revision,
        "files": {name: hashes[name.removeprefix("rte/")] for name in files},
    }


def lock_of(key: str = KEY, kind: Kind = "datasets", **entry: object) -> Lock:
    """A lock with one entry."""
    return Lock.model_validate({kind: {key: entry}})


def local_lock(files: dict[str, bytes] = FILES) -> Lock:
    """A lock whose one data set has a local pin."""
    return lock_of(local={"origin": "a copy", "licence": "MIT", "files": pins(files)})


def stage_hub(lock: Lock, store: Path) -> Receipt:
    """Stage the data set from the hub."""
    return stage("datasets", KEY, lock, Sources(order=("hub",)), store)


def refused(lock: Lock, store: Path, order: tuple = ("hub",), local: Path | None = None, key: str = KEY) -> str:
    """The one-line error that staging fails with; it may leave no file among the store's data sets."""
    with pytest.raises(SteadyTuneError) as caught:
        stage("datasets", key, lock, Sources(order=order, local=local), store)
    message = str(caught.value)
    assert "\n" not in message and key in message
    assert not [path for path in (store / "datasets").rglob("*") if path.is_file()]
    return message

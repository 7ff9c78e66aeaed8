"""`config/glue-small.yaml` from the hub to its table, with files of the store standing in: MiniLM for the encoders.

The hub is a local server. The suite is the shipped one, cut down to one encoder, 16 examples of RTE and one seed.
"""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hub_server import HubServer
from staged_store import REPOSITORY, STORE

from steadytune.cells.record import read_record
from steadytune.cli import main
from steadytune.layout import cell_folder
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite

MINIATURES = (
    "google/bert_uncased_L-2_H-128_A-2",
    "google/bert_uncased_L-4_H-256_A-4",
    "google/bert_uncased_L-4_H-512_A-8",
)
TASKS = ("rte", "mrpc", "stsb", "cola")
METHODS = ("vanilla", "hype-n", "lnsr")


@pytest.fixture
def commits(hub: HubServer) -> dict[str, str]:
    """The commit of every repository that the suite names; each also serves files that the suite does not need."""
    encoder = STORE / "models/sentence-transformers/all-MiniLM-L6-v2"
    files = {name: (encoder / name).read_bytes() for name in ("config.json", "model.safetensors", "vocab.txt")}
    found = {name: hub.commit("models", name, files | {"README.md": b"card"}) for name in MINIATURES}
    glue = STORE / "datasets/nyu-mll/glue"
    splits = {f"{task}/{path.name}": path.read_bytes() for task in TASKS for path in (glue / task).glob("*.parquet")}
    return found | {"nyu-mll/glue": hub.commit("datasets", "nyu-mll/glue", splits)}


def pin_nothing(lock: Path, hub: HubServer) -> None:
    """Remove the lock's hub pins, as if the repositories had never been seen, and files that the server lacks."""
    value = yaml.safe_load(lock.read_text())
    for kind in ("datasets", "models"):
        for entry in value[kind].values():
            own = entry.get("hub", {})
            if served := hub.repos.get((kind, own.get("repo"))):
                (files,) = served.commits.values()
                if kept := {name: {} for name in own["files"] if name in files}:
                    entry["hub"] = {"repo": own["repo"], "unpinned": True, "files": kept}
    lock.write_text(yaml.safe_dump(value, sort_keys=False))


def test_glue_small_suite_runs_from_the_hub_to_its_table(
    hub: HubServer, commits: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = yaml.safe_load((REPOSITORY / "config/glue-small.yaml").read_text())
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    (tmp_path / "published").symlink_to(REPOSITORY / "published")
    pin_nothing(tmp_path / "config/lock.yaml", hub)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEADYTUNE_STORE", raising=False)
    assert main(["stage", "glue-small"]) == 0
    assert main(["stage", "glue-small", "--check"]) == 0
    fetched = [path for path in hub.downloads() if "/resolve/" in path]
    # Three files of each encoder; train and validation of each set, and its test split if the store has one.
    splits = sum(len(list((STORE / "datasets/nyu-mll/glue" / task).glob("*.parquet"))) for task in TASKS)
    assert len(fetched) == len(set(fetched)) == 3 * 3 + splits
    assert not [path for path in fetched if path.endswith("README.md")]

    value["suite"] = "small"
    value["grid"] = [{"encoders": ["tiny"], "methods": list(METHODS), "tasks": ["rte@16"], "seeds": 1}]
    value["protocol"] |= {"epochs": 1, "batch_size": 8, "max_length": 32}
    value["transfer"] = {"rte@16": []}
    Path("small.yaml").write_text(yaml.safe_dump(value))
    for method in METHODS:
        assert main(["finetune", "small.yaml", f"tiny/{method}/rte@16/seed-0"]) == 0
    for command in (["collect"], ["render", "tables"]):
        assert main([command[0], "small.yaml", *command[1:]]) == 0

    suite = load_suite(Path("small.yaml"))
    for method in METHODS:
        record = read_record(cell_folder(suite, Cell("tiny", method, "rte@16", 0)) / "record.json")
        assert record.status in ("ok", "degenerate") and record.evaluations[0].n == 277
        inputs = {item.key: (item.source, item.revision, item.pinned_by) for item in record.inputs}
        assert inputs == {
            MINIATURES[0]: ("hub", commits[MINIATURES[0]], "stage"),
            "nyu-mll/glue/rte": ("hub", commits["nyu-mll/glue"], "stage"),
        }
    table = pd.read_csv("results/small/tables/main.csv")
    assert set(table["method"]) == set(METHODS)

"""Hub data sets and encoders that a suite names itself: found, pinned at a commit, used like built-in ones."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from test_own_data import ROOT, folder, staged, write_suite  # noqa: F401
from test_run_cell import write_encoder

from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.store import pinning_own
from steadytune.store.own_changes import check_unchanged
from steadytune.store.own_places import choose_files
from steadytune.store.pinning_own import accept, pin_new
from steadytune.store.receipt import verify
from steadytune.suite.loading import load_suite
from steadytune.suite.own import OwnTask, lock_path, read_own_lock

REPO = "owner/reviews"
ROWS = b"body,label\nZ\xc3\xbcrich,no\nplain,yes\n"
ENTRY = {"text": "body", "label": "label", "labels": ["no", "yes"]}


def parquet(tmp_path: Path, *texts: str) -> bytes:
    pd.DataFrame({"body": texts, "label": ("no", "yes", "no")[: len(texts)]}).to_parquet(tmp_path / "one.parquet")
    return (tmp_path / "one.parquet").read_bytes()


def test_hub_data_set_is_pinned_staged_and_reproducible_elsewhere(folder, hub, tmp_path):  # noqa: F811
    files = {
        "data/train-00000-of-00002.parquet": parquet(tmp_path, "a", "b"),
        "data/train-00001-of-00002.parquet": parquet(tmp_path, "c"),
        "data/test-00000-of-00001.parquet": parquet(tmp_path, "never"),
        "data/validation-00000-of-00001.parquet": parquet(tmp_path, "d"),
        "README.md": b"card",
    }
    commit = hub.commit("datasets", REPO, files)
    hub.commit("datasets", REPO, dict.fromkeys(files, b"newer"))
    path = write_suite(folder, {"t": ENTRY | {"hub": REPO, "revision": commit}})
    train, evaluation = staged(path)
    assert (train["text_a"][:], evaluation["text_a"][:]) == (["a", "b", "c"], ["d"])
    splits = read_own_lock(path).tasks["t"].splits
    assert list(splits["train"].files) == [name for name in files if "train" in name]
    receipt = verify(folder / "store/datasets" / load_suite(path).task("t").dataset_key)
    assert (receipt.origin, receipt.revision, receipt.pinned_by) == (REPO, commit, "lock")
    assert not list(folder.glob("store/.downloads/**/*.parquet")), "what is staged needs no second copy"

    # Elsewhere the suite and its lock give the same bytes, even though the hub has a newer commit.
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    lock_path(path).rename(elsewhere / lock_path(path).name)
    other = write_suite(elsewhere, {"t": ENTRY | {"hub": REPO, "revision": commit}})
    assert staged(other)[0]["text_a"][:] == ["a", "b", "c"]
    hub.repos["datasets", REPO].commits[commit]["data/validation-00000-of-00001.parquet"] = parquet(tmp_path, "forged")
    third = write_suite(elsewhere, {"t": ENTRY | {"hub": REPO, "revision": commit}}, store=str(folder / "third"))
    assert main(["stage", str(third), "datasets"]) == 2


def test_hub_files_can_be_named_and_a_new_commit_needs_acceptance(folder, hub):  # noqa: F811
    first = hub.commit("datasets", REPO, {"en/a.csv": ROWS, "en/b.csv": ROWS, "de/a.csv": b"wrong"})
    second = hub.commit("datasets", REPO, {"en/a.csv": ROWS + b"more,yes\n", "en/b.csv": ROWS})
    entry = ENTRY | {"hub": REPO, "config": "en", "train": "a.csv", "evaluation": "b.csv"}
    assert len(staged(write_suite(folder, {"t": entry | {"revision": first}}))[0]) == 2
    path = write_suite(folder, {"t": entry | {"revision": second}})
    with pytest.raises(SteadyTuneError) as error:
        check_unchanged(load_suite(path))
    assert first in str(error.value) and second in str(error.value) and "--accept t" in str(error.value)
    accept(path, "t")
    check_unchanged(load_suite(path))
    assert len(staged(path)[0]) == 3


FILES = ["train.csv", "a/train.csv", "b/train.csv", "b/valid.jsonl", "b/dev.csv", "loader.py", ".git/train.csv"]


@pytest.mark.parametrize(
    ("keys", "split", "found"),
    [
        ({"config": "a"}, "train", ["a/train.csv"]),
        ({"config": "b"}, "evaluation", ["b/dev.csv"]),
        ({"evaluation": "*.jsonl", "config": "b"}, "evaluation", ["b/valid.jsonl"]),
        ({}, "train", "name a folder with `config`"),
        ({"config": "a"}, "evaluation", "it has a/train.csv"),
        ({"train": "absent.csv"}, "train", "'absent.csv'"),
    ],
)
def test_choose_files_finds_the_files_of_a_split(keys, split, found):
    entry = OwnTask(hub=REPO, revision="0" * 40, text=("body",), **keys)
    if isinstance(found, list):
        assert choose_files("here", entry, split, FILES) == found
    else:
        with pytest.raises(SteadyTuneError) as error:
            choose_files("here", entry, split, FILES)
        assert found in str(error.value)


@pytest.mark.parametrize("keys", [{}, {"train": "train-00000*"}])
def test_missing_shards_are_refused_unless_files_are_named(keys):
    files = ["train-00000-of-00002.parquet", "test.csv"]
    entry = OwnTask(hub=REPO, revision="0" * 40, text=("body",), **keys)
    if keys:
        assert choose_files("here", entry, "train", files) == files[:1]
    else:
        with pytest.raises(SteadyTuneError, match=r"train: .*not whole: expected 2 files, found train-00000-of-00002"):
            choose_files("here", entry, "train", files)


@pytest.mark.parametrize("where", ["tasks", "encoders"])
def test_branch_as_revision_is_refused_with_the_command_for_its_commit(folder, where):  # noqa: F811
    named = {"hub": REPO, "revision": "main"}
    tasks, more = {"t": ENTRY}, {}
    if where == "tasks":
        tasks["t"] = ENTRY | named
    else:
        grid = [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
        tasks, more = {}, {"encoders": {"tiny": named}, "grid": grid}
    path = write_suite(folder, tasks, **more)
    with pytest.raises(SteadyTuneError) as error:
        pin_new(path)
    address = f"https://huggingface.co/{'datasets/' if where == 'tasks' else ''}{REPO}"
    assert "'main'" in str(error.value) and f"git ls-remote {address}" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def hub_suite(folder: Path, commit: str) -> Path:  # noqa: F811
    grid = [{"encoders": ["mine"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}]
    return write_suite(folder, {}, encoders={"mine": {"hub": "owner/bert", "revision": commit}},
                       grid=grid, protocol={"max_length": 16})  # fmt: skip


def test_hub_encoder_is_pinned_and_downloaded_once(folder, hub, tmp_path):  # noqa: F811
    write_encoder(tmp_path / "bert")
    files = {path.name: path.read_bytes() for path in (tmp_path / "bert").iterdir() if path.is_file()}
    more = {"pytorch_model.bin": b"pickle", "onnx/model.json": b"{}", "README.md": b"card"}
    commit = hub.commit("models", "owner/bert", files | more)
    path = hub_suite(folder, commit)
    assert main(["stage", str(path), "models"]) == 0
    asked = hub.downloads()
    assert len(asked) == len(set(asked)) == len(files)
    pin = read_own_lock(path).encoders["mine"]
    assert (pin.hub, pin.revision, pin.max_length, pin.files.keys()) == ("owner/bert", commit, 16, files.keys())
    receipt = verify(folder / "store/models" / load_suite(path).own_model("mine"))
    assert (receipt.source, receipt.revision, receipt.pinned_by) == ("hub", commit, "lock")


def test_two_suites_can_pin_one_hub_encoder_concurrently(folder, hub, tmp_path, monkeypatch):  # noqa: F811
    write_encoder(tmp_path / "bert")
    commit = hub.commit(
        "models", "owner/bert", {path.name: path.read_bytes() for path in (tmp_path / "bert").iterdir()}
    )
    paths = [hub_suite(folder, commit), folder / "other.yaml"]
    paths[1].write_bytes(paths[0].read_bytes())
    check = pinning_own.check_encoder
    # Long enough for the other thread to reach this point.
    monkeypatch.setattr(pinning_own, "check_encoder", lambda *args: (check(*args), time.sleep(0.5))[0])
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(pin_new, paths))
    first, second = (read_own_lock(path).encoders["mine"] for path in paths)
    assert first == second
    assert not list((folder / "store/.downloads").glob("hub-*")), "one copy is left, where staging finds it"


def test_unusable_hub_encoder_is_refused(folder, hub, tmp_path):  # noqa: F811
    commit = hub.commit("models", "owner/bert", {"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(SteadyTuneError, match=r"safetensors.*pytorch_model\.bin"):
        pin_new(hub_suite(folder, commit))
    commit = hub.commit("models", "owner/bert", {"config.json": b"{}", "model.safetensors": b"x"})
    with pytest.raises(SteadyTuneError, match=r"owner/bert on the hub: config\.json: no model_type"):
        pin_new(hub_suite(folder, commit))

"""Staging from the hub, with a local server that speaks the hub's HTTP API."""

import hashlib
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import HubServer
from locks import FILES, KEY, REPO, TRAIN, TRAIN_PATH, hub_pin, lock_of, pins, refused, stage_hub

from steadytune.errors import SteadyTuneError
from steadytune.store.lock import Lock
from steadytune.store.receipt import RECEIPT, verify
from steadytune.store.staging import stage
from steadytune.suite.file import Sources


def test_only_pinned_files_are_downloaded_at_the_pinned_revision(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, {**FILES, "rte/test.parquet": b"more", "README.md": b"card"})
    hub.commit("datasets", REPO, {"rte/train.parquet": b"newer", "rte/validation.parquet": b"newer"})
    receipt = stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (receipt.source, receipt.origin, receipt.revision, receipt.pinned_by) == ("hub", REPO, commit, "lock")
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN
    assert hub.downloads() == [f"/datasets/{REPO}/resolve/{commit}/{name}" for name in FILES]

    asked = len(hub.requests)
    assert stage_hub(lock_of(hub=hub_pin(commit)), tmp_path) == receipt
    assert len(hub.requests) == asked


def test_known_hashes_are_checked_if_others_are_unknown(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    known, *unknown = FILES
    pin = hub_pin(commit)
    pin |= {"unpinned": True, "files": {known: pin["files"][known]} | {name: {} for name in unknown}}
    assert stage_hub(lock_of(hub=pin), tmp_path).pinned_by == "commit"
    pin["files"][known] = {"sha256": "0" * 64, "bytes": 1}
    with pytest.raises(SteadyTuneError, match=known.rpartition("/")[2]):
        stage_hub(lock_of(hub=pin), tmp_path / "again")


def test_staged_model_keeps_its_subfolders(hub: HubServer, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "1_Pooling/config.json": b"{ }"}
    commit = hub.commit("models", "owner/model", files)
    pin = {"repo": "owner/model", "revision": commit, "files": pins(files)}
    receipt = stage("models", "owner/model", lock_of("owner/model", "models", hub=pin), Sources(), tmp_path)
    assert receipt.files.keys() == files.keys()
    assert (tmp_path / "models/owner/model/1_Pooling/config.json").read_bytes() == b"{ }"


def test_unpinned_entry_is_pinned_by_its_first_download(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = hub.commit("datasets", REPO, FILES)
    receipt = stage_hub(lock_of(hub=hub_pin(None)), tmp_path)
    assert (receipt.revision, receipt.pinned_by) == (first, "stage")
    assert any(first in message and "unpinned" in message for message in caplog.messages)

    hub.commit("datasets", REPO, dict.fromkeys(FILES, b"newer"))
    assert stage_hub(lock_of(hub=hub_pin(None)), tmp_path) == receipt


def test_pinned_commit_without_hashes_is_downloaded_once(hub: HubServer, tmp_path: Path) -> None:
    first = hub.commit("datasets", REPO, FILES)
    hub.commit("datasets", REPO, dict.fromkeys(FILES, b"newer"))
    lock = lock_of(hub=hub_pin(None) | {"revision": first})
    receipt = stage_hub(lock, tmp_path)
    assert (receipt.revision, receipt.pinned_by) == (first, "commit")
    asked = len(hub.requests)
    assert stage_hub(lock, tmp_path) == receipt
    assert len(hub.requests) == asked


def test_pinning_an_already_staged_entry_downloads_nothing(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    unpinned = stage_hub(lock_of(hub=hub_pin(None)), tmp_path)
    asked = len(hub.requests)
    pinned = stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (pinned.pinned_by, pinned.files) == ("lock", unpinned.files) and len(hub.requests) == asked


def test_new_revision_of_the_same_files_updates_the_receipt(hub: HubServer, tmp_path: Path) -> None:
    first, second = (hub.commit("datasets", REPO, {**FILES, "README.md": card}) for card in (b"one", b"two"))
    stage_hub(lock_of(hub=hub_pin(first)), tmp_path)
    assert stage_hub(lock_of(hub=hub_pin(second)), tmp_path).revision == second


def test_wrong_content_is_refused_and_downloaded_again_next_time(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    right, wrong = TRAIN, TRAIN[:-1] + b"!"
    files = hub.repos["datasets", REPO].commits[commit]
    files["rte/train.parquet"] = wrong
    message = refused(lock_of(hub=hub_pin(commit)), tmp_path)
    assert "train.parquet" in message and REPO in message
    assert hashlib.sha256(right).hexdigest() in message and hashlib.sha256(wrong).hexdigest() in message

    files["rte/train.parquet"] = right
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == right


def test_dropped_download_resumes_where_it_stopped(
    hub: HubServer, tmp_path: Path, no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # it keeps only whole chunks
    commit = hub.commit("datasets", REPO, FILES)
    path = TRAIN_PATH.format(commit)
    hub.drops[path] = [4000]
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert [entry for entry in hub.requests if entry[:2] == ("GET", path)] == [
        ("GET", path, None),
        ("GET", path, "bytes=4000-"),
    ]


def test_next_run_downloads_only_the_files_still_missing(hub: HubServer, tmp_path: Path, no_waiting: None) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    path = f"/datasets/{REPO}/resolve/{commit}/rte/validation.parquet"
    hub.drops[path] = [0] * 10
    message = refused(lock_of(hub=hub_pin(commit)), tmp_path)
    assert "rte/validation.parquet" in message and "connection lost" in message

    hub.drops.clear()
    hub.requests.clear()
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert hub.downloads() == [path]


def test_hub_refusals_are_reported_in_one_line_without_the_token(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    commit = hub.commit("datasets", REPO, {"rte/train.parquet": TRAIN})
    gone = "0" * 40
    assert f"no revision {gone}" in refused(lock_of(hub=hub_pin(gone)), tmp_path)
    assert "rte/validation.parquet of owner/glue: no such file" in refused(lock_of(hub=hub_pin(commit)), tmp_path)
    for revision in (None, commit):
        missing = {**hub_pin(revision), "repo": "owner/none"}
        assert "no such dataset on the hub" in refused(lock_of(hub=missing), tmp_path)
    hub.repos["datasets", REPO].gated = True
    for revision in (None, commit):
        message = refused(lock_of(hub=hub_pin(revision)), tmp_path)
        assert "gated" in message and "HF_TOKEN" in message
    assert set(hub.tokens) == {"Bearer hf_secret"}
    assert "hf_secret" not in caplog.text


def test_unreachable_hub_and_offline_mode_are_reported_in_one_line(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_waiting: None
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.__exit__()
    for revision in (None, commit):
        message = refused(lock_of(hub=hub_pin(revision)), tmp_path)
        assert "connection" in message and "refused" in message and hub.endpoint in message
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(lock_of(hub=hub_pin(commit)), tmp_path)


STAGE_IN_ANOTHER_PROCESS = f"""
import logging, sys
from pathlib import Path
from steadytune.store.lock import Lock
from steadytune.store.staging import stage
from steadytune.suite.file import Sources

logging.basicConfig(level=sys.argv[3])
lock = Lock.model_validate_json(sys.argv[1])
stage("datasets", "{KEY}", lock, Sources(order=("hub",)), Path(sys.argv[2]))
"""


def start(lock: Lock, store: Path, level: str = "INFO") -> subprocess.Popen[str]:
    """Start staging the data set in another process."""
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            STAGE_IN_ANOTHER_PROCESS,
            lock.model_dump_json(exclude_defaults=True),
            str(store),
            level,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, for at most 30 seconds."""
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)


def test_concurrent_processes_download_each_file_once(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.delay = 1.0
    processes = [start(lock_of(hub=hub_pin(commit)), tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert hub.downloads() == [f"/datasets/{REPO}/resolve/{commit}/{name}" for name in FILES]
    assert sum("waiting for another process" in text for text in said) == 1
    verify(tmp_path / "datasets" / KEY)


def killed_in_a_download(hub: HubServer, folder: Path):
    """Kill a process in the middle of a download and return its pins; the hub is fast again afterwards."""
    hub.delay = 30.0
    lock = lock_of(hub=hub_pin(hub.commit("datasets", REPO, FILES)))
    with start(lock, folder) as process:
        wait_for(hub.downloads)
        process.kill()
    hub.delay = 0.0
    return lock


def test_killed_download_leaves_no_receipt_and_can_be_repeated(hub: HubServer, tmp_path: Path) -> None:
    lock = killed_in_a_download(hub, tmp_path)
    assert hub.downloads()
    assert not (tmp_path / "datasets" / KEY / RECEIPT).exists()
    stage_hub(lock, tmp_path)
    verify(tmp_path / "datasets" / KEY)


def test_token_is_never_sent_to_the_host_of_large_files(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    with HubServer() as hub.cdn:
        receipt = stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
        assert hub.cdn.downloads() == [f"/{file.sha256}" for file in receipt.files.values()]
        assert hub.cdn.tokens == [] and set(hub.tokens) == {"Bearer hf_secret"}
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN


def test_dropped_download_from_another_host_resumes_there(
    hub: HubServer, tmp_path: Path, no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)
    commit = hub.commit("datasets", REPO, FILES)
    with HubServer() as hub.cdn:
        path = f"/{hashlib.sha256(TRAIN).hexdigest()}"
        hub.cdn.drops[path] = [4000]
        stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
        assert [entry for entry in hub.cdn.requests if entry[:2] == ("GET", path)] == [
            ("GET", path, None),
            ("GET", path, "bytes=4000-"),
        ]


@pytest.mark.parametrize("redirected", [False, True])
def test_files_in_xet_storage_are_downloaded_over_plain_http(hub: HubServer, tmp_path: Path, redirected: bool) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.xet = True
    with HubServer() as cdn:
        hub.cdn = cdn if redirected else None
        stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN
    assert not [path for _, path, _ in hub.requests if "xet" in path]


def test_only_the_pinned_files_are_requested(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, {**FILES, "README.md": b"card"})
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    wanted = {f"/datasets/{REPO}/resolve/{commit}/{name}" for name in FILES}
    assert {path for _, path, _ in hub.requests} == wanted


@pytest.mark.parametrize("name", ["vocab.txt", "model.safetensors"])  # stored in git, and in Git LFS
def test_unpinned_file_must_match_the_hash_given_by_the_hub(hub: HubServer, tmp_path: Path, name: str) -> None:
    commit = hub.commit("models", "owner/model", {name: b"right"})
    lock = lock_of("owner/model", "models", hub={"repo": "owner/model", "unpinned": True, "files": {name: {}}})
    hub.spoils[f"/owner/model/resolve/{commit}/{name}"] = b"wrong"
    with pytest.raises(SteadyTuneError, match=f"{name} of owner/model: damaged in transfer"):
        stage("models", "owner/model", lock, Sources(), tmp_path)
    assert not (tmp_path / "models").exists()

    hub.spoils.clear()
    receipt = stage("models", "owner/model", lock, Sources(), tmp_path)
    assert receipt.files[name].sha256 == hashlib.sha256(b"right").hexdigest()


def test_partial_file_of_a_killed_download_is_not_used(hub: HubServer, tmp_path: Path) -> None:
    lock = killed_in_a_download(hub, tmp_path)
    halves = list((tmp_path / ".downloads").rglob("*.incomplete"))
    assert halves
    for path in halves:
        path.write_bytes(b"half of something else")
    stage_hub(lock, tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN
    assert not list((tmp_path / ".downloads").iterdir())


def test_complete_file_of_an_interrupted_run_is_checked_before_use(
    hub: HubServer, tmp_path: Path, no_waiting: None
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.drops[f"/datasets/{REPO}/resolve/{commit}/rte/validation.parquet"] = [0] * 10
    refused(lock_of(hub=hub_pin(commit)), tmp_path)
    (brought,) = (tmp_path / ".downloads").rglob("rte/train.parquet")
    brought.write_bytes(TRAIN[:-1] + b"!")

    hub.drops.clear()
    refused(lock_of(hub=hub_pin(commit)), tmp_path)  # taken as complete by the library; the wrong hash deletes it
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN


def test_pickled_weights_error_explains_what_to_do(hub: HubServer, tmp_path: Path) -> None:
    hub.commit("models", "owner/model", {"config.json": b"{}", "pytorch_model.bin": b"pickle", "vocab.txt": b"a"})
    files = {"config.json": {}, "model.safetensors": {}}
    lock = lock_of("owner/model", "models", hub={"repo": "owner/model", "unpinned": True, "files": files})
    with pytest.raises(SteadyTuneError) as caught:
        stage("models", "owner/model", lock, Sources(), tmp_path)
    message = str(caught.value)
    assert message.startswith("models/owner/model: model.safetensors of owner/model: no such file on the hub")
    assert all(part in message for part in ("pytorch_model.bin", "pickles are not read", "docs/data.md", "--encoders"))
    assert "\n" not in message and not [path for path in hub.downloads() if path.endswith(".bin")]


def test_token_appears_in_no_output_or_file(hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.repos["datasets", REPO].gated = True
    with start(lock_of(hub=hub_pin(commit)), tmp_path, level="DEBUG") as process:
        said = process.communicate(timeout=60)[1]
    assert process.returncode != 0 and "gated: accept the terms of owner/glue" in said
    hub.repos["datasets", REPO].gated = False
    with start(lock_of(hub=hub_pin(commit)), tmp_path, level="DEBUG") as process:
        said += process.communicate(timeout=60)[1]
    assert process.returncode == 0 and "2 files" in said and "Bearer hf_secret" in hub.tokens
    assert "hf_secret" not in said + "".join(capfd.readouterr())
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"hf_secret" not in path.read_bytes()

import hashlib
import logging
import os
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from huggingface_hub import close_session

from steadytune.errors import SteadyTuneError
from steadytune.store.lock import Kind, Lock
from steadytune.store.receipt import RECEIPT, Receipt, read_receipt, receipt_digest, verify
from steadytune.store.sources import hash_rows
from steadytune.store.staging import stage
from steadytune.suite import Sources

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
    """A hub pin of the data set, unpinned without a revision."""
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
    """The one line that staging fails with; nothing of a file may then lie under the store's data sets."""
    with pytest.raises(SteadyTuneError) as caught:
        stage("datasets", key, lock, Sources(order=order, local=local), store)
    message = str(caught.value)
    assert "\n" not in message and key in message
    assert not [path for path in (store / "datasets").rglob("*") if path.is_file()]
    return message


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub of our own that `huggingface_hub` and urllib reach without a proxy."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with HubServer() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server
        close_session()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries come at once."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A store that was staged elsewhere."""
    folder = tmp_path / "elsewhere/datasets" / KEY
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / Path(name).name).write_bytes(content)
    return tmp_path / "elsewhere"


# The local source, and what holds for every source


def test_local_files_are_copied_and_the_receipt_says_what_they_are(elsewhere: Path, tmp_path: Path) -> None:
    receipt = stage("datasets", KEY, local_lock(), Sources(order=("hub", "local"), local=elsewhere), tmp_path / "store")
    folder = tmp_path / "store/datasets" / KEY
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != RECEIPT} == {
        "train.parquet": TRAIN,
        "validation.parquet": VALIDATION,
    }
    assert (receipt.source, receipt.origin, receipt.revision, receipt.pinned_by) == ("local", "a copy", None, "lock")
    assert receipt.files["train.parquet"].sha256 == hashlib.sha256(TRAIN).hexdigest()
    assert verify(folder) == receipt
    assert not list((tmp_path / "store/.downloads").iterdir())


def test_staging_again_does_nothing(elsewhere: Path, tmp_path: Path) -> None:
    def run() -> tuple[Receipt, dict[str, int]]:
        receipt = stage("datasets", KEY, local_lock(), Sources(order=("local",), local=elsewhere), tmp_path / "store")
        folder = tmp_path / "store/datasets" / KEY
        return receipt, {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    assert run() == run()


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "receipt"])
def test_damage_is_found_before_use_and_mended_by_staging_again(elsewhere: Path, tmp_path: Path, damage: str) -> None:
    sources, store = Sources(order=("local",), local=elsewhere), tmp_path / "store"
    whole = stage("datasets", KEY, local_lock(), sources, store)
    folder = store / "datasets" / KEY
    path = folder / "train.parquet"
    match damage:
        case "flip":
            path.write_bytes(TRAIN[:500] + bytes([TRAIN[500] ^ 1]) + TRAIN[501:])
            expected = f"{hashlib.sha256(path.read_bytes()).hexdigest()} where the receipt says"
        case "truncate":
            path.write_bytes(TRAIN[:-1])
            expected = "9999 bytes where the receipt says 10000"
        case "delete":
            path.unlink()
            expected = "in the receipt but not in the folder"
        case _:
            path = folder / RECEIPT
            path.write_text(path.read_text()[:-20])
            expected = "damaged receipt"
    with pytest.raises(SteadyTuneError) as caught:
        verify(folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and expected in message and "steadytune stage" in message
    if damage == "flip":
        assert hashlib.sha256(TRAIN).hexdigest() in message

    assert stage("datasets", KEY, local_lock(), sources, store) == whole == verify(folder)
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_a_folder_without_receipt_names_the_command_that_stages_it(tmp_path: Path) -> None:
    with pytest.raises(SteadyTuneError, match=r"nowhere: not staged.*`steadytune stage SUITE`"):
        verify(tmp_path / "nowhere")


def test_an_interrupted_copy_is_gone_on_with(elsewhere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store/datasets" / KEY
    folder.mkdir(parents=True)
    (folder / "train.parquet").write_bytes(TRAIN)  # as it was moved there before the interruption
    inode = (folder / "train.parquet").stat().st_ino
    (elsewhere / "datasets" / KEY / "train.parquet").unlink()  # so that it cannot be copied once more
    (folder / "validation.parquet").write_bytes(b"half")
    stage("datasets", KEY, local_lock(), Sources(order=("local",), local=elsewhere), tmp_path / "store")
    assert (folder / "train.parquet").stat().st_ino == inode
    assert (folder / "validation.parquet").read_bytes() == VALIDATION


def test_a_local_file_that_is_not_what_the_lock_says_stays_out(elsewhere: Path, tmp_path: Path) -> None:
    lock = local_lock({**FILES, "rte/train.parquet": b"other rows"})
    message = refused(lock, tmp_path / "store", ("local",), elsewhere)
    assert "train.parquet" in message
    assert hashlib.sha256(b"other rows").hexdigest() in message and hashlib.sha256(TRAIN).hexdigest() in message


def test_a_failed_restaging_leaves_the_old_files_whole(elsewhere: Path, tmp_path: Path) -> None:
    sources = Sources(order=("local",), local=elsewhere)
    old = stage("datasets", KEY, local_lock(), sources, tmp_path / "store")
    with pytest.raises(SteadyTuneError):
        stage("datasets", KEY, local_lock({**FILES, "rte/train.parquet": b"other rows"}), sources, tmp_path / "store")
    assert verify(tmp_path / "store/datasets" / KEY) == old


def test_a_changed_pin_stages_again_and_drops_what_it_no_longer_names(elsewhere: Path, tmp_path: Path) -> None:
    sources, store = Sources(order=("local",), local=elsewhere), tmp_path / "store"
    old = stage("datasets", KEY, local_lock(), sources, store)
    new = stage("datasets", KEY, local_lock({"rte/train.parquet": TRAIN}), sources, store)
    assert {path.name for path in (store / "datasets" / KEY).iterdir()} == {"train.parquet", RECEIPT}
    assert receipt_digest(new) != receipt_digest(old)


def test_a_missing_local_store_names_its_path_its_key_and_the_variable(tmp_path: Path) -> None:
    message = refused(local_lock(), tmp_path / "store", ("local",), tmp_path / "gone")
    assert all(part in message for part in (str(tmp_path / "gone"), "sources.local", "STEADYTUNE_STORE"))
    message = refused(local_lock(), tmp_path / "store", ("local",), None)
    assert "sources.local" in message


def test_a_file_missing_from_the_local_store_is_named(elsewhere: Path, tmp_path: Path) -> None:
    (elsewhere / "datasets" / KEY / "train.parquet").unlink()
    message = refused(local_lock(), tmp_path / "store", ("local",), elsewhere)
    assert str(elsewhere / "datasets" / KEY / "train.parquet") in message


def test_the_first_kind_of_the_order_that_has_a_pin_is_taken(elsewhere: Path, tmp_path: Path, hub: HubServer) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    local = {"origin": "a copy", "licence": "MIT", "files": pins(FILES)}
    lock = lock_of(local=local, hub=hub_pin(commit))
    for sources in (Sources(order=("url", "local", "hub"), local=elsewhere), Sources(order=("hub", "local"))):
        receipt = stage("datasets", KEY, lock, sources, tmp_path / "store")
        assert receipt.source == next(kind for kind in sources.order if kind != "url")
    assert "the lock has it from hub, local" in refused(lock, tmp_path / "other", ("url",))


def test_an_encoder_of_the_project_is_not_staged(tmp_path: Path) -> None:
    lock = lock_of("steadytune/mini", "models", pretrained={"config": "config/encoders/mini.yaml"})
    with pytest.raises(SteadyTuneError, match=r"models/steadytune/mini: .*pretrain.* config/encoders/mini\.yaml"):
        stage("models", "steadytune/mini", lock, Sources(), tmp_path)


# The hub


def test_the_hub_gives_exactly_the_pinned_files_at_the_pinned_revision(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, {**FILES, "rte/test.parquet": b"more", "README.md": b"card"})
    hub.commit("datasets", REPO, {"rte/train.parquet": b"newer", "rte/validation.parquet": b"newer"})
    receipt = stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (receipt.source, receipt.origin, receipt.revision, receipt.pinned_by) == ("hub", REPO, commit, "lock")
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN
    assert hub.downloads() == [f"/datasets/{REPO}/resolve/{commit}/{name}" for name in FILES]

    asked = len(hub.requests)
    assert stage_hub(lock_of(hub=hub_pin(commit)), tmp_path) == receipt
    assert len(hub.requests) == asked


def test_a_model_keeps_its_folders(hub: HubServer, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "1_Pooling/config.json": b"{ }"}
    commit = hub.commit("models", "owner/model", files)
    pin = {"repo": "owner/model", "revision": commit, "files": pins(files)}
    receipt = stage("models", "owner/model", lock_of("owner/model", "models", hub=pin), Sources(), tmp_path)
    assert receipt.files.keys() == files.keys()
    assert (tmp_path / "models/owner/model/1_Pooling/config.json").read_bytes() == b"{ }"


def test_an_unpinned_entry_is_pinned_at_its_first_download(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = hub.commit("datasets", REPO, FILES)
    receipt = stage_hub(lock_of(hub=hub_pin(None)), tmp_path)
    assert (receipt.revision, receipt.pinned_by) == (first, "stage")
    assert any(first in message and "unpinned" in message for message in caplog.messages)

    hub.commit("datasets", REPO, dict.fromkeys(FILES, b"newer"))
    assert stage_hub(lock_of(hub=hub_pin(None)), tmp_path) == receipt


def test_pinning_an_entry_as_it_was_staged_downloads_nothing(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    unpinned = stage_hub(lock_of(hub=hub_pin(None)), tmp_path)
    asked = len(hub.requests)
    pinned = stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert (pinned.pinned_by, pinned.files) == ("lock", unpinned.files) and len(hub.requests) == asked


def test_another_revision_of_the_same_files_is_written_down(hub: HubServer, tmp_path: Path) -> None:
    first, second = (hub.commit("datasets", REPO, {**FILES, "README.md": card}) for card in (b"one", b"two"))
    stage_hub(lock_of(hub=hub_pin(first)), tmp_path)
    assert stage_hub(lock_of(hub=hub_pin(second)), tmp_path).revision == second


def test_wrong_content_from_the_hub_stays_out_and_is_not_kept_for_the_next_run(hub: HubServer, tmp_path: Path) -> None:
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


def test_a_dropped_connection_is_taken_up_where_it_broke(
    hub: HubServer, tmp_path: Path, no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)  # what it keeps is whole chunks
    commit = hub.commit("datasets", REPO, FILES)
    path = TRAIN_PATH.format(commit)
    hub.drops[path] = [4000]
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert [entry for entry in hub.requests if entry[:2] == ("GET", path)] == [
        ("GET", path, None),
        ("GET", path, "bytes=4000-"),
    ]


def test_after_a_lost_connection_only_the_missing_files_are_asked_for(
    hub: HubServer, tmp_path: Path, no_waiting: None
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    path = f"/datasets/{REPO}/resolve/{commit}/rte/validation.parquet"
    hub.drops[path] = [0] * 10
    message = refused(lock_of(hub=hub_pin(commit)), tmp_path)
    assert "rte/validation.parquet" in message and "connection lost" in message

    hub.drops.clear()
    hub.requests.clear()
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert hub.downloads() == [path]


def test_what_the_hub_refuses_is_said_in_one_line(
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


def test_no_hub_and_offline_mode_are_said_in_one_line(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_waiting: None
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.__exit__()
    for revision in (None, commit):
        message = refused(lock_of(hub=hub_pin(revision)), tmp_path)
        assert "connection" in message and hub.endpoint in message
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE" in refused(lock_of(hub=hub_pin(commit)), tmp_path)


STAGE_IN_ANOTHER_PROCESS = f"""
import logging, sys
from pathlib import Path
from steadytune.store.lock import Lock
from steadytune.store.staging import stage
from steadytune.suite import Sources

logging.basicConfig(level=logging.INFO)
lock = Lock.model_validate_json(sys.argv[1])
stage("datasets", "{KEY}", lock, Sources(order=("hub",)), Path(sys.argv[2]))
"""


def start(lock: Lock, store: Path) -> subprocess.Popen[str]:
    """Begin to stage the data set in another process."""
    return subprocess.Popen(
        [sys.executable, "-c", STAGE_IN_ANOTHER_PROCESS, lock.model_dump_json(exclude_defaults=True), str(store)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_download_each_file_once(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.delay = 1.0
    processes = [start(lock_of(hub=hub_pin(commit)), tmp_path) for _ in range(2)]
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert hub.downloads() == [f"/datasets/{REPO}/resolve/{commit}/{name}" for name in FILES]
    assert sum("waiting for another process" in text for text in said) == 1
    verify(tmp_path / "datasets" / KEY)


def test_a_killed_process_leaves_no_receipt_and_no_lock(hub: HubServer, tmp_path: Path) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.delay = 30.0
    lock = lock_of(hub=hub_pin(commit))
    with start(lock, tmp_path) as process:
        deadline = time.monotonic() + 30
        while not hub.downloads() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert hub.downloads()
    assert not (tmp_path / "datasets" / KEY / RECEIPT).exists()
    hub.delay = 0.0
    stage_hub(lock, tmp_path)
    verify(tmp_path / "datasets" / KEY)


# Plain addresses


def url_lock(hub: HubServer, content: bytes, expected: bytes | None = None) -> Lock:
    """A lock whose one data set is one plain file."""
    hub.plain["/train.parquet"] = content
    files = pins({"train.parquet": expected or content})
    files["train.parquet"]["url"] = f"{hub.endpoint}/train.parquet?key=secret"
    return lock_of(url={"origin": "an archive", "licence": "MIT", "files": files})


def test_a_plain_file_goes_on_where_it_broke_even_in_another_run(
    hub: HubServer, tmp_path: Path, no_waiting: None
) -> None:
    lock = url_lock(hub, TRAIN)
    hub.drops["/train.parquet"] = [100, 200, 300, 400]
    message = refused(lock, tmp_path, ("url",))
    assert "1000 of 10000 bytes are kept" in message and "secret" not in message
    receipt = stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN
    assert (receipt.source, receipt.origin, receipt.pinned_by) == ("url", "an archive", "lock")
    ranges = [asked for _, _, asked in hub.requests]
    assert ranges == [None, "bytes=100-", "bytes=300-", "bytes=600-", "bytes=1000-"]


def test_a_server_without_ranges_sends_the_file_again(hub: HubServer, tmp_path: Path, no_waiting: None) -> None:
    lock = url_lock(hub, TRAIN)
    hub.ranges = False
    hub.drops["/train.parquet"] = [100]
    stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize("served", [b"wrong rows", b"right rows and more", b"right"])
def test_a_plain_file_that_is_not_what_the_lock_says_stays_out(
    hub: HubServer, tmp_path: Path, no_waiting: None, served: bytes
) -> None:
    right = b"right rows"
    message = refused(url_lock(hub, served, right), tmp_path, ("url",))
    assert "train.parquet" in message and ("the lock says" in message)
    stage("datasets", KEY, url_lock(hub, right), Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == right


def test_a_plain_file_that_is_gone_is_said_in_one_line(hub: HubServer, tmp_path: Path) -> None:
    lock = url_lock(hub, TRAIN)
    hub.plain.clear()
    assert "the server answered 404" in refused(lock, tmp_path, ("url",))


# Generated data

ROWS = [{"text": "a b", "label": 1, "score": 0.5}, {"text": "ç", "label": 0, "score": 1.0}]


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict]]:
    """A generator in the place of the mini language; the splits that it gives can be changed."""
    splits = {"train": ROWS}
    module = types.ModuleType("steadytune.tasks.mini")
    vars(module)["generate"] = lambda config, seed: {"rte": splits}[config]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return splits


def generated_lock(rows_sha256: str | None) -> Lock:
    """A lock whose one data set is generated."""
    file = {"rows_sha256": rows_sha256} if rows_sha256 else {}
    files = {"train-00000-of-00001.parquet": file}
    pin = {"generator": "mini", "unpinned": rows_sha256 is None, "files": files}
    return lock_of("steadytune/mini/rte", generated=pin)


@pytest.mark.parametrize(("expected", "pinned_by"), [(hash_rows(ROWS), "lock"), (None, "generated")])
def test_generated_rows_are_written_and_their_hash_kept(
    generator: dict, tmp_path: Path, expected: str | None, pinned_by: str
) -> None:
    lock = generated_lock(expected)
    receipt = stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    folder = tmp_path / "datasets/steadytune/mini/rte"
    assert pq.read_table(folder / "train-00000-of-00001.parquet").to_pylist() == ROWS
    assert (receipt.source, receipt.pinned_by) == ("generated", pinned_by)
    assert read_receipt(folder).files["train-00000-of-00001.parquet"].rows_sha256 == hash_rows(ROWS)
    generator.clear()  # so that generating once more would fail
    assert stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path) == receipt


def test_a_generator_that_has_changed_is_noticed(generator: dict, tmp_path: Path) -> None:
    generator["train"] = [*ROWS, {"text": "new", "label": 1, "score": 0.0}]
    message = refused(generated_lock(hash_rows(ROWS)), tmp_path, key="steadytune/mini/rte")
    assert hash_rows(ROWS) in message and hash_rows(generator["train"]) in message
    generator["test"] = ROWS
    assert "test-00000-of-00001.parquet" in refused(generated_lock(None), tmp_path, key="steadytune/mini/rte")


def test_a_damaged_generated_file_is_made_anew(generator: dict, tmp_path: Path) -> None:
    lock = generated_lock(hash_rows(ROWS))
    stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    path = tmp_path / "datasets/steadytune/mini/rte/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    assert pq.read_table(path).to_pylist() == ROWS


def test_the_digest_of_a_receipt_is_of_the_content_alone() -> None:
    def digest(origin: str, file: str, rows: str | None) -> str:
        from steadytune.store.receipt import StagedFile

        return receipt_digest(Receipt("hub", origin, None, "lock", {"a": StagedFile(file, 1, rows)}))

    assert digest("here", "1", None) == digest("there", "1", None) != digest("here", "2", None)
    assert digest("here", "1", "rows") == digest("here", "2", "rows") != digest("here", "1", "others")

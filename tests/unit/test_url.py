"""URLs as a source: whole files, and rows read from archives."""

import hashlib
import io
import zipfile
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from locks import KEY, TRAIN, lock_of, pins, refused

from steadytune.store.lock import Lock
from steadytune.store.receipt import hash_rows, verify
from steadytune.store.staging import stage
from steadytune.suite.file import Sources


def url_lock(hub: HubServer, content: bytes, expected: bytes | None = None) -> Lock:
    """A lock whose only data set is a single plain file."""
    hub.plain["/train.parquet"] = content
    files = pins({"train.parquet": expected or content})
    files["train.parquet"]["url"] = f"{hub.endpoint}/train.parquet?key=secret"
    return lock_of(url={"origin": "an archive", "licence": "MIT", "files": files})


def test_plain_download_resumes_even_in_another_run(hub: HubServer, tmp_path: Path, no_waiting: None) -> None:
    lock = url_lock(hub, TRAIN)
    hub.drops["/train.parquet"] = [100, 200, 300, 400]
    message = refused(lock, tmp_path, ("url",))
    assert "1000 of 10000 bytes are kept" in message and "secret" not in message
    receipt = stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN
    assert (receipt.source, receipt.origin, receipt.pinned_by) == ("url", "an archive", "lock")
    ranges = [asked for _, _, asked in hub.requests]
    assert ranges == [None, "bytes=100-", "bytes=300-", "bytes=600-", "bytes=1000-"]


def test_download_restarts_if_the_server_has_no_ranges(hub: HubServer, tmp_path: Path, no_waiting: None) -> None:
    lock = url_lock(hub, TRAIN)
    hub.ranges = False
    hub.drops["/train.parquet"] = [100]
    stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN


@pytest.mark.parametrize("served", [b"wrong rows", b"right rows and more", b"right"])
def test_plain_file_not_matching_the_lock_is_refused(
    hub: HubServer, tmp_path: Path, no_waiting: None, served: bytes
) -> None:
    right = b"right rows"
    message = refused(url_lock(hub, served, right), tmp_path, ("url",))
    assert "train.parquet" in message and ("the lock says" in message)
    stage("datasets", KEY, url_lock(hub, right), Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == right


def test_missing_plain_file_error_gives_the_status_code(hub: HubServer, tmp_path: Path) -> None:
    lock = url_lock(hub, TRAIN)
    hub.plain.clear()
    assert "the server answered 404" in refused(lock, tmp_path, ("url",))


@pytest.mark.parametrize("ranges", [True, False])
def test_unpinned_file_is_pinned_at_its_first_download(
    hub: HubServer, tmp_path: Path, no_waiting: None, caplog: pytest.LogCaptureFixture, ranges: bool
) -> None:
    hub.plain["/train.parquet"] = TRAIN
    hub.drops["/train.parquet"] = [100]
    hub.ranges = ranges
    file = {"url": f"{hub.endpoint}/train.parquet?key=secret"}
    lock = lock_of(url={"origin": "o", "licence": "l", "unpinned": True, "files": {"train.parquet": file}})
    receipt = stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert receipt.pinned_by == "stage"
    assert receipt.files["train.parquet"].sha256 == hashlib.sha256(TRAIN).hexdigest()
    said = "\n".join(caplog.messages)
    assert "unpinned in the lock" in said and hashlib.sha256(TRAIN).hexdigest() in said and "secret" not in said

    hub.plain["/train.parquet"] = b"newer"  # the pinned file is kept
    assert stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path) == receipt


def test_unpinned_file_is_not_assembled_from_two_runs(hub: HubServer, tmp_path: Path, no_waiting: None) -> None:
    hub.plain["/train.parquet"] = TRAIN
    hub.drops["/train.parquet"] = [1000] * 4
    files = {"train.parquet": {"url": f"{hub.endpoint}/train.parquet"}}
    lock = lock_of(url={"origin": "o", "licence": "l", "unpinned": True, "files": files})
    assert "no whole file in 4 attempts" in refused(lock, tmp_path, ("url",))
    hub.plain["/train.parquet"] = TRAIN[::-1]
    stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert (tmp_path / "datasets" / KEY / "train.parquet").read_bytes() == TRAIN[::-1]


# Rows read from archives

LINES = {"train": ["a dog\tan animal\tentails", 'a "cat\ta dog\tneutral'], "test": ["a\tb\tentails"]}
ROWS = {
    "train": [
        {"premise": "a dog", "hypothesis": "an animal", "label": "entails"},
        {"premise": 'a "cat', "hypothesis": "a dog", "label": "neutral"},
    ],
    "test": [{"premise": "a", "hypothesis": "b", "label": "entails"}],
}


def archive(**members: str) -> bytes:
    """A zip archive with these texts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as handle:
        for name, text in members.items():
            handle.writestr(f"set/{name}.tsv", text)
    return buffer.getvalue()


ARCHIVE = archive(**{split: "\n".join(lines) + "\n" for split, lines in LINES.items()})


def archive_lock(hub: HubServer, pinned: bytes | None = ARCHIVE, member: str = "set/{}.tsv", **more: str) -> Lock:
    """A lock whose data set is read from an archive, pinned to the hash of `pinned` unless that is None."""
    known = {} if pinned is None else {"sha256": hashlib.sha256(pinned).hexdigest(), "bytes": len(pinned)}
    files = {
        f"{split}-00000-of-00001.parquet": {
            "url": f"{hub.endpoint}/set.zip", "parser": "scitail", "member": member.format(split), **known, **more,
        }
        for split in LINES
    }  # fmt: skip
    return lock_of(url={"origin": "o", "licence": "l", "unpinned": pinned is None, "files": files})


@pytest.mark.parametrize("pinned_by", ["lock", "stage"])
def test_rows_are_read_from_a_verified_archive_fetched_once(
    hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, pinned_by: str
) -> None:
    hub.plain["/set.zip"] = ARCHIVE
    lock = archive_lock(hub, ARCHIVE if pinned_by == "lock" else None)
    receipt = stage("datasets", KEY, lock, Sources(order=("url",)), tmp_path)
    assert hub.downloads() == ["/set.zip"]
    assert receipt.pinned_by == pinned_by
    folder = tmp_path / "datasets" / KEY
    assert verify(folder) == receipt
    for split, rows in ROWS.items():
        name = f"{split}-00000-of-00001.parquet"
        assert pq.read_table(folder / name).to_pylist() == rows
        file = receipt.files[name]
        assert file.rows_sha256 == hash_rows(rows)
        assert (file.raw_sha256, file.raw_bytes) == (hashlib.sha256(ARCHIVE).hexdigest(), len(ARCHIVE))
    assert ("unpinned in the lock" in caplog.text) == (pinned_by == "stage")
    # Copying the reported hash into the lock causes no new download.
    assert stage("datasets", KEY, archive_lock(hub), Sources(order=("url",)), tmp_path).files == receipt.files
    assert hub.downloads() == ["/set.zip"]


def test_archive_not_matching_the_lock_is_not_parsed(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("steadytune.store.url.parse_file", lambda *_: pytest.fail("parsed"))
    hub.plain["/set.zip"] = ARCHIVE[:-1] + b"!"
    message = refused(archive_lock(hub), tmp_path, ("url",))
    assert "set.zip" in message and "not what the lock says" in message
    assert hashlib.sha256(ARCHIVE).hexdigest() in message


def test_rows_not_matching_the_lock_are_refused(hub: HubServer, tmp_path: Path) -> None:
    hub.plain["/set.zip"] = ARCHIVE
    message = refused(archive_lock(hub, rows_sha256="a" * 64), tmp_path, ("url",))
    assert hash_rows(ROWS["train"]) in message and "a" * 64 in message


def test_new_archive_in_the_lock_is_staged_again(hub: HubServer, tmp_path: Path) -> None:
    hub.plain["/set.zip"] = ARCHIVE
    stage("datasets", KEY, archive_lock(hub), Sources(order=("url",)), tmp_path)
    newer = hub.plain["/set.zip"] = archive(train="a\tb\tneutral\n", test="a\tb\tneutral\n")
    stage("datasets", KEY, archive_lock(hub, newer), Sources(order=("url",)), tmp_path)
    table = pq.read_table(tmp_path / "datasets" / KEY / "train-00000-of-00001.parquet")
    assert table.to_pylist() == [{"premise": "a", "hypothesis": "b", "label": "neutral"}]


@pytest.mark.parametrize(
    ("content", "member", "said"),
    [
        (b"no archive", "set/{}.tsv", "not a whole archive"),
        (ARCHIVE[: len(ARCHIVE) // 2], "set/{}.tsv", "not a whole archive"),
        (ARCHIVE, "set/{}.txt", "no set/train.txt in the archive (did you mean 'set/train.tsv'?)"),
        (archive(train="a\tb\n", test="a\tb\tneutral\n"), "set/{}.tsv", "line 1: not in the format of 'scitail'"),
        (archive(train="", test="a\tb\tneutral\n"), "set/{}.tsv", "no rows of split 'train'"),
    ],
)
def test_unreadable_archive_error_names_the_cause(
    hub: HubServer, tmp_path: Path, content: bytes, member: str, said: str
) -> None:
    hub.plain["/set.zip"] = content
    message = refused(archive_lock(hub, None, member), tmp_path, ("url",))
    assert said in message and "/set.zip" in message


def test_archive_from_an_interrupted_run_is_not_fetched_again(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.plain["/set.zip"] = ARCHIVE
    with monkeypatch.context() as patch:
        patch.setattr("steadytune.store.url.parse_file", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stage("datasets", KEY, archive_lock(hub), Sources(order=("url",)), tmp_path)
    stage("datasets", KEY, archive_lock(hub), Sources(order=("url",)), tmp_path)
    assert hub.downloads() == ["/set.zip"]

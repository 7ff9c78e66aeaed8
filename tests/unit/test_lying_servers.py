"""Hubs, mirrors and URLs that lie: disk use is bounded, only the store is written, errors fit in one line."""

import json
import logging
import socket
import ssl
from contextlib import suppress
from http.client import InvalidURL
from pathlib import Path
from urllib.error import URLError

import pytest
from hub_server import HubServer
from locks import FILES, KEY, REPO, TRAIN_PATH, hub_pin, lock_of, refused, stage_hub
from test_encoders import make_config

from steadytune.encoders.architectures import check_supported
from steadytune.encoders.loading import load_encoder
from steadytune.encoders.weight_files import INDEX
from steadytune.errors import SteadyTuneError
from steadytune.store.download import ATTEMPTS
from steadytune.store.lock import Lock
from steadytune.store.staging import stage
from steadytune.suite.file import Sources

INFO = f"/api/datasets/{REPO}"
MEBIBYTE = 1 << 20


def disk(folder: Path) -> int:
    """Total size in bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1000)


@pytest.mark.parametrize("commit", ["../../../outside", "/tmp/outside", "main", "A" * 40, "", None, 5, ["a" * 40]])
def test_invalid_commit_from_the_hub_downloads_nothing(hub: HubServer, tmp_path: Path, commit: object) -> None:
    store = tmp_path / "a/store"
    hub.commit("datasets", REPO, FILES)
    hub.lies[INFO] = (200, {}, json.dumps({"id": REPO, "sha": commit, "siblings": []}).encode())
    assert REPO in refused(lock_of(hub=hub_pin(None)), store)
    assert not hub.downloads()
    assert {path.name for path in tmp_path.rglob("*")} <= {"a", "store", ".locks", ".downloads"} | {
        path.name for folder in (".locks", ".downloads") for path in (store / folder).iterdir()
    }


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]", b"null", b'"text"', b'{"siblings": 5}', b"<!DOCTYPE html><p>", b"\xff"]
)
def test_malformed_hub_answer_is_refused(hub: HubServer, tmp_path: Path, answer: bytes) -> None:
    hub.lies[INFO] = (200, {}, answer)
    assert REPO in refused(lock_of(hub=hub_pin(None)), tmp_path)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (500, {}),
        (302, {"Location": "file:///etc/passwd"}),
        (302, {"Location": "http://["}),
        (302, {}),
        (200, {"ETag": '"../../../../outside"'}),
        (200, {"ETag": '"' + "a" * 5000 + '"'}),
        (200, {"X-Linked-Size": "-5"}),
        (200, {"X-Linked-Size": "many"}),
        (200, {"X-Linked-Size": "9" * 30}),
        (200, {"Content-Length": "-1"}),
        (200, {"X-Repo-Commit": "../../outside\x0bmore"}),
    ],
)
def test_strange_file_headers_write_nothing_outside_the_store(
    hub: HubServer, tmp_path: Path, no_waiting: None, status: int, headers: dict[str, str]
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    hub.lies[TRAIN_PATH.format(commit)] = (status, {"X-Repo-Commit": commit, "ETag": '"a"'} | headers, b"other")
    store = tmp_path / "a/b/c/store"
    refused(lock_of(hub=hub_pin(commit)), store)
    # An unpinned file cannot be checked against the lock, so staging it may succeed.
    with suppress(SteadyTuneError):
        stage_hub(lock_of(hub=hub_pin(None)), store)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.is_relative_to(store)]


@pytest.mark.parametrize("sized", [True, False])
def test_download_of_a_pinned_file_stops_at_its_pinned_size(
    hub: HubServer, tmp_path: Path, _small_chunks: None, no_waiting: None, sized: bool
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    headers = {"X-Repo-Commit": commit, "ETag": '"a"'} | ({"Content-Length": str(50 * MEBIBYTE)} if sized else {})
    hub.lies[TRAIN_PATH.format(commit)] = (200, headers, None)
    message = refused(lock_of(hub=hub_pin(commit)), tmp_path)
    assert "10000" in message and "train.parquet" in message
    assert disk(tmp_path) < 1000


@pytest.mark.parametrize("sized", [True, False])
def test_download_of_an_unpinned_file_stops_at_unpinned_limit(
    hub: HubServer, tmp_path: Path, _small_chunks: None, no_waiting: None, sized: bool
) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    headers = {"X-Repo-Commit": commit, "ETag": '"a"'} | ({"Content-Length": str(50 * MEBIBYTE)} if sized else {})
    hub.lies[TRAIN_PATH.format(commit)] = (200, headers, None)
    sources = Sources(order=("hub",), unpinned_limit=MEBIBYTE)
    with pytest.raises(SteadyTuneError, match=r"train.parquet.*1048576.*unpinned_limit"):
        stage("datasets", KEY, lock_of(hub=hub_pin(None)), sources, tmp_path)
    assert disk(tmp_path) < 1000


@pytest.mark.parametrize("secret", ["pass-word", "user-name"])
def test_endpoint_credentials_appear_in_no_message(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, secret: str
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint.replace("//", "//user-name:pass-word@"))
    said = []
    for status in (500, 404, 403):
        hub.lies[INFO] = (status, {}, b"")
        said.append(refused(lock_of(hub=hub_pin(None)), tmp_path))
    hub.lies[INFO] = (200, {}, b'{"id": "a/b", "sha": "x"}')
    said.append(refused(lock_of(hub=hub_pin(None)), tmp_path))
    assert hub.endpoint.removeprefix("http://") in said[-1]
    assert secret not in "".join(said) + caplog.text


# Plain URLs


def url_lock(hub: HubServer) -> Lock:
    """A lock whose only data set is an unpinned file at a URL."""
    files = {"train.parquet": {"url": f"{hub.endpoint}/train.parquet"}}
    return lock_of(url={"origin": "o", "licence": "l", "unpinned": True, "files": files})


@pytest.mark.parametrize("length", [None, "-5", "many", str(1 << 40)])
def test_endless_download_from_a_url_stops_at_unpinned_limit(
    hub: HubServer, tmp_path: Path, no_waiting: None, length: str | None
) -> None:
    hub.lies["/train.parquet"] = (200, {} if length is None else {"Content-Length": length}, None)
    with pytest.raises(SteadyTuneError, match="train"):
        stage("datasets", KEY, url_lock(hub), Sources(order=("url",), unpinned_limit=MEBIBYTE), tmp_path)
    assert disk(tmp_path) < 1000


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[", "//", "data:text/plain,x", "/train.parquet"]
)
def test_unusable_redirect_is_refused(hub: HubServer, tmp_path: Path, no_waiting: None, target: str) -> None:
    hub.lies["/train.parquet"] = (302, {"Location": target}, b"")
    assert "train.parquet" in refused(url_lock(hub), tmp_path, ("url",))


@pytest.mark.parametrize(
    ("error", "said", "tries"),
    [
        (URLError(ssl.SSLCertVerificationError(1, "certificate verify failed")), "certificate verify failed", 1),
        (URLError(socket.gaierror(-2, "Name or service not known")), "Name or service not known", ATTEMPTS),
        (InvalidURL("'/a b?key=secret'"), "not valid", 1),
        (ssl.SSLEOFError(8, "EOF"), "connection lost", ATTEMPTS),
    ],
)
def test_connection_error_states_its_cause_and_retries_if_transient(
    hub: HubServer, tmp_path: Path, no_waiting: None, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str,
    tries: int,
) -> None:  # fmt: skip
    asked = []

    def fail(*_: object, **__: object) -> None:
        asked.append(1)
        raise error

    monkeypatch.setattr("steadytune.store.download._OPENER.open", fail)
    message = refused(url_lock(hub), tmp_path, ("url",))
    assert said in message and "secret" not in message
    assert len(asked) == tries


def test_partial_download_of_another_commit_is_removed(hub: HubServer, tmp_path: Path) -> None:
    old = tmp_path / ".downloads/datasets--owner--glue--rte" / ("b" * 40)
    old.mkdir(parents=True)
    (old / "half").write_bytes(b"half")
    commit = hub.commit("datasets", REPO, FILES)
    stage_hub(lock_of(hub=hub_pin(commit)), tmp_path)
    assert not list((tmp_path / ".downloads").iterdir())


# Encoders whose index or config.json names files other than the folder's safetensors


@pytest.mark.parametrize(
    "index",
    [
        {"weight_map": {"a": "pytorch_model.bin"}},
        {"weight_map": {"a": "../elsewhere/model.safetensors"}},
        {"weight_map": {"a": "/tmp/model.safetensors"}},
        {"weight_map": {"a": "gone.safetensors"}},
        {"weight_map": {"a": ["part.safetensors"]}},
        {"weight_map": ["part.safetensors"]},
        {"weight_map": {}},
        [],
        "text",
    ],
)
def test_bad_weight_index_is_refused_without_reading_a_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: object
) -> None:
    monkeypatch.setattr("torch.load", lambda *_, **__: pytest.fail("a pickle was read"))
    make_config("bert").save_pretrained(tmp_path)
    for name in ("pytorch_model.bin", "part.safetensors"):
        (tmp_path / name).write_bytes(b"weights")
    value = {"metadata": {}} | index if isinstance(index, dict) else index
    (tmp_path / INDEX).write_text(json.dumps(value))
    for use in (lambda: load_encoder(tmp_path, 2, 0), lambda: check_supported(tmp_path)):
        with pytest.raises(SteadyTuneError) as caught:
            use()
        assert INDEX in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {"transformers_weights": "../model.safetensors"},
        {"transformers_weights": "adapter_model.bin"},
        {"hidden_size": "wide"},
        {"num_hidden_layers": None},
        {"hidden_size": [1]},
    ],
)
def test_invalid_config_json_is_refused(tmp_path: Path, values: dict) -> None:
    make_config("bert").save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(SteadyTuneError, match=r"config\.json"):
        load_encoder(tmp_path, 2, 0)

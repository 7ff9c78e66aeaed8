import hashlib
import sys
import types
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_server import HubServer
from locks import FILES, KEY, REPO, TRAIN, VALIDATION, hub_pin, local_lock, lock_of, pins, refused

from steadytune.errors import SteadyTuneError
from steadytune.store.lock import Lock
from steadytune.store.receipt import (
    RECEIPT,
    Receipt,
    hash_rows,
    measure,
    read_receipt,
    receipt_digest,
    verify,
    write_receipt,
)
from steadytune.store.staging import stage
from steadytune.suite.file import Sources


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A store staged elsewhere."""
    folder = tmp_path / "elsewhere/datasets" / KEY
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        (folder / Path(name).name).write_bytes(content)
    return tmp_path / "elsewhere"


# The local source, and behaviour shared by every source


def test_local_files_are_copied_and_described_in_the_receipt(elsewhere: Path, tmp_path: Path) -> None:
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


def test_staging_again_rewrites_nothing(elsewhere: Path, tmp_path: Path) -> None:
    def run() -> tuple[Receipt, dict[str, int]]:
        receipt = stage("datasets", KEY, local_lock(), Sources(order=("local",), local=elsewhere), tmp_path / "store")
        folder = tmp_path / "store/datasets" / KEY
        return receipt, {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    assert run() == run()


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "receipt", "nested"])
def test_verify_reports_damage_and_restaging_repairs_it(elsewhere: Path, tmp_path: Path, damage: str) -> None:
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
            path.write_text(path.read_text()[:-20] if damage == "receipt" else "[" * 200_000)
            expected = "damaged receipt"
    with pytest.raises(SteadyTuneError) as caught:
        verify(folder)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and expected in message and "steadytune stage" in message
    if damage == "flip":
        assert hashlib.sha256(TRAIN).hexdigest() in message

    assert stage("datasets", KEY, local_lock(), sources, store) == whole == verify(folder)
    assert (folder / "train.parquet").read_bytes() == TRAIN


def test_verify_of_an_unstaged_folder_suggests_the_stage_command(tmp_path: Path) -> None:
    with pytest.raises(SteadyTuneError, match=r"nowhere: not staged.*`steadytune stage SUITE`"):
        verify(tmp_path / "nowhere")


def test_interrupted_copy_resumes(elsewhere: Path, tmp_path: Path) -> None:
    folder = tmp_path / "store/datasets" / KEY
    folder.mkdir(parents=True)
    (folder / "train.parquet").write_bytes(TRAIN)  # already moved here before the interruption
    inode = (folder / "train.parquet").stat().st_ino
    (elsewhere / "datasets" / KEY / "train.parquet").unlink()  # so it cannot be copied again
    (folder / "validation.parquet").write_bytes(b"half")
    stage("datasets", KEY, local_lock(), Sources(order=("local",), local=elsewhere), tmp_path / "store")
    assert (folder / "train.parquet").stat().st_ino == inode
    assert (folder / "validation.parquet").read_bytes() == VALIDATION


def test_local_file_not_matching_the_lock_is_refused(elsewhere: Path, tmp_path: Path) -> None:
    lock = local_lock({**FILES, "rte/train.parquet": b"other rows"})
    message = refused(lock, tmp_path / "store", ("local",), elsewhere)
    assert "train.parquet" in message
    assert hashlib.sha256(b"other rows").hexdigest() in message and hashlib.sha256(TRAIN).hexdigest() in message


def test_failed_restaging_keeps_the_old_files(elsewhere: Path, tmp_path: Path) -> None:
    sources = Sources(order=("local",), local=elsewhere)
    old = stage("datasets", KEY, local_lock(), sources, tmp_path / "store")
    with pytest.raises(SteadyTuneError):
        stage("datasets", KEY, local_lock({**FILES, "rte/train.parquet": b"other rows"}), sources, tmp_path / "store")
    assert verify(tmp_path / "store/datasets" / KEY) == old


def test_changed_pin_restages_and_removes_files_no_longer_pinned(elsewhere: Path, tmp_path: Path) -> None:
    sources, store = Sources(order=("local",), local=elsewhere), tmp_path / "store"
    old = stage("datasets", KEY, local_lock(), sources, store)
    new = stage("datasets", KEY, local_lock({"rte/train.parquet": TRAIN}), sources, store)
    assert {path.name for path in (store / "datasets" / KEY).iterdir()} == {"train.parquet", RECEIPT}
    assert receipt_digest(new) != receipt_digest(old)


def test_missing_local_store_error_names_path_key_and_variable(tmp_path: Path) -> None:
    message = refused(local_lock(), tmp_path / "store", ("local",), tmp_path / "gone")
    assert all(part in message for part in (str(tmp_path / "gone"), "sources.local", "STEADYTUNE_STORE"))
    message = refused(local_lock(), tmp_path / "store", ("local",), None)
    assert "sources.local" in message


def test_file_missing_from_the_local_store_is_named(elsewhere: Path, tmp_path: Path) -> None:
    (elsewhere / "datasets" / KEY / "train.parquet").unlink()
    message = refused(local_lock(), tmp_path / "store", ("local",), elsewhere)
    assert str(elsewhere / "datasets" / KEY / "train.parquet") in message


def test_first_source_in_order_with_a_pin_is_used(elsewhere: Path, tmp_path: Path, hub: HubServer) -> None:
    commit = hub.commit("datasets", REPO, FILES)
    local = {"origin": "a copy", "licence": "MIT", "files": pins(FILES)}
    lock = lock_of(local=local, hub=hub_pin(commit))
    for sources in (Sources(order=("url", "local", "hub"), local=elsewhere), Sources(order=("hub", "local"))):
        receipt = stage("datasets", KEY, lock, sources, tmp_path / "store")
        assert receipt.source == next(kind for kind in sources.order if kind != "url")
    assert "the lock has it from hub, local" in refused(lock, tmp_path / "other", ("url",))


def test_staging_the_projects_own_encoder_points_to_pretraining(tmp_path: Path) -> None:
    lock = lock_of("steadytune/mini", "models", pretrained={"config": "config/encoders/mini.yaml"})
    with pytest.raises(SteadyTuneError, match=r"models/steadytune/mini: .*pretrain.* config/encoders/mini\.yaml"):
        stage("models", "steadytune/mini", lock, Sources(), tmp_path)


# Generated data

ROWS = [{"text": "a b", "label": 1, "score": 0.5}, {"text": "ç", "label": 0, "score": 1.0}]


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[dict]]:
    """Replace the mini language's generator by one whose splits a test can change."""
    splits = {"train": ROWS}
    module = types.ModuleType("minilanguage")
    vars(module)["generate"] = lambda config, seed: {"rte": splits}[config]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return splits


def generated_lock(rows_sha256: str | None) -> Lock:
    """A lock whose only data set is generated."""
    file = {"rows_sha256": rows_sha256} if rows_sha256 else {}
    files = {"train-00000-of-00001.parquet": file}
    pin = {"generator": "mini", "unpinned": rows_sha256 is None, "files": files}
    return lock_of("steadytune/mini/rte", generated=pin)


@pytest.mark.parametrize(("expected", "pinned_by"), [(hash_rows(ROWS), "lock"), (None, "generated")])
def test_generated_rows_are_written_once_with_their_hash(
    generator: dict, tmp_path: Path, expected: str | None, pinned_by: str
) -> None:
    lock = generated_lock(expected)
    receipt = stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    folder = tmp_path / "datasets/steadytune/mini/rte"
    assert pq.read_table(folder / "train-00000-of-00001.parquet").to_pylist() == ROWS
    assert (receipt.source, receipt.pinned_by) == ("generated", pinned_by)
    assert read_receipt(folder).files["train-00000-of-00001.parquet"].rows_sha256 == hash_rows(ROWS)
    generator.clear()  # so generating again would fail
    assert stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path) == receipt


def test_changed_generator_output_is_refused(generator: dict, tmp_path: Path) -> None:
    generator["train"] = [*ROWS, {"text": "new", "label": 1, "score": 0.0}]
    message = refused(generated_lock(hash_rows(ROWS)), tmp_path, key="steadytune/mini/rte")
    assert hash_rows(ROWS) in message and hash_rows(generator["train"]) in message
    generator["test"] = ROWS
    assert "test-00000-of-00001.parquet" in refused(generated_lock(None), tmp_path, key="steadytune/mini/rte")


def test_damaged_generated_file_is_regenerated(generator: dict, tmp_path: Path) -> None:
    lock = generated_lock(hash_rows(ROWS))
    stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    path = tmp_path / "datasets/steadytune/mini/rte/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-10])
    stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    assert pq.read_table(path).to_pylist() == ROWS


def test_forged_row_hash_in_a_receipt_is_detected(generator: dict, tmp_path: Path) -> None:
    lock = generated_lock(hash_rows(ROWS))
    receipt = stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path)
    folder = tmp_path / "datasets/steadytune/mini/rte"
    (name,) = receipt.files
    pq.write_table(pa.Table.from_pylist([{**row, "label": 1 - row["label"]} for row in ROWS]), folder / name)
    forged = replace(measure(folder / name), rows_sha256=hash_rows(ROWS))
    write_receipt(folder, replace(receipt, files={name: forged}))
    with pytest.raises(SteadyTuneError, match=rf"{name}: corrupted: rows of SHA-256 .*{hash_rows(ROWS)}"):
        verify(folder)
    assert stage("datasets", "steadytune/mini/rte", lock, Sources(), tmp_path) == receipt
    assert pq.read_table(folder / name).to_pylist() == ROWS


def test_receipt_digest_depends_only_on_content() -> None:
    def digest(origin: str, file: str, rows: str | None) -> str:
        from steadytune.store.receipt import StagedFile

        return receipt_digest(Receipt("hub", origin, None, "lock", {"a": StagedFile(file, 1, rows)}))

    assert digest("here", "1", None) == digest("there", "1", None) != digest("here", "2", None)
    assert digest("here", "1", "rows") == digest("here", "2", "rows") != digest("here", "1", "others")

"""`steadytune stage`: staging, checking, bundling and unpacking what a suite needs."""

import io
import json
import logging
import os
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import yaml
from locks import pins

from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.layout import LOCK
from steadytune.pretraining.settings import Settings, pretrained_otherwise
from steadytune.store.bundle import MANIFEST, pack, unpack
from steadytune.store.inventory import Item
from steadytune.store.lock import load_lock
from steadytune.store.receipt import RECEIPT, Receipt, measure_all, read_receipt, verify, write_receipt
from steadytune.suite.cell import canonical_digest
from steadytune.suite.loading import load_suite


def table(*columns: str) -> bytes:
    """A parquet file of two rows."""
    buffer = io.BytesIO()
    parquet.write_table(pa.table({name: ["a", "b"] for name in columns} | {"label": [0, 1]}), buffer)
    return buffer.getvalue()


ROOT = Path(__file__).resolve().parents[2]
RTE_FILE = table("sentence1", "sentence2")
FILES = {
    "datasets/nyu-mll/glue/rte": {"train-00000-of-00001.parquet": RTE_FILE, "validation.parquet": RTE_FILE},
    "datasets/nyu-mll/glue/qnli": {"validation-00000-of-00001.parquet": table("question", "sentence")},
    "models/a/tiny": {"config.json": b"{}", "model.safetensors": b"weights", "part/vocab.txt": b"words"},
}
SUITE = {
    "suite": "demo",
    "title": "Demonstration",
    "sources": {"order": ["local"], "local": "elsewhere"},
    "encoders": {"tiny": {"model": "a/tiny"}},
    "grid": [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["rte"], "seeds": 1}],
    "transfer": {"rte": ["qnli"]},
}


def write_project(folder: Path) -> None:
    """Write a suite, its lock, and a store elsewhere that has every file."""
    lock: dict = {"datasets": {}, "models": {}}
    for where, files in FILES.items():
        kind, _, key = where.partition("/")
        lock[kind][key] = {"local": {"origin": "a copy", "licence": "MIT", "files": pins(files)}}
        for name, content in files.items():
            path = folder / "elsewhere" / where / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    (folder / "config").mkdir()
    (folder / LOCK).write_text(yaml.safe_dump(lock))
    (folder / "demo.yaml").write_text(yaml.safe_dump(SUITE))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project's folder, as the working directory."""
    folder = tmp_path / "here"
    folder.mkdir()
    write_project(folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("STEADYTUNE_STORE", raising=False)
    return folder


@pytest.fixture
def other(tmp_path: Path, project: Path) -> Path:
    """The same project on a machine without any source of files."""
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "config").symlink_to(project / "config")
    (folder / "demo.yaml").symlink_to(project / "demo.yaml")
    return folder


def store_bytes(folder: Path) -> dict[str, bytes]:
    """Every file of the store by name, except the hidden files that staging works with."""
    root = folder / "store"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".")
    }


def test_stage_logs_a_line_with_the_bytes_of_every_entry(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert main(["stage", "demo.yaml"]) == 0
    lines = [message for message in caplog.messages if "bytes" in message]
    assert len(lines) == 3
    said = f"2 files, {2 * len(RTE_FILE):,} bytes, local (a copy), pinned by lock"
    assert lines[1] == f"datasets/nyu-mll/glue/rte: {said}"
    caplog.clear()
    assert main(["stage", "demo.yaml"]) == 0
    assert sum(": in place: " in message for message in caplog.messages) == 3


def test_stage_of_one_entry_stages_nothing_else(project: Path) -> None:
    assert main(["stage", "demo.yaml", "models", "a/tiny"]) == 0
    assert store_bytes(project).keys() == {f"models/a/tiny/{name}" for name in (*FILES["models/a/tiny"], RECEIPT)}


def test_stage_and_check_accept_one_kind_alone(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["stage", "demo.yaml", "datasets"]) == 0
    assert {name.split("/")[0] for name in store_bytes(project)} == {"datasets"}
    capsys.readouterr()
    assert main(["stage", "demo.yaml", "--check", "datasets"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["ok", "ok"]


# --check


def check(capsys: pytest.CaptureFixture) -> tuple[int, list[str]]:
    """Exit status and lines."""
    capsys.readouterr()
    status = main(["stage", "demo.yaml", "--check"])
    return status, capsys.readouterr().out.splitlines()


def test_check_of_a_complete_store_is_ok_and_changes_nothing(project: Path, capsys: pytest.CaptureFixture) -> None:
    main(["stage", "demo.yaml"])
    before = store_bytes(project)
    status, lines = check(capsys)
    assert status == 0
    assert [line.split(":")[0].split() for line in lines] == [["ok", where] for where in sorted(FILES)]
    assert store_bytes(project) == before


@pytest.mark.parametrize("damage", ["missing", "damaged", "outdated", "receipt"])
def test_check_reports_faults_and_changes_nothing(project: Path, capsys: pytest.CaptureFixture, damage: str) -> None:
    main(["stage", "demo.yaml"])
    folder = Path("store/datasets/nyu-mll/glue/rte")
    match damage:
        case "missing":
            (folder / RECEIPT).unlink()
        case "damaged":
            (folder / "validation.parquet").write_bytes(b"mOre")
        case "receipt":
            (folder / RECEIPT).write_text("{")
        case _:
            lock = yaml.safe_load(LOCK.read_text())
            lock["datasets"]["nyu-mll/glue/rte"]["local"]["files"]["validation.parquet"]["sha256"] = "a" * 64
            LOCK.write_text(yaml.safe_dump(lock))
    before = store_bytes(project)
    status, lines = check(capsys)
    assert status == 2
    assert lines[1].split(":")[0].split() == [{"receipt": "damaged"}.get(damage, damage), "datasets/nyu-mll/glue/rte"]
    assert [line.split()[0] for line in lines[::2]] == ["ok", "ok"]
    assert store_bytes(project) == before


def test_check_accepts_entries_that_no_listed_source_could_fetch(project: Path, capsys: pytest.CaptureFixture) -> None:
    main(["stage", "demo.yaml"])
    (project / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"sources": {"order": ["hub"]}}))
    status, lines = check(capsys)
    assert status == 0
    assert [line.split()[0] for line in lines] == ["ok"] * len(FILES)


def test_check_reports_a_missing_corpus_and_its_encoder_as_later(
    root: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").symlink_to(root / "config")
    monkeypatch.chdir(tmp_path)
    status, lines = main(["stage", "mini", "--check"]), capsys.readouterr().out.splitlines()
    assert status == 2
    states = {line.split(":")[0].split()[1]: line.split()[0] for line in lines}
    assert states["datasets/steadytune/mini/corpus"] == "missing"
    assert states["models/steadytune/mini"] == "later"
    assert main(["stage", "mini", "models", "steadytune/mini", "--check"]) == 0
    assert capsys.readouterr().out.startswith("later")


def test_check_with_an_import_option_is_rejected(project: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["stage", "demo.yaml", "--check", "--glue", "."]) == 2
    assert "stage with those first" in capsys.readouterr().err


# --bundle and --from


def bundle(project: Path, name: str = "suite.tar") -> Path:
    """A bundle of the demo suite."""
    assert main(["stage", "demo.yaml", "--bundle", name]) == 0
    return project / name


def test_bundle_reproduces_the_store_without_other_sources(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    path = bundle(project)
    monkeypatch.chdir(other)
    assert main(["stage", "demo.yaml", "--from", str(path)]) == 0
    assert store_bytes(other) == store_bytes(project)
    for where in FILES:
        assert verify(other / "store" / where) == read_receipt(project / "store" / where)
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert main(["stage", "demo.yaml"]) == 0  # nothing is left to fetch
    assert not list((other / "store/.downloads").iterdir())


def test_bundle_bytes_depend_only_on_the_contents_of_its_files(project: Path) -> None:
    first = bundle(project, "one.tar").read_bytes()
    for path in Path("store").rglob("*"):
        os.utime(path, (1, 1))
        if path.is_file():
            path.chmod(0o600)
    assert bundle(project, "two.tar").read_bytes() == first
    with tarfile.open("one.tar") as tar:
        names = tar.getnames()
        assert names[0] == MANIFEST and names[1:] == sorted(names[1:])
        assert {(member.mtime, member.uid, member.gid, member.uname) for member in tar} == {(0, 0, 0, "")}


def test_unpacking_again_changes_nothing(project: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(project)
    monkeypatch.chdir(other)

    def run() -> dict[Path, int]:
        assert main(["stage", "demo.yaml", "--from", str(path)]) == 0
        return {file: file.stat().st_mtime_ns for file in sorted((other / "store/models").rglob("*"))}

    assert run() == run()


def test_incomplete_bundle_is_unpacked_and_exits_with_2(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    value = SUITE | {"suite": "less", "transfer": {"rte": []}}
    (project / "less.yaml").write_text(yaml.safe_dump(value))
    assert main(["stage", "less.yaml", "--bundle", "less.tar"]) == 0
    monkeypatch.chdir(other)
    capsys.readouterr()
    assert main(["stage", "demo.yaml", "--from", str(project / "less.tar")]) == 2
    assert "missing   datasets/nyu-mll/glue/qnli" in capsys.readouterr().out
    assert (other / "store/datasets/nyu-mll/glue/rte" / RECEIPT).is_file()


@pytest.fixture
def trained(project: Path) -> Path:
    """The demo suite with an encoder that the workflow has trained, from text that no cell reads."""
    lock = yaml.safe_load(LOCK.read_text())
    lock["models"]["own/mini"] = {"pretrained": {"config": "config/own.yaml"}}
    LOCK.write_text(yaml.safe_dump(lock))
    own = yaml.safe_load((ROOT / "config/encoders/mini.yaml").read_text()) | {"corpus": "nyu-mll/glue/qnli"}
    (project / "config/own.yaml").write_text(yaml.safe_dump(own))
    value = SUITE | {"encoders": {"tiny": {"model": "own/mini"}}, "transfer": {"rte": []}}
    (project / "demo.yaml").write_text(yaml.safe_dump(value))
    folder = project / "store/models/own/mini"
    folder.mkdir(parents=True)
    settings = Settings.model_validate(own).model_dump(mode="json")
    (folder / "pretraining.json").write_text(json.dumps({"settings": settings, "minutes": None}))
    for name in set(TRAINED) - {"pretraining.json"}:
        (folder / name).write_bytes(b"trained")
    seal(folder)
    return folder


TRAINED = ("config.json", "model.safetensors", "pretraining.json", "tokenizer.json")


def seal(folder: Path, source: str = "pretrained", pinned_by: str = "generated", more: tuple[str, ...] = ()) -> None:
    """Write the receipt of the trained encoder."""
    files = measure_all(folder, [*TRAINED, *more])
    made_from = {"settings": canonical_digest(yaml.safe_load(Path("config/own.yaml").read_text()))}
    write_receipt(folder, Receipt(source, "nyu-mll/glue/qnli", None, pinned_by, files, made_from))


def test_bundle_includes_a_pretrained_encoder_and_its_corpus(
    project: Path, other: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bundle(project)
    monkeypatch.chdir(other)
    assert main(["stage", "demo.yaml", "--from", str(path)]) == 0
    receipt = verify(other / "store/models/own/mini")
    assert receipt.files == read_receipt(trained).files
    assert (receipt.source, receipt.pinned_by) == ("bundle", "bundle")
    assert (other / "store/datasets/nyu-mll/glue/qnli" / RECEIPT).is_file()


def test_bundled_encoder_from_the_hub_is_not_accepted_as_pretrained(
    project: Path, other: Path, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal(trained, "hub", "stage")
    path = bundle(project)
    monkeypatch.chdir(other)
    assert "models/own/mini: not what the lock says" in refused_bundle(path)


def test_bundled_pretrained_weights_are_never_marked_as_pinned_by_the_lock(
    project: Path, other: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (trained / "model.safetensors").write_bytes(b"halved")
    seal(trained, pinned_by="lock")
    path = bundle(project)
    monkeypatch.chdir(other)
    assert main(["stage", "demo.yaml", "--from", str(path)]) == 0
    receipt = read_receipt(other / "store/models/own/mini")
    assert (receipt.source, receipt.pinned_by) == ("bundle", "bundle")
    assert read_receipt(other / "store/datasets/nyu-mll/glue/qnli").pinned_by == "lock"
    assert f"models/own/mini: only the maker of {path} vouches" in caplog.text


@pytest.mark.parametrize("fault", ["settings", "minutes", "damaged", "more", "less"])
def test_bundled_encoder_with_other_training_or_files_is_rejected(
    project: Path, other: Path, trained: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    record = json.loads((trained / "pretraining.json").read_text())
    match fault:
        case "settings":
            record["settings"]["seed"] += 1
        case "minutes":
            record["minutes"] = 3.0
        case "damaged":
            record = []
        case "more":
            (trained / "notes.txt").write_text("extra")
    (trained / "pretraining.json").write_text(json.dumps(record))
    seal(trained, more=("notes.txt",) if fault == "more" else ())
    if fault == "less":
        files = measure_all(trained, ["config.json", "model.safetensors"])
        write_receipt(trained, Receipt("pretrained", "text", None, "generated", files))
    path = bundle(project)
    monkeypatch.chdir(other)
    assert "models/own/mini: not what the lock says" in refused_bundle(path)


def unpin(where: str) -> None:
    """Change an entry of the lock to come only from the hub, without hashes."""
    lock = yaml.safe_load(LOCK.read_text())
    kind, _, key = where.partition("/")
    files = {name: {} for name in lock[kind][key]["local"]["files"]}
    lock[kind][key] = {"hub": {"repo": "a/b", "unpinned": True, "files": files}}
    LOCK.write_text(yaml.safe_dump(lock))


@pytest.mark.parametrize("claim", [("hub", "a/b", "c" * 40, "stage"), ("hub", "a/b", "c" * 40, "lock")])
def test_unpinned_files_of_a_bundle_are_marked_as_pinned_by_the_bundle(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch, claim: tuple
) -> None:
    main(["stage", "demo.yaml"])
    folder = project / "store" / RTE
    write_receipt(folder, Receipt(*claim, read_receipt(folder).files))
    path = project / "suite.tar"
    pack([Item("datasets", "nyu-mll/glue/rte")], project / "store", path)
    unpin(RTE)
    value = SUITE | {"sources": {"order": ["hub", "local"], "local": "elsewhere"}}
    (project / "demo.yaml").write_text(yaml.safe_dump(value))
    monkeypatch.chdir(other)
    if claim[-1] == "lock":
        assert RTE in refused_bundle(path)
        return
    unpack(path, load_suite(Path("demo.yaml")), load_lock(LOCK), pretrained_otherwise)
    receipt = read_receipt(other / "store" / RTE)
    assert (receipt.source, receipt.pinned_by) == ("bundle", "bundle")
    assert main(["stage", "demo.yaml", "datasets", "nyu-mll/glue/rte", "--check"]) == 0
    assert main(["stage", "demo.yaml", "datasets", "nyu-mll/glue/rte"]) == 0  # does not contact the hub
    assert read_receipt(other / "store" / RTE) == receipt


def test_unpinned_entry_that_the_suite_does_not_read_is_rejected(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = imported(project, RTE, GLUE_FILES)
    value = SUITE | {"grid": [SUITE["grid"][0] | {"tasks": ["qnli"]}], "transfer": {}}
    lock = yaml.safe_load(LOCK.read_text())
    files = lock["datasets"]["nyu-mll/glue/qnli"]["local"]["files"]
    files["train-00000-of-00001.parquet"] = next(iter(files.values()))
    LOCK.write_text(yaml.safe_dump(lock))
    (project / "demo.yaml").write_text(yaml.safe_dump(value))
    monkeypatch.chdir(other)
    assert f"{RTE}: demo.yaml does not read it" in refused_bundle(path)


def test_bundled_rows_that_differ_from_the_receipt_are_rejected(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").symlink_to(root / "config")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "demo.yaml").write_text((root / "config/mini.yaml").read_text())
    folder = tmp_path / "elsewhere/datasets/steadytune/mini/corpus"
    folder.mkdir(parents=True)
    name = "train-00000-of-00001.parquet"
    parquet.write_table(pa.table({"text": ["another corpus"]}), folder / name)
    pinned = load_lock(LOCK).entry("datasets", "steadytune/mini/corpus").pins()["generated"].files[name].rows_sha256
    file = replace(measure_all(folder, [name])[name], rows_sha256=pinned)
    write_receipt(folder, Receipt("generated", "minilanguage", None, "lock", {name: file}))
    path = tmp_path / "suite.tar"
    items = [Item("datasets", "steadytune/mini/corpus")]
    with pytest.raises(SteadyTuneError, match=f"{name}: corrupted: rows of SHA-256"):
        pack(items, tmp_path / "elsewhere", path)
    with monkeypatch.context() as forger:
        forger.setattr("steadytune.store.bundle.verify", read_receipt)
        pack(items, tmp_path / "elsewhere", path)
    assert "rows of SHA-256" in refused_bundle(path)


@pytest.mark.parametrize("claimed", [None, 1 << 30])
def test_sparse_member_of_a_bundle_is_not_extracted(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch, claimed: int | None
) -> None:
    """A member of 1 GiB that takes a few kilobytes of the bundle, in GNU tar's sparse format."""
    target = project / "sparse.tar"
    size = 1 << 30
    with tarfile.open(bundle(project)) as source, tarfile.open(target, "w") as tar:
        for member in source:
            content = source.extractfile(member).read()
            if member.name == MANIFEST:
                value = json.loads(content)
                value["files"][TRAIN]["bytes"] = claimed or value["files"][TRAIN]["bytes"]
                content = json.dumps(value).encode()
                member.size = len(content)
            if member.name == TRAIN:
                header = bytearray(member.tobuf(tarfile.GNU_FORMAT))
                header[156:157] = tarfile.GNUTYPE_SPARSE
                header[386:410] = b"%011o\0%011o\0" % (size - 512, min(len(content), 512))
                header[483:495] = b"%011o\0" % size
                header[148:156] = b" " * 8
                header[148:156] = b"%06o\0 " % sum(header[:512])
                tar.fileobj.write(bytes(header) + content + bytes(-len(content) % 512))
                tar.offset = tar.fileobj.tell()
            else:
                tar.addfile(member, io.BytesIO(content))
    monkeypatch.chdir(other)
    written = []
    monkeypatch.setattr("steadytune.store.bundle._copy", lambda handle, path: written.append(path))
    refused_bundle(target)
    assert not [path for path in written if path.name == Path(TRAIN).name]


def test_damaged_store_is_repaired_before_it_is_bundled(project: Path) -> None:
    first = bundle(project, "one.tar").read_bytes()
    (project / "store/models/a/tiny/config.json").write_bytes(b"[]")
    assert bundle(project, "two.tar").read_bytes() == first


Change = Callable[[str, tarfile.TarInfo, bytes], list[tuple[tarfile.TarInfo, bytes]]]


def rewrite(path: Path, change: Change, manifest: Callable[[dict], object] = lambda value: value) -> Path:
    """Write a copy of the bundle with its members and manifest changed."""
    target = path.with_name("evil.tar")
    with tarfile.open(path) as source, tarfile.open(target, "w") as tar:
        for member in source:
            handle = source.extractfile(member)
            content = handle.read() if handle else b""
            if member.name == MANIFEST:
                content = json.dumps(manifest(json.loads(content))).encode()
                members = [(member, content)]
            else:
                members = change(member.name, member, content)
            for info, data in members:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return target


def keep(name: str, member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member, content)]


def refused_bundle(path: Path) -> str:
    """Return the one-line error with which a bundle is rejected, and check that the store stays empty."""
    with pytest.raises(SteadyTuneError) as caught:
        unpack(path, load_suite(Path("demo.yaml")), load_lock(LOCK), pretrained_otherwise)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    assert store_bytes(Path()) == {} and not list(Path("store/.downloads").iterdir())
    return message


@pytest.fixture
def flat(project: Path) -> None:
    """The demo's encoder without files in subfolders."""
    lock = yaml.safe_load(LOCK.read_text())
    files = lock["models"]["a/tiny"]["local"]["files"]
    files["vocab.txt"] = files.pop("part/vocab.txt")
    (project / "elsewhere/models/a/tiny/part/vocab.txt").rename(project / "elsewhere/models/a/tiny/vocab.txt")
    LOCK.write_text(yaml.safe_dump(lock))


RTE = "datasets/nyu-mll/glue/rte"
TRAIN = f"{RTE}/train-00000-of-00001.parquet"


def spoil(name: str, member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member, content[:-1] + b"!" if name == TRAIN else content)]


def lose(name: str, member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [] if name == TRAIN else [(member, content)]


def repeat(name: str, member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return [(member, content)] * (2 if name == TRAIN else 1)


def link(name: str, member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    if name == TRAIN:
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        return [(member, b"")]
    return [(member, content)]


def climb(name: str, member: tarfile.TarInfo, content: bytes) -> list[tuple[tarfile.TarInfo, bytes]]:
    return (
        [(tarfile.TarInfo("../../outside.txt"), b"evil"), (member, content)] if name == TRAIN else [(member, content)]
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil, f"{TRAIN}: damaged"),
        (lose, f"not a whole bundle: no {TRAIN}"),
        (repeat, f"'{TRAIN}': expected plain files that the manifest lists"),
        (link, f"'{TRAIN}': expected plain files that the manifest lists"),
        (climb, "'../../outside.txt': expected plain files that the manifest lists"),
    ],
)
def test_bundle_with_wrong_members_is_rejected_and_leaves_no_file(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch, change: Change, said: str
) -> None:
    path = rewrite(bundle(project), change)
    monkeypatch.chdir(other)
    assert said in refused_bundle(path)
    assert not list(other.parent.glob("**/outside.txt"))


@pytest.mark.parametrize(
    "name",
    [
        "../../outside.txt", "/outside.txt", "datasets/../../../outside.txt", "datasets/a/b/c/../../../../x.txt",
        "config/lock.yaml", "outside.txt", "datasets/a/b/x.txt", "models/a/b/.hidden.txt", "models/a/b/run.py",
        "models/a/b/c/receipt.json", "",
    ],
)  # fmt: skip
def test_manifest_with_a_name_that_no_store_file_has_is_rejected(
    project: Path, other: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def add(value: dict) -> dict:
        return {"files": value["files"] | {name: {"sha256": "a" * 64, "bytes": 4}}}

    path = rewrite(bundle(project), keep, add)
    monkeypatch.chdir(other)
    assert f"{name!r}: not a name of a file in the store" in refused_bundle(path)


def test_file_that_is_no_whole_bundle_is_rejected(project: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bundle(project)
    broken = [rewrite(whole, keep, manifest).read_bytes() for manifest in (lambda _: [], lambda _: {"files": {"a": 1}})]
    monkeypatch.chdir(other)
    path = other / "broken.tar"
    content = whole.read_bytes()
    empty = io.BytesIO()
    tarfile.open(fileobj=empty, mode="w").close()
    cases = (
        (b"text" * 200, "not a whole bundle"),
        (b"", "not a whole bundle"),
        (content[:3000], "not a whole bundle"),
        (content[: len(content) // 2], "not a whole bundle"),
        (empty.getvalue(), "no bundle of `steadytune stage"),
        *((case, "manifest.json is damaged") for case in broken),
    )
    for case, said in cases:
        path.write_bytes(case)
        assert refused_bundle(path).removeprefix(f"{path}: ").startswith(said)
    path.unlink()
    assert refused_bundle(path) == f"{path}: No such file or directory"


def test_bundle_of_a_different_lock_is_rejected(project: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(project)
    lock = yaml.safe_load(LOCK.read_text())
    lock["datasets"]["nyu-mll/glue/rte"]["local"]["files"]["validation.parquet"]["sha256"] = "a" * 64
    LOCK.write_text(yaml.safe_dump(lock))
    monkeypatch.chdir(other)
    assert f"{RTE}: not what the lock says" in refused_bundle(path)


def imported(project: Path, where: str, files: dict[str, bytes], pinned_by: str = "import") -> Path:
    """Make a bundle with an entry that was imported from a user's own files, or claims to be."""
    assert main(["stage", "demo.yaml"]) == 0
    folder = project / "store" / where
    shutil.rmtree(folder)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    write_receipt(folder, Receipt("imported", "somewhere", None, pinned_by, measure_all(folder, files)))
    path = project / "imported.tar"
    pack([Item("datasets", "nyu-mll/glue/rte"), Item("models", "a/tiny")], project / "store", path)
    return path


def rows(count: int) -> bytes:
    file = io.BytesIO()
    parquet.write_table(pa.table({"sentence1": ["x"] * count, "label": [0] * count}), file)
    return file.getvalue()


GLUE_FILES = {"train-00000-of-00001.parquet": rows(2490), "validation-00000-of-00001.parquet": rows(277)}
WEIGHTS = {"config.json": b"{}", "model.safetensors": b"other weights"}


@pytest.mark.parametrize(
    ("where", "files", "pinned_by", "said"),
    [
        (RTE, GLUE_FILES, "lock", "says that it was imported, and pinned by lock"),
        (RTE, {"train-00000-of-00001.parquet": rows(2490)}, "import", "it has train-00000-of-00001.parquet, not"),
        (RTE, GLUE_FILES | {"test-00000-of-00001.parquet": rows(3)}, "import", "it has test-00000"),
        (RTE, GLUE_FILES | {"train-00000-of-00001.parquet": rows(1)}, "import", "has 1 rows where GLUE has 2490"),
        (RTE, GLUE_FILES | {"train-00000-of-00001.parquet": b"text"}, "import", "has no readable rows"),
        ("models/a/tiny", WEIGHTS, "lock", "says that it was imported, and pinned by lock"),
        ("models/a/tiny", WEIGHTS, "import", "not config.json, model.safetensors, vocab.txt"),
    ],
)
def test_bundled_import_that_no_import_could_bring_is_rejected(
    project: Path, other: Path, flat: None, monkeypatch: pytest.MonkeyPatch, where: str, files: dict[str, bytes],
    pinned_by: str, said: str,
) -> None:  # fmt: skip
    path = imported(project, where, files, pinned_by)
    monkeypatch.chdir(other)
    message = refused_bundle(path)
    assert f"{where}: not what the lock says" in message and said in message


@pytest.mark.parametrize(
    ("where", "files"), [(RTE, GLUE_FILES), ("models/a/tiny", WEIGHTS | {"vocab.txt": b"other words"})]
)
def test_bundled_import_is_accepted_with_a_warning(
    project: Path, other: Path, flat: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    where: str, files: dict[str, bytes],
) -> None:  # fmt: skip
    path = imported(project, where, files)
    monkeypatch.chdir(other)
    unpack(path, load_suite(Path("demo.yaml")), load_lock(LOCK), pretrained_otherwise)
    assert f"{where}: only the maker of {path} vouches" in caplog.text
    assert read_receipt(other / "store" / where).pinned_by == "bundle"
    kind, _, key = where.partition("/")
    assert main(["stage", "demo.yaml", kind, key, "--check"]) == 0


def test_import_whose_receipt_claims_the_locks_pin_is_outdated(project: Path, capsys: pytest.CaptureFixture) -> None:
    imported(project, RTE, GLUE_FILES, "lock")
    status, lines = check(capsys)
    assert (status, lines[1].split()[0]) == (2, "outdated")

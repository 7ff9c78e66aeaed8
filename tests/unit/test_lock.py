import hashlib
import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from steadytune.errors import SteadyTuneError
from steadytune.store.lock import entry_digest, load_lock
from steadytune.store.pinning import pin_generated
from steadytune.store.receipt import hash_rows

REPOSITORY = Path(__file__).resolve().parents[2]
SHA = "a" * 64
COMMIT = "b" * 40
FILE = {"sha256": SHA, "bytes": 3}
LOCAL = {"origin": "somewhere", "licence": "MIT", "files": {"train.parquet": FILE}}


def test_lock_entry_in_docs_data_md_loads(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/data.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^## Adding an encoder\n.*?^```yaml\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    path = tmp_path / "lock.yaml"
    path.write_text(shown, encoding="utf-8")
    assert load_lock(path).entry("models", "google-bert/bert-base-cased").pins().keys() == {"hub"}


def write_lock(folder: Path, **pins: object) -> Path:
    """Write a lock whose only data set is `o/n/c`."""
    path = folder / "lock.yaml"
    path.write_text(yaml.safe_dump({"datasets": {"o/n/c": pins}}), encoding="utf-8")
    return path


def problem(path: Path) -> str:
    """The one-line error for a bad lock, without its path."""
    with pytest.raises(SteadyTuneError) as caught:
        load_lock(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_shipped_lock_has_every_data_set_of_the_task_table() -> None:
    from steadytune.tasks.table import TASKS

    lock = load_lock(REPOSITORY / "config/lock.yaml")
    assert {task.dataset_key for task in TASKS.values()} <= lock.datasets.keys()
    assert lock.entry("models", "steadytune/mini").pins().keys() == {"pretrained"}
    assert {key for key in lock.datasets if key.startswith("steadytune/mini/")} == {
        f"steadytune/mini/{config}" for config in ("rte", "mnli", "mrpc", "stsb", "cola", "sst2", "corpus")
    }


def test_unknown_data_set_error_suggests_the_nearest_key(tmp_path: Path) -> None:
    lock = load_lock(write_lock(tmp_path, local=LOCAL))
    with pytest.raises(SteadyTuneError, match=r"datasets: unknown data set 'o/n/d' \(did you mean 'o/n/c'\?\)"):
        lock.entry("datasets", "o/n/d")


def test_misspelt_field_error_suggests_the_nearest_name(tmp_path: Path) -> None:
    pin = {**LOCAL, "files": {"train.parquet": {"sha265": SHA, "bytes": 3}}}
    said = problem(write_lock(tmp_path, local=pin))
    assert "datasets.o/n/c.local.files.train.parquet.sha265" in said and "did you mean 'sha256'" in said


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        ({"local": {**LOCAL, "files": {"train.parquet": {"sha256": "A" * 64, "bytes": 3}}}}, "64 lower-case hex"),
        ({"local": {**LOCAL, "files": {"train.parquet": {"sha256": SHA}}}}, "both sha256 and bytes"),
        ({"local": {**LOCAL, "files": {"train.parquet": {}}}}, "every file's sha256 and bytes"),
        ({"local": {**LOCAL, "files": {}}}, "files: {}: expected 1 or more"),
        (
            {"hub": {"repo": "o/n", "revision": "main", "files": {"a.txt": {"sha256": SHA, "bytes": 1}}}},
            "40 lower-case",
        ),
        ({"hub": {"repo": "o/n", "revision": COMMIT, "files": {"a.txt": {}}}}, "or unpinned: true"),
        ({"hub": {"repo": "o/n", "files": {"a.txt": {"sha256": SHA, "bytes": 1}}}}, "or unpinned: true"),
        ({"hub": {"repo": "o/n", "unpinned": True, "files": {"a.txt": {"sha256": SHA, "bytes": 1}}}}, "without a hash"),
        (
            {"hub": {"repo": "o/n", "unpinned": True, "files": {"a.txt": {"sha256": SHA, "bytes": 1}, "b.txt": {}}}},
            "revision",
        ),
        ({"hub": {"repo": "o/n", "unpinned": True, "files": {"a/t.txt": {}, "b/t.txt": {}}}}, "names that differ"),
        ({"hub": {"repo": "name", "unpinned": True, "files": {"a.txt": {}}}}, "<owner>/<name>"),
        ({"generated": {"generator": "mini", "files": {"a.parquet": {}}}}, "or unpinned: true"),
        ({"generated": {"generator": "maxi", "unpinned": True, "files": {"a.parquet": {}}}}, "'mini'"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "ftp://h/a", "sha256": SHA, "bytes": 1}}}}, "http"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://u:p@h/a", "sha256": SHA, "bytes": 1}}}}, "password"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://h/a b", **FILE}}}}, "without blanks"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://h/\u00fc", **FILE}}}}, "ASCII"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://h:many/a", **FILE}}}}, "a.txt.url: expected an http(s)"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://[h/a", **FILE}}}}, "a.txt.url: expected an http(s)"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://h/a"}}}}, "or unpinned: true"),
        ({"url": {**LOCAL, "unpinned": True, "files": {"a.txt": {"url": "https://h/a", **FILE}}}}, "no hashes"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://h/a", **FILE, "member": "b.txt"}}}}, "a parser with"),
        ({"url": {**LOCAL, "files": {"a.txt": {"url": "https://h/a", **FILE, "parser": "snil"}}}}, "mean 'snli'"),
        ({}, "a pin for one of"),
    ],
)
def test_invalid_pin_is_refused(tmp_path: Path, pins: dict, said: str) -> None:
    assert said in problem(write_lock(tmp_path, **pins))


@pytest.mark.parametrize("url", ["https://user:secret@h/a", "https://h/a b?key=secret"])
def test_refused_url_error_hides_its_secret(tmp_path: Path, url: str) -> None:
    pin = {**LOCAL, "files": {"a.txt": {"url": url, **FILE}}}
    assert "secret" not in problem(write_lock(tmp_path, url=pin))


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "model.ckpt", "code.py", "model"])
def test_file_that_can_run_code_is_refused(tmp_path: Path, name: str) -> None:
    pin = {"repo": "o/n", "unpinned": True, "files": {name: {}}}
    assert f"'{name}': expected a file that cannot run code" in problem(write_lock(tmp_path, hub=pin))


@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "a/../b.txt", ".hidden.txt", "a\\b.txt", "receipt.json"])
def test_unsafe_file_name_or_the_receipts_is_refused(tmp_path: Path, name: str) -> None:
    pin = {"repo": "o/n", "unpinned": True, "files": {name: {}}}
    assert "a relative path" in problem(write_lock(tmp_path, hub=pin))


def test_entry_digest_depends_on_pin_values_not_key_order(tmp_path: Path) -> None:
    def digest(**pins: object) -> str:
        return entry_digest(load_lock(write_lock(tmp_path, **pins)), "datasets", "o/n/c")

    changed = {**LOCAL, "files": {"train.parquet": {"sha256": "c" * 64, "bytes": 3}}}
    reordered = dict(reversed(LOCAL.items()))
    assert digest(local=LOCAL) == digest(local=reordered) != digest(local=changed)


def test_rows_are_hashed_as_json_lines() -> None:
    rows = [{"b": "zwölf", "a": 1}, {"a": 0.5, "b": None}]
    expected = hashlib.sha256('{"a":1,"b":"zwölf"}\n{"a":0.5,"b":null}\n'.encode()).hexdigest()
    assert hash_rows(rows) == expected
    assert hash_rows(reversed(rows)) != expected


def test_pin_generated_adds_row_hashes_and_keeps_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"text": "a", "label": 0}]
    module = types.ModuleType("minilanguage")
    monkeypatch.setattr(module, "generate", lambda config, seed: {"train": rows, config: []}, raising=False)
    monkeypatch.setitem(sys.modules, "minilanguage", module)
    generated = {"generator": "mini", "unpinned": True, "files": {"train-00000-of-00001.parquet": {}}}
    path = write_lock(tmp_path, generated=generated, local=LOCAL)
    path.write_text("# A head\n#\n" + path.read_text())

    assert pin_generated(path) == ["o/n/c"]
    entry = load_lock(path).datasets["o/n/c"]
    assert entry.generated and not entry.generated.unpinned
    hashes = {name: file.rows_sha256 for name, file in entry.generated.files.items()}
    assert hashes == {
        "train-00000-of-00001.parquet": hashlib.sha256(b'{"label":0,"text":"a"}\n').hexdigest(),
        "c-00000-of-00001.parquet": hashlib.sha256(b"").hexdigest(),
    }
    assert entry.local and entry.local.model_dump(exclude_defaults=True) == LOCAL
    assert re.match(r"# A head\n#\ndatasets:\n", path.read_text())
    written = path.stat().st_mtime_ns
    assert pin_generated(path) == [] and path.stat().st_mtime_ns == written

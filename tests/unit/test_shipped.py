"""An encoder shipped in the repository is staged from there and checked like any other."""

import hashlib
from pathlib import Path

import pytest
import yaml

from steadytune.errors import SteadyTuneError
from steadytune.store.lock import generated_corpus, load_lock
from steadytune.store.receipt import verify
from steadytune.store.staging import stage
from steadytune.suite.file import Sources


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "published" / "encoders" / "one"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    pin = {"sha256": hashlib.sha256(b"{}").hexdigest(), "bytes": 2}
    shipped = {
        "folder": "published/encoders/one",
        "origin": "made here",
        "licence": "CC0",
        "files": {"config.json": pin},
    }
    (tmp_path / "config").mkdir()
    (tmp_path / "config/lock.yaml").write_text(yaml.safe_dump({"models": {"steadytune/one": {"shipped": shipped}}}))
    return tmp_path


def bring(project):
    lock = load_lock(project / "config/lock.yaml")
    return stage("models", "steadytune/one", lock, Sources(order=("hub",)), project / "store")


def test_shipped_encoder_is_staged_even_if_sources_list_only_the_hub(project):
    receipt = bring(project)
    assert (receipt.source, receipt.pinned_by, receipt.origin) == ("shipped", "lock", "made here")
    assert (project / "store/models/steadytune/one/config.json").read_text() == "{}"
    assert verify(project / "store/models/steadytune/one") == receipt
    (project / "published/encoders/one/config.json").unlink()
    assert bring(project) == receipt, "what is staged needs no second copy"


def test_shipped_encoder_is_not_pretrained(project):
    path = project / "config/lock.yaml"
    entries = yaml.safe_load(path.read_text())
    entry = entries["models"]["steadytune/one"] | {"pretrained": {"config": "one.yaml"}}
    entries["models"] |= {"steadytune/one": entry, "steadytune/two": {"pretrained": {"config": "two.yaml"}}}
    path.write_text(yaml.safe_dump(entries))
    lock = load_lock(path)
    assert lock.pretraining("steadytune/one") is None
    assert lock.pretraining("steadytune/two") == Path("two.yaml")
    assert bring(project).source == "shipped"


def test_generated_corpus_is_a_store_key_or_none_for_a_file(project):
    assert generated_corpus({"corpus": "steadytune/mini/corpus"}) == "steadytune/mini/corpus"
    assert generated_corpus({"corpus": {"file": "some.txt.xz"}}) is None


def test_changed_or_missing_shipped_file_is_rejected(project):
    path = project / "published/encoders/one/config.json"
    path.write_text("[]")
    with pytest.raises(SteadyTuneError, match=r"config\.json from shipped \(made here\) is not what the lock says"):
        bring(project)
    path.unlink()
    with pytest.raises(SteadyTuneError, match=r"published/encoders/one/config\.json: not in this checkout"):
        bring(project)

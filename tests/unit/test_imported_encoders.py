"""Encoders that the user converts: the command in docs/data.md, and the staging of its result."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from locks import lock_of
from transformers import BertConfig, BertForPreTraining

from steadytune.encoders.loading import load_encoder
from steadytune.errors import SteadyTuneError
from steadytune.store.imports import Imports
from steadytune.store.lock import Lock
from steadytune.store.receipt import Receipt, verify
from steadytune.store.staging import stage
from steadytune.suite.file import Sources

KEY = "google/bert"
FILES = ("config.json", "model.safetensors", "vocab.txt")
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


@pytest.fixture
def pickled(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    """A folder as on the hub, with pickled weights named as in BERT's first release, and the weights."""
    folder = tmp_path / "converted" / KEY
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = BertForPreTraining(BertConfig(vocab_size=8, max_position_embeddings=16, **SIZES))
    model.config.to_json_file(folder / "config.json", use_diff=False)
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\nc\n")
    weights = dict(model.state_dict())
    old = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): w for name, w in weights.items()
    }
    torch.save(old, folder / "pytorch_model.bin")
    return tmp_path / "converted", weights


def lock() -> Lock:
    return lock_of(KEY, "models", hub={"repo": KEY, "unpinned": True, "files": {name: {} for name in FILES}})


def bring(converted: Path, store: Path) -> Receipt:
    return stage("models", KEY, lock(), Sources(order=("hub",)), store, Imports(encoders=converted))


def test_documented_conversion_keeps_every_weight_and_can_be_staged(
    root: Path, tmp_path: Path, pickled: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    converted, weights = pickled
    (line,) = re.findall(r'python -c "(.+)"\)$', (root / "docs/data.md").read_text(), flags=re.MULTILINE)
    subprocess.run([sys.executable, "-c", line], cwd=converted / KEY, env=os.environ, check=True)
    receipt = bring(converted, tmp_path / "store")
    assert receipt == verify(tmp_path / "store/models" / KEY)
    assert (receipt.source, receipt.pinned_by, set(receipt.files)) == ("imported", "import", set(FILES))
    encoder = load_encoder(tmp_path / "store/models" / KEY, num_labels=2, init_seed=0)
    loaded = dict(encoder.model.named_parameters())
    shared = [name for name in loaded if name in weights]
    assert len(shared) == len(loaded) - 2  # all but the new output layer
    assert all(torch.equal(loaded[name], weights[name]) for name in shared)


def test_import_folder_without_the_pinned_files_is_refused(
    tmp_path: Path, pickled: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    with pytest.raises(SteadyTuneError, match=r"converted/google/bert/model.safetensors: not there"):
        bring(pickled[0], tmp_path / "store")
    with pytest.raises(SteadyTuneError, match=r"elsewhere: no such folder"):
        bring(tmp_path / "elsewhere", tmp_path / "store")


def test_reimport_replaces_an_encoder_only_if_its_weights_changed(
    tmp_path: Path, pickled: tuple[Path, dict[str, torch.Tensor]]
) -> None:
    converted, _ = pickled
    (converted / KEY / "model.safetensors").write_bytes(b"one")
    first = bring(converted, tmp_path / "store")
    receipt = tmp_path / "store/models" / KEY / "receipt.json"
    written = receipt.stat().st_mtime_ns
    assert bring(converted, tmp_path / "store") == first and receipt.stat().st_mtime_ns == written
    (converted / KEY / "model.safetensors").write_bytes(b"two")
    assert bring(converted, tmp_path / "store").files["model.safetensors"] != first.files["model.safetensors"]

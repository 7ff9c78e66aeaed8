"""Sizes of encoders and data sets for planning: from the staged store, or else from two tables.

`SHAPES` has the architectures' published sizes. `Shape.parameters` is at most 2 % below the number of parameters of
the models that transformers builds with these sizes; `tests/unit/test_sizes.py` checks this on torch's meta device,
which allocates no weights. `ROWS` has the numbers of examples given in the data sets' cards.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from steadytune.encoders.architectures import check_supported
from steadytune.errors import SteadyTuneError
from steadytune.files import read_json
from steadytune.layout import Kind, dataset_folder, model_folder
from steadytune.safe_yaml import read_yaml
from steadytune.store.lock import Lock
from steadytune.store.pins import HubPin, OwnTaskPin, UrlPin
from steadytune.store.receipt import HOW_TO_STAGE, count_rows
from steadytune.tasks.parts import PARTS, split_name
from steadytune.tasks.reading import split_of
from steadytune.tasks.table import Task


@dataclass(frozen=True)
class Shape:
    """The dimensions of an encoder's Transformer."""

    layers: int
    width: int
    inner: int
    """Width of the feed-forward blocks."""
    vocabulary: int
    relative: int = 0
    """Further attention matrices per layer for relative positions."""
    gated: bool = False
    """Whether the feed-forward block has a third matrix, for a gate."""
    attention: int = 0
    """Attention parameters per layer; 0 if they are four matrices (width, width)."""

    @property
    def matrices(self) -> int:
        """Parameters in the layers' matrices: attention's, without relative positions, and the feed-forward block's."""
        return self.layers * ((self.attention or 4 * self.width**2) + (2 + self.gated) * self.width * self.inner)

    @property
    def parameters(self) -> int:
        """Parameters in all matrices (also for relative positions) and token embeddings, but not biases, normalisation
        and position embeddings.
        """
        return self.matrices + (self.layers * self.relative * self.width + self.vocabulary) * self.width

    def forward_flops(self, tokens: int) -> float:
        """FLOPs per position of a forward pass over inputs of `tokens` tokens: matrices, and attention's two products.

        The cost of relative positions is left out: for 128 tokens, 7 % in DeBERTa, 9 to 13 % in its versions 2 and 3,
        and 16 % in XLNet.
        """
        return 2 * self.matrices + 4 * tokens * self.width * self.layers


# By the model's name without its owner; a checkpoint tuned further (`-mnli`) has the shape of its base.
SHAPES = {
    "bert-base": Shape(12, 768, 3072, 30522),
    "bert-large": Shape(24, 1024, 4096, 30522),
    "bert-base-cased": Shape(12, 768, 3072, 28996),
    "bert-large-cased": Shape(24, 1024, 4096, 28996),
    "roberta-base": Shape(12, 768, 3072, 50265),
    "roberta-large": Shape(24, 1024, 4096, 50265),
    "electra-base": Shape(12, 768, 3072, 30522),
    "electra-large": Shape(24, 1024, 4096, 30522),
    "xlnet-base": Shape(12, 768, 3072, 32000, relative=1),
    "xlnet-large": Shape(24, 1024, 4096, 32000, relative=1),
    "deberta-base": Shape(12, 768, 3072, 50265, relative=2),
    "deberta-large": Shape(24, 1024, 4096, 50265, relative=2),
    "deberta-v2-xlarge": Shape(24, 1536, 6144, 128100),
    "deberta-v2-xxlarge": Shape(48, 1536, 6144, 128100),
    "deberta-v3-base": Shape(12, 768, 3072, 128100),
    "deberta-v3-large": Shape(24, 1024, 4096, 128100),
    "modernbert-base": Shape(22, 768, 1152, 50368, gated=True),
    "ettin-encoder-150m": Shape(22, 768, 1152, 50368, gated=True),
    "ettin-decoder-150m": Shape(22, 768, 1152, 50368, gated=True),
    # Heads of width 128: 16 for queries, 8 each for keys and values.
    "qwen3-0.6b": Shape(28, 1024, 3072, 151936, gated=True, attention=1024 * 128 * (16 + 8 + 8 + 16)),
    "bert_uncased_l-2_h-128": Shape(2, 128, 512, 30522),
    "bert_uncased_l-4_h-256": Shape(4, 256, 1024, 30522),
    "bert_uncased_l-4_h-512": Shape(4, 512, 2048, 30522),
}

# Rows by data set and split, as given in the data sets' cards.
ROWS = {
    "nyu-mll/glue/cola": {"train": 8551, "validation": 1043},
    "nyu-mll/glue/sst2": {"train": 67349, "validation": 872},
    "nyu-mll/glue/mrpc": {"train": 3668, "validation": 408},
    "nyu-mll/glue/stsb": {"train": 5749, "validation": 1500},
    "nyu-mll/glue/qqp": {"train": 363846, "validation": 40430},
    "nyu-mll/glue/mnli": {"train": 392702, "validation_matched": 9815, "validation_mismatched": 9832},
    "nyu-mll/glue/qnli": {"train": 104743, "validation": 5463},
    "nyu-mll/glue/rte": {"train": 2490, "validation": 277},
    "nyu-mll/glue/wnli": {"train": 635, "validation": 71},
    "stanfordnlp/snli/plain_text": {"train": 550152, "validation": 10000, "test": 10000},
    "RobZamp/sick/default": {"train": 4439, "validation": 495, "test": 4906},
    "allenai/scitail/tsv_format": {"train": 23097, "validation": 1304, "test": 2126},
    "jhu-cogsci/hans/plain_text": {"validation": 30000},
    "rajpurkar/squad/plain_text": {"train": 87599, "validation": 10570},
}

# Architectures use different names for the same quantity in their configurations.
CONFIG_KEYS = {
    "layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "width": ("hidden_size", "d_model", "dim"),
    "inner": ("intermediate_size", "d_inner", "hidden_dim"),
    "vocabulary": ("vocab_size",),
}
# `Shape.relative` by `model_type`; DeBERTa v2 and v3 use the content matrices for positions too.
RELATIVE = {"deberta": 2, "xlnet": 1}
GATED = ("eurobert", "gemma", "llama", "modernbert", "modernbert-decoder", "olmo", "qwen2", "qwen3")
"""Model types with gated feed-forward blocks."""
PRETRAINING_KEYS = {
    "layers": ("layers",),
    "width": ("width",),
    "inner": ("feed_forward",),
    "vocabulary": ("vocabulary",),
}


class Sizes:
    """Sizes of the encoders and data sets that a suite reads, each looked up once."""

    def __init__(self, store: Path, lock: Lock) -> None:
        self._store = store
        self._lock = lock
        self.shape = cache(self._shape)
        self.rows = cache(self._rows)

    def _shape(self, model: str) -> Shape | None:
        """The dimensions of an encoder by its key in the lock; None if unknown."""
        config = model_folder(self._store, model) / "config.json"
        if config.is_file():
            check_supported(config.parent)
            return _read_shape(read_json(config), CONFIG_KEYS)
        if model in self._lock.models and (pretraining := self._lock.pretraining(model)):
            return _read_shape(read_yaml(pretraining), PRETRAINING_KEYS)
        name = model.rpartition("/")[2].lower()
        known = [key for key in SHAPES if name == key or name.startswith((f"{key}-", f"{key}_"))]
        return SHAPES[max(known, key=len)] if known else None

    def _rows(self, entry: Task, split: str) -> int | None:
        """Number of examples in a task's split, `train` or `evaluation`; None if unknown."""
        name, part = split_name((entry.train or "") if split == "train" else entry.evaluation)
        if split == "train" and entry.size is not None:
            return entry.size
        folder = dataset_folder(self._store, entry.dataset_key)
        files = [path for path in folder.rglob("*.parquet") if split_of(path) == name]
        rows = sum(map(_staged_rows, files)) if files else ROWS.get(entry.dataset_key, {}).get(name)
        share = PARTS[part] if part else (0.0, 1.0)
        return None if rows is None else round(rows * (share[1] - share[0]))

    def downloads(self, kind: Kind, key: str, order: Sequence[str]) -> list[float]:
        """Bytes of each file to download for an entry, from the first source in `order`; NaN for unknown sizes."""
        match self._lock.entry(kind, key).first_pin(order):
            case HubPin(files=files) | UrlPin(files=files):
                return [math.nan if file.bytes is None else file.bytes for file in files.values()]
            case OwnTaskPin(entry=entry) if entry.hub:
                return [math.nan]
        # Read from this machine, or made on it.
        return []


def _staged_rows(path: Path) -> int:
    rows = count_rows(path)
    if rows is None:
        raise SteadyTuneError(f"{path}: no readable rows: {HOW_TO_STAGE}")
    return rows


def _read_shape(config: Mapping[str, Any], keys: Mapping[str, tuple[str, ...]]) -> Shape | None:
    found = {field: next((config[name] for name in names if name in config), None) for field, names in keys.items()}
    sizes = {field: value for field, value in found.items() if isinstance(value, int)}
    if len(sizes) < len(keys):
        return None
    kind, heads = config.get("model_type", config.get("architecture", "")), config.get("num_attention_heads") or 1
    each = config.get("head_dim") or sizes["width"] // heads
    shared = config.get("num_key_value_heads") or heads
    attention = 2 * sizes["width"] * each * (heads + shared)
    return Shape(**sizes, relative=RELATIVE.get(kind, 0), gated=kind in GATED,
                 attention=0 if attention == 4 * sizes["width"] ** 2 else attention)  # fmt: skip

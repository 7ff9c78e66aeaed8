"""The inside stage: measure an encoder, before or after fine-tuning, and write the result to a file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from steadytune.cells.determinism import pick_device, set_determinism
from steadytune.cells.keeping import load_kept
from steadytune.cells.record import TRAINED, read_record
from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import SteadyTuneError, unknown
from steadytune.files import atomic_path, write_json
from steadytune.layers.inside.cka import cka, gram
from steadytune.layers.inside.drift import parameter_distance
from steadytune.layers.inside.forgetting import masked_word_loss
from steadytune.layers.inside.measure import Measured, measure, pool
from steadytune.layers.inside.probes import probe
from steadytune.layers.pooling import special_token_ids
from steadytune.layout import (
    dataset_folder,
    handover_path,
    inside_before_path,
    inside_path,
    model_folder,
    record_path,
)
from steadytune.methods.support.objective import Classification, Regression
from steadytune.store.receipt import verify
from steadytune.streams import Streams, cell_seed
from steadytune.suite.cell import Cell
from steadytune.suite.file import Inside
from steadytune.suite.protocol import Protocol
from steadytune.suite.suite import Suite
from steadytune.tasks.data import Encoded, encode, load_split
from steadytune.tasks.subsets import subset_rows
from steadytune.tasks.table import Task

SHARED_EXAMPLES = 64
"""Number of examples for comparing representations between seeds; few, so that Gram matrices stay small."""


@dataclass(frozen=True)
class Probe:
    """A tokenized task on which probe heads are trained."""

    task: Task
    train: Encoded
    evaluation: Encoded


@dataclass(frozen=True)
class Bench:
    """The data on which a checkpoint, before and after fine-tuning, is measured."""

    sample: Encoded
    """Examples of the task's evaluation split."""
    special_ids: frozenset[int]
    probes: dict[str, Probe]
    batch_size: int
    texts: Encoded | None
    """Texts for the masked-word loss; None if it is not requested."""
    folder: Path
    """Folder of the pretrained checkpoint."""
    mask_token: int | None

    @classmethod
    def load(cls, suite: Suite, model: str, task_name: str, protocol: Protocol) -> "Bench":
        """Verify and read the task's data, the suite's probes (except the task itself) and its masked-word texts."""
        block = _block(suite)
        store, tokenizer = suite.file.store, load_tokenizer(model_folder(suite.file.store, model))

        def read(task: Task, split: str, subset: int | None = None, at_most: int | None = None) -> Encoded:
            data = load_split(task, split, store, subset)
            if at_most is not None and len(data) > at_most:
                data = data.select(subset_rows(np.array(data["label"][:]), at_most))
            return encode(data, tokenizer, protocol.max_length)

        task = suite.task(task_name)
        others = {name: other for name in block.probes if (other := suite.task(name)).name != task.name}
        texts = suite.task(block.forgetting) if block.forgetting else None
        for key in sorted({of.dataset_key for of in (task, *others.values(), texts) if of}):
            verify(dataset_folder(store, key))
        probes = {
            name: Probe(other, read(other, other.train or "", other.size), read(other, other.evaluation))
            for name, other in others.items()
        }
        sample = read(task, task.evaluation, at_most=block.examples)
        return cls(
            sample,
            special_token_ids(tokenizer),
            probes,
            protocol.evaluation_batch_size,
            read(texts, texts.evaluation, at_most=block.examples) if texts else None,
            model_folder(store, model),
            tokenizer.mask_token_id,  # pyright: ignore[reportArgumentType]
        )

    def measure(self, encoder: Encoder) -> Measured:
        """Measure an encoder on the sample."""
        return measure(encoder, Batcher(self.sample, encoder.padding, self.batch_size), self.special_ids)

    def pool(self, encoder: Encoder) -> np.ndarray:
        """Only an encoder's pooled representations of the sample, (L + 1, n, d)."""
        return pool(encoder, Batcher(self.sample, encoder.padding, self.batch_size), self.special_ids)

    def masked_word_loss(self, encoder: Encoder) -> float | None:
        """The masked-word loss in nats; None if the suite does not request it or it cannot be measured."""
        if self.texts is None:
            return None
        texts = Batcher(self.texts, encoder.padding, self.batch_size)
        return masked_word_loss(encoder, texts, self.folder, self.mask_token, self.special_ids)

    def probe(self, encoder: Encoder) -> dict[str, Any]:
        """Train the probes; return each probe's metric and its value by layer."""
        found = {}
        for name, item in self.probes.items():
            objective = Regression() if item.task.regression else Classification()
            splits = [Batcher(split, encoder.padding, self.batch_size) for split in (item.train, item.evaluation)]
            scores = probe(encoder, item.task, objective, *splits)
            found[name] = {"metric": item.task.metric, "scores": scores}
        return found


def write_inside(suite: Suite, cell: Cell) -> None:
    """Measure a cell's fine-tuned encoder, compare it with the encoder it started from, and write the results.

    If the cell left no model worth measuring, the file only gives its status, and its Gram matrices are empty.

    Raises:
        SteadyTuneError: the cell is not among the suite's `inside` cells, or inputs are missing or corrupted.
    """
    if cell not in suite.inside_cells:
        raise SteadyTuneError(f"{suite.path}: inside: '{cell}' is not among its cells")
    spec, status = suite.spec(cell), read_record(record_path(suite, cell)).status
    path = inside_path(suite, cell)
    found: dict[str, Any] = {"method": cell.method, "seed": cell.seed, "status": status}
    grams = np.empty((0, 0, 0))
    if status in TRAINED:
        device = _start(spec.protocol)
        before = _load_before(suite, cell.encoder, spec.task, spec.seed, device)
        bench = Bench.load(suite, spec.model, spec.task, spec.protocol)
        after = load_kept(suite, cell, handover_path(suite, cell), device).encoder
        start, end = bench.pool(before), bench.measure(after)
        found |= end.numbers() | {
            "probes": bench.probe(after),
            "masked_word_loss": bench.masked_word_loss(after),
            # Not strict, because a method may have dropped layers.
            "cka": [cka(gram(x), gram(y)) for x, y in zip(end.pooled, start, strict=False)],
            "parameter_distance": parameter_distance(after, before),
        }
        labels = bench.sample.labels
        shared = subset_rows(labels, min(SHARED_EXAMPLES, len(labels)))
        grams = gram(end.pooled[:, shared])
    with atomic_path(path.with_suffix(".npz")) as temporary:
        np.savez_compressed(temporary, gram=grams.astype(np.float32))
    _write(path, cell.encoder, cell.task, found)


def write_inside_before(suite: Suite, encoder_name: str, task_name: str) -> None:
    """Measure an encoder before fine-tuning, on a task of the suite's `inside` cells, and write the results.

    Random weights are those of seed 0, because there is no cell whose seed they could use.

    Raises:
        SteadyTuneError: the encoder and task are not a pair of the suite's `inside` cells, or inputs are missing or
            corrupted.
    """
    pairs = suite.inside_pairs()
    if (encoder_name, task_name) not in pairs:
        raise unknown("pair", f"{encoder_name} {task_name}", map(" ".join, pairs), f"{suite.path}: inside")
    protocol = suite.protocols.base
    device = _start(protocol)
    encoder = _load_before(suite, encoder_name, task_name, 0, device)
    bench = Bench.load(suite, suite.model(encoder_name, task_name), task_name, protocol)
    found = bench.measure(encoder).numbers() | {
        "probes": bench.probe(encoder),
        "masked_word_loss": bench.masked_word_loss(encoder),
    }
    _write(inside_before_path(suite, encoder_name, task_name), encoder_name, task_name, found)


def _block(suite: Suite) -> Inside:
    assert suite.file.inside is not None, "cells and pairs come from the block"
    return suite.file.inside


def _start(protocol: Protocol) -> str:
    """Fix this process's numerics at the protocol's determinism level; return the device."""
    device = pick_device()
    set_determinism(protocol.determinism, protocol.threads, device)
    return device


def _load_before(suite: Suite, encoder_name: str, task_name: str, seed: int, device: str) -> Encoder:
    """Verify and load the encoder that cells with this seed start from."""
    entry, task = suite.file.encoders[encoder_name], suite.task(task_name)
    folder = model_folder(suite.file.store, suite.model(encoder_name, task_name))
    verify(folder)
    init = Streams.seeds(cell_seed(seed, task_name))["init"]
    return load_encoder(folder, task.num_labels, init, entry.weights).to(device)


def _write(path: Path, encoder_name: str, task_name: str, found: dict[str, Any]) -> None:
    """Write `found` as JSON; NaN and infinity become null."""
    write_json(path, {"encoder": encoder_name, "task": task_name, **found})

"""What a cell works on: its staged inputs, checked by hash, as an encoder and batches in memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steadytune.cell import Spec
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.layout import dataset_folder, model_folder
from steadytune.record import Input, Kind
from steadytune.store.receipt import receipt_digest, verify
from steadytune.tasks.data import encode, load_split, split_off
from steadytune.tasks.table import Task, parse_task
from steadytune.training.batching import Batcher
from steadytune.training.objective import Classification, Objective, Regression
from steadytune.training.streams import Streams

if TYPE_CHECKING:
    from datasets import Dataset


def verified_inputs(spec: Spec, store: Path) -> list[Input]:
    """Every staged folder that a cell reads, all files checked by hash."""
    datasets = sorted({parse_task(name)[0].dataset_key for name in (spec.task, *spec.transfer)})
    folders: dict[tuple[Kind, str], Path] = {("models", spec.model): model_folder(store, spec.model)}
    for key in datasets:
        folders["datasets", key] = dataset_folder(store, key)
    found = []
    for (kind, key), folder in folders.items():
        receipt = verify(folder)
        digest = receipt_digest(receipt)
        found.append(Input(kind=kind, key=key, source=receipt.source, revision=receipt.revision,
                                   pinned_by=receipt.pinned_by, digest=digest))  # fmt: skip
    return found


@dataclass
class Material:
    """A cell's encoder and data, in memory."""

    encoder: Encoder
    task: Task
    device: str
    train: Batcher
    evaluations: dict[str, tuple[Task, Batcher]]
    """By name: the task's own evaluation split first, then the transfer sets."""
    held_out: Batcher | None
    """The share of the training split that is kept from training."""
    subset_digest: str | None

    @property
    def objective(self) -> Objective:
        """What the task's outputs are held against."""
        return Regression() if self.task.regression else Classification()

    @classmethod
    def load(cls, spec: Spec, store: Path, device: str) -> "Material":
        """Read, tokenize and build; inputs must have been verified."""
        folder = model_folder(store, spec.model)
        tokenizer = load_tokenizer(folder)
        task, size = parse_task(spec.task)
        encoder = load_encoder(folder, task.num_labels, Streams.seeds(spec.seed)["init"], spec.weights).to(device)
        protocol = spec.protocol

        def batcher(dataset: "Dataset", batch_size: int) -> Batcher:
            return Batcher(encode(dataset, tokenizer, protocol.max_length), encoder, batch_size)

        sets = {spec.task: (task, None)} | {name: parse_task(name) for name in spec.transfer}
        evaluations = {
            name: (of, batcher(load_split(of, of.evaluation, store, subset), protocol.evaluation_batch_size))
            for name, (of, subset) in sets.items()
        }
        data, held_out = load_split(task, task.train or "", store, size), None
        if protocol.holdout:
            data, apart = split_off(data, protocol.holdout)
            held_out = batcher(apart, protocol.evaluation_batch_size)
        train = batcher(data, protocol.batch_size)
        chosen = _rows_digest(train.encoded.rows) if size or protocol.holdout else None
        return cls(encoder, task, device, train, evaluations, held_out, chosen)


def weights_digest(encoder: Encoder) -> str:
    """SHA-256 over the trainable parameters, in the order of their names."""
    digest = hashlib.sha256()
    for name, parameter in sorted(encoder.model.named_parameters()):
        if parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _rows_digest(rows: np.ndarray) -> str:
    return hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()

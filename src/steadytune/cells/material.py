"""A cell's encoder and batches in memory, loaded from staged inputs that were checked by hash."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from steadytune.cells.inputs import input_folders
from steadytune.cells.record import Input
from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.loading import load_encoder, load_tokenizer, start_from
from steadytune.errors import SteadyTuneError
from steadytune.layout import LOCK, model_folder, project_file
from steadytune.methods.support.objective import Classification, Objective, Regression, Spans
from steadytune.store.inventory import outdated
from steadytune.store.lock import load_lock
from steadytune.store.receipt import HOW_TO_STAGE, receipt_digest, verify
from steadytune.streams import Streams, cell_seed
from steadytune.suite.cell import Spec
from steadytune.suite.suite import Suite
from steadytune.tasks.data import encode, load_split, load_unlabelled, split_off
from steadytune.tasks.duplicates import count_seen, text_keys
from steadytune.tasks.spans import encode_windows
from steadytune.tasks.table import Task
from steadytune.training.usage import Meter

if TYPE_CHECKING:
    from datasets import Dataset


def verified_inputs(suite: Suite, spec: Spec) -> list[Input]:
    """Check every staged folder that a cell reads: all files by hash, and the folder against the lock.

    Raises:
        SteadyTuneError: a folder is not staged, is damaged, or does not match the lock.
    """
    found, lock = [], load_lock(project_file(LOCK))
    for (kind, key), folder in input_folders(spec, suite.file.store).items():
        receipt = verify(folder)
        if reason := outdated(kind, key, folder, lock, suite):
            raise SteadyTuneError(f"{folder}: outdated: {reason}: {HOW_TO_STAGE}")
        digest = receipt_digest(receipt)
        found.append(Input(kind=kind, key=key, source=receipt.source, revision=receipt.revision,
                                   pinned_by=receipt.pinned_by, digest=digest))  # fmt: skip
    return found


@dataclass(frozen=True)
class EvaluationSet:
    """A split that a model is scored on."""

    task: Task
    batcher: Batcher
    seen_in_training: int
    """Number of examples whose texts are also in the training set: see `tasks/duplicates.py`."""


@dataclass
class Material:
    """A cell's encoder and data, in memory."""

    encoder: Encoder
    task: Task
    device: str
    train: Batcher
    evaluations: dict[str, EvaluationSet]
    """By name: the task's own evaluation split first, then the transfer sets."""
    unlabelled: dict[str, Batcher]
    """Splits without labels, by name."""
    held_out: EvaluationSet | None
    """The part of the training split that is held out from training."""
    subset_digest: str | None
    selected_layer: int | None
    """The layer l*, if a method of the cell reads it."""

    @property
    def objective(self) -> Objective:
        """The task's loss."""
        if self.task.span:
            return Spans()
        return Regression() if self.task.regression else Classification()

    @classmethod
    def load(
        cls,
        spec: Spec,
        store: Path,
        device: str,
        selected_layer: int | None,
        meter: Meter | None = None,
        weights: Path | None = None,
    ) -> "Material":
        """Read and tokenise the data and build the encoder; the inputs must have been verified.

        Args:
            spec: the cell.
            store: the staged inputs.
            device: the device of the encoder.
            selected_layer: the layer l*, if a method of the cell reads it.
            meter: times tokenisation as a phase.
            weights: the fine-tuned weights of the cell that it starts from, if any.
        """
        meter = meter or Meter()
        folder = model_folder(store, spec.model)
        tokenizer = load_tokenizer(folder)
        task = spec.tasks[spec.task]
        head = "span" if task.span else "sentence"
        seed, protocol = Streams.seeds(cell_seed(spec.seed, spec.task))["init"], spec.protocol
        encoder = load_encoder(folder, task.num_labels, seed, spec.weights, head, protocol.attention).to(device)
        if weights:
            start_from(encoder, weights)

        def batcher(dataset: "Dataset", batch_size: int, *, shuffled: bool = False) -> Batcher:
            with meter.phase("tokenise"):
                if task.span:
                    encoded = encode_windows(dataset, tokenizer, protocol.max_length, protocol.doc_stride)
                else:
                    encoded = encode(dataset, tokenizer, protocol.max_length)
            return Batcher(encoded, encoder.padding, batch_size, shuffled=shuffled)

        data, apart = load_split(task, task.train or "", store, task.size), None
        if protocol.holdout:
            data, apart = split_off(data, protocol.holdout)
        train = batcher(data, protocol.batch_size, shuffled=protocol.batching == "shuffled")
        trained_on = frozenset(text_keys(data))

        def evaluation(of: Task, dataset: "Dataset") -> EvaluationSet:
            return EvaluationSet(of, batcher(dataset, protocol.evaluation_batch_size), count_seen(dataset, trained_on))

        evaluations = {
            name: evaluation(of, load_split(of, of.evaluation, store, of.size if name in spec.transfer else None))
            for name, of in spec.tasks.items()
        }
        unlabelled = {
            split: batcher(load_unlabelled(task, split, store), protocol.evaluation_batch_size)
            for split in spec.predict
        }
        held_out = evaluation(task, apart) if apart is not None else None
        chosen = _rows_digest(train.encoded.rows) if task.size or protocol.holdout else None
        return cls(encoder, task, device, train, evaluations, unlabelled, held_out, chosen, selected_layer)


def weights_digest(encoder: Encoder) -> str:
    """SHA-256 over the trainable parameters, sorted by name."""
    digest = hashlib.sha256()
    for name, parameter in sorted(encoder.model.named_parameters()):
        if parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _rows_digest(rows: np.ndarray) -> str:
    # Deduplicated, because a question has an entry for every window.
    return hashlib.sha256(np.unique(rows).astype(np.int64).tobytes()).hexdigest()

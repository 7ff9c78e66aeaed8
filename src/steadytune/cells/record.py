"""The record of a cell: everything needed to judge its result and to repeat it.

Records are plain dataclasses, so writing one needs no further package on a training machine. Reading one checks it
against the schema.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import HISTORY, PREDICTIONS, RECORD, UNLABELLED, Kind
from steadytune.seals import read_sealed, write_sealed
from steadytune.suite.cell import Cell, Status
from steadytune.training.usage import Usage

BESIDE = (PREDICTIONS, HISTORY)
"""The files that lie next to a record."""

TRAINED: tuple[Status, ...] = ("ok", "degenerate")
"""Statuses with usable weights: with any other status, there are no weights, or they may not be finite."""

EvaluationKind = Literal["in_domain", "transfer", "held_out"]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The environment in which a cell ran."""

    python: str
    torch: str
    transformers: str
    platform: str
    device: str
    """`cpu` or `cuda`."""
    device_name: str
    threads: int
    git_commit: str | None
    git_dirty: bool | None


@dataclass(frozen=True, kw_only=True)
class Input:
    """A staged folder that a cell read; all of its files were checked by hash."""

    kind: Kind
    key: str
    source: str
    revision: str | None
    pinned_by: str
    digest: str

    @property
    def from_hub(self) -> bool:
        """Whether its files come from the hub repository that its key names; files of other sources may differ."""
        return self.source == "hub"


@dataclass(frozen=True, kw_only=True)
class Model:
    """The encoder that was loaded."""

    model_type: str
    attention: str
    """Its attention kernel: the one that the protocol sets, or the encoder's own."""
    notes: tuple[str, ...]
    """Caveats for the reader, for example that its layout was inferred from its structure and is untested."""


@dataclass(frozen=True, kw_only=True)
class Parent:
    """The cell whose fine-tuned encoder a cell started from."""

    cell: str
    status: Status
    fingerprint: str
    weights: str
    """SHA-256 of the file with its weights."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores on one evaluation set."""

    set: str
    kind: EvaluationKind
    """In this order: the task's own evaluation split, another task's, or the held-out part of the training split."""
    headline: str
    """The metric that tables print."""
    metrics: dict[str, float | None]
    """None if the model's outputs were not numbers."""
    majority: dict[str, float | None]
    """Each metric's value for a predictor that always gives the most frequent class; None if undefined."""
    n: int
    """Number of examples."""
    majority_rate: float | None
    """Share of the most frequent gold class; None for regression."""
    truncated: int
    """Examples cut to the maximum length."""
    seen_in_training: int
    """Examples whose texts are also in the training set."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Counts and digests of the training."""

    examples: int
    truncated: int
    subset_digest: str | None
    """Hash of the training rows of a fixed subset."""
    steps: int
    tokens: int
    """Positions processed in training, including padding."""
    real_tokens: int
    flops: float
    """Forward and backward FLOPs: those of the first step per position (torch's FlopCounterMode), times `tokens`."""
    micro_batches: int
    """Parts that a batch was split into for lack of memory, with accumulated gradients; 1 if it fitted."""
    inference_flops: float
    """FLOPs of one forward pass over an example of median length."""
    layers: int
    """Layers of the fine-tuned model; a method may have dropped some."""
    selected_layer: int | None
    """The layer l*, if a method of the cell reads it."""
    trainable_parameters: int
    total_parameters: int
    initial_weights: str
    """Hash of the trainable parameters before the first step."""
    first_order: str
    """Hash of the order of the first epoch's batches."""
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class Record:
    """`record.json`."""

    status: Status
    reason: str | None
    """Why the status is not ok, in one line."""
    spec: dict[str, Any]
    fingerprint: str
    inputs: list[Input]
    analysis_plan: str | None = None
    """SHA-256 of the suite's analysis plan when the cell ran; None if the suite has none."""
    parent: Parent | None = None
    """None if the cell started from the pretrained encoder."""
    model: Model | None = None
    """None if no encoder was loaded."""
    streams: dict[str, int]
    environment: Environment
    training: Training | None
    evaluations: list[Evaluation]
    timing: dict[str, float]
    """Seconds by phase: start (imports), load, tokenise, train, evaluate, write; and the total, including the time
    between phases."""
    memory: dict[str, int]
    """Peak bytes: host, and device if there is one."""
    usage: Usage
    files: dict[str, str]
    """SHA-256 of the files next to it, by name: `BESIDE`, and predictions on splits without labels and the fine-tuned
    weights if there are any."""
    seal: str = field(default="", compare=False)
    """SHA-256 of the rest of the record, added when it is written."""
    version: Literal["3"] = "3"

    @property
    def cell(self) -> Cell:
        """The cell that the record belongs to."""
        return Cell(*(self.spec[key] for key in ("encoder", "method", "task", "seed")))


def write_record(record: Record, folder: Path) -> None:
    """Write `record.json` atomically, with its seal; NaN and infinity, which JSON lacks, are written as null."""
    write_sealed(folder / RECORD, record)


def read_record(path: Path) -> Record:
    """Read and check a `record.json`.

    Raises:
        SteadyTuneError: the file is missing, not JSON (if truncated, for example), edited, not a record, or another
            cell's record; one line.
    """
    from steadytune.schema import check

    record = check(Record, read_sealed(path), path)
    expected = str(record.cell)
    if not path.parent.as_posix().endswith(expected):
        raise SteadyTuneError(f"{path}: holds the record of another cell, '{expected}'")
    return record


def damaged_file(record: Record, folder: Path) -> str | None:
    """Which file next to a record is missing or differs from its recorded hash, and how; None if all are intact."""
    for name in (*BESIDE, *({UNLABELLED} & record.files.keys())):
        if not (folder / name).is_file():
            return f"{folder / name}: missing"
        if (found := sha256(folder / name)) != record.files.get(name):
            return f"{folder / name}: damaged: SHA-256 {found}, the record says {record.files.get(name)}"
    return None

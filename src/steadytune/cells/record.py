"""What one cell leaves behind: everything needed to judge it and to repeat it.

Plain dataclasses, so that a training machine needs nothing else to write one; reading checks the schema.
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
"""The files that lie beside a record."""

TRAINED: tuple[Status, ...] = ("ok", "degenerate")
"""How cells end that leave usable weights: those of the others are not numbers, or do not exist."""

EvaluationKind = Literal["in_domain", "transfer", "held_out"]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where a cell ran."""

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
    """A staged folder that a cell read, every file of it checked by hash."""

    kind: Kind
    key: str
    source: str
    revision: str | None
    pinned_by: str
    digest: str

    @property
    def from_hub(self) -> bool:
        """Whether its files are those of the repository on the hub that its key names: other sources' may differ."""
        return self.source == "hub"


@dataclass(frozen=True, kw_only=True)
class Model:
    """What was loaded as the encoder."""

    model_type: str
    attention: str
    """The kernel of its attention: that of the protocol, or the encoder's own."""
    notes: tuple[str, ...]
    """What a reader should know: a layout that was found by structure and is not tested, say."""


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
    """The task's own evaluation split, another task's, or the share of the training split kept from training."""
    headline: str
    """The metric that tables print."""
    metrics: dict[str, float | None]
    """None where the model's outputs were no numbers."""
    majority: dict[str, float | None]
    """Each metric's value for a predictor that always says the most frequent class; None where undefined."""
    n: int
    """Examples."""
    majority_rate: float | None
    """Share of the most frequent gold class; None for regression."""
    truncated: int
    """Examples cut to the longest length."""
    seen_in_training: int
    """Examples whose texts are in the training set too."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the training did."""

    examples: int
    truncated: int
    subset_digest: str | None
    """Hash of the training rows of a fixed subset."""
    steps: int
    tokens: int
    """Positions computed on in training, padding included."""
    real_tokens: int
    flops: float
    """Forward and backward FLOPs: those of the first step (torch's FlopCounterMode), a position, times `tokens`."""
    micro_batches: int
    """Parts that a batch was cut into for lack of memory, their gradients accumulated; 1 where it fitted."""
    inference_flops: float
    """FLOPs of one forward pass over an example of median length."""
    layers: int
    """Layers of the fine-tuned model, where a method may have dropped some."""
    selected_layer: int | None
    """l*, where a method of the cell reads it."""
    trainable_parameters: int
    total_parameters: int
    initial_weights: str
    """Hash of the trainable parameters before the first step."""
    first_order: str
    """Hash of the first epoch's batches."""
    resumed: bool


@dataclass(frozen=True, kw_only=True)
class Record:
    """`record.json`."""

    status: Status
    reason: str | None
    """Why it is not ok, in a line."""
    spec: dict[str, Any]
    fingerprint: str
    inputs: list[Input]
    analysis_plan: str | None = None
    """SHA-256 of the suite's analysis plan when the cell ran; None if the suite has none."""
    parent: Parent | None = None
    """None: it started from the pretrained encoder."""
    model: Model | None = None
    """None: it was not loaded."""
    streams: dict[str, int]
    environment: Environment
    training: Training | None
    evaluations: list[Evaluation]
    timing: dict[str, float]
    """Seconds by phase: start (imports), load, tokenise, train, evaluate, write; and their total, with what lies
    between."""
    memory: dict[str, int]
    """Peak bytes: host, and device where there is one."""
    usage: Usage
    files: dict[str, str]
    """SHA-256 of the files beside it, by name: `BESIDE`, and predictions on splits without labels and the
    fine-tuned weights if there are any."""
    seal: str = field(default="", compare=False)
    """SHA-256 of all of the above; added when the record is written."""
    version: Literal["3"] = "3"

    @property
    def cell(self) -> Cell:
        """Whose record it is."""
        return Cell(*(self.spec[key] for key in ("encoder", "method", "task", "seed")))


def write_record(record: Record, folder: Path) -> None:
    """Write `record.json`, atomically and sealed; numbers that JSON lacks (NaN, infinity) are written as null."""
    write_sealed(folder / RECORD, record)


def read_record(path: Path) -> Record:
    """Read and check a `record.json`.

    Raises:
        SteadyTuneError: no such file, not JSON (a truncated file, say), edited, or not a record; one line.
    """
    from steadytune.schema import check

    record = check(Record, read_sealed(path), path)
    expected = str(record.cell)
    if not path.parent.as_posix().endswith(expected):
        raise SteadyTuneError(f"{path}: holds the record of another cell, '{expected}'")
    return record


def damaged_file(record: Record, folder: Path) -> str | None:
    """Which of the files beside a record is missing or not what the record says, and how; None if all are."""
    for name in (*BESIDE, *({UNLABELLED} & record.files.keys())):
        if not (folder / name).is_file():
            return f"{folder / name}: missing"
        if (found := sha256(folder / name)) != record.files.get(name):
            return f"{folder / name}: damaged: SHA-256 {found}, the record says {record.files.get(name)}"
    return None

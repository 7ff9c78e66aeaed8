"""A cell: its identity and its resolved spec, which is all that a training process needs of the suite's file."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.registry import Part
from steadytune.suite.protocol import Protocol
from steadytune.tasks.task import Task

Weights = Literal["pretrained", "random"]
Status = Literal["ok", "degenerate", "diverged", "out_of_memory"]
"""How a cell ended."""
SEED = "\0the seed"
"""Stands for a seed in what `digest_by_seed` gets: a text that no name and no setting can have."""


@dataclass(frozen=True, order=True)
class Cell:
    """Encoder x method x task x seed, by name."""

    encoder: str
    method: str
    task: str
    seed: int

    def __str__(self) -> str:
        return f"{self.encoder}/{self.method}/{self.task}/seed-{self.seed}"

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """The cell of `encoder/method/task/seed-n`, as its path under `cells/` spells it.

        Raises:
            SteadyTuneError: another form.
        """
        parts = text.strip("/").split("/")
        if len(parts) != 4 or not parts[3].removeprefix("seed-").isdigit() or not parts[3].startswith("seed-"):
            raise SteadyTuneError(f"cell '{text}': expected encoder/method/task/seed-<n>")
        return cls(parts[0], parts[1], parts[2], int(parts[3].removeprefix("seed-")))


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A cell with everything resolved: what the record keeps and the training process reads."""

    suite: str
    encoder: str
    model: str
    """Key of the encoder's weights in the lock: `<owner>/<name>`."""
    weights: Weights
    """`pretrained`, or `random` for the same architecture drawn anew."""
    method: str
    parts: tuple[Part, ...]
    task: str
    transfer: tuple[str, ...]
    """Tasks whose evaluation split the fine-tuned model is evaluated on too."""
    seed: int
    protocol: Protocol
    predict: tuple[str, ...] = ()
    """Splits of the task's data set without labels that are predicted; no part of the JSON if there are none."""
    tasks: Mapping[str, Task] = field(repr=False, compare=False)
    """The task and the transfer tasks, by these names, resolved; no part of the JSON."""
    start: Cell | None = None
    """The cell, the parent, whose fine-tuned encoder it starts from; None: from the pretrained one, and not in the
    JSON."""

    @property
    def cell(self) -> Cell:
        """The identity alone."""
        return Cell(self.encoder, self.method, self.task, self.seed)

    @cached_property
    def reads_selection(self) -> bool:
        """Whether a method of it tunes by the variability of the encoder's layers."""
        return any(part.build().reads_selection for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return json.loads(json.dumps(self, default=_fields))

    def without_transfer(self) -> "Spec":
        """The same cell, evaluated on its own task alone."""
        return replace(self, transfer=(), predict=(), tasks={self.task: self.tasks[self.task]})

    def digest(self) -> str:
        """The SHA-256 of the spec."""
        return canonical_digest(self)


def canonical_digest(value: Any) -> str:
    """The SHA-256 of a JSON value, whatever the order of its keys; a dataclass is the object of its fields."""
    return hashlib.sha256(canonical_text(value).encode()).hexdigest()


def digest_by_seed(value: Any) -> Callable[[int], str]:
    """`canonical_digest` of a JSON value in which `SEED` stands once in the place of a seed, by seed, for thousands."""
    before, after = canonical_text(value).split(json.dumps(SEED))
    return lambda seed: hashlib.sha256(f"{before}{seed}{after}".encode()).hexdigest()


def canonical_text(value: Any) -> str:
    """What `canonical_digest` is a digest of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_fields)


def _fields(value: Any) -> dict[str, Any]:
    # asdict would copy all that is in it first, which thousands of cells would notice.
    if not isinstance(value, Spec):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    values = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "tasks"}
    named = {name: found for name, found in values.items() if found or name not in ("predict", "start")}
    # What the task table says is the fingerprint's; what the suite's own file says of a task is the suite's.
    own = {name: task for name, task in value.tasks.items() if task.own}
    return named | ({"own_tasks": own} if own else {})

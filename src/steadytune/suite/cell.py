"""A cell's identity and its resolved spec, the only part of the suite's file that training reads."""

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from steadytune.errors import SteadyTuneError, nearest
from steadytune.methods.registry import Part
from steadytune.suite.protocol import Protocol
from steadytune.tasks.task import Task

Weights = Literal["pretrained", "random"]
Status = Literal["ok", "degenerate", "diverged", "out_of_memory"]
"""How a cell ended."""
SEED = "\0the seed"
"""Placeholder for the seed in the argument of `digest_by_seed`; no name or setting can contain this text."""


@dataclass(frozen=True, order=True)
class Cell:
    """Encoder x method x task x seed, by name."""

    encoder: str
    method: str
    task: str
    seed: int

    def __str__(self) -> str:
        return f"{self.group}/seed-{self.seed}"

    @property
    def group(self) -> str:
        """`encoder/method/task`, shared by the cells that differ only in their seed."""
        return f"{self.encoder}/{self.method}/{self.task}"

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """The cell written `encoder/method/task/seed-n`, as in its path under `cells/`.

        Raises:
            SteadyTuneError: the text is not of this form.
        """
        parts = text.strip("/").split("/")
        seed = parse_seed(parts[-1])
        if len(parts) != 4 or seed is None:
            raise SteadyTuneError(f"cell '{text}': expected encoder/method/task/seed-<n>")
        return cls(parts[0], parts[1], parts[2], seed)


def parse_seed(text: str) -> int | None:
    """The seed in `seed-7`; None for any other form."""
    # ASCII digits only (`int` reads those of other scripts too), and at most 18 (`int` refuses thousands of digits).
    match = re.fullmatch(r"seed-(\d{1,18})", text, re.ASCII)
    return int(match[1]) if match else None


def nearest_cell(cell: Cell, cells: Collection[Cell]) -> str:
    """A hint for a cell that is not in `cells`: its first unknown part, with the nearest known name."""
    for part in ("encoder", "method", "task"):
        names = {getattr(known, part) for known in cells}
        if getattr(cell, part) not in names:
            return f": unknown {part} '{getattr(cell, part)}'{nearest(getattr(cell, part), names)}"
    if seeds := sorted(known.seed for known in cells if known.group == cell.group):
        return f": seed {cell.seed} is not among its seeds {seeds}"
    return f"; the nearest is {nearest(str(cell), map(str, cells)) or 'none'}"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A cell with all settings resolved, as the training process reads it and the record keeps it."""

    suite: str
    encoder: str
    model: str
    """Key of the encoder's weights in the lock: `<owner>/<name>`."""
    weights: Weights
    """`pretrained`, or `random` for the same architecture with random weights."""
    method: str
    parts: tuple[Part, ...]
    task: str
    transfer: tuple[str, ...]
    """Further tasks on whose evaluation splits the fine-tuned model is evaluated."""
    seed: int
    protocol: Protocol
    predict: tuple[str, ...] = ()
    """Unlabelled splits of the task's data set to predict; left out of the JSON if there are none."""
    tasks: Mapping[str, Task] = field(repr=False, compare=False)
    """The resolved task and transfer tasks by name; not in the JSON."""
    start: Cell | None = None
    """The parent cell whose fine-tuned encoder this cell starts from; None, and left out of the JSON, if it starts from
    the pretrained encoder."""

    @property
    def cell(self) -> Cell:
        """The cell's identity."""
        return Cell(self.encoder, self.method, self.task, self.seed)

    @property
    def reads_selection(self) -> bool:
        """Whether a method of the cell reads l*, the layer that the variability stage selects."""
        return any(part.reads_selection for part in self.parts)

    def to_dict(self) -> dict[str, Any]:
        """The spec as plain JSON values."""
        return json.loads(json.dumps(self, default=_fields))

    def without_transfer(self) -> "Spec":
        """The same spec, evaluated on its own task only."""
        return replace(self, transfer=(), predict=(), tasks={self.task: self.tasks[self.task]})

    def digest(self) -> str:
        """The SHA-256 of the spec."""
        return canonical_digest(self)


def canonical_digest(value: Any) -> str:
    """The SHA-256 of a JSON value, independent of key order; a dataclass is hashed as an object of its fields."""
    return hashlib.sha256(canonical_text(value).encode()).hexdigest()


def digest_by_seed(value: Any) -> Callable[[int], str]:
    """`canonical_digest` as a function of the seed, which replaces the one `SEED` in `value`; fast for many seeds."""
    before, after = canonical_text(value).split(json.dumps(SEED))
    return lambda seed: hashlib.sha256(f"{before}{seed}{after}".encode()).hexdigest()


def canonical_text(value: Any) -> str:
    """The text that `canonical_digest` hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_fields)


def _fields(value: Any) -> dict[str, Any]:
    # asdict copies every value first, which is too slow for thousands of cells.
    if not isinstance(value, Spec):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    values = {field.name: getattr(value, field.name) for field in fields(value) if field.name != "tasks"}
    named = {name: found for name, found in values.items() if found or name not in ("predict", "start")}
    # The fingerprint covers the task table's entries, so the spec needs only the tasks that the suite's file defines.
    own = {name: task for name, task in value.tasks.items() if task.own}
    return named | ({"own_tasks": own} if own else {})

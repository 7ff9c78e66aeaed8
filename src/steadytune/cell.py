"""A cell: its identity, its place on disk, everything it depends on, and the fingerprint of that.

A cell's `Spec` is complete: a training process needs nothing of the suite's file besides it. The fingerprint covers
the spec, the task table's entries for it, the inputs' hashes and the meaning of the code that trains (comments and
docstrings aside), so that a record is told stale by what it depends on and not by a file's date.
"""

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.registry import Part, methods
from steadytune.protocol import Protocol
from steadytune.tasks.table import parse_task

Weights = Literal["pretrained", "random"]

# What a cell runs through, besides its methods' own files: a change of meaning here makes records stale.
TRAINING_CODE = (
    "encoders",
    "training",
    "evaluation",
    "tasks/data.py",
    "tasks/duplicates.py",
    "tasks/labels.py",
    "tasks/parts.py",
    "tasks/spans.py",
    "tasks/subsets.py",
    "methods/base.py",
    "protocol.py",
)
# Inside those folders, what a cell does not run through.
NOT_TRAINING_CODE = (
    "encoders/pretrain.py",
    "encoders/tokenizer.py",
    "evaluation/calibration.py",
    "training/keeping.py",
    "training/usage.py",
)

# What of a task's entry changes no number.
PROSE = ("citation", "licence", "description", "slices")


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
        return json.loads(json.dumps(asdict(self)))

    def digest(self) -> str:
        """The SHA-256 of the spec."""
        return canonical_digest(self)


def canonical_digest(value: Any) -> str:
    """The SHA-256 of a JSON value, whatever the order of its keys; a dataclass is the object of its fields."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_fields)
    return hashlib.sha256(text.encode()).hexdigest()


def _fields(value: Any) -> dict[str, Any]:
    # asdict would copy all that is in it first, which thousands of cells would notice.
    return {field.name: getattr(value, field.name) for field in fields(value)}


def fingerprint(spec: Spec, inputs: dict[str, str]) -> str:
    """What a finished cell depends on, as one SHA-256.

    Args:
        spec: the resolved cell.
        inputs: digest of every staged folder that it reads, by key.
    """
    named = {name: parse_task(name)[0] for name in (spec.task, *spec.transfer)}
    tasks = {
        name: {key: value for key, value in asdict(task).items() if key not in PROSE} for name, task in named.items()
    }
    files = method_files(frozenset(methods()[part.name][0].__module__ for part in spec.parts))
    code = code_digest((*TRAINING_CODE, *files))
    return canonical_digest({"spec": spec.to_dict(), "tasks": tasks, "inputs": inputs, "code": code})


@cache
def method_files(modules: frozenset[str]) -> tuple[str, ...]:
    """The files of methods, by their modules, and of the methods that they take something from."""
    found, left = set(), set(modules)
    while left:
        name = left.pop()
        found.add(name)
        source = Path(__file__).parent / "methods" / f"{name.rpartition('.')[2]}.py"
        imported = {node.module for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.ImportFrom)}
        left |= {other for other in imported if other and other.startswith("steadytune.methods.")} - found
    return tuple(sorted(f"methods/{name.rpartition('.')[2]}.py" for name in found))


@cache
def code_digest(paths: tuple[str, ...]) -> str:
    """The SHA-256 of what the package's files at `paths` (files or folders) mean: their syntax trees, no docstrings."""
    root = Path(__file__).parent
    files: set[Path] = set()
    for path in paths:
        files |= set((root / path).rglob("*.py")) if (root / path).is_dir() else {root / path}
    files -= {root / path for path in NOT_TRAINING_CODE}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(meaning(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()


def meaning(source: str) -> str:
    """Python source without comments, docstrings and layout."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = list(_without_strings(node.body)) or [ast.Pass()]
    return ast.unparse(tree)


def _without_strings(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    """Statements other than bare strings: docstrings, also those under a dataclass field."""
    for statement in body:
        if not (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Constant)
            and isinstance(statement.value.value, str)
        ):
            yield statement

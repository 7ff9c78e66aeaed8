"""One hash over everything that a finished cell depends on.

The fingerprint covers the spec, the task table's entries for it, the inputs' hashes and the meaning of the training
code (comments and docstrings aside). A record is therefore stale if its dependencies change, not if a file's date does.
"""

import ast
import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from steadytune.cells.meaning import meaning
from steadytune.files import sha256
from steadytune.methods.registry import methods
from steadytune.suite.cell import SEED, Spec, canonical_digest, digest_by_seed

PACKAGE = Path(__file__).parents[1]

# The code that a cell runs, besides its methods' own files: a change of meaning here makes records stale.
TRAINING_CODE = (
    "cells/determinism.py",
    "cells/material.py",
    "cells/memory.py",
    "cells/outcome.py",
    "cells/run.py",
    "encoders",
    "evaluation",
    "methods/base.py",
    "methods/support",
    "streams.py",
    "suite/protocol.py",
    "tasks/data.py",
    "tasks/duplicates.py",
    "tasks/labels.py",
    "tasks/parts.py",
    "tasks/reading.py",
    "tasks/spans.py",
    "tasks/subsets.py",
    "training",
)
# Files in those folders that cannot change a cell's result.
NOT_TRAINING_CODE = ("evaluation/calibration.py", "training/usage.py")

# Fields of a task's entry that do not affect any number.
PROSE = ("citation", "licence", "description", "slices")


def fingerprint(spec: Spec, inputs: dict[str, str]) -> str:
    """SHA-256 over everything that a finished cell depends on.

    Args:
        spec: the resolved cell.
        inputs: the digest of every staged folder that it reads, by key.
    """
    return canonical_digest(_content(spec, inputs))


def fingerprint_by_seed(spec: Spec, inputs: dict[str, str]) -> Callable[[int], str]:
    """`fingerprint` as a function of the seed, for thousands of cells that differ from `spec` only in their seed."""
    content = _content(spec, inputs)
    content["spec"]["seed"] = SEED
    return digest_by_seed(content)


def _content(spec: Spec, inputs: dict[str, str]) -> dict[str, Any]:
    """The content that a fingerprint hashes."""
    tasks = {
        name: {key: value for key, value in vars(task).items() if key not in PROSE} for name, task in spec.tasks.items()
    }
    files = method_files(frozenset(methods()[part.name][0].__module__ for part in spec.parts))
    code = code_digest((*TRAINING_CODE, *(file for file in files if file.startswith("methods/"))))
    of = {"spec": spec.to_dict(), "tasks": tasks, "inputs": inputs, "code": code}
    outside = _by_name(Path(file) for file in files if not file.startswith("methods/"))
    return of | {"outside": outside} if outside else of


def _by_name(files: Iterable[Path]) -> dict[str, str | list[str]]:
    """Hashes of files outside the package, by file name without folder; files of the same name share a list."""
    found: dict[str, list[str]] = {}
    for file in files:
        found.setdefault(file.name, []).append(sha256(file))
    return {name: sorted(hashes) if len(hashes) > 1 else hashes[0] for name, hashes in found.items()}


@cache
def method_files(modules: frozenset[str]) -> tuple[str, ...]:
    """The files of the methods in `modules`, and of the methods that they import from.

    Files of the package are given as `methods/<name>.py`, others as absolute paths.
    """
    found, left = {}, set(modules)
    while left:
        name = left.pop()
        found[name] = f"methods/{name.rpartition('.')[2]}.py" if _is_method(name) else str(sys.modules[name].__file__)
        tree = ast.parse((PACKAGE / found[name]).read_text(encoding="utf-8"))
        left |= {other for other in _imported(tree) if _is_method(other)} - found.keys()
    return tuple(sorted(found.values()))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Every name that a file imports and that may be a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), names=names):
                yield module
                yield from (f"{module}.{alias.name}" for alias in names)


def _is_method(module: str) -> bool:
    package, _, name = module.rpartition(".")
    return package == "steadytune.methods" and (PACKAGE / "methods" / f"{name}.py").is_file()


@cache
def code_digest(paths: tuple[str, ...]) -> str:
    """SHA-256 over the syntax trees, without docstrings, of the package's files at `paths` (files or folders)."""
    root = PACKAGE
    files: set[Path] = set()
    for path in paths:
        files |= set((root / path).rglob("*.py")) if (root / path).is_dir() else {root / path}
    files -= {root / path for path in NOT_TRAINING_CODE}
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(str(file.relative_to(root)).encode())
        digest.update(_meaning(file))
    return digest.hexdigest()


@cache
def _meaning(file: Path) -> bytes:
    """A file's meaning; cached, because the methods of a suite share most of their files."""
    return meaning(file.read_text(encoding="utf-8")).encode()

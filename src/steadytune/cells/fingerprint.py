"""What a finished cell depends on, as one hash.

The fingerprint covers the spec, the task table's entries for it, the inputs' hashes and the meaning of the code that
trains (comments and docstrings aside), so that a record is stale because of what it depends on, not of a file's date.
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

# What a cell runs through, besides its methods' own files: a change of meaning here makes records stale.
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
# Inside those folders, what a cell does not run through.
NOT_TRAINING_CODE = ("evaluation/calibration.py", "training/usage.py")

# What of a task's entry changes no number.
PROSE = ("citation", "licence", "description", "slices")


def fingerprint(spec: Spec, inputs: dict[str, str]) -> str:
    """What a finished cell depends on, as one SHA-256.

    Args:
        spec: the resolved cell.
        inputs: digest of every staged folder that it reads, by key.
    """
    return canonical_digest(_content(spec, inputs))


def fingerprint_by_seed(spec: Spec, inputs: dict[str, str]) -> Callable[[int], str]:
    """`fingerprint` of the cells that differ from `spec` in their seed alone, by seed, for thousands of them."""
    content = _content(spec, inputs)
    content["spec"]["seed"] = SEED
    return digest_by_seed(content)


def _content(spec: Spec, inputs: dict[str, str]) -> dict[str, Any]:
    """What a fingerprint is a digest of."""
    tasks = {
        name: {key: value for key, value in vars(task).items() if key not in PROSE} for name, task in spec.tasks.items()
    }
    files = method_files(frozenset(methods()[part.name][0].__module__ for part in spec.parts))
    code = code_digest((*TRAINING_CODE, *(file for file in files if file.startswith("methods/"))))
    of = {"spec": spec.to_dict(), "tasks": tasks, "inputs": inputs, "code": code}
    outside = _by_name(Path(file) for file in files if not file.startswith("methods/"))
    return of | {"outside": outside} if outside else of


def _by_name(files: Iterable[Path]) -> dict[str, str | list[str]]:
    """Files outside the package by name and content, wherever they lie; several of one name share a list."""
    found: dict[str, list[str]] = {}
    for file in files:
        found.setdefault(file.name, []).append(sha256(file))
    return {name: sorted(hashes) if len(hashes) > 1 else hashes[0] for name, hashes in found.items()}


@cache
def method_files(modules: frozenset[str]) -> tuple[str, ...]:
    """The files of methods, by their modules, and of the methods that they import from.

    Those of the package as `methods/<name>.py`, others as absolute paths.
    """
    found, left = {}, set(modules)
    while left:
        name = left.pop()
        found[name] = f"methods/{name.rpartition('.')[2]}.py" if _is_method(name) else str(sys.modules[name].__file__)
        tree = ast.parse((PACKAGE / found[name]).read_text(encoding="utf-8"))
        left |= {other for other in _imported(tree) if _is_method(other)} - found.keys()
    return tuple(sorted(found.values()))


def _imported(tree: ast.Module) -> Iterator[str]:
    """Every name that a file imports and that may be a module's."""
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
    """The SHA-256 of what the package's files at `paths` (files or folders) mean: their syntax trees, no docstrings."""
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
    """What a file means: the methods of a suite share most of theirs."""
    return meaning(file.read_text(encoding="utf-8")).encode()

"""What a person, a disk or a bug can do to a file: the building blocks of the attacks."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from steadytune.seals import write_sealed

Change = Callable[[Any], object]


def cut(path: Path, share: float = 0.5) -> None:
    """Truncate a file to the first `share` of its bytes."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def flip(path: Path) -> None:
    """Flip a bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_undated(path: Path) -> None:
    """Flip a bit in the middle, then restore the file's times."""
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def swap(one: Path, other: Path) -> None:
    """Exchange two files or folders."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def replace(path: Path, old: str, new: str) -> None:
    """Replace the first occurrence of a text, which has to be present."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path}: {old}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def edit(path: Path, change: Change) -> None:
    """Change a JSON file with a function."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


def reseal(path: Path, change: Change) -> None:
    """Change a sealed file and seal it again, as somebody who knows how seals are made would."""
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    value.pop("seal", None)
    write_sealed(path, value)


def edit_yaml(path: Path, change: Change) -> None:
    """Change a YAML file with a function."""
    value = yaml.safe_load(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")


def edit_parquet(path: Path, column: str, change: Callable[[Any], Any]) -> None:
    """Rewrite a table with one column changed and its metadata kept."""
    table = pq.read_table(path)
    place = table.column_names.index(column)
    pq.write_table(table.set_column(place, column, change(table[column])), path)


def edit_number(path: Path) -> None:
    """Change a digit near the middle of a text."""
    text = path.read_text(encoding="utf-8")
    middle = len(text) // 2
    at = next(i for i in [*range(middle, len(text)), *range(middle)] if text[i].isdigit())
    path.write_text(text[:at] + str((int(text[at]) + 5) % 10) + text[at + 1 :], encoding="utf-8")


def delete(path: Path) -> None:
    """Remove a file or a folder."""
    (shutil.rmtree if path.is_dir() else Path.unlink)(path)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()

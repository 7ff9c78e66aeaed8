"""Read a staged folder: only the files that its receipt lists."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

RECEIPT = "receipt.json"
# Formats that contain only data. Pickles (.bin, .pt, .ckpt, .pkl) can run code when they are loaded.
ALLOWED_SUFFIXES = (".csv", ".json", ".jsonl", ".model", ".parquet", ".safetensors", ".tsv", ".txt")


def check_file_name(value: str) -> str:
    """Return the name of a file if the store may contain it.

    Raises:
        ValueError: the name leaves its folder, is hidden or the receipt's, or has a format that could run code.
    """
    parts = value.split("/")
    if {"\\", "\0"} & set(value) or any(not part or part.startswith(".") for part in parts) or parts[-1] == RECEIPT:
        raise ValueError("a relative path without '..', hidden parts or backslashes")
    if PurePosixPath(value).suffix not in ALLOWED_SUFFIXES:
        raise ValueError(f"a file that cannot run code when loaded: one of {' '.join(ALLOWED_SUFFIXES)}")
    return value


def listed_files(folder: Path) -> frozenset[str] | None:
    """The names of the files that a folder's receipt lists; None if the receipt is missing or damaged."""
    try:
        names = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))["files"]
        return frozenset(map(check_file_name, names))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


@contextmanager
def listed_view(folder: Path) -> Iterator[Path]:
    """Yield a folder of links to the listed files, for libraries that read every file; without receipt, `folder`."""
    names = listed_files(folder)
    if names is None:
        yield folder
        return
    with TemporaryDirectory() as place:
        view = Path(place)
        for name in names:
            (view / name).parent.mkdir(parents=True, exist_ok=True)
            (view / name).symlink_to((folder / name).absolute())
        yield view

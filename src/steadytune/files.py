"""Atomic file writes, file hashes, and tables with checksums that reveal damage."""

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError, nearest

if TYPE_CHECKING:
    import pandas as pd


TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}(\.\w+)?")


def default_mode() -> int:
    """The mode of a new file under this process's umask, which a forked job takes from its client."""
    umask = os.umask(0o077)
    os.umask(umask)
    return 0o666 & ~umask


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to `path`; rename it to `path` if the block succeeds, delete it if not.

    The file is flushed to disk before the rename and its folder after it. A crash therefore leaves the old file or the
    new one, never a part, and a later write survives only if the earlier ones do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keep the suffix last, because writers such as savefig and to_parquet choose the format by it.
    temporary = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        # safetensors creates files that only their owner can read.
        temporary.chmod(default_mode())
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a new folder; rename it to `path` if the block succeeds, delete it if not.

    Raises:
        SteadyTuneError: `path` exists.
    """
    if path.exists() or path.is_symlink():
        raise SteadyTuneError(f"{path}: exists already; expected a new folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        yield temporary
        for weights in temporary.rglob("*.safetensors"):
            # safetensors creates files that only their owner can read.
            weights.chmod(default_mode())
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk, if the file system supports it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def aside_path(path: Path, reason: str) -> Path:
    """Where `keep_aside` renames a file to."""
    return path.with_name(f"{path.name}.{reason}")


def keep_aside(path: Path, reason: str) -> Path:
    """Rename a file that no longer counts; a file set aside before for the same reason is numbered and stays.

    Returns:
        The new path, as from `aside_path`.
    """
    aside = aside_path(path, reason)
    if aside.exists():
        numbered = (aside.with_name(f"{aside.name}.{number}") for number in count(1))
        aside.rename(next(place for place in numbered if not place.exists()))
    return path.rename(aside)


def leftovers(folder: Path) -> Iterator[Path]:
    """Temporary files of `atomic_path` below a folder, whether their writers are still running or were killed."""
    for where, _, names in os.walk(folder):
        for name in names:
            if name.startswith(".") and TEMPORARY.fullmatch(name):
                yield Path(where, name)


@contextmanager
def safetensors_errors(path: Path) -> Iterator[None]:
    """Turn errors of safetensors while it writes `path` into the operating system's errors.

    Raises:
        OSError: names the file; its number is EIO if safetensors does not report the system's.
    """
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        number, said = (int(code[1]), os.strerror(int(code[1]))) if code else (errno.EIO, str(error))
        raise OSError(number, said, str(path)) from None


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any, *, sort_keys: bool = False) -> None:
    """Write `plain(value)` to `path` as JSON, atomically, one entry per line."""
    write_text(path, json.dumps(plain(value), indent=1, sort_keys=sort_keys, allow_nan=False) + "\n")


def nearest_file(path: Path) -> str:
    """` (did you mean 'x'?)` for the closest file name next to a missing path; empty if none is close."""
    try:
        return nearest(path.name, [other.name for other in path.parent.iterdir() if other != path])
    except OSError:
        return ""


def read_text(path: Path) -> str:
    """The text of a UTF-8 file.

    Raises:
        SteadyTuneError: no such file, a folder, or not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SteadyTuneError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise SteadyTuneError(f"{path}: expected a file, found a folder") from None
    except NotADirectoryError:
        raise SteadyTuneError(f"{path.parent}: expected a folder, found a file") from None
    except UnicodeDecodeError as error:
        raise SteadyTuneError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        SteadyTuneError: no such file, not valid JSON, or nested too deeply.
    """
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise SteadyTuneError(f"{path}: not valid JSON (truncated?): {error}") from None
    except RecursionError:
        raise SteadyTuneError(f"{path}: not valid JSON: nested too deeply") from None


def plain(value: Any) -> Any:
    """A value that JSON can represent: dataclasses become mappings; NaN and infinite numbers become null."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_parquet(path: Path, table: "pd.DataFrame") -> None:
    """Write a table to `path` atomically, with the checksums that `read_parquet` verifies."""
    with atomic_path(path) as temporary:
        table.to_parquet(temporary, index=False, write_page_checksum=True)


def read_parquet(path: Path) -> "pd.DataFrame":
    """Read a table that was collected from a suite's records.

    Raises:
        SteadyTuneError: the file is damaged; one line.
        OSError: it cannot be opened.
    """
    import pandas as pd
    from pyarrow import ArrowException

    try:
        return pd.read_parquet(path, page_checksum_verification=True)
    except (ArrowException, ValueError, KeyError, OSError) as error:
        # pyarrow reports some damage as an OSError too, but without the errno that system errors have.
        if (isinstance(error, OSError) and error.errno) or isinstance(error, MemoryError | NotImplementedError):
            raise
        reason = str(error).partition("\n")[0].removeprefix(f"Could not open Parquet input source '{path}': ")
        raise SteadyTuneError(
            f"{path}: damaged ({reason}); a whole `steadytune run` of its suite makes it again from the records"
        ) from None


def sha256(path: Path) -> str:
    """The hex SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()

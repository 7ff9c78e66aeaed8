"""Receipts: what staging writes next to a folder's files, and the check of those files before every use."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.files import sha256, write_text
from steadytune.seals import SEAL, seal_of
from steadytune.staged import RECEIPT, check_file_name

BUNDLE = "bundle"
"""Marks a receipt if only the maker of a bundle vouches for the files."""
HOW_TO_STAGE = "`steadytune stage SUITE` stages it (the workflow makes an encoder that the project trains itself)"


@dataclass(frozen=True)
class StagedFile:
    """A file in the store."""

    sha256: str
    bytes: int
    rows_sha256: str | None = None
    """Hash of the rows, for a parquet file written here; unlike `sha256`, it does not depend on the library version."""
    raw_sha256: str | None = None
    """Hash of the download that the rows were read from."""
    raw_bytes: int | None = None

    @property
    def content(self) -> str:
        """The hash that identifies the file's content: of its rows if known, else of its bytes."""
        return self.rows_sha256 or self.sha256


@dataclass(frozen=True)
class Receipt:
    """Where a folder of the store came from, and what is in it."""

    source: str
    """Kind of source: hub, url, local, generated, shipped, own, imported, pretrained or bundle."""
    origin: str
    """The repository on the hub, or the origin in words."""
    revision: str | None
    """40-hex commit, if the files came from the hub."""
    pinned_by: str
    """What fixed the hashes: `lock`; `stage`, the first download; `commit`, the first download at a commit that the
    lock names; `import`, if the user provided the files; `generated`, if the project made them and the lock has no
    hash; `bundle`, if only the maker of a bundle vouches for them."""
    files: Mapping[str, StagedFile]
    made_from: Mapping[str, str] = field(default_factory=dict)
    """For an encoder that the project trains, digests of its settings and its corpus, by name."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


def measure(path: Path) -> StagedFile:
    """The hash and size of a file."""
    return StagedFile(sha256=sha256(path), bytes=path.stat().st_size)


def measure_rows(path: Path) -> StagedFile:
    """The hash and size of a parquet file, and the hash of its rows as read."""
    import pyarrow.parquet as pq

    # In batches, to save memory, because a cell's memory use is measured.
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
        return replace(measure(path), rows_sha256=hash_rows(rows))


def count_rows(path: Path) -> int | None:
    """The number of rows in a parquet file; None if it is not a readable one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError):
        return None


def hash_rows(rows: Iterable[Mapping[str, Any]]) -> str:
    """Hex SHA-256 over rows as JSON lines: sorted keys, no spaces, UTF-8, a newline after each."""
    digest = hashlib.sha256()
    for row in rows:
        line = json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def measure_all(folder: Path, names: Iterable[str]) -> dict[str, StagedFile]:
    """The hashes and sizes of files in a folder, by name."""
    return {name: measure(folder / name) for name in names}


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Write a folder's receipt. Staging does so last, because a receipt means that all files are there."""
    value = asdict(receipt)
    value["files"] = {
        name: {key: item for key, item in entry.items() if item is not None} for name, entry in value["files"].items()
    }
    if not receipt.made_from:
        del value["made_from"]
    value[SEAL] = seal_of(value)
    write_text(folder / RECEIPT, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_receipt(folder: Path) -> Receipt:
    """Read a folder's receipt without checking the files.

    Raises:
        SteadyTuneError: the receipt is missing or damaged, for example names files outside the folder; the line has the
            command that stages it.
    """
    path = folder / RECEIPT
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        # Receipts written before seals existed have none; their files are compared only with the lock.
        if value.pop(SEAL, None) not in (None, seal_of(value)):
            raise ValueError("edited")
        files = {check_file_name(name): StagedFile(**entry) for name, entry in value.pop("files").items()}
        return Receipt(files=files, **value)
    except (FileNotFoundError, NotADirectoryError):
        raise SteadyTuneError(f"{folder}: not staged (no {RECEIPT}): {HOW_TO_STAGE}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SteadyTuneError(f"{path}: damaged receipt: {HOW_TO_STAGE}") from None


def verify(folder: Path) -> Receipt:
    """Check the size and hashes of every file in a folder's receipt; called before every use of the folder.

    For parquet files written here, the lock pins only the rows. They are hashed again, because the receipt's hash of
    them is not trusted.

    Raises:
        SteadyTuneError: no receipt, or a file is missing or differs (with its name and both sizes or both hashes).
    """
    receipt = read_receipt(folder)
    for name, expected in receipt.files.items():
        if reason := damage(folder / name, expected):
            raise SteadyTuneError(f"{folder / name}: {reason}: {HOW_TO_STAGE}")
    return receipt


def damage(path: Path, expected: StagedFile) -> str:
    """How a file differs from its entry in the receipt; empty if it does not."""
    if not path.is_file():
        return "in the receipt but not in the folder"
    size = path.stat().st_size
    if size != expected.bytes:
        return f"corrupted: {size} bytes where the receipt says {expected.bytes}"
    found = sha256(path)
    if found != expected.sha256:
        return f"corrupted: SHA-256 {found} where the receipt says {expected.sha256}"
    if expected.rows_sha256 is None:
        return ""
    import pyarrow as pa

    try:
        rows = measure_rows(path).rows_sha256
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return "corrupted: no readable rows"
    if rows != expected.rows_sha256:
        return f"corrupted: rows of SHA-256 {rows} where the receipt says {expected.rows_sha256}"
    return ""


def receipt_digest(receipt: Receipt) -> str:
    """Hex SHA-256 of the names and content hashes of a folder's files, which is part of a cell's fingerprint.

    It depends neither on the files' source nor on the library version that wrote a parquet file here.
    """
    content = {name: entry.content for name, entry in receipt.files.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

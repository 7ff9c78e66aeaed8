"""What staging leaves beside a folder's files, and the check of those files before every use."""

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
"""What a receipt says if only the maker of a bundle vouches for the files."""
HOW_TO_STAGE = "`steadytune stage SUITE` stages it (the workflow makes an encoder that the project trains itself)"


@dataclass(frozen=True)
class StagedFile:
    """One file as it lies in the store."""

    sha256: str
    bytes: int
    rows_sha256: str | None = None
    """Hash of the rows of a parquet file that was written here, which do not depend on the version that wrote it."""
    raw_sha256: str | None = None
    """Hash of the download that the rows were read from."""
    raw_bytes: int | None = None

    @property
    def content(self) -> str:
        """The hash that says what the file means."""
        return self.rows_sha256 or self.sha256


@dataclass(frozen=True)
class Receipt:
    """Where a folder of the store comes from and what is in it."""

    source: str
    """Kind of source: hub, url, local, generated, shipped, imported, pretrained or bundle."""
    origin: str
    """The repository on the hub, or the origin in words."""
    revision: str | None
    """40-hex commit on the hub."""
    pinned_by: str
    """Who fixed the hashes: `lock`, `stage` at the first download, `commit` at the first download of a commit that the
    lock names, `import` if the user brought the files, `generated` if the lock has no hash of what the project makes,
    or `bundle` if only the maker of a bundle vouches for them."""
    files: Mapping[str, StagedFile]
    made_from: Mapping[str, str] = field(default_factory=dict)
    """Of an encoder that the project trains: digests of its settings and its corpus, by name."""

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


def measure(path: Path) -> StagedFile:
    """Hash and size of a file."""
    return StagedFile(sha256=sha256(path), bytes=path.stat().st_size)


def measure_rows(path: Path) -> StagedFile:
    """Hash and size of a parquet file, and the hash of the rows that a reader gets from it."""
    import pyarrow.parquet as pq

    # In batches, because a cell's memory is measured.
    with pq.ParquetFile(path) as file:
        rows = (row for batch in file.iter_batches() for row in batch.to_pylist())
        return replace(measure(path), rows_sha256=hash_rows(rows))


def count_rows(path: Path) -> int | None:
    """The number of rows of a parquet file; None for another file."""
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
    """Hash and size of the files of a folder, by name."""
    return {name: measure(folder / name) for name in names}


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Write a folder's receipt: the last thing that staging does, because a receipt means that all is there."""
    value = asdict(receipt)
    value["files"] = {
        name: {key: item for key, item in entry.items() if item is not None} for name, entry in value["files"].items()
    }
    if not receipt.made_from:
        del value["made_from"]
    value[SEAL] = seal_of(value)
    write_text(folder / RECEIPT, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_receipt(folder: Path) -> Receipt:
    """A folder's receipt, its files unchecked.

    Raises:
        SteadyTuneError: no receipt, or a damaged one, such as one that names files outside of the folder; the line says
            which command stages it.
    """
    path = folder / RECEIPT
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        # Stores that were staged before receipts had seals are compared with the lock alone.
        if value.pop(SEAL, None) not in (None, seal_of(value)):
            raise ValueError("edited")
        files = {check_file_name(name): StagedFile(**entry) for name, entry in value.pop("files").items()}
        return Receipt(files=files, **value)
    except (FileNotFoundError, NotADirectoryError):
        raise SteadyTuneError(f"{folder}: not staged, for it has no {RECEIPT}: {HOW_TO_STAGE}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise SteadyTuneError(f"{path}: damaged receipt: {HOW_TO_STAGE}") from None


def verify(folder: Path) -> Receipt:
    """Check every file that a folder's receipt names by size and hashes: called before every use of the folder.

    The lock pins rows that were written here by their own hash, so they are hashed too and the receipt is not believed.

    Raises:
        SteadyTuneError: no receipt; a file that is missing or differs (its name, both sizes or both hashes).
    """
    receipt = read_receipt(folder)
    for name, expected in receipt.files.items():
        if reason := damage(folder / name, expected):
            raise SteadyTuneError(f"{folder / name}: {reason}: {HOW_TO_STAGE}")
    return receipt


def damage(path: Path, expected: StagedFile) -> str:
    """How a file differs from what its receipt says; empty if it does not."""
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
    """Hex SHA-256 over the names and content hashes of a folder's files: what a cell's fingerprint takes of its inputs.

    Where the files came from has no part in it, and neither has the version that wrote a generated parquet file.
    """
    content = {name: entry.content for name, entry in receipt.files.items()}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

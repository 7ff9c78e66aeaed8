"""What each file of a data set or an encoder must be, according to `config/lock.yaml`."""

import re
from pathlib import PurePosixPath
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from steadytune.errors import nearest
from steadytune.schema import SECRET, Sha256, StrictModel
from steadytune.staged import check_file_name
from steadytune.store.parsers import PARSERS
from steadytune.store.receipt import StagedFile


def store_name(path: str) -> str:
    """The name in the store of a data set's file on the hub: without its folder, because the store has its own.

    A file whose name is only a number (`rte/train/0000.parquet`, the hub's converted layout) keeps its split's folder.
    """
    pure = PurePosixPath(path)
    return f"{pure.parent.name}/{pure.name}" if pure.stem.isdigit() and pure.parent.name else pure.name


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        # `port` raises ValueError if it is not a number.
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        parts, usable = None, False
    if not parts or not usable or parts.username or parts.password:
        raise PydanticCustomError(SECRET, "an http(s) address with a host, and without user name and password")
    if not re.fullmatch("[!-~]+", value):
        raise PydanticCustomError(SECRET, "an address of ASCII characters without blanks: write a blank as %20")
    return value


def _check_parser(value: str) -> str:
    if value not in PARSERS:
        raise ValueError(f"one of {', '.join(sorted(PARSERS))}{nearest(value, PARSERS)}")
    return value


FileName = Annotated[str, AfterValidator(check_file_name)]
Address = Annotated[str, AfterValidator(_check_url)]
ParserName = Annotated[str, AfterValidator(_check_parser)]


def require(condition: bool, expected: str) -> None:
    """Raise a ValueError that says what was expected, unless the condition holds."""
    if not condition:
        raise ValueError(expected)


class FilePin(StrictModel):
    """The hash and size of a file; both may be unknown in a pin with `unpinned: true`."""

    sha256: Sha256 | None = None
    bytes: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        require((self.sha256 is None) == (self.bytes is None), "both sha256 and bytes")
        return self

    @property
    def known(self) -> bool:
        """Whether the lock says what the file must be."""
        return self.sha256 is not None

    @property
    def reusable(self) -> bool:
        """Whether an existing file can be recognised by its hash instead of being fetched again."""
        return self.known

    def fits(self, found: StagedFile) -> bool:
        """Whether a file matches the lock; true if the lock has no hash of it."""
        return not self.known or (self.sha256, self.bytes) == (found.sha256, found.bytes)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock expects, or what was `found` instead, for a message."""
        what = found or self
        return f"SHA-256 {what.sha256} and {what.bytes} bytes"


class UrlFile(FilePin):
    """A file at a URL, stored as it is or as the rows that a parser reads from it.

    `sha256` and `bytes` always describe the download.
    """

    url: Address
    parser: ParserName | None = None
    """Name of the parser in `store/parsers.py` that reads the rows; if None, the file is stored as it is."""
    member: str | None = None
    """The file in the zip archive that the parser reads."""
    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines, if known."""

    @model_validator(mode="after")
    def _only_rows_come_from_archives(self) -> Self:
        rows = self.parser is not None or (self.member or self.rows_sha256) is None
        require(rows, "a parser with `member` or `rows_sha256`")
        return self

    @property
    def download(self) -> FilePin:
        """The hash and size of the download."""
        return FilePin(sha256=self.sha256, bytes=self.bytes)

    @property
    def reusable(self) -> bool:
        """As in `FilePin`, but False for rows: they are parsed again, because their parquet file has no pinned hash."""
        return self.known and self.parser is None

    def fits(self, found: StagedFile) -> bool:
        """Whether a file matches the lock; for a file of rows, whether both its download and its rows do."""
        if self.parser is None:
            return super().fits(found)
        came_from = not self.known or (self.sha256, self.bytes) == (found.raw_sha256, found.raw_bytes)
        return came_from and self.rows_sha256 in (None, found.rows_sha256)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock expects, or what was `found` instead, for a message."""
        return super().describe(found) if self.parser is None else f"rows of SHA-256 {(found or self).rows_sha256}"


class GeneratedFile(StrictModel):
    """A file of rows that one of the project's generators makes."""

    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines with sorted keys; the bytes of parquet depend on the library's version."""

    @property
    def known(self) -> bool:
        """Whether the lock says what the rows must be."""
        return self.rows_sha256 is not None

    @property
    def reusable(self) -> bool:
        """Always False: a damaged file cannot be read to check its rows, so it is regenerated."""
        return False

    def fits(self, found: StagedFile) -> bool:
        """Whether the rows match the lock; true if the lock has no hash of them."""
        return self.rows_sha256 in (None, found.rows_sha256)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock expects, or what was `found` instead, for a message."""
        return f"rows of SHA-256 {(found or self).rows_sha256}"

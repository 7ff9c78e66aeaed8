"""What each file of a data set or an encoder must be, as `config/lock.yaml` says it."""

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
    """The name in the store of a data set's file on the hub: without its folder, which the store has already.

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
    """The hash and size of a file; neither is known for some files of a pin that says `unpinned: true`."""

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
        """Whether the hash of an existing file shows that it need not be fetched again."""
        return self.known

    def fits(self, found: StagedFile) -> bool:
        """Whether a file is what the lock says, if the lock says anything."""
        return not self.known or (self.sha256, self.bytes) == (found.sha256, found.bytes)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock says, or what was found in its place, for a message."""
        what = found or self
        return f"SHA-256 {what.sha256} and {what.bytes} bytes"


class UrlFile(FilePin):
    """A file at an address of its own, or a file of rows that a parser reads from the download.

    `sha256` and `bytes` are those of the download.
    """

    url: Address
    parser: ParserName | None = None
    """The name in `store/parsers.py` of the parser that reads the rows; without one the file is kept as it is."""
    member: str | None = None
    """The file in the zip archive that the parser reads."""
    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines, if it is known."""

    @model_validator(mode="after")
    def _only_rows_come_from_archives(self) -> Self:
        require(self.parser is not None or (self.member or self.rows_sha256) is None, "a parser beside these")
        return self

    @property
    def download(self) -> FilePin:
        """The hash and size of the download."""
        return FilePin(sha256=self.sha256, bytes=self.bytes)

    @property
    def reusable(self) -> bool:
        """Whether no new download is needed. Rows are read again: no hash of their parquet file is pinned."""
        return self.known and self.parser is None

    def fits(self, found: StagedFile) -> bool:
        """Whether a file is what the lock says; a file of rows, whether its download and its rows are."""
        if self.parser is None:
            return super().fits(found)
        came_from = not self.known or (self.sha256, self.bytes) == (found.raw_sha256, found.raw_bytes)
        return came_from and self.rows_sha256 in (None, found.rows_sha256)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock says, or what was found in its place, for a message."""
        return super().describe(found) if self.parser is None else f"rows of SHA-256 {(found or self).rows_sha256}"


class GeneratedFile(StrictModel):
    """The rows of a file that a generator of the project makes."""

    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines with sorted keys; the bytes of parquet depend on the version that writes it."""

    @property
    def known(self) -> bool:
        """Whether the lock says what the rows must be."""
        return self.rows_sha256 is not None

    @property
    def reusable(self) -> bool:
        """Always False: a damaged file cannot be read to check its rows, so it is regenerated."""
        return False

    def fits(self, found: StagedFile) -> bool:
        """Whether the rows are what the lock says, if the lock says anything."""
        return self.rows_sha256 in (None, found.rows_sha256)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock says, or what was found in its place, for a message."""
        return f"rows of SHA-256 {(found or self).rows_sha256}"

"""Pins: what each kind of source must bring of a data set or an encoder, as `config/lock.yaml` says it."""

import re
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from steadytune.errors import nearest
from steadytune.schema import SECRET, Repo, Sha256, StrictModel, matching
from steadytune.staged import check_file_name
from steadytune.store.parsers import PARSERS
from steadytune.store.receipt import StagedFile
from steadytune.suite.own import OwnTask, TaskPin


def store_name(path: str) -> str:
    """The name in the store of a data set's file on the hub: without its folder, because the store has one of its own.

    A file that is only numbered (`rte/train/0000.parquet`, the hub's converted layout) keeps its split's folder.
    """
    pure = PurePosixPath(path)
    return f"{pure.parent.name}/{pure.name}" if pure.stem.isdigit() and pure.parent.name else pure.name


def _check_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        # Reading a port that is no number is an error.
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


Revision = Annotated[str, matching("[0-9a-f]{40}", "a commit: 40 lower-case hex digits")]
FileName = Annotated[str, AfterValidator(check_file_name)]
Address = Annotated[str, AfterValidator(_check_url)]
ParserName = Annotated[str, AfterValidator(_check_parser)]


def _require(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(expected)


class FilePin(StrictModel):
    """What a file must be; nothing if the lock does not know it, inside a pin that says `unpinned: true`."""

    sha256: Sha256 | None = None
    bytes: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        _require((self.sha256 is None) == (self.bytes is None), "both sha256 and bytes")
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
        """Whether a file is what the lock says, or the lock does not say."""
        return not self.known or (self.sha256, self.bytes) == (found.sha256, found.bytes)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock says, or what was found in its place, for a message."""
        what = found or self
        return f"SHA-256 {what.sha256} and {what.bytes} bytes"


class UrlFile(FilePin):
    """A file at an address of its own, or a file of rows that are read from what the address gives.

    `sha256` and `bytes` are those of the download.
    """

    url: Address
    parser: ParserName | None = None
    """What reads the rows, by its name in `store/parsers.py`; without one the file is kept as it is."""
    member: str | None = None
    """The file in the zip archive that the parser reads."""
    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines, where it is known."""

    @model_validator(mode="after")
    def _only_rows_come_from_archives(self) -> Self:
        _require(self.parser is not None or (self.member or self.rows_sha256) is None, "a parser beside these")
        return self

    @property
    def download(self) -> FilePin:
        """What the address must give."""
        return FilePin(sha256=self.sha256, bytes=self.bytes)

    @property
    def reusable(self) -> bool:
        """Whether no new download is needed. Rows are read again: no hash of their parquet file is pinned."""
        return self.known and self.parser is None

    def fits(self, found: StagedFile) -> bool:
        """Whether a file, or the download that it was read from and its rows, are what the lock says."""
        if self.parser is None:
            return super().fits(found)
        came_from = not self.known or (self.sha256, self.bytes) == (found.raw_sha256, found.raw_bytes)
        return came_from and self.rows_sha256 in (None, found.rows_sha256)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock says, or what was found in its place, for a message."""
        return super().describe(found) if self.parser is None else f"rows of SHA-256 {(found or self).rows_sha256}"


class GeneratedFile(StrictModel):
    """What the rows of a file that a generator of the project makes must be."""

    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines, each with sorted keys: parquet's bytes depend on the version that writes."""

    @property
    def known(self) -> bool:
        """Whether the lock says what the rows must be."""
        return self.rows_sha256 is not None

    @property
    def reusable(self) -> bool:
        """Always False: a damaged file cannot be read to check its rows, so it is regenerated."""
        return False

    def fits(self, found: StagedFile) -> bool:
        """Whether the rows are what the lock says, or the lock does not say."""
        return self.rows_sha256 in (None, found.rows_sha256)

    def describe(self, found: StagedFile | None = None) -> str:
        """What the lock says, or what was found in its place, for a message."""
        return f"rows of SHA-256 {(found or self).rows_sha256}"


class HubPin(StrictModel):
    """Files of a repository on the hub, by their paths in it."""

    repo: Repo
    revision: Revision | None = None
    unpinned: bool = False
    """Some hashes are not known: the first download finds them and its receipt keeps them. It takes `revision`, or the
    hub's current commit if that is not known either."""
    read_in: str = ""
    """Where the revision and the hashes were read, if the project did not download the files itself."""
    files: dict[FileName, FilePin] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        known = [file.known for file in self.files.values()]
        if self.unpinned:
            _require(not all(known), "a file without a hash, or no unpinned: true")
            _require(self.revision is not None or not any(known), "a revision beside hashes")
        else:
            _require(self.revision is not None and all(known), "a revision and every file's sha256, or unpinned: true")
        return self


class UrlPin(StrictModel):
    """Files at addresses of their own, by their names in the store."""

    origin: str
    licence: str
    unpinned: bool = False
    """No hash is known: the first download finds them and its receipt keeps them."""
    files: dict[FileName, UrlFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        files = self.files.values()
        if self.unpinned:
            _require(not any(file.known or file.rows_sha256 for file in files), "no hashes beside unpinned: true")
        else:
            _require(all(file.known for file in files), "every file's sha256 and bytes, or unpinned: true")
        return self


class KnownFiles(StrictModel):
    """Files that are all pinned, by their names in the store."""

    origin: str
    licence: str
    files: dict[FileName, FilePin] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_known(self) -> Self:
        _require(all(file.known for file in self.files.values()), "every file's sha256 and bytes")
        return self


class LocalPin(KnownFiles):
    """Files of a store staged elsewhere."""


class GeneratedPin(StrictModel):
    """Files that a generator of the project makes, by their names in the store."""

    generator: Literal["mini"]
    unpinned: bool = False
    files: dict[FileName, GeneratedFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        known = [file.known for file in self.files.values()]
        if self.unpinned:
            _require(not any(known), "no hashes beside unpinned: true")
        else:
            _require(all(known), "every file's rows_sha256, or unpinned: true")
        return self


class ShippedPin(KnownFiles):
    """Files of this repository."""

    folder: str
    """Where they lie, from the repository's root."""


class PretrainedPin(StrictModel):
    """An encoder that the project trains itself."""

    config: str
    """The file that says how."""


class OwnTaskPin(StrictModel):
    """A suite's own task. What is excluded is no part of the digest that stages it again."""

    where: str = Field(exclude=True)
    """Its place in the suite's file."""
    folder: Path = Field(exclude=True)
    """Of the suite's file."""
    store: Path = Field(exclude=True)
    """Where files of the hub are downloaded to."""
    entry: OwnTask = Field(exclude=True)
    pin: TaskPin


class OwnEncoderPin(StrictModel):
    """A suite's own encoder in a folder."""

    folder: Path = Field(exclude=True)
    files: dict[FileName, FilePin] = Field(min_length=1)


Pin = HubPin | UrlPin | LocalPin | GeneratedPin | ShippedPin | PretrainedPin | OwnTaskPin | OwnEncoderPin

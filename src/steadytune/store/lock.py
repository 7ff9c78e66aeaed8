"""The lock, `config/lock.yaml`: for every data set and encoder its sources, and what every file of each must be."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from steadytune.errors import unknown
from steadytune.schema import Checked, check, read_yaml
from steadytune.store.receipt import RECEIPT, StagedFile

Kind = Literal["datasets", "models"]
# Formats that carry data alone. Pickles (.bin, .pt, .ckpt, .pkl) run code when they are loaded.
ALLOWED_SUFFIXES = (".csv", ".json", ".jsonl", ".model", ".parquet", ".safetensors", ".tsv", ".txt")


def _matching(pattern: str, expected: str) -> AfterValidator:
    def check_text(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(expected)
        return value

    return AfterValidator(check_text)


def _check_file_name(value: str) -> str:
    parts = value.split("/")
    if "\\" in value or any(not part or part.startswith(".") for part in parts) or parts[-1] == RECEIPT:
        raise ValueError("a relative path without '..', hidden parts or backslashes")
    if PurePosixPath(value).suffix not in ALLOWED_SUFFIXES:
        raise ValueError(f"a file that cannot run code when loaded: one of {' '.join(ALLOWED_SUFFIXES)}")
    return value


def _check_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or parts.password:
        raise ValueError("an http(s) address without user name and password")
    return value


Sha256 = Annotated[str, _matching("[0-9a-f]{64}", "64 lower-case hex digits")]
Revision = Annotated[str, _matching("[0-9a-f]{40}", "a commit: 40 lower-case hex digits")]
Repo = Annotated[str, _matching(r"\w[\w.-]*/\w[\w.-]*", "<owner>/<name>")]
FileName = Annotated[str, AfterValidator(_check_file_name)]
Address = Annotated[str, AfterValidator(_check_url)]
DatasetKey = Annotated[str, _matching(r"\w[\w.-]*(/\w[\w.-]*){2}", "<owner>/<name>/<config>")]
ModelKey = Repo


class FilePin(Checked):
    """What a file must be; nothing, inside a pin that says `unpinned: true`."""

    sha256: Sha256 | None = None
    bytes: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.sha256 is None) != (self.bytes is None):
            raise ValueError("both sha256 and bytes")
        return self

    @property
    def known(self) -> bool:
        """Whether the lock says what the file must be."""
        return self.sha256 is not None

    def fits(self, found: StagedFile) -> bool:
        """Whether a file is what the lock says, or the lock does not say."""
        return not self.known or (self.sha256, self.bytes) == (found.sha256, found.bytes)

    def describe(self) -> str:
        """What the lock says, for a message."""
        return f"SHA-256 {self.sha256} and {self.bytes} bytes"


class UrlFile(FilePin):
    """A file at an address of its own."""

    url: Address


class GeneratedFile(Checked):
    """What the rows of a file that a generator of the project makes must be."""

    rows_sha256: Sha256 | None = None
    """SHA-256 of the rows as JSON lines, each with sorted keys: parquet's bytes depend on the version that writes."""

    @property
    def known(self) -> bool:
        """Whether the lock says what the rows must be."""
        return self.rows_sha256 is not None

    def fits(self, found: StagedFile) -> bool:
        """Whether the rows are what the lock says, or the lock does not say."""
        return not self.known or self.rows_sha256 == found.rows_sha256

    def describe(self) -> str:
        """What the lock says, for a message."""
        return f"rows of SHA-256 {self.rows_sha256}"


def _require(condition: bool, expected: str) -> None:
    if not condition:
        raise ValueError(expected)


class HubPin(Checked):
    """Files of a repository on the hub, by their paths in it."""

    repo: Repo
    revision: Revision | None = None
    unpinned: bool = False
    """No revision and no hash are known: the first download finds them and its receipt keeps them."""
    files: dict[FileName, FilePin] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        known = [file.known for file in self.files.values()]
        if self.unpinned:
            _require(self.revision is None and not any(known), "no revision and no hashes beside unpinned: true")
        else:
            _require(self.revision is not None and all(known), "a revision and every file's sha256, or unpinned: true")
        return self


class UrlPin(Checked):
    """Files at addresses of their own, by their names in the store."""

    origin: str
    licence: str
    files: dict[FileName, UrlFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_known(self) -> Self:
        _require(all(file.known for file in self.files.values()), "every file's sha256 and bytes")
        return self


class LocalPin(Checked):
    """Files of a store staged elsewhere, by their names in the store."""

    origin: str
    licence: str
    files: dict[FileName, FilePin] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_known(self) -> Self:
        _require(all(file.known for file in self.files.values()), "every file's sha256 and bytes")
        return self


class GeneratedPin(Checked):
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


class PretrainedPin(Checked):
    """An encoder that the project trains itself."""

    config: str
    """The file that says how."""


Pin = HubPin | UrlPin | LocalPin | GeneratedPin | PretrainedPin


class Entry(Checked):
    """One data set or encoder: a pin for each kind of source that has it."""

    hub: HubPin | None = None
    url: UrlPin | None = None
    local: LocalPin | None = None

    @model_validator(mode="after")
    def _any(self) -> Self:
        _require(bool(self.pins()), f"a pin for one of {', '.join(type(self).model_fields)}")
        return self

    def pins(self) -> dict[str, Pin]:
        """The pins there are, by kind of source."""
        return {name: pin for name in type(self).model_fields if (pin := getattr(self, name)) is not None}


class DatasetEntry(Entry):
    """One configuration of a data set."""

    generated: GeneratedPin | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [PurePosixPath(name).name for name in self.hub.files] if self.hub else []
        _require(len(set(names)) == len(names), "file names that differ, because the store keeps no folders of the hub")
        return self


class ModelEntry(Entry):
    """One encoder."""

    pretrained: PretrainedPin | None = None


class Lock(Checked):
    """The whole file."""

    datasets: dict[DatasetKey, DatasetEntry] = Field(default_factory=dict)
    models: dict[ModelKey, ModelEntry] = Field(default_factory=dict)
    _path: Path = PrivateAttr(default=Path("the lock"))

    def entry(self, kind: Kind, key: str) -> DatasetEntry | ModelEntry:
        """The entry of a data set (`<owner>/<name>/<config>`) or a model (`<owner>/<name>`).

        Raises:
            SteadyTuneError: a key that the lock does not have, with the nearest that it has.
        """
        entries: Mapping[str, DatasetEntry | ModelEntry] = {"datasets": self.datasets, "models": self.models}[kind]
        if key not in entries:
            raise unknown({"datasets": "data set", "models": "model"}[kind], key, entries, f"{self._path}: {kind}")
        return entries[key]

    def pretraining(self, key: str) -> Path | None:
        """The file that says how the project trains an encoder itself; None for one that is staged."""
        pin = self.entry("models", key).pins().get("pretrained")
        return Path(pin.config) if isinstance(pin, PretrainedPin) else None


def load_lock(path: Path) -> Lock:
    """Read and check a lock.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value, what was expected and the nearest valid name.
    """
    lock = check(Lock, read_yaml(path), path)
    lock._path = path
    return lock


def entry_digest(lock: Lock, kind: Kind, key: str) -> str:
    """Hex SHA-256 of an entry's canonical JSON: a parameter of the stage rule, so that a changed pin stages again."""
    value = lock.entry(kind, key).model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

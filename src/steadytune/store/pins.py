"""Pins: the files that each kind of source must provide for a data set or an encoder, as in `config/lock.yaml`."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steadytune.schema import Repo, StrictModel, matching
from steadytune.store.file_pins import FileName, FilePin, GeneratedFile, UrlFile, require
from steadytune.suite.own import OwnTask, TaskPin

Revision = Annotated[str, matching("[0-9a-f]{40}", "a commit: 40 lower-case hex digits")]


class HubPin(StrictModel):
    """Files of a repository on the hub, by their paths in it."""

    repo: Repo
    revision: Revision | None = None
    unpinned: bool = False
    """Whether some hashes are unknown: the first download determines them, and its receipt keeps them. It uses
    `revision`, or the hub's current commit if that is unknown too."""
    read_in: str = ""
    """Where the revision and the hashes were read, if the project has not downloaded the files itself."""
    files: dict[FileName, FilePin] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        known = [file.known for file in self.files.values()]
        if self.unpinned:
            require(not all(known), "a file without a hash, or no unpinned: true")
            require(self.revision is not None or not any(known), "a revision, because some files have hashes")
        else:
            require(self.revision is not None and all(known), "a revision and every file's sha256, or unpinned: true")
        return self


class UrlPin(StrictModel):
    """Files at individual URLs, by their names in the store."""

    origin: str
    licence: str
    unpinned: bool = False
    """Whether no hash is known: the first download determines them, and its receipt keeps them."""
    files: dict[FileName, UrlFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        files = self.files.values()
        if self.unpinned:
            require(not any(file.known or file.rows_sha256 for file in files), "no hashes beside unpinned: true")
        else:
            require(all(file.known for file in files), "every file's sha256 and bytes, or unpinned: true")
        return self


class KnownFiles(StrictModel):
    """Files whose hashes are all known, by their names in the store."""

    origin: str
    licence: str
    files: dict[FileName, FilePin] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_known(self) -> Self:
        require(all(file.known for file in self.files.values()), "every file's sha256 and bytes")
        return self


class LocalPin(KnownFiles):
    """Files in a store that was staged elsewhere."""


class GeneratedPin(StrictModel):
    """Files that one of the project's generators makes, by their names in the store."""

    generator: Literal["mini"]
    unpinned: bool = False
    files: dict[FileName, GeneratedFile] = Field(min_length=1)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        known = [file.known for file in self.files.values()]
        if self.unpinned:
            require(not any(known), "no hashes beside unpinned: true")
        else:
            require(all(known), "every file's rows_sha256, or unpinned: true")
        return self


class ShippedPin(KnownFiles):
    """Files in this repository."""

    folder: str
    """Their folder, relative to the repository's root."""


class PretrainedPin(StrictModel):
    """An encoder that the project trains itself."""

    config: str
    """The file with its pretraining settings."""


class OwnTaskPin(StrictModel):
    """A suite's own task. Excluded fields are not part of `entry_digest`, whose change stages the task again."""

    where: str = Field(exclude=True)
    """The task in the suite's file, for messages."""
    folder: Path = Field(exclude=True)
    """The folder of the suite's file."""
    store: Path = Field(exclude=True)
    """The store, to which hub files are downloaded."""
    entry: OwnTask = Field(exclude=True)
    pin: TaskPin


class OwnEncoderPin(StrictModel):
    """A suite's own encoder in a folder."""

    folder: Path = Field(exclude=True)
    files: dict[FileName, FilePin] = Field(min_length=1)


Pin = HubPin | UrlPin | LocalPin | GeneratedPin | ShippedPin | PretrainedPin | OwnTaskPin | OwnEncoderPin

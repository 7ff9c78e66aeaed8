"""Users' own tasks and encoders as sources for staging; tasks are written as parquet."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.store.file_pins import FilePin, GeneratedFile
from steadytune.store.own import OwnData
from steadytune.store.own_places import find_places
from steadytune.store.pins import OwnTaskPin
from steadytune.store.receipt import StagedFile, measure_rows
from steadytune.store.sources import Source, copy_file, parquet_name, write_rows


class OwnSource(Source):
    """A suite's own task, whose rows are written to parquet files."""

    kind = "own"

    def __init__(self, where: str, own: OwnTaskPin, limit: int) -> None:
        rows = {parquet_name(split): found.rows_sha256 for split, found in own.pin.splits.items()}
        files = {name: GeneratedFile(rows_sha256=digest) for name, digest in rows.items()}
        super().__init__(where, own.entry.hub or "the user's own data", "lock", files)
        self.own, self.entry, self.limit = own, own.entry, limit

    @property
    def revision(self) -> str | None:
        """The commit of a data set on the hub; None for local files."""
        return self.entry.revision

    @cached_property
    def _data(self) -> OwnData:
        own = self.own
        with find_places(own.where, own.entry, own.folder, own.store, self.limit, own.pin) as places:
            return OwnData(own.where, own.entry, places, own.pin.labels)

    def get(self, name: str, downloads: Path) -> Path:
        """Write the rows of a split as parquet."""
        import pyarrow as pa

        kinds: dict[str, Any] = dict.fromkeys(self.entry.text, pa.string())
        if not self.entry.span:
            kinds[self.entry.label] = pa.float64() if self.entry.regression else pa.int64()
        return write_rows(downloads / name, self._data.rows[name.partition("-")[0]], kinds)

    def measure(self, name: str, path: Path) -> StagedFile:
        """The hash and size of the file, and the hash of its rows."""
        return measure_rows(path)


class OwnEncoder(Source):
    """An encoder in a user's folder, as `save_pretrained` writes it."""

    kind = "own"

    def __init__(self, where: str, folder: Path, files: Mapping[str, FilePin]) -> None:
        super().__init__(where, "a folder of the user's", "lock", files)
        self.folder = folder

    def get(self, name: str, downloads: Path) -> Path:
        """Copy a file."""
        if not (self.folder / name).is_file():
            raise SteadyTuneError(f"{self.folder / name}: pinned beside the suite, but not there")
        return copy_file(self.folder / name, downloads / name)

"""The sources that a folder of the store can come from; each is a small class that fetches one file at a time."""

import importlib
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from steadytune.errors import SteadyTuneError
from steadytune.layout import project_file
from steadytune.store.file_pins import FilePin, GeneratedFile
from steadytune.store.pins import GeneratedPin, LocalPin, ShippedPin
from steadytune.store.receipt import Receipt, StagedFile, measure, measure_rows

if TYPE_CHECKING:
    import pyarrow as pa

# The module of each generator, by its name in the lock; its `generate(config, seed=0)` returns {split: rows}.
GENERATORS = {"mini": "minilanguage"}


class Source(ABC):
    """Where the files of one entry of the lock come from.

    Args:
        where: the entry, `datasets/<key>` or `models/<key>`, for messages.
        origin: the receipt's `origin`.
        pinned_by: the receipt's `pinned_by`.
        files: what each file must be, by its name in the store.
    """

    kind: ClassVar[str]

    def __init__(
        self, where: str, origin: str, pinned_by: str, files: Mapping[str, FilePin] | Mapping[str, GeneratedFile]
    ) -> None:
        self.where = where
        self.origin = origin
        self.pinned_by = pinned_by
        self.files = files

    @property
    def revision(self) -> str | None:
        """40-hex commit of the files, if they come from the hub."""
        return None

    def accepts(self, receipt: Receipt) -> bool:
        """Whether a folder with this receipt is what this source would fetch."""
        said = (receipt.source, receipt.origin, receipt.pinned_by)
        return said == (self.kind, self.origin, self.pinned_by) and self.fits(receipt)

    def fits(self, receipt: Receipt) -> bool:
        """Whether the files are the ones that this source would fetch, as far as they are pinned."""
        return receipt.files.keys() == self.files.keys() and all(
            pin.fits(receipt.files[name]) for name, pin in self.files.items()
        )

    def measure(self, name: str, path: Path) -> StagedFile:
        """The receipt's entry for the file `name`, which is at `path`."""
        return measure(path)

    @abstractmethod
    def get(self, name: str, downloads: Path) -> Path:
        """Fetch one file into the private folder `downloads`, without checking it.

        Raises:
            SteadyTuneError: the file is not available; the line says why.
        """


class LocalSource(Source):
    """Files copied from a store that was staged elsewhere."""

    kind = "local"

    def __init__(self, where: str, pin: LocalPin, root: Path | None) -> None:
        super().__init__(where, pin.origin, "lock", pin.files)
        self.root = root

    def get(self, name: str, downloads: Path) -> Path:
        """Copy a file from the other store."""
        cure = (
            "set the suite's sources.local, or the environment variable STEADYTUNE_STORE, to a staged store, or take"
            " 'local' out of sources.order"
        )
        if self.root is None:
            raise SteadyTuneError(f"{self.where}: the source 'local' has no folder: {cure}")
        if not self.root.is_dir():
            raise SteadyTuneError(f"{self.where}: {self.root}: no such folder: {cure}")
        path = self.root / self.where / name
        if not path.is_file():
            raise SteadyTuneError(f"{path}: not in the local store {self.root}: {cure}")
        return copy_file(path, downloads / name)


class ShippedSource(Source):
    """Files copied from the repository."""

    kind = "shipped"

    def __init__(self, where: str, pin: ShippedPin) -> None:
        super().__init__(where, pin.origin, "lock", pin.files)
        self.folder = project_file(Path(pin.folder))

    def get(self, name: str, downloads: Path) -> Path:
        """Copy a file from the repository."""
        path = self.folder / name
        if not path.is_file():
            raise SteadyTuneError(f"{path}: not in this checkout of the repository, which should hold {self.where}")
        return copy_file(path, downloads / name)


class GeneratedSource(Source):
    """Data that the project generates from a fixed seed."""

    kind = "generated"

    def __init__(self, where: str, pin: GeneratedPin) -> None:
        super().__init__(where, GENERATORS[pin.generator], "generated" if pin.unpinned else "lock", pin.files)
        self.generator = pin.generator

    @cached_property
    def _files(self) -> dict[str, list[dict[str, Any]]]:
        files = generate_files(self.generator, self.where.rsplit("/", 1)[-1])
        if files.keys() != self.files.keys():
            made, pinned = ", ".join(sorted(files)), ", ".join(sorted(self.files))
            raise SteadyTuneError(f"{self.where}: the generator '{self.generator}' makes {made}; the lock has {pinned}")
        return files

    def get(self, name: str, downloads: Path) -> Path:
        """Write the rows of a file as parquet."""
        return write_rows(downloads / name, self._files[name])

    def measure(self, name: str, path: Path) -> StagedFile:
        """The hash and size of the file, and the hash of its rows."""
        return measure_rows(path)


def generate_files(generator: str, config: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of every file of a generated data set, by file name."""
    splits = importlib.import_module(GENERATORS[generator]).generate(config, seed=0)
    return {parquet_name(split): rows for split, rows in splits.items()}


def copy_file(path: Path, target: Path) -> Path:
    """Copy a file's bytes but not its mode, which is read-only in some shared stores."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    return target


def parquet_name(split: str) -> str:
    """The name of the file to which a split's rows are written."""
    return f"{split}-00000-of-00001.parquet"


def write_rows(path: Path, rows: list[dict[str, Any]], kinds: "Mapping[str, pa.DataType] | None" = None) -> Path:
    """Write rows as a parquet file.

    kinds: types by column name, for columns whose values do not determine the type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    table = pa.table({name: pa.array(values, (kinds or {}).get(name)) for name, values in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path

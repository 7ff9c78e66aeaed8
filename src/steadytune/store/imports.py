"""Data and encoders that users provide themselves: the classic GLUE folder, and encoders with converted weights."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.layout import Kind
from steadytune.store.classic_glue import LAYOUTS, read_splits, row_counts
from steadytune.store.file_pins import FilePin, GeneratedFile
from steadytune.store.parsers import Row
from steadytune.store.receipt import BUNDLE, Receipt, StagedFile, count_rows, hash_rows, measure, measure_rows
from steadytune.store.sources import Source, copy_file, parquet_name, write_rows

IMPORTED = "imported"
GLUE = "nyu-mll/glue/"


@dataclass(frozen=True)
class Imports:
    """The user's folders, which take precedence over the lock's sources for the entries that they contain."""

    glue: Path | None = None
    """The classic GLUE folder."""
    encoders: Path | None = None
    """A folder of encoders, each in `<owner>/<name>/`."""

    def __post_init__(self) -> None:
        expected = [layout.folder for layout in LAYOUTS.values()]
        if self.glue and not any((self.glue / folder).is_dir() for folder in expected):
            raise SteadyTuneError(f"{self.glue}: not a GLUE folder: expected one of {', '.join(expected)} in it")
        if self.encoders and not self.encoders.is_dir():
            raise SteadyTuneError(f"{self.encoders}: no such folder")

    def source(self, kind: Kind, key: str, names: Iterable[str]) -> Source | None:
        """The source of an entry in one of the folders, else None; `names` are those of an encoder's files."""
        config = key.removeprefix(GLUE)
        if self.glue and kind == "datasets" and key.startswith(GLUE) and config in LAYOUTS:
            if (self.glue / LAYOUTS[config].folder).is_dir():
                return GlueFolder(key, self.glue)
        elif self.encoders and kind == "models" and (self.encoders / key).is_dir():
            return EncoderFolder(key, self.encoders / key, names)
        return None


class GlueFolder(Source):
    """A task in the classic GLUE folder."""

    kind = IMPORTED

    def __init__(self, key: str, root: Path) -> None:
        self.config = key.removeprefix(GLUE)
        self.root = root
        folder = LAYOUTS[self.config].folder
        super().__init__(f"datasets/{key}", f"the classic GLUE folder, {folder}", "import", {})
        self.files = dict.fromkeys(self._rows, GeneratedFile())

    @cached_property
    def _rows(self) -> dict[str, list[Row]]:
        """Rows by file name."""
        splits = read_splits(self.root, self.config)
        return {parquet_name(split): rows for split, rows in splits.items()}

    def accepts(self, receipt: Receipt) -> bool:
        """Whether the folder was imported from the same rows."""
        found = {name: file.rows_sha256 for name, file in receipt.files.items()}
        return super().accepts(receipt) and found == {name: hash_rows(rows) for name, rows in self._rows.items()}

    def get(self, name: str, downloads: Path) -> Path:
        """Write the rows of a split as parquet."""
        return write_rows(downloads / name, self._rows[name])

    def measure(self, name: str, path: Path) -> StagedFile:
        """The hash and size of the file, and the hash of its rows."""
        return measure_rows(path)


class EncoderFolder(Source):
    """An encoder in a user's folder."""

    kind = IMPORTED

    def __init__(self, key: str, folder: Path, names: Iterable[str]) -> None:
        self.folder = folder
        super().__init__(f"models/{key}", "a folder of the user's", "import", dict.fromkeys(names, FilePin()))
        for name in self.files:
            if not (folder / name).is_file():
                raise SteadyTuneError(f"{folder / name}: not there; the lock's files of {key}: {', '.join(self.files)}")

    def accepts(self, receipt: Receipt) -> bool:
        """Whether the folder was imported from the same files."""
        return super().accepts(receipt) and all(
            receipt.files[name].sha256 == measure(self.folder / name).sha256 for name in self.files
        )

    def get(self, name: str, downloads: Path) -> Path:
        """Copy a file."""
        return copy_file(self.folder / name, downloads / name)


def objection_to_import(receipt: Receipt, folder: Path, kind: Kind, key: str, names: Iterable[str]) -> str:
    """Why somebody else's imported folder cannot be the result of an import; empty if it can.

    The lock has no hashes of imported files, so their origin cannot be checked.

    Args:
        receipt: the folder's receipt, already checked against its files.
        folder: the folder with the files.
        kind: the entry's kind.
        key: the entry's key.
        names: the names of an encoder's files in the lock.
    """
    if receipt.pinned_by not in ("import", BUNDLE):
        return f"its receipt says that it was imported, and pinned by {receipt.pinned_by}"
    if kind == "models":
        expected = sorted(names)
        return "" if sorted(receipt.files) == expected else f"it has {_listed(receipt.files)}, not {_listed(expected)}"
    config = key.removeprefix(GLUE)
    if not key.startswith(GLUE) or config not in LAYOUTS:
        return "its receipt says that it was imported, but of data sets only GLUE's can be"
    counts = {parquet_name(split): rows for split, rows in row_counts(config).items()}
    needed = {parquet_name(split) for split in LAYOUTS[config].files}
    if not needed <= receipt.files.keys() <= counts.keys():
        return f"it has {_listed(receipt.files)}, not {_listed(needed)}"
    for name in receipt.files:
        if (found := count_rows(folder / name)) != counts[name]:
            said = "no readable" if found is None else found
            return f"{name} has {said} rows where GLUE has {counts[name]}"
    return ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

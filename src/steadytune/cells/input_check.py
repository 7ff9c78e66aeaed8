"""Check whether a suite's staged inputs are intact and match the lock."""

from pathlib import Path

from steadytune.cells.file_cache import FileCache
from steadytune.errors import SteadyTuneError
from steadytune.layout import Kind, file_cache_path, staged_folder
from steadytune.store.inventory import outdated
from steadytune.store.lock import Lock
from steadytune.store.receipt import RECEIPT, read_receipt, verify
from steadytune.suite.suite import Suite


class InputCheck:
    """Checks whether staged folders are intact and match the lock."""

    def __init__(self, suite: Suite, lock: Lock, *, deep: bool = False) -> None:
        self.suite, self.lock = suite, lock
        self.file_cache = FileCache(file_cache_path(suite, "store"), forget=deep)

    def __call__(self, kind: Kind, key: str) -> str:
        """What is wrong with a folder; empty if nothing is."""
        return self.damage(kind, key) or self.outdated(kind, key)

    def damage(self, kind: Kind, key: str) -> str:
        """Which file differs from the receipt, or that the receipt is missing or damaged; empty if all is well."""
        folder = staged_folder(self.suite.file.store, kind, key)
        try:
            names = read_receipt(folder).files
            paths = [folder / RECEIPT, *(folder / name for name in names)]
            return self.file_cache.find(f"{kind}/{key}", paths, lambda: _damage_of(folder)) or ""
        except SteadyTuneError as error:
            return str(error)

    def outdated(self, kind: Kind, key: str) -> str:
        """Why an intact folder does not match the lock or the settings of its pretraining; empty if it does."""
        folder = staged_folder(self.suite.file.store, kind, key)
        return outdated(kind, key, folder, self.lock, self.suite)


def _damage_of(folder: Path) -> str:
    try:
        verify(folder)
    except SteadyTuneError as error:
        return str(error)
    return ""

"""The hub as a source: exactly the files that the lock names, at one commit."""

from pathlib import Path

from steadytune.layout import Kind
from steadytune.store.file_pins import store_name
from steadytune.store.pins import HubPin
from steadytune.store.receipt import Receipt
from steadytune.store.repository import Repository
from steadytune.store.sources import Source


class HubSource(Source):
    """The files that the lock names in a hub repository, and no others.

    A data set's files are stored without their folder on the hub, because the store has its own: `rte/train-….parquet`
    of `nyu-mll/glue` becomes `datasets/nyu-mll/glue/rte/train-….parquet`.
    """

    kind = "hub"

    def __init__(self, where: str, pin: HubPin, kind: Kind, limit: int) -> None:
        self.paths = {store_name(path) if kind == "datasets" else path: path for path in pin.files}
        files = {name: pin.files[path] for name, path in self.paths.items()}
        pinned_by = "lock" if not pin.unpinned else "commit" if pin.revision else "stage"
        super().__init__(where, pin.repo, pinned_by, files)
        self.pin = pin
        self.repository = Repository(where, kind, pin.repo, pin.revision, limit)

    @property
    def revision(self) -> str | None:
        """The commit in the lock, or the hub's current one if the lock names none."""
        return self.repository.revision

    def accepts(self, receipt: Receipt) -> bool:
        """Whether a folder with this receipt is what the pin names, at the pin's revision if it has one."""
        return super().accepts(receipt) and self.pin.revision in (None, receipt.revision)

    def get(self, name: str, downloads: Path) -> Path:
        """Download a file; if its entry is unpinned, compare it with the hub's hash."""
        path = self.paths[name]
        return self.repository.get(path, downloads, self.pin.files[path].bytes, check=self.pin.unpinned)

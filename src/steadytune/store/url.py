"""Plain URLs as a source: files as they are, or rows that a parser reads from the download."""

import hashlib
import logging
from dataclasses import replace
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from steadytune.errors import SteadyTuneError
from steadytune.store.download import download, shown
from steadytune.store.file_pins import UrlFile
from steadytune.store.parsers import parse_file
from steadytune.store.pins import UrlPin
from steadytune.store.receipt import StagedFile, measure, measure_rows
from steadytune.store.sources import Source, write_rows
from steadytune.tasks.reading import split_of

logger = logging.getLogger(__name__)


class UrlSource(Source):
    """Files at individual URLs."""

    kind = "url"

    def __init__(self, where: str, pin: UrlPin, limit: int) -> None:
        super().__init__(where, pin.origin, "stage" if pin.unpinned else "lock", pin.files)
        self.pin = pin
        self.limit = limit
        self._raw: dict[str, StagedFile] = {}
        """The checked downloads, by URL: several files can be read from one archive."""

    def get(self, name: str, downloads: Path) -> Path:
        """Download a file, or write the rows that its parser reads from the download."""
        file = self.pin.files[name]
        if file.parser is None:
            download(file.url, downloads / name, file.bytes, self.limit, f"{self.where}: {name}")
            self._say_pin(name, file, downloads / name)
            return downloads / name
        raw = self._get_raw(name, file, downloads / "raw")
        try:
            rows = parse_file(file.parser, raw, file.member, split_of(Path(name)))
        except SteadyTuneError as error:
            raise SteadyTuneError(f"{self.where}: {name} from {shown(file.url)}: {error}") from None
        return write_rows(downloads / name, rows)

    def measure(self, name: str, path: Path) -> StagedFile:
        """The hash and size of a file; for parsed rows, also their hash and the hash and size of the download."""
        file = self.pin.files[name]
        if file.parser is None:
            return measure(path)
        raw = self._raw[file.url]
        return replace(measure_rows(path), raw_sha256=raw.sha256, raw_bytes=raw.bytes)

    def _get_raw(self, name: str, file: UrlFile, folder: Path) -> Path:
        """Download what a file's rows are read from, and check it before it is parsed."""
        path = folder / hashlib.sha256(file.url.encode()).hexdigest() / PurePosixPath(urlsplit(file.url).path).name
        if file.url in self._raw:
            return path
        what = f"{self.where}: {path.name}"
        # Reuse a pinned download that an interrupted run has completed.
        if not (file.known and path.is_file() and file.download.fits(measure(path))):
            download(file.url, path, file.bytes, self.limit, what)
        found = measure(path)
        if not file.download.fits(found):
            path.unlink()
            raise SteadyTuneError(
                f"{what} from {shown(file.url)} is not what the lock says:"
                f" expected {file.download.describe()}, found {file.download.describe(found)}"
            )
        self._say_pin(path.name, file, path)
        self._raw[file.url] = found
        return path

    def _say_pin(self, name: str, file: UrlFile, path: Path) -> None:
        if not file.known:
            logger.warning(
                "%s: unpinned in the lock: staging %s with %s", self.where, name, file.download.describe(measure(path))
            )

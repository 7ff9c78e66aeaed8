"""Staging: fetch what the lock names, check it, and put it into the store once."""

import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_path
from steadytune.layout import Kind, staged_folder, store_lock_path
from steadytune.locks import hold
from steadytune.store.contents import check_content
from steadytune.store.file_pins import FilePin, GeneratedFile
from steadytune.store.hub import HubSource
from steadytune.store.imports import IMPORTED, Imports
from steadytune.store.lock import Lock
from steadytune.store.own_sources import OwnEncoder, OwnSource
from steadytune.store.pins import (
    GeneratedPin,
    HubPin,
    LocalPin,
    OwnEncoderPin,
    OwnTaskPin,
    PretrainedPin,
    ShippedPin,
    UrlPin,
)
from steadytune.store.receipt import BUNDLE, RECEIPT, Receipt, StagedFile, damage, read_receipt, verify, write_receipt
from steadytune.store.sources import GeneratedSource, LocalSource, ShippedSource, Source
from steadytune.store.url import UrlSource
from steadytune.text import counted

if TYPE_CHECKING:
    from steadytune.suite.file import Sources

logger = logging.getLogger(__name__)


def stage(kind: Kind, key: str, lock: Lock, sources: "Sources", store: Path, imports: Imports | None = None) -> Receipt:
    """Fetch a data set's or model's files into `store/<kind>/<key>/`, each checked against the lock.

    Do nothing if the folder already contains what the lock and the suite ask for. Files are moved into place only when
    they are complete, the receipt last. An interrupted run resumes, and a second process waits for the first.

    Args:
        kind: `datasets` or `models`.
        key: `<owner>/<name>/<config>` or `<owner>/<name>`.
        lock: what the files must be.
        sources: the kinds of source to choose from, in order; generated, shipped and own files need not be listed.
        store: the store's root.
        imports: the user's folders, which take precedence.

    Raises:
        SteadyTuneError: no source has it, it cannot be fetched, or it does not match the lock; one line.
    """
    imported = imports.source(kind, key, names_to_import(kind, key, lock)) if imports else None
    source = imported or choose(kind, key, lock, sources)
    folder = staged_folder(store, kind, key)
    with disk_errors(f"{source.where}: {store}"):
        # Look before taking the lock, because users may have only read access to a shared store.
        receipt, _ = current(folder, source)
        if receipt is None:
            with alone(store, source.where):
                receipt, reason = current(folder, source)
                if reason:
                    logger.warning("%s: staging it again: %s", source.where, reason)
                if receipt is None:
                    receipt = _fetch(source, folder, downloads_of(store, kind, key))
                    logger.info("%s: %s", source.where, describe(receipt))
                    return receipt
    logger.info("%s: in place: %s", source.where, describe(receipt))
    return receipt


def downloads_of(store: Path, kind: Kind, key: str) -> Path:
    """The folder that keeps the files of an entry until all have been downloaded."""
    return store / ".downloads" / f"{kind}--{key.replace('/', '--')}"


def describe(receipt: Receipt) -> str:
    """The content of a folder and what pins it, in one line."""
    commit = f" at {receipt.revision}" if receipt.revision else ""
    files = f"{counted(len(receipt.files), 'file')}, {receipt.bytes:,} bytes"
    return f"{files}, {receipt.source} ({receipt.origin}{commit}), pinned by {receipt.pinned_by}"


def choose(kind: Kind, key: str, lock: Lock, sources: "Sources") -> Source:
    """The source of an entry: the first in the suite's order for which the lock has a pin.

    Raises:
        SteadyTuneError: the lock has no pin for any of them, or the workflow trains the encoder.
    """
    where, entry = f"{kind}/{key}", lock.entry(kind, key)
    match entry.first_pin(sources.order):
        case HubPin() as pin:
            return HubSource(where, pin, kind, sources.unpinned_limit)
        case UrlPin() as pin:
            return UrlSource(where, pin, sources.unpinned_limit)
        case LocalPin() as pin:
            return LocalSource(where, pin, sources.local)
        case GeneratedPin() as pin:
            return GeneratedSource(where, pin)
        case ShippedPin() as pin:
            return ShippedSource(where, pin)
        case OwnTaskPin() as pin:
            return OwnSource(where, pin, sources.unpinned_limit)
        case OwnEncoderPin() as pin:
            return OwnEncoder(where, pin.folder, pin.files)
    pins = entry.pins()
    match pins.get("pretrained"):
        case PretrainedPin(config=config):
            raise SteadyTuneError(f"{where}: not staged: the workflow's pretrain rule trains it as {config} says")
    raise SteadyTuneError(
        f"{where}: the lock has it from {', '.join(pins)}, the suite's sources.order is {list(sources.order)}"
    )


def names_to_import(kind: Kind, key: str, lock: Lock) -> Iterable[str]:
    """The files of an entry's first pin, which an imported encoder must have too."""
    files = (
        pin.files for pin in lock.entry(kind, key).pins().values() if not isinstance(pin, PretrainedPin | OwnTaskPin)
    )
    return next(files, {})


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn errors of the disk into one-line SteadyTuneErrors."""
    try:
        yield
    except OSError as error:
        named = f": {error.filename}" if error.filename and str(error.filename) not in where else ""
        raise SteadyTuneError(f"{where}{named}: {error.strerror or error}") from None


def alone(store: Path, where: str) -> AbstractContextManager[object]:
    """Take the lock for writing an entry's folder, `<kind>/<key>`; other processes wait."""
    return hold(store_lock_path(store, where), message=f"{where}: waiting for another process that writes it")


def current(folder: Path, source: Source) -> tuple[Receipt | None, str]:
    """The receipt of a folder that already is what `source` would fetch; else None, and why a staged folder is not."""
    if not (folder / RECEIPT).exists():
        return None, ""
    try:
        receipt = verify(folder)
    except SteadyTuneError as error:
        return None, str(error)
    reason = objection(receipt, source)
    return (None, reason) if reason else (receipt, "")


def objection(receipt: Receipt, source: Source) -> str:
    """Why a folder with this receipt is not what `source` would fetch; empty if it is."""
    # Imported files stay until the user imports others or removes them.
    brought = receipt.source == IMPORTED and receipt.pinned_by in ("import", BUNDLE)
    bundled = receipt.source == BUNDLE and source.kind != IMPORTED and source.fits(receipt)
    if source.accepts(receipt) or (brought and source.kind != IMPORTED) or bundled:
        return ""
    return f"it came from {receipt.source} ({receipt.origin}), and the lock or sources.order has changed since"


def _fetch(source: Source, folder: Path, downloads: Path) -> Receipt:
    """Fetch and check every file in a private folder, then move all files into place."""
    downloads.mkdir(parents=True, exist_ok=True)
    obtained = {name: _obtain(source, name, pin, folder, downloads) for name, pin in source.files.items()}
    receipt = Receipt(
        source=source.kind,
        origin=source.origin,
        revision=source.revision,
        pinned_by=source.pinned_by,
        files={name: found for name, (_, found) in obtained.items()},
    )
    install(folder, receipt, {name: path for name, (path, _) in obtained.items()})
    shutil.rmtree(downloads, ignore_errors=True)
    return receipt


def install(folder: Path, receipt: Receipt, paths: Mapping[str, Path]) -> None:
    """Move checked files into a folder, delete other files of its earlier receipt, and write the receipt last."""
    stale = _files_by_receipt(folder).keys() - paths.keys()
    (folder / RECEIPT).unlink(missing_ok=True)
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    for name, path in paths.items():
        if path != folder / name:
            with atomic_path(folder / name) as temporary:
                path.replace(temporary)
    write_receipt(folder, receipt)


def _obtain(
    source: Source, name: str, pin: FilePin | GeneratedFile, folder: Path, downloads: Path
) -> tuple[Path, StagedFile]:
    """A file that matches the lock, and its hashes: an existing file if possible, else a newly fetched one."""
    path = folder / name
    earlier = _files_by_receipt(folder).get(name)
    if earlier and pin.known and pin.fits(earlier) and not damage(path, earlier):
        return path, earlier
    if pin.reusable:
        for path in (folder / name, downloads / name):
            if path.is_file() and pin.fits(found := source.measure(name, path)):
                return path, found
    path = source.get(name, downloads)
    check_content(path, f"{source.where}: {name} from {source.kind} ({source.origin})")
    found = source.measure(name, path)
    if not pin.fits(found):
        path.unlink()
        raise SteadyTuneError(
            f"{source.where}: {name} from {source.kind} ({source.origin}) is not what the lock says:"
            f" expected {pin.describe()}, found {pin.describe(found)}"
        )
    return path, found


def _files_by_receipt(folder: Path) -> Mapping[str, StagedFile]:
    """The files in a folder's earlier receipt; empty if it is missing or damaged."""
    try:
        return read_receipt(folder).files
    except SteadyTuneError:
        return {}

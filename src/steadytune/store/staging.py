"""Staging: bring what the lock names into the store, checked, once."""

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
    """Bring a data set's or model's files into `store/<kind>/<key>/`, each checked against the lock.

    Nothing is done if the folder already holds what the lock and the suite ask for. Files are moved into place
    whole, the receipt last; an interrupted run resumes, and of two processes the second waits for the first.

    Args:
        kind: `datasets` or `models`.
        key: `<owner>/<name>/<config>` or `<owner>/<name>`.
        lock: what the files must be.
        sources: the kinds of source to choose from, in order; what is generated or shipped needs no mention.
        store: the store's root.
        imports: folders of the user's that come first.

    Raises:
        SteadyTuneError: one line: no source has it, it cannot be had, or it is not what the lock says.
    """
    imported = imports.source(kind, key, names_to_import(kind, key, lock)) if imports else None
    source = imported or choose(kind, key, lock, sources)
    folder = staged_folder(store, kind, key)
    with disk_errors(f"{source.where}: {store}"):
        # Before the lock, because the user of a shared store may only read it.
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
    """Where the files of an entry are kept until all are there."""
    return store / ".downloads" / f"{kind}--{key.replace('/', '--')}"


def describe(receipt: Receipt) -> str:
    """The content of a folder and what pins it, in one line."""
    commit = f" at {receipt.revision}" if receipt.revision else ""
    files = f"{counted(len(receipt.files), 'file')}, {receipt.bytes:,} bytes"
    return f"{files}, {receipt.source} ({receipt.origin}{commit}), pinned by {receipt.pinned_by}"


def choose(kind: Kind, key: str, lock: Lock, sources: "Sources") -> Source:
    """The source of an entry: the first of the suite's order for which the lock has a pin.

    Raises:
        SteadyTuneError: the lock has none of them.
    """
    where = f"{kind}/{key}"
    pins = lock.entry(kind, key).pins()
    for name in (*sources.order, "generated", "shipped", "own"):
        match pins.get(name):
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
    match pins.get("pretrained"):
        case PretrainedPin(config=config):
            raise SteadyTuneError(f"{where}: not staged: the workflow's pretrain rule trains it as {config} says")
    raise SteadyTuneError(
        f"{where}: the lock has it from {', '.join(pins)}, the suite's sources.order is {list(sources.order)}"
    )


def names_to_import(kind: Kind, key: str, lock: Lock) -> Iterable[str]:
    """The files of an entry's first pin, which an imported encoder has too."""
    files = (
        pin.files for pin in lock.entry(kind, key).pins().values() if not isinstance(pin, PretrainedPin | OwnTaskPin)
    )
    return next(files, {})


@contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Say in one line what the disk refuses."""
    try:
        yield
    except OSError as error:
        named = f": {error.filename}" if error.filename and str(error.filename) not in where else ""
        raise SteadyTuneError(f"{where}{named}: {error.strerror or error}") from None


def alone(store: Path, where: str) -> AbstractContextManager[object]:
    """Be the one process that writes the folder of an entry, `<kind>/<key>`; another one waits."""
    return hold(store_lock_path(store, where), message=f"{where}: waiting for another process that writes it")


def current(folder: Path, source: Source) -> tuple[Receipt | None, str]:
    """The receipt of a folder that already is what `source` would bring, or why a staged one is not."""
    if not (folder / RECEIPT).exists():
        return None, ""
    try:
        receipt = verify(folder)
    except SteadyTuneError as error:
        return None, str(error)
    reason = objection(receipt, source)
    return (None, reason) if reason else (receipt, "")


def objection(receipt: Receipt, source: Source) -> str:
    """Why a folder with this receipt is not what `source` would bring; empty where it is."""
    # Imported files stay until the user imports others or removes them.
    brought = receipt.source == IMPORTED and receipt.pinned_by in ("import", BUNDLE)
    bundled = receipt.source == BUNDLE and source.kind != IMPORTED and source.fits(receipt)
    if source.accepts(receipt) or (brought and source.kind != IMPORTED) or bundled:
        return ""
    return f"it came from {receipt.source} ({receipt.origin}), and the lock or sources.order has changed since"


def _fetch(source: Source, folder: Path, downloads: Path) -> Receipt:
    """Bring and check every file in a private folder, then put them in place."""
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
    """Move checked files into a folder, drop what an earlier receipt named beside them, and write the receipt last."""
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
    """A file that is what the lock says, and its hashes: one that is already there, or a new one."""
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
    """What an earlier receipt says of the folder's files; nothing where there is none."""
    try:
        return read_receipt(folder).files
    except SteadyTuneError:
        return {}

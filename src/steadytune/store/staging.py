"""Staging: bring what the lock names into the store, checked, once."""

import fcntl
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_path
from steadytune.store.hub import HubSource
from steadytune.store.lock import (
    FilePin,
    GeneratedFile,
    GeneratedPin,
    HubPin,
    Kind,
    LocalPin,
    Lock,
    PretrainedPin,
    UrlPin,
)
from steadytune.store.receipt import RECEIPT, Receipt, StagedFile, read_receipt, verify, write_receipt
from steadytune.store.sources import GeneratedSource, LocalSource, Source
from steadytune.store.url import UrlSource

if TYPE_CHECKING:
    from steadytune.suite import Sources

logger = logging.getLogger(__name__)


def stage(kind: Kind, key: str, lock: Lock, sources: "Sources", store: Path) -> Receipt:
    """Bring a data set's or model's files into `store/<kind>/<key>/`, each checked against the lock.

    Nothing is done where the folder already holds what the lock and the suite ask for. Files are moved into place
    whole, the receipt last; an interrupted run is gone on with, and of two processes the second waits for the first.

    Args:
        kind: `datasets` or `models`.
        key: `<owner>/<name>/<config>` or `<owner>/<name>`.
        lock: what the files must be.
        sources: the kinds of source to choose from, in order; generated data need no mention.
        store: the store's root.

    Raises:
        SteadyTuneError: one line: no source has it, it cannot be had, or it is not what the lock says.
    """
    source = _choose(kind, key, lock, sources)
    folder = store / kind / key
    label = f"{kind}--{key.replace('/', '--')}"
    try:
        # Before the lock, because the user of a shared store may only read it.
        receipt, _ = _current(folder, source)
        if receipt is not None:
            return receipt
        with _alone(store / ".locks" / f"{label}.lock", source.where):
            receipt, reason = _current(folder, source)
            if reason:
                logger.warning("%s: staging it again: %s", source.where, reason)
            return receipt or _fetch(source, folder, store / ".downloads" / label)
    except OSError as error:
        raise SteadyTuneError(f"{source.where}: {error.filename or store}: {error.strerror}") from None


def _choose(kind: Kind, key: str, lock: Lock, sources: "Sources") -> Source:
    where = f"{kind}/{key}"
    pins = lock.entry(kind, key).pins()
    for name in (*sources.order, "generated"):
        match pins.get(name):
            case HubPin() as pin:
                return HubSource(where, pin, kind)
            case UrlPin() as pin:
                return UrlSource(where, pin)
            case LocalPin() as pin:
                return LocalSource(where, pin, sources.local)
            case GeneratedPin() as pin:
                return GeneratedSource(where, pin)
    match pins.get("pretrained"):
        case PretrainedPin(config=config):
            raise SteadyTuneError(f"{where}: not staged: the workflow's pretrain rule trains it as {config} says")
    raise SteadyTuneError(
        f"{where}: the lock has it from {', '.join(pins)}, the suite's sources.order is {list(sources.order)}"
    )


@contextmanager
def _alone(path: Path, where: str) -> Iterator[None]:
    """Hold a lock file, which the kernel frees however this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("%s: waiting for another process that stages it", where)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _current(folder: Path, source: Source) -> tuple[Receipt | None, str]:
    """The receipt of a folder that already is what `source` would bring, or why a staged one is not."""
    if not (folder / RECEIPT).exists():
        return None, ""
    try:
        receipt = verify(folder)
    except SteadyTuneError as error:
        return None, str(error)
    if source.accepts(receipt):
        return receipt, ""
    return None, f"it came from {receipt.source} ({receipt.origin}), and the lock or sources.order has changed since"


def _fetch(source: Source, folder: Path, downloads: Path) -> Receipt:
    """Bring and check every file in a private folder, then move them into place, then write the receipt."""
    downloads.mkdir(parents=True, exist_ok=True)
    obtained = {name: _obtain(source, name, pin, folder, downloads) for name, pin in source.files.items()}
    stale = _named_by_receipt(folder) - obtained.keys()
    (folder / RECEIPT).unlink(missing_ok=True)
    for name in stale:
        (folder / name).unlink(missing_ok=True)
    for name, (path, _) in obtained.items():
        if path != folder / name:
            with atomic_path(folder / name) as temporary:
                path.replace(temporary)
    receipt = Receipt(
        source=source.kind,
        origin=source.origin,
        revision=source.revision,
        pinned_by=source.pinned_by,
        files={name: found for name, (_, found) in obtained.items()},
    )
    write_receipt(folder, receipt)
    shutil.rmtree(downloads, ignore_errors=True)
    logger.info("%s: staged from %s (%s), pinned by %s", source.where, source.kind, source.origin, source.pinned_by)
    return receipt


def _obtain(
    source: Source, name: str, pin: FilePin | GeneratedFile, folder: Path, downloads: Path
) -> tuple[Path, StagedFile]:
    """A file that is what the lock says, and its hashes: one that is already there, or a new one."""
    # A generated file is made anew: of a damaged one the rows cannot be read.
    if isinstance(pin, FilePin) and pin.known:
        for path in (folder / name, downloads / name):
            if path.is_file() and pin.fits(found := source.measure(path)):
                return path, found
    path = source.get(name, downloads)
    found = source.measure(path)
    if not pin.fits(found):
        path.unlink()
        raise SteadyTuneError(
            f"{source.where}: {name} from {source.kind} ({source.origin}) is not what the lock says:"
            f" expected {pin.describe()}, found {_found(pin, found)}"
        )
    return path, found


def _found(pin: FilePin | GeneratedFile, found: StagedFile) -> str:
    actual = pin.model_copy(update={name: getattr(found, name) for name in type(pin).model_fields if name != "url"})
    return actual.describe()


def _named_by_receipt(folder: Path) -> set[str]:
    try:
        return set(read_receipt(folder).files)
    except SteadyTuneError:
        return set()

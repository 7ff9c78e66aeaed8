"""Bundles: everything that a suite reads, as one tar file for machines without a network.

The same files give the same bytes: members are sorted by name and have no times or owners. The first member is the
manifest, a JSON object with the SHA-256 and size of every other member.

Only the bundle's maker vouches for its receipts. What the lock pins is checked against the lock. Everything else gets a
receipt marked `bundle`, and the records and the report that depend on it say so too.
"""

import io
import json
import logging
import shutil
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_path, sha256
from steadytune.layout import MODEL, PRETRAINING, Kind
from steadytune.staged import check_file_name
from steadytune.store.file_pins import UrlFile
from steadytune.store.imports import IMPORTED, objection_to_import
from steadytune.store.inventory import Item, inventory
from steadytune.store.lock import Lock
from steadytune.store.receipt import BUNDLE, RECEIPT, Receipt, measure, read_receipt, verify, write_receipt
from steadytune.store.sources import Source
from steadytune.store.staging import alone, choose, describe, disk_errors, install, names_to_import, objection

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite

logger = logging.getLogger(__name__)

MANIFEST = "manifest.json"
MANIFEST_BYTES = 1 << 24
# Number of parts in a key, by kind.
KEY_PARTS = {"datasets": 3, "models": 2}
PRETRAINED_NEEDS = {"config.json", MODEL, PRETRAINING, "tokenizer.json"}
PRETRAINED_MAY = {"curve.csv", "special_tokens_map.json", "tokenizer_config.json", "vocab.txt"}
Manifest = Mapping[str, Mapping[str, Any]]
PretrainingCheck = Callable[[Path, Path], str]
"""Takes a config file and an encoder's folder; returns why the encoder was not pretrained as configured, else ''."""


def pack(items: Iterable[Item], store: Path, path: Path) -> None:
    """Write a bundle of staged items, without encoders that the workflow has yet to train.

    Raises:
        SteadyTuneError: an item is not staged, or damaged.
    """
    files: dict[str, Path] = {}
    for item in items:
        folder = store / item.where
        if item.pretrained and not (folder / RECEIPT).is_file():
            continue
        receipt = verify(folder)
        files |= {f"{item.where}/{name}": folder / name for name in (*receipt.files, RECEIPT)}
        logger.info("%s: bundled: %s", item.where, describe(receipt))
    found = {name: measure(file) for name, file in sorted(files.items())}
    manifest = {name: {"sha256": file.sha256, "bytes": file.bytes} for name, file in found.items()}
    with disk_errors(str(path)), atomic_path(path) as temporary, tarfile.open(temporary, "w") as tar:
        text = (json.dumps({"files": manifest}, indent=2) + "\n").encode()
        tar.addfile(_member(MANIFEST, len(text)), io.BytesIO(text))
        for name, file in found.items():
            with files[name].open("rb") as handle:
                tar.addfile(_member(name, file.bytes), handle)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mode = 0o644
    return member


def unpack(path: Path, suite: "Suite", lock: Lock, check_pretraining: PretrainingCheck) -> None:
    """Unpack a bundle's items into the suite's store.

    Everything is unpacked into a private folder and checked there against the bundle's manifest, the receipts and the
    lock, before the first file is moved into place.

    Args:
        path: the bundle.
        suite: the suite whose store is filled; an entry that it does not read is accepted only if the lock pins it.
        lock: what the files must be.
        check_pretraining: the check of encoders that the project trains itself.

    Raises:
        SteadyTuneError: the file is not a bundle, is damaged or has unexpected members, or an item does not match the
            lock.
    """
    store = suite.file.store
    with disk_errors(str(path)):
        (store / ".downloads").mkdir(parents=True, exist_ok=True)
        with alone(store, BUNDLE), tempfile.TemporaryDirectory(prefix="bundle-", dir=store / ".downloads") as name:
            private = Path(name)
            try:
                folders = _extract(path, private)
            except (tarfile.TarError, EOFError) as error:
                raise SteadyTuneError(f"{path}: not a whole bundle: {error}") from None
            read = {item.where for item in inventory(suite, lock)}
            for where in folders:
                _check(private / where, where, path, suite, lock, check_pretraining)
                receipt = read_receipt(private / where)
                if where not in read and receipt.pinned_by == BUNDLE:
                    reason = f"{suite.path} does not read it, and the lock has no hashes of it"
                    raise SteadyTuneError(f"{path}: {where}: {reason}: expected {', '.join(sorted(read))}")
            for where in folders:
                _put(private / where, store, where)


def _extract(path: Path, private: Path) -> list[str]:
    """Unpack every member under `private` and check it against the manifest; return the items' folders."""
    with tarfile.open(path, "r:") as tar:
        manifest, seen = _read_manifest(tar, path), set()
        folders = _folders(manifest, path)
        if (size := sum(file["bytes"] for file in manifest.values())) > path.stat().st_size:
            raise SteadyTuneError(f"{path}: not a whole bundle: {MANIFEST} lists {size} bytes, more than the file has")
        while (member := tar.next()) is not None:
            expected = manifest.get(member.name)
            # A sparse member could expand to more bytes than the bundle has.
            plain = member.type in tarfile.REGULAR_TYPES and not member.issparse()
            handle = tar.extractfile(member) if plain else None
            if expected is None or handle is None or member.name in seen:
                raise SteadyTuneError(
                    f"{path}: {member.name!r}: expected plain files that the manifest lists, each once"
                )
            seen.add(member.name)
            if member.size != expected["bytes"] or _copy(handle, private / member.name) != expected["sha256"]:
                raise SteadyTuneError(f"{path}: {member.name}: damaged: not what the bundle's manifest says")
    if missing := sorted(manifest.keys() - seen):
        raise SteadyTuneError(f"{path}: not a whole bundle: no {missing[0]}")
    return folders


def _read_manifest(tar: tarfile.TarFile, path: Path) -> Manifest:
    member = tar.next()
    if member is None or member.name != MANIFEST or not member.isreg() or member.size > MANIFEST_BYTES:
        raise SteadyTuneError(
            f"{path}: no bundle of `steadytune stage SUITE --bundle FILE`: it does not begin with {MANIFEST}"
        )
    handle = tar.extractfile(member)
    try:
        files = json.load(handle or io.BytesIO())["files"]
        return {str(name): {"sha256": str(file["sha256"]), "bytes": int(file["bytes"])} for name, file in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise SteadyTuneError(f"{path}: {MANIFEST} is damaged") from None


def _folders(manifest: Manifest, path: Path) -> list[str]:
    """The folders of a manifest's files; checks that every name stays inside its folder and each has a receipt."""
    folders: dict[str, set[str]] = defaultdict(set)
    for name in manifest:
        kind, *parts = name.split("/")
        size = KEY_PARTS.get(kind, len(parts))
        where, file = "/".join((kind, *parts[:size])), "/".join(parts[size:])
        try:
            # A key is not a file name, but the same rules apply to its parts.
            check_file_name(f"{'/'.join(parts[:size])}/{'receipt.txt' if file == RECEIPT else file}")
        except ValueError:
            raise SteadyTuneError(f"{path}: {name!r}: not a name of a file in the store") from None
        folders[where].add(file)
    for where, files in folders.items():
        if RECEIPT not in files:
            raise SteadyTuneError(f"{path}: {where}: no {RECEIPT}")
    return sorted(folders)


def _copy(handle: IO[bytes], target: Path) -> str:
    """Write a member to `target` and return its SHA-256."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as output:
        shutil.copyfileobj(handle, output)
    return sha256(target)


def _check(
    folder: Path, where: str, path: Path, suite: "Suite", lock: Lock, check_pretraining: PretrainingCheck
) -> None:
    """Check an unpacked folder against its receipt and the lock; mark the receipt unless the lock has every hash."""
    try:
        receipt = verify(folder)
    except SteadyTuneError as error:
        raise SteadyTuneError(f"{path}: {error}") from None
    kind: Kind = "datasets" if where.startswith("datasets/") else "models"
    key = where.removeprefix(f"{kind}/")
    present = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    if present != {*receipt.files, RECEIPT}:
        raise SteadyTuneError(f"{path}: {where}: its files differ from those in its receipt")
    reason, pinned = "", False
    if kind == "models" and (config := lock.pretraining(key)) is not None:
        reason = _objection_to_pretrained(receipt) or check_pretraining(config, folder)
    elif receipt.source == IMPORTED:
        reason = objection_to_import(receipt, folder, kind, key, names_to_import(kind, key, lock))
    else:
        source = choose(kind, key, lock, suite.sources)
        reason, pinned = objection(receipt, source), _pins_everything(source)
    if reason:
        raise SteadyTuneError(f"{path}: {where}: not what the lock says: {reason}")
    if not pinned:
        logger.warning("%s: only the maker of %s vouches for it: the lock has no hashes of it", where, path)
        source = receipt.source if receipt.source == IMPORTED else BUNDLE
        write_receipt(folder, replace(receipt, source=source, pinned_by=BUNDLE))


def _pins_everything(source: Source) -> bool:
    """Whether the lock has a hash of every file's content: of the rows, if they are parsed from a download."""
    return all(
        pin.rows_sha256 is not None if isinstance(pin, UrlFile) and pin.parser else pin.known
        for pin in source.files.values()
    )


def _objection_to_pretrained(receipt: Receipt) -> str:
    """Why a folder cannot come from `steadytune pretrain`; empty if it can."""
    if receipt.source not in ("pretrained", BUNDLE):
        return f"it came from {receipt.source}"
    if not PRETRAINED_NEEDS <= receipt.files.keys() <= PRETRAINED_NEEDS | PRETRAINED_MAY:
        return f"it has {', '.join(sorted(receipt.files))}"
    return ""


def _put(folder: Path, store: Path, where: str) -> None:
    """Move a checked folder into the store, unless the store already has the same files."""
    receipt = read_receipt(folder)
    with alone(store, where):
        try:
            if verify(store / where).files == receipt.files:
                logger.info("%s: in place: %s", where, describe(receipt))
                return
        except SteadyTuneError:
            pass
        install(store / where, receipt, {name: folder / name for name in receipt.files})
    logger.info("%s: %s", where, describe(receipt))

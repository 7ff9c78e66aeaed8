"""What `steadytune run` does before Snakemake: what cannot be believed goes out of the way, so that it is made again.

Snakemake assumes that an existing file is complete, and compares settings only with notes that it keeps itself: results
that were copied, or inputs that were staged by hand, have none. A dry run says what would be done.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from steadytune.cells.freshness import ASIDE, CellStatus, statuses
from steadytune.cells.input_check import InputCheck
from steadytune.cells.inputs import input_folders
from steadytune.dag.product_list import products_of
from steadytune.dag.products import Products, ProductStatus
from steadytune.files import leftovers
from steadytune.layout import (
    manifest_path,
    partial_folder,
    record_path,
    results_folder,
    running_path,
    staged_folder,
    store_lock_path,
    variability_path,
)
from steadytune.locks import is_held
from steadytune.manifests import find_manifest
from steadytune.store.inventory import inventory
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import BUNDLE, RECEIPT
from steadytune.store.staging import stage
from steadytune.suite.suite import Suite
from steadytune.text import counted

log = logging.getLogger(__name__)

UNDATED = ("checkpoints", "logs", "running")
"""Folders of the results that Snakemake does not compare the dates of."""
OUTDATED = f"{RECEIPT}.outdated"
"""The name of an encoder's receipt, with its date, until the encoder has been trained again."""


def restage(suite: Suite, *, dry: bool = False) -> dict[Path, int]:
    """Stage again what is damaged, or has another pin than the lock's.

    The receipt keeps its date, so that only cells whose inputs have other content are trained again.

    Returns:
        The receipts of encoders that the project trains itself and that have to be trained again, which Snakemake
        does, with their dates in nanoseconds.

    Raises:
        SteadyTuneError: it cannot be staged.
    """
    lock, trained = suite_lock(suite), {}
    check = InputCheck(suite, lock)
    for item in inventory(suite, lock):
        path = staged_folder(suite.file.store, item.kind, item.key) / RECEIPT
        # Left by a run that ended before the encoder was trained again.
        aside = path.with_name(OUTDATED)
        reason = check(item.kind, item.key) if path.exists() else "outdated" if aside.exists() else ""
        if not reason:
            continue
        log.warning(
            "%s: %s: %s", item.where, reason, "to be trained again" if item.pretrained else "to be staged again"
        )
        made = (path if path.exists() else aside).stat().st_mtime_ns
        if item.pretrained:
            trained[path] = made
        if dry:
            continue
        if not item.pretrained:
            stage(item.kind, item.key, lock, suite.sources, suite.file.store)
            os.utime(path, ns=(made, made))
        elif path.exists():
            path.replace(aside)
    check.file_cache.save()
    return trained


def unstaged(suite: Suite) -> bool:
    """Whether something that the suite reads is not in the store yet."""
    items = inventory(suite, suite_lock(suite))
    return not all((staged_folder(suite.file.store, item.kind, item.key) / RECEIPT).exists() for item in items)


def set_aside(suite: Suite, targets: Sequence[str] = (), *, code: bool = False, dry: bool = False) -> None:
    """Rename the records that cannot be believed, and remove products that are damaged or of other records.

    Args:
        suite: the suite.
        targets: what the run is asked for; if records are among it, only those are looked at, and what they read.
        code: also those that were trained by other code.
        dry: only say what would be done.
    """
    found = statuses(suite, scores=True)
    records = {str(record_path(suite, status.cell)): status.cell for status in found}
    asked = {records[target] for target in targets if target in records}
    # A table that is asked for too is made from other products.
    folder = f"{results_folder(suite)}{os.sep}"
    more = any(target.startswith(folder) and target not in records for target in targets)
    marked = []
    for status in found:
        if status.record is None and status.state != "quarantined":
            continue
        if asked and status.cell not in asked:
            continue
        if status.is_left(stale=code):
            _rename(suite, status, dry=dry)
        elif status.cause == "code":
            # What has no inputs to be compared with is judged once they are staged.
            marked.append(status)
    if marked:
        log.warning("%d cells were trained by other code and stay: %s: %s; tables mark them, and `steadytune run %s "
                    "--stale` trains them again",
                    len(marked), marked[0].cell, marked[0].why, suite.argument)  # fmt: skip
    _clear(suite, Products(suite).status(("variability",) if asked and not more else None), code=code, dry=dry)


def _rename(suite: Suite, status: CellStatus, *, dry: bool) -> None:
    path = record_path(suite, status.cell)
    if path.exists():
        aside = path.with_name(ASIDE[status.state])
        log.warning("%s: %s: %s; the record is kept as %s, and the cell is trained again", status.cell, status.state,
                    status.why, aside.name)  # fmt: skip
        if not dry:
            path.rename(aside)


def _clear(suite: Suite, found: Sequence[ProductStatus], *, code: bool, dry: bool) -> None:
    """Remove every product that is not what would be made now."""
    for status in found:
        product = status.product
        if status.state in ("other code", "recorded") and not code:
            log.warning("%s; it stays, and `steadytune run %s --stale` makes it again", status.why, suite.argument)
        elif status.state not in ("fresh", "missing"):
            log.warning("%s; it is made again", status.why)
            if dry:
                continue
            # Also what the suite asks for no longer; what a manifest names elsewhere is not its product's.
            root = results_folder(suite)
            folders = {file.parent for file in product.files} - {root}
            made = [root / name for name in find_manifest(suite, product.name).files]
            made = [path for path in made if path.parent in folders]
            for path in (manifest_path(suite, product.name), *product.files, *made):
                path.unlink(missing_ok=True)


def redate_future(suite: Suite, *, dry: bool = False) -> None:
    """Date now what was staged or made while a clock was ahead: Snakemake refuses outputs older than their inputs.

    To be called before anything is staged, pretrained or trained. `dry`: only say so.
    """
    now = time.time_ns()
    staged = [staged_folder(suite.file.store, i.kind, i.key) / RECEIPT for i in inventory(suite, suite_lock(suite))]
    results = [file for product in products_of(suite).values() for file in product.files]
    results += [record_path(suite, cell) for cell in suite.cells]
    ahead = [path for path in (*staged, *results) if _date(path) > now]
    if not ahead:
        return
    log.warning("%s dated in the future, %s first: dated now", counted(len(ahead), "file"), ahead[0])
    if dry:
        return
    # All results, because the others are older than those that were ahead.
    more = _dated(results_folder(suite)) if set(ahead).intersection(results) else ()
    for path in (*ahead, *more):
        # What lies in a shared store may be another user's; then Snakemake says what it refuses.
        with suppress(PermissionError):
            os.utime(path, ns=(now, now))


def keep_dates(suite: Suite, *, dry: bool = False) -> None:
    """Give all results one date if some are older than what they read, so that Snakemake makes none of them again.

    Records that were restored, or copied with their dates, may be older than inputs that were staged since and have the
    content that the records name. To be called when what is there can be believed, by content: after `set_aside`.
    `dry`: only say so.
    """
    store = suite.file.store
    read = {record_path(suite, cell): [*input_folders(suite.spec(cell), store).values()] for cell in suite.cells}
    for encoder, task in suite.layer_studies():
        model, dataset = suite.model(encoder, task), suite.task(task).dataset_key
        folders = [staged_folder(store, "models", model), staged_folder(store, "datasets", dataset)]
        read[variability_path(suite, encoder, task)] = folders
    date = cache(_date)
    older = [path for path, folders in read.items() if 0 < _date(path) < max(date(f / RECEIPT) for f in folders)]
    if not older:
        return
    log.info("%d results are older than inputs with the content that they name; they stay", len(older))
    if not dry:
        now = time.time_ns()
        for path in _dated(results_folder(suite)):
            # In shared results some are other users': Snakemake then makes again what depends on older ones.
            with suppress(PermissionError):
                os.utime(path, ns=(now, now))


def _dated(results: Path) -> Iterator[Path]:
    """The results of which Snakemake compares the dates."""
    for path in results.rglob("*"):
        if path.is_file() and path.relative_to(results).parts[0] not in UNDATED:
            yield path


def _date(path: Path) -> int:
    """When a file was changed, in nanoseconds; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def clear_leftovers(suite: Suite) -> None:
    """Remove what killed processes have left: temporary files, halves of bundles, checkpoints of cells with a record.

    What a live process is writing stays: it holds the lock of its cell, or of its folder of the store. Tables, figures
    and pages are written under no lock, by Snakemake's jobs, none of which is running now.
    """
    results, store, freed = results_folder(suite), suite.file.store, 0
    found = [(path, running_path(suite, _lock_of(path.relative_to(results)))) for path in leftovers(results)]
    for item in inventory(suite, suite_lock(suite)):
        folder = staged_folder(store, item.kind, item.key)
        for place in (folder, partial_folder(folder)):
            found += [(path, store_lock_path(store, item.where)) for path in leftovers(place)]
    found += [(path, store_lock_path(store, BUNDLE)) for path in (store / ".downloads").glob("bundle-*")]
    checkpoints = results / "checkpoints"
    for path in checkpoints.rglob("[!.]*.safetensors"):
        cell = path.relative_to(checkpoints).with_suffix("")
        if record_path(suite, cell).exists():
            found.append((path, running_path(suite, cell)))
    for path, lock in found:
        # What lies in a shared store may be another user's, who clears it with a run of theirs.
        with suppress(PermissionError):
            if not is_held(lock):
                size = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                freed += size
    if freed:
        log.info("removed %.1f MB that killed processes had left", freed / 1e6)


def _lock_of(path: Path) -> str:
    """The lock that the writer of this temporary file holds, by the file's path below the results."""
    place, *parts = path.parent.parts or ("",)
    name = path.name[1:].partition(".")[0]
    if not parts or place == "verify":
        return "/".join([place, *parts]) or name
    return "/".join([*parts, name] if place in ("checkpoints", "handover") else parts)

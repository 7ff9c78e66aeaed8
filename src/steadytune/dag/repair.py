"""What `steadytune run` does before Snakemake: move invalid results out of the way so that they are made again.

Snakemake assumes that an existing file is complete. It compares settings only with notes that it keeps itself, and
copied results or inputs staged by hand have no notes. A dry run only logs what would be done.
"""

import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from steadytune.cells.freshness import CellStatus, statuses
from steadytune.cells.input_check import InputCheck
from steadytune.cells.inputs import input_folders
from steadytune.dag.product_list import products_of
from steadytune.dag.products import Products, ProductStatus
from steadytune.files import aside_path, keep_aside, leftovers
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
"""Folders of the results whose dates Snakemake does not compare."""
OUTDATED = f"{RECEIPT}.outdated"
"""The name under which an encoder's receipt keeps its date until the encoder has been trained again."""


def restage(suite: Suite, *, dry: bool = False) -> dict[Path, int]:
    """Stage again what is damaged or does not match the lock.

    Receipts keep their dates, so only cells whose inputs have changed in content are trained again.

    Returns:
        The receipts, with their dates in nanoseconds, of encoders that the project trains itself and that Snakemake
        has to train again.

    Raises:
        SteadyTuneError: something cannot be staged.
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
    """Whether the store still lacks something that the suite reads."""
    items = inventory(suite, suite_lock(suite))
    return not all((staged_folder(suite.file.store, item.kind, item.key) / RECEIPT).exists() for item in items)


def set_aside(suite: Suite, targets: Sequence[str] = (), *, code: bool = False, dry: bool = False) -> None:
    """Rename invalid records, and remove damaged or stale products.

    Args:
        suite: the suite.
        targets: the targets of the run; if they include records, only these records and what they read are checked.
        code: also set aside what was made by other code.
        dry: only log what would be done.
    """
    found = statuses(suite, scores=True)
    records = {str(record_path(suite, status.cell)): status.cell for status in found}
    asked = {records[target] for target in targets if target in records}
    # If another target in the results, such as a table, is asked for too, all products are checked.
    folder = f"{results_folder(suite)}{os.sep}"
    more = any(target.startswith(folder) and target not in records for target in targets)
    marked, renamed = [], False
    for status in found:
        if status.record is None and status.state != "quarantined":
            continue
        if asked and status.cell not in asked:
            continue
        if status.needs_training(stale=code):
            renamed |= _rename(suite, status, dry=dry)
        elif status.cause == "code":
            # A record whose inputs are not available for comparison is judged after they are staged.
            marked.append(status)
    if marked:
        log.warning("%d cells were trained by other code and stay: %s: %s; tables mark them, and `steadytune run %s "
                    "--stale` trains them again",
                    len(marked), marked[0].cell, marked[0].why, suite.argument)  # fmt: skip
    products = Products(suite, found=None if renamed else found)
    _clear(suite, products.status(("variability",) if asked and not more else None), code=code, dry=dry)


def _rename(suite: Suite, status: CellStatus, *, dry: bool) -> bool:
    """Whether the record existed and was renamed."""
    path = record_path(suite, status.cell)
    if not path.exists():
        return False
    aside = aside_path(path, status.state)
    log.warning("%s: %s: %s; the record is kept as %s, and the cell is trained again", status.cell, status.state,
                status.why, aside.name)  # fmt: skip
    if not dry:
        keep_aside(path, status.state)
    return not dry


def _clear(suite: Suite, found: Sequence[ProductStatus], *, code: bool, dry: bool) -> None:
    """Remove products that are damaged or stale; `code`: also those made by other code or of unknown origin."""
    for status in found:
        product = status.product
        if status.state in ("other code", "recorded") and not code:
            log.warning("%s; it stays, and `steadytune run %s --stale` makes it again", status.why, suite.argument)
        elif status.state not in ("fresh", "missing"):
            log.warning("%s; it is made again", status.why)
            if dry:
                continue
            # Include files that the suite no longer asks for, but not files in other folders that the manifest names.
            root = results_folder(suite)
            folders = {file.parent for file in product.files} - {root}
            names = find_manifest(suite, product.name).files
            made = [path for name in names if (path := root / name).parent in folders]
            for path in (manifest_path(suite, product.name), *product.files, *made):
                path.unlink(missing_ok=True)


def redate_future(suite: Suite, *, dry: bool = False) -> None:
    """Reset future dates, left by a clock that was ahead, to now: Snakemake refuses outputs older than their inputs.

    Call this before anything is staged, pretrained or trained. `dry`: only log it.
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
    # Date all results, because the others are older than the ones with future dates.
    more = _dated(results_folder(suite)) if set(ahead).intersection(results) else ()
    for path in (*ahead, *more):
        # In a shared store, a file may belong to another user; Snakemake then reports what it refuses.
        with suppress(PermissionError):
            os.utime(path, ns=(now, now))


def keep_dates(suite: Suite, *, dry: bool = False) -> None:
    """Give all results the same date if some are older than their inputs, so that Snakemake does not remake them.

    Records that were restored, or copied with their dates, may be older than inputs that were staged later, although
    the inputs have the content that the records name. Call this after `set_aside`, when all remaining results are valid
    by content. `dry`: only log it.
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
            # Shared results may include other users' files; Snakemake then remakes what depends on them.
            with suppress(PermissionError):
                os.utime(path, ns=(now, now))


def _dated(results: Path) -> Iterator[Path]:
    """The result files whose dates Snakemake compares."""
    for path in results.rglob("*"):
        if path.is_file() and path.relative_to(results).parts[0] not in UNDATED:
            yield path


def _date(path: Path) -> int:
    """A file's modification time in nanoseconds; 0 if there is no file."""
    return path.stat().st_mtime_ns if path.exists() else 0


def clear_leftovers(suite: Suite) -> None:
    """Remove what killed processes have left: temporary files, partial bundles, checkpoints of cells with a record.

    Files that a live process is writing stay: the process holds the lock of its cell or of its folder in the store.
    Tables, figures and pages are written without a lock, but only by Snakemake's jobs, and none is running now.
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
        # In a shared store, a file may belong to another user, whose own runs will clear it.
        with suppress(PermissionError):
            if not is_held(lock):
                size = sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                freed += size
    if freed:
        log.info("removed %.1f MB that killed processes had left", freed / 1e6)


def _lock_of(path: Path) -> str:
    """The name of the lock that the writer of a temporary file holds, by the file's path below the results."""
    place, *parts = path.parent.parts or ("",)
    name = path.name[1:].partition(".")[0]
    if not parts or place == "verify":
        return "/".join([place, *parts]) or name
    return "/".join([*parts, name] if place in ("checkpoints", "handover") else parts)

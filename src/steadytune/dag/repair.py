"""What `steadytune run` does before Snakemake: what cannot be believed goes out of the way, so that it is made again.

Snakemake takes a file for whole, and compares settings only with notes that it keeps itself: results that were copied,
or inputs that were staged by hand, have none.
"""

import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from steadytune.cells.freshness import ASIDE, CellStatus, statuses
from steadytune.errors import SteadyTuneError
from steadytune.files import leftovers, read_parquet
from steadytune.layout import (
    calibration_path,
    inside_table_path,
    metrics_path,
    record_path,
    results_folder,
    running_path,
    slices_path,
    staged_folder,
)
from steadytune.locks import is_held
from steadytune.results.collect import is_current
from steadytune.schema import read_json
from steadytune.store.inventory import inventory, outdated
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import BUNDLE, RECEIPT, read_receipt
from steadytune.store.staging import lock_path, stage
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)


def restage(suite: Suite) -> list[Path]:
    """Stage again what has another pin than the lock's, or a damaged receipt.

    The receipt keeps its date, so that only cells whose inputs have other content are trained again.

    Returns:
        The receipts of damaged encoders that the project trains itself: Snakemake makes those.

    Raises:
        SteadyTuneError: it cannot be staged.
    """
    lock, trained = suite_lock(suite), []
    for item in inventory(suite, lock):
        folder = staged_folder(suite.file.store, item.kind, item.key)
        path = folder / RECEIPT
        if not path.exists():
            continue
        try:
            reason = outdated(item.kind, item.key, read_receipt(folder), lock, suite.sources)
        except SteadyTuneError as error:
            reason = str(error)
        if reason and item.pretrained:
            log.warning("%s; training it again", reason)
            path.unlink()
            trained.append(path)
        elif reason:
            log.warning("%s: staging it again: %s", item.where, reason)
            made = path.stat()
            stage(item.kind, item.key, lock, suite.sources, suite.file.store)
            os.utime(path, ns=(made.st_atime_ns, made.st_mtime_ns))
    return trained


def set_aside(suite: Suite, targets: Sequence[str] = (), *, code: bool = False) -> None:
    """Rename the records that cannot be believed, and remove what was gathered from others than are there now.

    Args:
        suite: the suite.
        targets: what the run is asked for; if records are among it, only those are looked at.
        code: also those that were trained by other code.
    """
    found = statuses(suite, scores=True)
    asked = {status.cell for status in found if str(record_path(suite, status.cell)) in targets}
    marked = []
    for status in found:
        if status.record is None and status.state != "quarantined":
            continue
        if asked and status.cell not in asked:
            continue
        if status.state == "quarantined" or status.cause in ("settings", "inputs") or (code and status.cause == "code"):
            _rename(suite, status)
        elif status.cause:
            marked.append(status)
    if marked:
        log.warning("%d cells are not fresh and stay: %s: %s; tables mark them, and `steadytune run %s --stale` trains "
                    "what other code trained", len(marked), marked[0].cell, marked[0].why, suite.name)  # fmt: skip
    clear_tables(suite)


def _rename(suite: Suite, status: CellStatus) -> None:
    path = record_path(suite, status.cell)
    if path.exists():
        aside = path.with_name(ASIDE[status.state])
        path.rename(aside)
        log.warning("%s: %s: %s; the record is kept as %s, and the cell is trained again", status.cell, status.state,
                    status.why, aside.name)  # fmt: skip


def clear_tables(suite: Suite) -> None:
    """Remove gathered tables that cannot be read, or that were made from other records."""
    for path in (metrics_path(suite), inside_table_path(suite), slices_path(suite), calibration_path(suite)):
        if path.exists():
            try:
                read_parquet(path)
            except SteadyTuneError as error:
                path.unlink()
                log.warning("%s", error)
    if metrics_path(suite).exists() and not is_current(suite):
        metrics_path(suite).unlink()


def clear_leftovers(suite: Suite) -> None:
    """Remove what killed processes have left: temporary files, halves of bundles, checkpoints of cells with a record.

    Whatever a live process may be writing stays: it holds the lock of its cell, or of its folder of the store.
    """
    results, store, freed = results_folder(suite), suite.file.store, 0
    found = [(path, running_path(suite, _cell_of(path.relative_to(results)))) for path in leftovers(results)]
    for item in inventory(suite, suite_lock(suite)):
        folder = staged_folder(store, item.kind, item.key)
        for place in (folder, folder.with_name(f".{folder.name}.partial")):
            found += [(path, lock_path(store, item.where)) for path in leftovers(place)]
    found += [(path, lock_path(store, BUNDLE)) for path in (store / ".downloads").glob("bundle-*")]
    checkpoints = results / "checkpoints"
    for path in checkpoints.rglob("[!.]*.safetensors"):
        cell = path.relative_to(checkpoints).with_suffix("")
        if record_path(suite, cell).exists():
            found.append((path, running_path(suite, cell)))
    for path, lock in found:
        if not is_held(lock):
            freed += sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if found:
        log.info("removed %.1f MB that killed processes had left", freed / 1e6)


def _cell_of(path: Path) -> str:
    """The cell to which a temporary file below the results belongs, as far as its place says."""
    place, *parts = path.parent.parts or ("",)
    return "/".join([*parts, path.name[1:].partition(".")[0]] if place == "checkpoints" else parts)


def clear_damaged(paths: Iterable[str]) -> None:
    """Remove files that Snakemake makes and that are empty, or no JSON or NumPy file as their names say."""
    for path in map(Path, paths):
        if path.is_file() and (reason := _damage(path)):
            path.unlink()
            log.warning("%s: %s; it is made again", path, reason)


def _damage(path: Path) -> str:
    if not path.stat().st_size:
        return "empty"
    try:
        if path.suffix == ".json":
            read_json(path)
        elif path.suffix == ".npz":
            with ZipFile(path) as archive:
                return "damaged" if archive.testzip() else ""
    except (SteadyTuneError, BadZipFile) as error:
        return f"damaged ({error})"
    return ""

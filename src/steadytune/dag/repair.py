"""What `steadytune run` does before Snakemake: move invalid results out of the way so that they are made again.

Snakemake assumes that an existing file is complete. It compares settings only with notes that it keeps itself, and
copied results or inputs staged by hand have no notes. A dry run only logs what would be done.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from steadytune.cells.freshness import CellStatus, statuses
from steadytune.cells.input_check import InputCheck
from steadytune.dag.products import Products, ProductStatus
from steadytune.files import aside_path, keep_aside
from steadytune.layout import manifest_path, record_path, results_folder, staged_folder
from steadytune.manifests import find_manifest
from steadytune.store.inventory import inventory
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import RECEIPT
from steadytune.store.staging import stage
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

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

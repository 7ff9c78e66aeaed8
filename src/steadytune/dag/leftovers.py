"""What killed processes leave in the results and in the store, and its removal before a run."""

import logging
import shutil
from contextlib import suppress

from steadytune.files import leftovers
from steadytune.layout import (
    checkpoints_folder,
    lock_of,
    partial_folder,
    record_path,
    results_folder,
    running_path,
    staged_folder,
    store_lock_path,
)
from steadytune.locks import is_held
from steadytune.store.inventory import inventory
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import BUNDLE
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)


def clear_leftovers(suite: Suite) -> None:
    """Remove what killed processes have left: temporary files, partial bundles, checkpoints of cells with a record.

    Files that a live process is writing stay: the process holds the lock of its cell or of its folder in the store.
    Tables, figures and pages are written without a lock, but only by Snakemake's jobs, and none is running now.
    """
    store, freed = suite.file.store, 0
    found = [(path, lock_of(suite, path)) for path in leftovers(results_folder(suite))]
    for item in inventory(suite, suite_lock(suite)):
        folder = staged_folder(store, item.kind, item.key)
        for place in (folder, partial_folder(folder)):
            found += [(path, store_lock_path(store, item.where)) for path in leftovers(place)]
    found += [(path, store_lock_path(store, BUNDLE)) for path in (store / ".downloads").glob("bundle-*")]
    checkpoints = checkpoints_folder(suite)
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

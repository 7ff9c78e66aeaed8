"""The dates of results and inputs, which Snakemake compares, set so that it makes nothing again that is valid.

A dry run only logs what would be done.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from steadytune.cells.inputs import input_folders
from steadytune.dag.product_list import products_of
from steadytune.layout import (
    CHECKPOINTS,
    LOGS,
    RUNNING,
    record_path,
    results_folder,
    staged_folder,
    variability_path,
)
from steadytune.store.inventory import inventory
from steadytune.store.lock import suite_lock
from steadytune.store.receipt import RECEIPT
from steadytune.suite.suite import Suite
from steadytune.text import counted

log = logging.getLogger(__name__)

UNDATED = (CHECKPOINTS, LOGS, RUNNING)
"""Folders of the results whose dates Snakemake does not compare."""


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
    for encoder, task in suite.variability_pairs():
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

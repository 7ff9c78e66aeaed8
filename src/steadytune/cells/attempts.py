"""Deal with other attempts at a cell: by a concurrent process, by one that was killed, or on a crowded GPU."""

import logging
import os
from contextlib import AbstractContextManager

from steadytune.cells.freshness import statuses
from steadytune.cells.leases import SLOTS_VARIABLE, is_shared
from steadytune.cells.record import TRAINED, read_record
from steadytune.errors import SteadyTuneError
from steadytune.files import leftovers
from steadytune.layout import cell_folder, checkpoint_path, handover_path, record_path, running_path
from steadytune.locks import hold, is_held
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)


def alone(suite: Suite, cell: Cell) -> AbstractContextManager[int]:
    """Hold a cell's lock, after waiting for any other process that trains the cell."""
    return hold(running_path(suite, cell), message=f"{cell}: waiting for another process that trains it")


def trained_by_another(suite: Suite, cell: Cell, *, hand_over: bool) -> bool:
    """Wait for any other process that trains the cell; return whether it made everything that this one was to make.

    The jobs of a killed run continue, and the next run submits their cells again.
    """
    if not is_held(running_path(suite, cell)):
        return False
    with alone(suite, cell):
        pass
    # After releasing the lock: a cell whose lock is held counts as running.
    fresh = any(status.cell == cell and status.state == "fresh" for status in statuses(suite))
    found = fresh and (handover_path(suite, cell).exists() or not hand_over)
    if found:
        log.info("%s: the other process has trained it", cell)
    return found


def clear_partial_files(suite: Suite, cell: Cell) -> None:
    """Remove a cell's half-written files, left by killed processes; the caller holds the cell's lock."""
    for path in (checkpoint_path(suite, cell), handover_path(suite, cell)):
        for half in leftovers(path.parent):
            # The folder also holds other seeds' temporary files.
            if half.name.startswith(f".{path.stem}."):
                half.unlink()
    for half in leftovers(cell_folder(suite, cell)):
        half.unlink()


def check_places(suite: Suite, cell: Cell) -> None:
    """Create the folders for a cell's files before training, to be sure that its result can be written.

    Raises:
        SteadyTuneError: a folder cannot be created or is not writable.
    """
    for folder in (cell_folder(suite, cell), checkpoint_path(suite, cell).parent):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError, PermissionError) as error:
            raise SteadyTuneError(f"{folder}: {error.strerror}: expected a folder, or room for one") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SteadyTuneError(f"{folder}: may not be written: expected a folder of yours, or one that you share")


def refuse_crowded(suite: Suite, cell: Cell) -> None:
    """Remove the record of a cell that ran out of memory on a GPU shared with other processes.

    Raises:
        SteadyTuneError: the cell did; how much memory was free says nothing about the method.
    """
    path = record_path(suite, cell)
    record = read_record(path)
    inherited = record.parent is not None and record.parent.status not in TRAINED
    if record.status == "out_of_memory" and not inherited and is_shared():
        path.unlink()
        handover_path(suite, cell).unlink(missing_ok=True)
        raise SteadyTuneError(f"{cell}: out of memory on a GPU that other processes use too, which is no result: lower "
                              f"{SLOTS_VARIABLE}, at 1 a cell has a GPU for itself, or end the others")  # fmt: skip

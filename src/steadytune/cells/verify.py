"""Run a recorded cell again and compare it with its record."""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from steadytune.cells.agreement import Verdict, compare, headline
from steadytune.cells.recompute import refuted
from steadytune.cells.record import damaged_file, read_record
from steadytune.cells.recorded import CELLS, restore
from steadytune.errors import SteadyTuneError, unknown
from steadytune.layout import (
    MODEL,
    RECORD,
    cells_folder,
    recorded_folder,
    running_path,
    seed_records,
    verification_folder,
)
from steadytune.locks import hold
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite


def sample_cells(suite: Suite, recorded: Path, size: int, seed: int | None = None) -> list[Cell]:
    """Draw a random sample of `size` recorded cells, for a reviewer."""
    found = [cell for cell in suite.cells if (recorded / str(cell) / RECORD).is_file()]
    if size > len(found):
        raise SteadyTuneError(f"{recorded}: {len(found)} recorded cells of suite '{suite.name}', {size} were asked for")
    return sorted(random.Random(seed).sample(found, size))


@contextmanager
def recorded_cells(suite: Suite, folder: Path | None = None, *, published: bool = False) -> Iterator[Path]:
    """The folder with the records to verify: the suite's own, the published ones, or those of a results folder.

    A recorded suite (`cells.jsonl.gz`, …) is unpacked to a temporary results folder, which is removed after the block.
    """
    folder = recorded_folder(suite) if published else folder
    if folder is None or not (published or (folder / CELLS).exists()):
        yield cells_folder(folder or suite)
        return
    with TemporaryDirectory() as place:
        restore(folder, Path(place))
        yield cells_folder(Path(place))


@contextmanager
def verifying(suite: Suite, cell: Cell) -> Iterator[None]:
    """Lock what `verify_cell` writes for a cell and its parent, after waiting for other processes that verify them."""
    with ExitStack() as locks:
        for each in filter(None, (suite.parent(cell), cell)):
            path = running_path(suite, f"verify/{each}")
            locks.enter_context(hold(path, message=f"{each}: waiting for another process that verifies it"))
        yield


def verify_cell(suite: Suite, cell: Cell, recorded: Path, weights: Path | None = None) -> Verdict:
    """Run a cell again in a separate folder and compare it with its record; call it inside `verifying`.

    Args:
        suite: the suite as it now is.
        cell: one of its cells, with a record.
        recorded: the folder with `<cell>/record.json` and `<cell>/predictions.parquet`.
        weights: also write the fine-tuned weights there.

    Raises:
        SteadyTuneError: there is no such record, or its files are damaged or refute it.
    """
    from steadytune.cells.run import run_cell

    if not (recorded / str(cell) / RECORD).is_file():
        names = [str(other) for other in suite.cells if (recorded / str(other) / RECORD).is_file()]
        if not names:
            raise SteadyTuneError(f"{recorded}: no recorded cell of suite '{suite.name}'")
        raise unknown("recorded cell", str(cell), names, str(recorded))
    record = read_record(recorded / str(cell) / RECORD)
    if damage := damaged_file(record, recorded / str(cell)):
        raise SteadyTuneError(damage)
    spec = suite.spec(cell)
    others = _others(recorded, cell)
    # With other settings it may have other evaluation sets; the verdict reports those settings.
    if record.spec == spec.to_dict() and (wrong := refuted(record, recorded / str(cell), spec)):
        raise SteadyTuneError(wrong)
    # The weights that it started from were not kept: train the parent again.
    if parent := suite.parent(cell):
        then = read_record(recorded / str(parent) / RECORD)
        run_cell(suite, parent, weights=verification_folder(suite, parent) / MODEL, verified=then)
    run_cell(suite, cell, verified=record, weights=weights)
    return compare(recorded / str(cell), verification_folder(suite, cell), others)


def _others(recorded: Path, cell: Cell) -> list[float]:
    """The headline metric of every recorded seed of a cell's encoder, method and task.

    Raises:
        SteadyTuneError: one of their records is damaged.
    """
    found = []
    for path in sorted(seed_records((recorded / str(cell)).parent)):
        found.append(headline(read_record(path)))
    return [value for value in found if value is not None]

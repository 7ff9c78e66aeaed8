"""Which records are valid: the single definition of fresh, shared by status, run, collect, claims, report and export.

A record is fresh if its files are intact and training its cell now would use the same settings, the same staged inputs
(as pinned by the lock) and the same code. Files are judged by content, never by date.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from steadytune.cells.file_cache import FileCache
from steadytune.cells.fingerprint import code_digest
from steadytune.cells.gold import StagedGold
from steadytune.cells.input_check import InputCheck
from steadytune.cells.inputs import input_folders
from steadytune.cells.record import BESIDE, damaged_file, read_record
from steadytune.cells.together import copies, outvoted_cells
from steadytune.cells.wanted import Cause, Wanted
from steadytune.errors import SteadyTuneError
from steadytune.files import aside_path
from steadytune.layout import (
    LOCK,
    RECORD,
    UNLABELLED,
    Kind,
    cell_folder,
    file_cache_path,
    project_file,
    running_path,
)
from steadytune.locks import is_held
from steadytune.record_reader import RecordReader
from steadytune.store.lock import load_lock
from steadytune.store.receipt import read_receipt, receipt_digest
from steadytune.suite.cell import Cell, Spec
from steadytune.suite.suite import Suite

State = Literal["fresh", "missing", "running", "stale", "quarantined"]

SCORING_CODE = ("cells/recompute.py", "evaluation", "tasks/labels.py")
READING_CODE = ("cells/gold.py", "cells/recompute.py", "tasks/data.py", "tasks/reading.py", "tasks/subsets.py")
"""The code that recomputes scores, and the code that reads gold labels: changing it invalidates cached checks."""

AS_RECORDED, NOW = "as recorded", "now"
"""How cells were judged, as kept in the manifest of `metrics.parquet`; a recorded suite belongs to its own code."""

NO_RECORD = "no record"
"""Why a cell is missing that has never been trained."""
NEW = " is new"


@dataclass(frozen=True)
class CellStatus:
    """A cell's state and, if it is not fresh, why."""

    cell: Cell
    state: State
    why: str = ""
    cause: Cause | None = None
    record: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """The record, if it is intact."""

    @property
    def shown(self) -> bool:
        """Whether its scores may be shown; if it is not fresh, they are marked."""
        return self.state == "fresh" or self.cause in ("code", "unstaged")

    def needs_training(self, *, stale: bool = False) -> bool:
        """Whether `steadytune run` would train it; `stale`: with `--stale`, which also retrains cells of other code."""
        return not self.shown or (stale and self.cause == "code")


def statuses(
    suite: Suite,
    cells: Iterable[Cell] | None = None,
    *,
    deep: bool = False,
    scores: bool = False,
    as_recorded: bool = False,
) -> list[CellStatus]:
    """The status of every cell, in the suite's order.

    Hashes are cached by file size and times, so checking 10,000 cells takes seconds.

    Args:
        suite: the suite as it is now.
        cells: judge, and compare with each other, only these cells.
        deep: ignore the caches: read and hash everything again, and recompute all scores.
        scores: recompute scores from the predictions if the result is not cached; cached results always count.
        as_recorded: do not compare code, inputs, new settings and `evaluate_epochs`, because a recorded suite belongs
            to the code that it names.
    """
    judges = _Judge(suite, deep=deep, scores=scores or deep, as_recorded=as_recorded)
    found = [judges.judge(cell) for cell in (suite.cells if cells is None else cells)]
    whys = dict(copies(suite, {status.cell: status.record for status in found if status.record}))
    if judges.some_not_comparable:
        shown = [status.cell for status in found if status.shown]
        whys |= dict(outvoted_cells(suite, shown, judges.file_cache, read=judges.scores))
    judges.file_cache.save()
    judges.inputs.file_cache.save()
    return [CellStatus(s.cell, "quarantined", whys[s.cell]) if s.cell in whys else s for s in found]


def digest(found: list[CellStatus]) -> str:
    """SHA-256 of the cells' records and states, which every collected table depends on."""
    lines = [[str(s.cell), s.state, s.cause, s.record["seal"] if s.record else ""] for s in found]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


class _Judge:
    """Determines the status of cells; looks at each cell and each staged folder only once."""

    def __init__(self, suite: Suite, *, deep: bool, scores: bool, as_recorded: bool) -> None:
        self.suite, self.scores, self.as_recorded = suite, scores, as_recorded
        self.file_cache = FileCache(file_cache_path(suite), forget=deep)
        self.inputs = InputCheck(suite, load_lock(project_file(LOCK)), deep=deep)
        self.staged = cache(self._staged)
        self.wanted = Wanted(suite, self.staged)
        self.gold = StagedGold(suite.file.store)
        self.judge = cache(self._judge)
        self.reader = RecordReader()
        self.some_not_comparable = False
        """Whether some predictions could not be compared with staged data, only with those of other cells."""

    def _judge(self, cell: Cell) -> CellStatus:
        folder = cell_folder(self.suite, cell)
        path = folder / RECORD
        if is_held(running_path(self.suite, cell)):
            return CellStatus(cell, "running")
        if not path.exists():
            for state in ("quarantined", "stale"):
                if aside_path(path, state).exists():
                    said = {"quarantined": "a damaged record", "stale": "a stale record"}[state]
                    return CellStatus(cell, "missing" if state == "stale" else state, f"{said} was set aside")
            return CellStatus(cell, "missing", NO_RECORD)
        if damage := self._damage(cell, path, folder):
            return CellStatus(cell, "quarantined", damage)
        # No schema check: the check for damage, whose result is cached, includes it.
        record = self.reader.read(path.read_bytes())
        spec = self.suite.spec(cell)
        for why in differences(self.wanted.settings(spec), record["spec"]):
            # A recorded suite may predate a new setting, and predictions do not depend on `evaluate_epochs`.
            if not (self.as_recorded and (why.endswith(NEW) or why.startswith("protocol.evaluate_epochs "))):
                return CellStatus(cell, "stale", _named(why, spec), "settings", record)
        if refuted := self._refuted(cell, path, folder, spec):
            return CellStatus(cell, "quarantined", refuted)
        outdated = (spec.start and self._started_otherwise(spec.start, record)) or self.wanted.outdated(spec, record)
        if not outdated or self._reads_what_is_staged(spec, record):
            if data_mismatch := self._data_mismatch(cell, path, folder, spec):
                return CellStatus(cell, "quarantined", data_mismatch)
        else:
            self.some_not_comparable = True
        if outdated and not self.as_recorded:
            cause, why = outdated
            return CellStatus(cell, "stale", why, cause, record)
        return CellStatus(cell, "fresh", record=record)

    def _reads_what_is_staged(self, spec: Spec, record: dict[str, Any]) -> bool:
        """Whether the data sets that a record names are the ones that are staged; code is not compared."""
        told = {item["key"]: item["digest"] for item in record["inputs"]}
        folders = input_folders(spec, self.suite.file.store)
        return all(self.staged(kind, key, folder) == told.get(key) for (kind, key), folder in folders.items()
                   if kind == "datasets")  # fmt: skip

    def _started_otherwise(self, parent: Cell, record: dict[str, Any]) -> tuple[Cause, str] | None:
        """Why a cell would now start from other weights than its record did; None if it would not."""
        found = self.judge(parent)
        if found.record is None:
            return "unstaged", f"its parent cannot be compared ({parent} is {found.state})"
        if found.cause:
            return found.cause, f"{parent}, which it starts from, is stale: {found.why}"
        if found.record["fingerprint"] != (record.get("parent") or {}).get("fingerprint"):
            return "inputs", f"{parent}, which it starts from, was trained again, and differently"
        return None

    def _damage(self, cell: Cell, path: Path, folder: Path) -> str | None:
        """What is wrong with a record or a file next to it; empty if nothing is."""

        def compute() -> str:
            try:
                return damaged_file(read_record(path), folder) or ""
            except SteadyTuneError as error:
                return str(error)

        return self.file_cache.find(str(cell), [path, *(folder / name for name in (*BESIDE, UNLABELLED))], compute)

    def _refuted(self, cell: Cell, path: Path, folder: Path, spec: Spec) -> str | None:
        """Which score or status the files next to a record refute; empty if they agree, None if unknown."""

        def compute() -> str:
            from steadytune.cells.recompute import refuted

            return refuted(read_record(path), folder, spec)

        paths = [path, folder / BESIDE[0]]
        return self.file_cache.find(
            f"{cell} scores", paths, compute if self.scores else None, code_digest(SCORING_CODE)
        )

    def _data_mismatch(self, cell: Cell, path: Path, folder: Path, spec: Spec) -> str | None:
        """Which predictions do not match the staged data that the record names; empty if all do, None if unknown."""

        def compute() -> str:
            from steadytune.cells.recompute import data_mismatch

            return data_mismatch(folder, spec, self.gold)

        paths = [path, folder / BESIDE[0]]
        return self.file_cache.find(f"{cell} gold", paths, compute if self.scores else None, code_digest(READING_CODE))

    def _staged(self, kind: Kind, key: str, folder: Path) -> str | tuple[Cause, str]:
        """The digest of a staged folder, or why cells cannot be compared with it."""
        if damage := self.inputs.damage(kind, key):
            return "unstaged", f"its inputs cannot be compared ({damage})"
        if reason := self.inputs.outdated(kind, key):
            return "inputs", f"input {key} is outdated: {reason}"
        return receipt_digest(read_receipt(folder))


def _named(why: str, spec: Spec) -> str:
    """A difference of settings, with the name of the method that has the setting instead of its position."""
    return re.sub(r"^parts\.(\d+)\.settings\.", lambda found: f"{spec.parts[int(found[1])].name}.", why)


def differences(now: Any, then: Any, at: str = "") -> Iterator[str]:
    """The differences between two JSON values, in the form `protocol.epochs is 3, was 5`."""
    if now == then:
        return
    if isinstance(now, dict) and isinstance(then, dict):
        for key in [*now, *(then.keys() - now.keys())]:
            if key in now and key in then:
                yield from differences(now[key], then[key], f"{at}{key}.")
            else:
                yield f"{at}{key}{NEW if key in now else ' was removed'}"
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for i, pair in enumerate(zip(now, then, strict=True)):
            yield from differences(*pair, f"{at}{i}.")
    else:
        yield f"{at.rstrip('.')} is {json.dumps(now)}, was {json.dumps(then)}"

"""Which records may be believed: the one notion of fresh that status, run, collect, claims, report and export share.

A record is fresh if its cell, trained now, would be the same: same settings, same staged inputs (as the lock pins
them), same code, and files that are whole. Files are judged by content, never by date.
"""

import hashlib
import json
import re
from collections.abc import Iterator
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
from steadytune.cells.together import contradicted, copies
from steadytune.cells.wanted import Cause, Wanted
from steadytune.errors import SteadyTuneError
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
"""What computes scores again, and what reads gold labels: other code may find something else in the same files."""

NEW = " is new"
ASIDE = {"quarantined": f"{RECORD}.quarantined", "stale": f"{RECORD}.stale"}
"""Under which name `steadytune run` keeps a record that it does not believe."""


@dataclass(frozen=True)
class CellStatus:
    """A cell's state and, if it is not fresh, why."""

    cell: Cell
    state: State
    why: str = ""
    cause: Cause | None = None
    record: dict[str, Any] | None = field(default=None, repr=False, compare=False)
    """The record as it stands, if it is whole."""

    @property
    def shown(self) -> bool:
        """Whether its scores may be shown: if it is not fresh, with a mark."""
        return self.state == "fresh" or self.cause in ("code", "unstaged")

    def is_left(self, *, stale: bool = False) -> bool:
        """Whether `steadytune run` has it still to train; `stale`: with `--stale`, if other code has trained it."""
        return not self.shown or (stale and self.cause == "code")


def statuses(suite: Suite, *, deep: bool = False, scores: bool = False, as_recorded: bool = False) -> list[CellStatus]:
    """The status of every cell, in the suite's order.

    What was read and hashed before is remembered as long as size and times stay the same, so that 10,000 cells take
    seconds.

    Args:
        suite: the suite as it now is.
        deep: read and hash everything again, and compute all scores again.
        scores: compute scores again from the predictions; what was found by that once is remembered anyway.
        as_recorded: do not compare code, inputs, new settings and `evaluate_epochs`: a recorded suite is of the code
            that it names.
    """
    judges = _Judge(suite, deep=deep, scores=scores or deep, as_recorded=as_recorded)
    found = [judges.judge(cell) for cell in suite.cells]
    whys = dict(copies(suite, {status.cell: status.record for status in found if status.record}))
    if judges.by_each_other:
        shown = [status.cell for status in found if status.shown]
        whys |= dict(contradicted(suite, shown, judges.file_cache, read=judges.scores))
    judges.file_cache.save()
    judges.inputs.file_cache.save()
    return [CellStatus(s.cell, "quarantined", whys[s.cell]) if s.cell in whys else s for s in found]


def digest(found: list[CellStatus]) -> str:
    """What a table that is gathered from these cells is made of, as one SHA-256: their records and their states."""
    lines = [[str(s.cell), s.state, s.cause, s.record["seal"] if s.record else ""] for s in found]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


class _Judge:
    """Judges cells; each cell and each staged folder is looked at once."""

    def __init__(self, suite: Suite, *, deep: bool, scores: bool, as_recorded: bool) -> None:
        self.suite, self.scores, self.as_recorded = suite, scores, as_recorded
        self.file_cache = FileCache(file_cache_path(suite), forget=deep)
        self.inputs = InputCheck(suite, load_lock(project_file(LOCK)), deep=deep)
        self.staged = cache(self._staged)
        self.wanted = Wanted(suite, self.staged)
        self.gold = StagedGold(suite.file.store)
        self.judge = cache(self._judge)
        self.reader = RecordReader()
        self.by_each_other = False
        """Whether predictions could not be compared with staged data, and so only with those of other cells."""

    def _judge(self, cell: Cell) -> CellStatus:
        folder = cell_folder(self.suite, cell)
        path = folder / RECORD
        if is_held(running_path(self.suite, cell)):
            return CellStatus(cell, "running")
        if not path.exists():
            for state in ("quarantined", "stale"):
                if (folder / ASIDE[state]).exists():
                    said = {"quarantined": "a damaged record", "stale": "a stale record"}[state]
                    return CellStatus(cell, "missing" if state == "stale" else state, f"{said} was set aside")
            return CellStatus(cell, "missing", "no record")
        if damage := self._damage(cell, path, folder):
            return CellStatus(cell, "quarantined", damage)
        # What is whole was checked against the schema when it was found to be.
        record = self.reader.read(path.read_bytes())
        spec = self.suite.spec(cell)
        for why in differences(self.wanted.settings(spec), record["spec"]):
            # The code of a recorded suite did not have settings that are new since; no prediction depends on the other.
            if not (self.as_recorded and (why.endswith(NEW) or why.startswith("protocol.evaluate_epochs "))):
                return CellStatus(cell, "stale", _named(why, spec), "settings", record)
        if refuted := self._refuted(cell, path, folder, spec):
            return CellStatus(cell, "quarantined", refuted)
        outdated = (spec.start and self._started_otherwise(spec.start, record)) or self.wanted.outdated(spec, record)
        if not outdated or self._reads_what_is_staged(spec, record):
            if foreign := self._foreign(cell, path, folder, spec):
                return CellStatus(cell, "quarantined", foreign)
        else:
            self.by_each_other = True
        if outdated and not self.as_recorded:
            cause, why = outdated
            return CellStatus(cell, "stale", why, cause, record)
        return CellStatus(cell, "fresh", record=record)

    def _reads_what_is_staged(self, spec: Spec, record: dict[str, Any]) -> bool:
        """Whether the data that a record tells of are those that are staged, whatever code has read them."""
        told = {item["key"]: item["digest"] for item in record["inputs"]}
        folders = input_folders(spec, self.suite.file.store)
        return all(self.staged(kind, key, folder) == told.get(key) for (kind, key), folder in folders.items()
                   if kind == "datasets")  # fmt: skip

    def _started_otherwise(self, parent: Cell, record: dict[str, Any]) -> tuple[Cause, str] | None:
        """Whether a cell would start from other weights now than its record's parent, and why."""
        found = self.judge(parent)
        if found.record is None:
            return "unstaged", f"what it started from is not there to compare ({parent} is {found.state})"
        if found.cause:
            return found.cause, f"{parent}, which it starts from, is stale: {found.why}"
        if found.record["fingerprint"] != (record.get("parent") or {}).get("fingerprint"):
            return "inputs", f"{parent}, which it starts from, was trained again, and differently"
        return None

    def _damage(self, cell: Cell, path: Path, folder: Path) -> str | None:
        """What is wrong with a record or a file beside it."""

        def compute() -> str:
            try:
                return damaged_file(read_record(path), folder) or ""
            except SteadyTuneError as error:
                return str(error)

        return self.file_cache.find(str(cell), [path, *(folder / name for name in (*BESIDE, UNLABELLED))], compute)

    def _refuted(self, cell: Cell, path: Path, folder: Path, spec: Spec) -> str | None:
        """Which score its predictions refute."""

        def compute() -> str:
            from steadytune.cells.recompute import refuted

            return refuted(read_record(path), folder, spec)

        paths = [path, folder / BESIDE[0]]
        return self.file_cache.find(
            f"{cell} scores", paths, compute if self.scores else None, code_digest(SCORING_CODE)
        )

    def _foreign(self, cell: Cell, path: Path, folder: Path, spec: Spec) -> str | None:
        """Which predictions are not of the staged examples, whose files are what the record says."""

        def compute() -> str:
            from steadytune.cells.recompute import foreign

            return foreign(folder, spec, self.gold)

        paths = [path, folder / BESIDE[0]]
        return self.file_cache.find(f"{cell} gold", paths, compute if self.scores else None, code_digest(READING_CODE))

    def _staged(self, kind: Kind, key: str, folder: Path) -> str | tuple[Cause, str]:
        """The digest of a staged folder, or why it is no input that a cell could be compared by."""
        if damage := self.inputs.damage(kind, key):
            return "unstaged", f"what it read is not there to compare ({damage})"
        if reason := self.inputs.outdated(kind, key):
            return "inputs", f"input {key} is outdated: {reason}"
        return receipt_digest(read_receipt(folder))


def _named(why: str, spec: Spec) -> str:
    """A difference of settings, by the method that has the setting and not by its place."""
    return re.sub(r"^parts\.(\d+)\.settings\.", lambda found: f"{spec.parts[int(found[1])].name}.", why)


def differences(now: Any, then: Any, at: str = "") -> Iterator[str]:
    """The places at which two JSON values differ, as `protocol.epochs is 3, was 5`."""
    if now == then:
        return
    if isinstance(now, dict) and isinstance(then, dict):
        for key in [*now, *(then.keys() - now.keys())]:
            if key in now and key in then:
                yield from differences(now[key], then[key], f"{at}{key}.")
            else:
                yield f"{at}{key}{NEW if key in now else ' is gone'}"
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for i, pair in enumerate(zip(now, then, strict=True)):
            yield from differences(*pair, f"{at}{i}.")
    else:
        yield f"{at.rstrip('.')} is {json.dumps(now)}, was {json.dumps(then)}"

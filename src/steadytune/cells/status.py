"""Which cells of a suite are fresh, and why the others are not: by what a record depends on, never by a file's date."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from steadytune.cells.inputs import cell_fingerprint, input_folders, selected_layer
from steadytune.errors import SteadyTuneError
from steadytune.layout import RECORD, cell_folder, record_path, running_path
from steadytune.locks import is_held
from steadytune.store.receipt import read_receipt, receipt_digest
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

State = Literal["fresh", "missing", "running", "stale", "quarantined"]


@dataclass(frozen=True)
class CellStatus:
    """A cell's state and, where it is not fresh, why."""

    cell: Cell
    state: State
    why: str = ""


def statuses(suite: Suite) -> Iterator[CellStatus]:
    """The status of every cell, in the suite's order.

    Records are read as plain JSON and receipts once a folder, so that 10,000 cells take seconds.
    """
    digest = cache(lambda folder: receipt_digest(read_receipt(folder)))
    for cell in suite.cells:
        path = record_path(suite, cell)
        if is_held(running_path(suite, cell)):
            yield CellStatus(cell, "running")
        elif not path.exists():
            aside = (cell_folder(suite, cell) / f"{RECORD}.quarantined").exists()
            state, why = ("quarantined", "a damaged record was set aside") if aside else ("missing", "no record")
            yield CellStatus(cell, state, why)
        else:
            yield _judge(suite, cell, path, digest)


def describe(suite: Suite) -> str:
    """A line for each cell that is not fresh, the counts, and what brings the others up to date."""
    found = list(statuses(suite))
    lines = [
        f"{status.state:<12}{status.cell}{f': {status.why}' if status.why else ''}"
        for status in found
        if status.state != "fresh"
    ]
    counts = Counter(status.state for status in found)
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    again = f"steadytune run {suite.name}"
    if counts.keys() - {"fresh", "running"}:
        lines.append(f"`{again}` trains what is missing, damaged, or has other settings or inputs")
    if stale := next((status.cell for status in found if status.state == "stale"), None):
        lines.append(f"one cell again, whatever its state: `{again} -- --force {record_path(suite, stale)}`")
    return "\n".join(lines)


def _judge(suite: Suite, cell: Cell, path: Path, digest: Any) -> CellStatus:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        known, spec = record["fingerprint"], suite.spec(cell)
    except (ValueError, KeyError, TypeError):
        return CellStatus(cell, "quarantined", "a damaged record")
    for why in differences(spec.to_dict(), record.get("spec")):
        return CellStatus(cell, "stale", why)
    try:
        inputs = {key: digest(folder) for (_, key), folder in input_folders(spec, suite.file.store).items()}
        layer = selected_layer(suite, spec)
    except SteadyTuneError as error:
        return CellStatus(cell, "stale", f"what it read is not there to compare ({error})")
    for item in record.get("inputs", ()):
        if inputs.get(item["key"]) != item["digest"]:
            return CellStatus(cell, "stale", f"input {item['key']} has other content")
    if cell_fingerprint(spec, inputs, layer) != known:
        return CellStatus(cell, "stale", "the selected layer, the task's entry or the code that trains it has changed")
    return CellStatus(cell, "fresh")


def differences(now: Any, then: Any, at: str = "") -> Iterator[str]:
    """The places where two JSON values differ, as `protocol.epochs is 3, was 5`."""
    if isinstance(now, dict) and isinstance(then, dict):
        for key in [*now, *(then.keys() - now.keys())]:
            if key in now and key in then:
                yield from differences(now[key], then[key], f"{at}{key}.")
            else:
                yield f"{at}{key} is {'new' if key in now else 'gone'}"
    elif isinstance(now, list) and isinstance(then, list) and len(now) == len(then):
        for i, pair in enumerate(zip(now, then, strict=True)):
            yield from differences(*pair, f"{at}{i}.")
    elif now != then:
        yield f"{at.rstrip('.')} is {json.dumps(now)}, was {json.dumps(then)}"

"""Recorded suites: runs that the project publishes, in files that pandas reads in one line each.

cells.jsonl.gz       one record per line, plus `history` (the text of history.csv) and `predictions_digest`
predictions.parquet  the predictions of all cells, with a column `cell`
variability.json     the measurements of layers: encoder -> task -> content; only if there are any
looks.json           the looks at its claims, and what was planned at the time; only if there were any
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.cells.freshness import statuses
from steadytune.errors import SteadyTuneError, short
from steadytune.evaluation.outputs import HELD_OUT, no_predictions, write_table
from steadytune.files import atomic_path, read_json, sha256, write_bytes, write_json, write_text
from steadytune.layout import (
    HISTORY,
    PREDICTIONS,
    RECORD,
    cell_folder,
    history_path,
    predictions_path,
    record_path,
    variability_path,
)
from steadytune.looks import keep_looks, read_looks
from steadytune.manifests import damage, write_manifest
from steadytune.seals import SEAL, read_sealed, seal_of, write_sealed
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite

if TYPE_CHECKING:
    import pyarrow as pa

CELLS = "cells.jsonl.gz"
VARIABILITY = "variability.json"
ADDED = ("history", "predictions_digest")
"""The keys of a line besides the record's own."""
LONGEST = 1 << 24
"""Maximum bytes of a line: a small file from someone else can unpack to more than fits into memory."""


def write_recorded(suite: Suite, folder: Path) -> int:
    """Write a suite's recorded cells, measurements of layers and looks to `folder`; return the number of cells.

    Raises:
        SteadyTuneError: no cell has a record, a record is not valid, or a measurement or the looks are damaged;
            nothing is written then.
    """
    again = f"`steadytune run {suite.argument}` makes it again"
    found = [status for status in statuses(suite, scores=True) if record_path(suite, status.cell).exists()]
    if not found:
        raise SteadyTuneError(f"{suite.name}: no cell has a record; `steadytune run {suite.argument}` makes them")
    for status in found:
        if not status.shown:
            raise SteadyTuneError(f"{status.cell}: {status.state}: {status.why}; {again}")
    cells, tables, lines = [status.cell for status in found], [], []
    for cell in cells:
        path = record_path(suite, cell)
        tables.append(_read(predictions_path(suite, cell)))
        added = (history_path(suite, cell).read_text(encoding="utf-8"), _digest(tables[-1]))
        line = read_json(path) | dict(zip(ADDED, added, strict=True))
        lines.append(json.dumps(line | {SEAL: seal_of(line)}, sort_keys=True, separators=(",", ":")))
    studies: dict[str, dict[str, Any]] = {}
    for encoder, task in suite.variability_pairs():
        if (path := variability_path(suite, encoder, task)).exists():
            if damaged := damage(suite, f"variability/{encoder}/{task}", [path]):
                raise SteadyTuneError(f"{damaged}; {again}")
            studies.setdefault(encoder, {})[task] = read_json(path)
    looks = read_looks(suite)
    _write(_together(cells, tables), folder / PREDICTIONS)
    # No timestamp, so that equal records give equal bytes.
    write_bytes(folder / CELLS, gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    if studies:
        write_sealed(folder / VARIABILITY, studies)
    else:
        (folder / VARIABILITY).unlink(missing_ok=True)
    if looks:
        keep_looks(folder, looks)
    return len(cells)


def restore(folder: Path, target: Path, wanted: Callable[[Cell], bool] = lambda _: True) -> list[Cell]:
    """Write a recorded suite to `target`, laid out as results; return the cells that were written.

    Args:
        folder: the recorded suite.
        target: a results folder; existing files of the same names are replaced.
        wanted: which cells to write. It is called for every cell before anything is written, and may raise an error.

    Raises:
        SteadyTuneError: `folder` does not hold a recorded suite, a name in it is not a single path component, or
            predictions do not match their record.
    """
    lines = {cell: line for cell, line in _lines(folder / CELLS) if wanted(cell)}
    studies = list(_studies(folder / VARIABILITY)) if (folder / VARIABILITY).exists() else []
    looks = read_looks(folder)
    tables = _apart(folder / PREDICTIONS, set(map(str, lines)))
    for cell, line in lines.items():
        history, digest = (line.pop(name) for name in ADDED)
        sets = [HELD_OUT if e["kind"] == "held_out" else e["set"] for e in line["evaluations"]]
        table = _in_order(tables[str(cell)], sets)
        if _digest(table) != digest:
            raise SteadyTuneError(f"{folder / PREDICTIONS}: {cell}: damaged: not the predictions of its record")
        place = cell_folder(target, cell)
        write_table(place / PREDICTIONS, table)
        write_text(place / HISTORY, history)
        # Another version of pyarrow writes the same table as different bytes.
        line["files"] = {name: sha256(place / name) for name in (PREDICTIONS, HISTORY)}
        write_sealed(place / RECORD, line)
    for encoder, task, content in studies:
        path = variability_path(target, encoder, task)
        write_json(path, content)
        write_manifest(target, f"variability/{encoder}/{task}", [path], {})
    keep_looks(target, looks)
    return list(lines)


def _lines(path: Path) -> Iterator[tuple[Cell, dict[str, Any]]]:
    for number, line in enumerate(_unpacked(path), 1):
        try:
            value = json.loads(line)
            if value[SEAL] != seal_of(value) or not {*ADDED, "evaluations"} <= value.keys():
                raise ValueError("edited")
            cell = Cell(*(value["spec"][key] for key in ("encoder", "method", "task", "seed")))
        except (ValueError, KeyError, TypeError, RecursionError):
            raise SteadyTuneError(f"{path}: line {number}: damaged: not a record as it was written") from None
        for part in ("encoder", "method", "task"):
            _check_part(getattr(cell, part), f"{path}: line {number}: {part}")
        if type(cell.seed) is not int:
            raise SteadyTuneError(f"{path}: line {number}: seed: {short(cell.seed)}: expected a whole number")
        yield cell, value


def _unpacked(path: Path) -> Iterator[bytes]:
    """The lines of a gzip-compressed text."""
    try:
        with gzip.open(path) as handle:
            while line := handle.readline(LONGEST):
                yield line
    except FileNotFoundError:
        raise SteadyTuneError(f"{path}: no such file; expected a recorded suite") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SteadyTuneError(f"{path}: damaged: {error}") from None


def _studies(path: Path) -> Iterator[tuple[str, str, Any]]:
    """The encoder, the task and the content of each measurement of layers."""
    for encoder, tasks in read_sealed(path).items():
        if encoder == SEAL:
            continue
        _check_part(encoder, f"{path}: encoder")
        if not isinstance(tasks, dict):
            raise SteadyTuneError(f"{path}: {encoder}: {short(tasks)}: expected a mapping of tasks to measurements")
        for task, content in tasks.items():
            _check_part(task, f"{path}: {encoder}: task")
            yield encoder, task, content


def _check_part(name: object, where: str) -> None:
    """Reject a name that would lead a path elsewhere, because recorded suites may come from other people."""
    if not isinstance(name, str) or name in ("", ".", "..") or set("/\\\0") & set(name):
        raise SteadyTuneError(f"{where}: {short(name)}: expected a name that is one part of a path")


def _read(path: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    return pq.ParquetFile(path).read()


def _write(table: "pa.Table", path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Splitting logits and predicted scores by byte, in large pages, halves the file. Gold labels have few values, for
    # which a dictionary is better.
    numbers = (field.name for field in table.schema if pa.types.is_floating(field.type))
    split = {name: "BYTE_STREAM_SPLIT" for name in numbers if name != "label"}
    dictionaries = [name for name in table.column_names if name not in split]
    with atomic_path(path) as temporary:
        pq.write_table(
            table,
            temporary,
            compression="zstd",
            compression_level=19,
            use_dictionary=dictionaries,  # pyright: ignore[reportArgumentType] (names are taken too)
            column_encoding=split,
            data_page_size=8 << 20,
            row_group_size=1 << 24,
        )


def _together(cells: list[Cell], tables: list["pa.Table"]) -> "pa.Table":
    """One table, sorted to put all predictions for an example next to each other, which halves the size again."""
    import pyarrow as pa

    named = [
        table.add_column(0, "cell", pa.array([str(cell)] * len(table)))
        for cell, table in zip(cells, tables, strict=True)
    ]
    joined = pa.concat_tables(named, promote_options="default")
    return joined.sort_by([("evaluation_set", "ascending"), ("row", "ascending"), ("cell", "ascending")])


def _apart(path: Path, cells: set[str]) -> dict[str, "pa.Table"]:
    """Each cell's rows, by cell, without the column `cell`."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        joined = pq.read_table(path, filters=pc.field("cell").isin(pa.array(sorted(cells), pa.string())))
    except (OSError, pa.ArrowException) as error:
        raise SteadyTuneError(f"{path}: cannot be read ({str(error).splitlines()[0]})") from None
    joined = joined.sort_by([("cell", "ascending"), ("evaluation_set", "ascending"), ("row", "ascending")])
    names, joined = joined["cell"].to_numpy(), joined.drop_columns("cell")
    starts = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist()] if len(names) else []
    ends = [*starts[1:], len(names)]
    empty = {cell: joined.slice(0, 0) for cell in cells}
    return empty | {names[i]: joined.slice(i, j - i) for i, j in zip(starts, ends, strict=False)}


def _in_order(table: "pa.Table", sets: list[str]) -> "pa.Table":
    """A cell's rows as the cell wrote them: sets in evaluation order, and only the columns that it has."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(table):
        return no_predictions()
    kept = [name for name in table.column_names if table[name].null_count < len(table)]
    parts = [table.filter(pc.field("evaluation_set") == name) for name in sets]
    return pa.concat_tables(parts).select(kept).combine_chunks()


def _digest(table: "pa.Table") -> str:
    """Hash of a table's values, which does not depend on how its file is encoded."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table[name].to_numpy()
        text = column.dtype == object
        digest.update(name.encode())
        digest.update(json.dumps(column.tolist()).encode() if text else column.tobytes())
    return digest.hexdigest()

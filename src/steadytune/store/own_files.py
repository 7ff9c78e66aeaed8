"""Columns of a user's file: csv, tsv, jsonl, parquet, a folder that `datasets` saved, SQuAD's json."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, nearest
from steadytune.store.contents import check_content
from steadytune.suite.own import TRAIN, OwnTask
from steadytune.tasks.reading import class_names

Columns = dict[str, list[Any]]
FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
SEPARATORS = {"csv": ",", "tsv": "\t"}
# Names of the evaluation split in a folder that `datasets` saved with several.
EVALUATION_NAMES = ("validation", "evaluation", "dev", "test")


def read_columns(where: str, entry: OwnTask, split: str, paths: Sequence[Path]) -> Columns:
    """The columns that a task asks for, a value for each row, from a file, a folder or the shards of a split.

    Raises:
        SteadyTuneError: no such file, not of its format, or a column is missing (with the nearest that it has).
    """
    wanted = ("question", "context", "answers") if entry.span else (*entry.text, entry.label)
    path = paths[0]
    if not path.exists():
        raise SteadyTuneError(f"{where}: {split}: {path}: no such file or folder")
    form = entry.format or ("datasets" if _is_saved(path) else "parquet" if path.is_dir() else FORMATS.get(path.suffix))
    if path.is_file():
        check_content(path, str(path))
    try:
        match form:
            case "csv" | "tsv":
                columns = _delimited(path, entry, form)
            case "jsonl":
                columns = _jsonl(path, entry.encoding)
            case "parquet":
                files = sorted(path.rglob("*.parquet")) if path.is_dir() else paths
                columns = _parquet(files, wanted, entry.label)
            case "datasets":
                columns = _saved(path, split, entry.label)
            case "squad":
                columns = _squad(path, entry.encoding)
            case _:
                raise SteadyTuneError(
                    f"{where}: {path}: say its `format`: {', '.join(dict.fromkeys(FORMATS.values()))}, datasets, squad"
                )
    except UnicodeDecodeError as error:
        raise SteadyTuneError(
            f"{where}: {path}: byte {error.start} is not {entry.encoding.removesuffix('-sig')}: save it as UTF-8, or "
            f"say its `encoding`, such as cp1252{_hint(path, entry, form)}"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise SteadyTuneError(
            f"{where}: {path}: cannot be read as {form}: {reason}{_hint(path, entry, form)}"
        ) from None
    for name in wanted:
        if name not in columns:
            has = ", ".join(columns) or "none"
            hint = _hint(path, entry, form) or f"; it has {has}"
            raise SteadyTuneError(f"{where}: {path}: no column '{name}'{nearest(name, columns)}{hint}")
    if not columns[wanted[0]]:
        raise SteadyTuneError(f"{where}: {path}: no rows")
    return {name: columns[name] for name in wanted}


def _delimited(path: Path, entry: OwnTask, form: str) -> Columns:
    import pandas as pd

    quoted = form == "csv" if entry.quoted is None else entry.quoted
    frame = pd.read_csv(
        path,
        sep=entry.separator or SEPARATORS[form],
        dtype=str,
        keep_default_na=False,
        encoding=entry.encoding,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        index_col=False,
        on_bad_lines="error",
    )
    return {str(name): frame[name].tolist() for name in frame.columns}


def _hint(path: Path, entry: OwnTask, form: str | None) -> str:
    """That the first line of a csv file has another separator than the one that it was read with."""
    if form not in SEPARATORS or entry.separator:
        return ""
    with path.open(encoding=entry.encoding, errors="replace") as handle:
        head = handle.readline()
    likely = max((";", "\t", "|", ","), key=head.count)
    if likely == SEPARATORS[form] or not head.count(likely):
        return ""
    return f": its first line has {head.count(likely)} {likely!r}: say `separator: {json.dumps(likely)}`"


def _jsonl(path: Path, encoding: str) -> Columns:
    rows: list[dict[str, Any]] = []
    with path.open(encoding=encoding) as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number}: {error}") from None
                if not isinstance(row, dict):
                    raise ValueError(f"line {number}: expected an object of columns and values")
                rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(files: Sequence[Path], wanted: tuple[str, ...], label: str) -> Columns:
    import pyarrow.parquet as pq

    columns: Columns = {}
    for file in files:
        opened = pq.ParquetFile(file)
        names = opened.schema_arrow.names
        if twice := [name for name in wanted if names.count(name) > 1]:
            raise ValueError(f"column '{twice[0]}' stands twice")
        table = opened.read(columns=[name for name in wanted if name in names])
        for name in table.column_names:
            values = table.column(name).to_pylist()
            columns.setdefault(name, []).extend(_named(values, class_names(opened.schema_arrow, label), name == label))
    return columns


def _saved(path: Path, split: str, label: str) -> Columns:
    import datasets

    found: Any = datasets.load_from_disk(str(path))
    if isinstance(found, datasets.DatasetDict):
        names = (TRAIN,) if split == TRAIN else EVALUATION_NAMES
        name = next((name for name in names if name in found), None)
        if name is None:
            raise ValueError(f"it has the splits {', '.join(map(str, found))}, expected one of {', '.join(names)}")
        found = found[name]
    feature = found.features.get(label)
    names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    return {name: _named(found[name][:], names, name == label) for name in found.column_names}


def _named(values: list[Any], names: tuple[str, ...] | None, is_label: bool) -> list[Any]:
    """Class indices as the names that the file gives them."""
    if not (names and is_label):
        return values
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else value for value in values]


def _squad(path: Path, encoding: str) -> Columns:
    columns: Columns = {"question": [], "context": [], "answers": []}
    for article in json.loads(path.read_text(encoding=encoding))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question["answers"]
                columns["question"].append(question["question"])
                columns["context"].append(paragraph["context"])
                columns["answers"].append({
                    "text": [answer["text"] for answer in answers],
                    "answer_start": [answer["answer_start"] for answer in answers],
                })  # fmt: skip
    return columns


def _is_saved(path: Path) -> bool:
    return (path / "dataset_dict.json").is_file() or (path / "dataset_info.json").is_file()

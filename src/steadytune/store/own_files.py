"""Read the columns of a user's data: csv, tsv, jsonl, parquet, a folder saved by `datasets`, or SQuAD's JSON."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, nearest, short
from steadytune.files import nearest_file
from steadytune.store.contents import check_content, check_text
from steadytune.store.own_delimited import check_repeats, read_delimited, separator_hint
from steadytune.store.own_folders import is_saved, named_like, names_of, split_files
from steadytune.store.own_json import Columns, read_jsonl, read_squad
from steadytune.suite.own import OwnTask
from steadytune.suite.own_labels import WHOLE, spell
from steadytune.tasks.reading import class_names

FORMATS = {".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
ADDRESS = re.compile(r"(?:^|/)(?:https?|hf|s3|gs|file):/")
TEXT_FORMATS = ("csv", "tsv", "jsonl", "squad")


def read_columns(where: str, entry: OwnTask, split: str, paths: Sequence[Path]) -> Columns:
    """Read the columns that a task asks for, with one value per row, from a file, a folder or a split's shards.

    Raises:
        SteadyTuneError: no such file, another format, or a missing column (with the nearest that the file has).
    """
    wanted = ("question", "context", "answers") if entry.span else (*entry.text, entry.label)
    path = paths[0]
    _check_there(f"{where}: {split}", path)
    form = entry.format or ("datasets" if is_saved(path) else "parquet" if path.is_dir() else FORMATS.get(path.suffix))
    _check_place(where, path, form)
    try:
        if path.is_file():
            check_content(path, f"{where}: {path}")
            if form is None or form in TEXT_FORMATS:
                check_text(path, f"{where}: {path}", entry.encoding)
        match form:
            case "csv" | "tsv":
                columns = read_delimited(path, wanted, entry, form)
            case "jsonl":
                columns = read_jsonl(path, wanted, entry.encoding)
            case "parquet":
                files = split_files(path, split) if path.is_dir() else paths
                columns = _parquet(where, files, wanted, entry.label)
            case "datasets":
                columns = _saved(where, path, split, wanted, entry.label)
            case "squad":
                columns = read_squad(path, entry.encoding)
            case _:
                raise SteadyTuneError(
                    f"{where}: {path}: say its `format`: {', '.join(dict.fromkeys(FORMATS.values()))}, datasets, squad"
                )
    except UnicodeDecodeError as error:
        raise SteadyTuneError(
            f"{where}: {path}: byte 0x{error.object[error.start]:02x} is not {entry.encoding.removesuffix('-sig')}: "
            f"save it as UTF-8, or say its `encoding`, such as cp1252{separator_hint(path, entry, form)}"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise SteadyTuneError(
            f"{where}: {path}: cannot be read as {form}: {_reason(error)}{separator_hint(path, entry, form)}"
        ) from None
    except OSError as error:
        raise SteadyTuneError(f"{where}: {path}: cannot be read as {form}: {_reason(error)}") from None
    _check_columns(f"{where}: {path}", wanted, columns, separator_hint(path, entry, form))
    if not columns[wanted[0]]:
        raise SteadyTuneError(f"{where}: {path}: no rows")
    return {name: columns[name] for name in wanted}


def _check_there(what: str, path: Path) -> None:
    try:
        exists = path.exists()
    except OSError as error:
        raise SteadyTuneError(f"{what}: {short(str(path))}: {error.strerror}") from None
    if not exists:
        raise SteadyTuneError(f"{what}: {path}: no such file or folder{_in_its_place(path)}")
    # Reading a pipe would block until something writes to it.
    if not (path.is_file() or path.is_dir()):
        raise SteadyTuneError(f"{what}: {path}: not a regular file")


def _in_its_place(path: Path) -> str:
    """A hint for a path that does not exist."""
    if path.is_symlink():
        return ", but a link whose target is missing"
    if ADDRESS.search(str(path)):
        return ": expected a path and no address: download the file, or name a data set on the hub with `hub`"
    return nearest_file(path)


def _check_place(where: str, path: Path, form: str | None) -> None:
    """Check that the path is a folder or a file as its format requires."""
    if path.is_dir() and form not in ("parquet", "datasets"):
        raise SteadyTuneError(f"{where}: {path}: a folder, expected a {form} file in it")
    if path.is_file() and form == "datasets":
        raise SteadyTuneError(f"{where}: {path}: a file, expected a folder saved by `datasets`")


def _check_columns(where: str, wanted: Iterable[str], names: Iterable[str], hint: str = "") -> None:
    names = list(names)
    missing = [f"'{name}'{nearest(name, names)}" for name in dict.fromkeys(wanted) if name not in names]
    if missing:
        has, columns = ", ".join(names) or "none", "column" if len(missing) == 1 else "columns"
        raise SteadyTuneError(f"{where}: no {columns} {', '.join(missing)}{hint or f'; it has {has}'}")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _parquet(where: str, files: Sequence[Path], wanted: Sequence[str], label: str) -> Columns:
    columns: Columns = {name: [] for name in wanted}
    for file in files:
        for name, values in _shard(where, file, wanted, label).items():
            columns[name] += values
    return columns


def _shard(where: str, file: Path, wanted: Sequence[str], label: str) -> Columns:
    """The wanted columns of one parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as opened:
            schema = opened.schema_arrow
            _check_columns(f"{where}: {file}", wanted, schema.names)
            check_repeats(wanted, schema.names)
            table = opened.read(columns=list(wanted))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SteadyTuneError(f"{where}: {file}: cannot be read as parquet: {_reason(error)}") from None
    names = class_names(schema, label)
    columns: Columns = {}
    for name in wanted:
        try:
            columns[name] = _named(table.column(name).to_pylist(), names, name == label)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            # Times outside Python's range, bytes that are not UTF-8, or indices without a class.
            raise SteadyTuneError(f"{where}: {file}: column '{name}': {_reason(error)}") from None
    return columns


def _saved(where: str, path: Path, split: str, wanted: Sequence[str], label: str) -> Columns:
    import datasets

    found: Any = datasets.load_from_disk(str(path))
    if isinstance(found, datasets.DatasetDict):
        name = named_like(split, map(str, found))
        if name is None:
            expected = ", ".join(names_of(split))
            raise ValueError(f"it has the splits {', '.join(map(str, found))}, expected one of {expected}")
        found = found[name]
    _check_columns(f"{where}: {path}", wanted, found.column_names)
    feature = found.features.get(label)
    names = tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else None
    # Other columns may be images to decode, and the saved format may hide columns or return arrays.
    found = found.select_columns(list(wanted)).with_format(None)
    return {name: _named(found[name][:], names, name == label) for name in wanted}


def _named(values: list[Any], names: tuple[str, ...] | None, is_label: bool) -> list[Any]:
    """Replace class indices, of any type, by the class names in the file.

    Raises:
        ValueError: a number is neither the index of a class nor -1, which marks a row without a label.
    """
    if not (names and is_label):
        return values
    return [_class_name(value, row, names) for row, value in enumerate(values)]


def _class_name(value: Any, row: int, names: tuple[str, ...]) -> Any:
    value = int(value) if isinstance(value, bool) else value
    text = spell(value) if isinstance(value, str | int | float) else None
    # A class name may itself be a number.
    if text is None or text == "-1" or (isinstance(value, str) and text in names):
        return value
    if WHOLE.fullmatch(text) and 0 <= int(text) < len(names):
        return names[int(text)]
    if not isinstance(value, str) or WHOLE.fullmatch(text):
        raise ValueError(f"row {row}: label {short(value)}, expected the index of one of {', '.join(names)}")
    return value

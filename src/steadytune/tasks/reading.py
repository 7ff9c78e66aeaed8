"""Read the parquet files of a split: find them by name, read the needed columns, and interpret the labels.

Other columns are not read, so they may be of any type and may differ between shards. All mistakes in a file are
reported together.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError, nearest
from steadytune.staged import listed_files
from steadytune.tasks.labels import canonical
from steadytune.tasks.task import Task

if TYPE_CHECKING:
    import pyarrow as pa

# `train-00000-of-00002.parquet`; older versions of `datasets` append a hash.
SHARD = re.compile(r"(?P<split>.+)-(?P<shard>\d{5})-of-(?P<shards>\d{5})(-[0-9a-f]{8,64})?")
SHOWN_PROBLEMS = 5


def split_of(path: Path) -> str:
    """The split that a file belongs to.

    `train` for `train-00000-of-00001.parquet`, `train.parquet` and `train/0000.parquet`.
    """
    if path.stem.isdigit():
        return path.parent.name
    match = SHARD.fullmatch(path.stem)
    return match["split"] if match else path.stem


def split_files(task: Task, split: str, store: Path) -> list[Path]:
    """The files of a task's split, in the order of their shards.

    Raises:
        SteadyTuneError: there is no such split, or a shard is missing.
    """
    folder = store / "datasets" / task.dataset_key
    splits: dict[str, list[Path]] = defaultdict(list)
    listed = listed_files(folder)
    for path in sorted([*folder.glob("*.parquet"), *folder.glob("*/*.parquet")]):
        if listed is None or path.relative_to(folder).as_posix() in listed:
            splits[split_of(path)].append(path)
    if split not in splits:
        there = f"it has {', '.join(sorted(splits))}" if splits else "nothing is staged there"
        raise SteadyTuneError(f"{folder}: no split '{split}' of task '{task.name}'{nearest(split, splits)}; {there}")
    files = splits[split]
    matches = [SHARD.fullmatch(path.stem) for path in files]
    numbers = [int(match["shard"] if match else path.stem) if match or path.stem.isdigit() else 0
               for path, match in zip(files, matches, strict=True)]  # fmt: skip
    expected = {int(match["shards"]) if match else len(files) for match in matches}
    if expected != {len(files)} or numbers != list(range(len(files))):
        raise SteadyTuneError(f"{folder}: split '{split}' is not whole: found {', '.join(path.name for path in files)}")
    return files


class Split:
    """Columns of a split's files as Python values, and the class names that the files give for the label."""

    def __init__(self, task: Task, files: Sequence[Path], columns: Iterable[str]) -> None:
        self.task, self.files = task, files
        self.columns: dict[str, list[Any]] = {name: [] for name in columns}
        self.problems: list[str] = []
        """All mistakes found so far, one line each, without the file's name."""
        self.class_names: tuple[str, ...] | None = None
        self.labels: list[float] = []
        """Class index or score of every row; 0 for a missing label, and if the answers are spans."""
        self.kept: list[bool] = []
        """Whether each row has a gold label."""
        for path in files:
            self._add(path)

    def check(self) -> None:
        """Raise all problems as one line; do nothing if there are none."""
        if self.problems:
            more = len(self.problems) - SHOWN_PROBLEMS
            said = [*self.problems[:SHOWN_PROBLEMS], *([f"and {more} more"] if more > 0 else [])]
            raise SteadyTuneError(f"{self.files[0]}: {'; '.join(said)}")

    def texts(self, column: str) -> list[str]:
        """A column of texts; adds a problem if a value is not a text."""
        values = self.columns[column]
        wrong = [row for row, value in enumerate(values) if not isinstance(value, str)]
        if wrong:
            said = f"row {wrong[0]}: column '{column}' holds {values[wrong[0]]!r} where a text is expected"
            self.problems.append(said + _more(len(wrong)))
        return values

    def _add(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(path)
            schema = file.schema_arrow
        except (pa.ArrowInvalid, OSError):
            raise SteadyTuneError(f"{path}: not a parquet file") from None
        usable = []
        for name in self.columns:
            if name not in schema.names:
                needs = f"task '{self.task.name}' needs column '{name}'; it has {', '.join(schema.names)}"
                self.problems.append(needs)
            elif schema.names.count(name) > 1:
                self.problems.append(f"column '{name}' stands {schema.names.count(name)} times")
            elif name in self.task.text and not _is_text(schema.field(name).type):
                self.problems.append(f"column '{name}' is of type {schema.field(name).type}, expected texts")
            else:
                usable.append(name)
        table = file.read(columns=usable)
        for name in usable:
            self.columns[name] += table.column(name).to_pylist()
        names = class_names(schema, self.task.label)
        if self.class_names not in (None, names):
            self.problems.append(f"{path.name} names the classes of '{self.task.label}' differently: {names}")
        self.class_names = names or self.class_names


def read_split(task: Task, files: Sequence[Path]) -> Split:
    """Read the columns that a task needs from a split's files, and the labels.

    Raises:
        SteadyTuneError: one line with all mistakes in the files.
    """
    columns = dict.fromkeys((*task.text, task.label, *((task.group,) if task.group else ())))
    split = Split(task, files, columns)
    split.check()
    for column in task.text:
        split.texts(column)
    (read_answers if task.span else read_labels)(split)
    split.check()
    return split


def class_names(schema: "pa.Schema", column: str) -> tuple[str, ...] | None:
    """The class names of a column that `datasets` has written to a file's metadata; None if there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[column]["names"]
    except (KeyError, ValueError, TypeError):
        return None
    return tuple(map(str, names)) if isinstance(names, list) else None


def label_index(task: Task, names: Sequence[str] | None) -> Callable[[Any], int | None]:
    """A function from a label in a file to its class index, or to None if it is not a label of the task.

    If the file names its classes, its numbers refer to these names; otherwise they are the task table's numbers. `0`,
    `0.0`, `False`, `"0"` and the class's name are all the same label.

    Raises:
        SteadyTuneError: the file's class names differ from the task's.
    """
    exact: Mapping[Any, int] = {value: i for i, value in enumerate(task.values)}
    labels = {canonical(label): i for i, label in enumerate(task.labels)}

    def named(text: str) -> int | None:
        if text in exact or text in task.labels:
            return exact[text] if text in exact else task.labels.index(text)
        number = _number(text)
        if number is not None and number in exact:
            return exact[number]
        return labels.get(canonical(text)) if len(labels) == len(task.labels) else None

    by_number: Mapping[Any, int | None] = exact
    if names is not None:
        by_number = {i: named(name) for i, name in enumerate(names)}
        if sorted(by_number.values(), key=str) != sorted(range(len(task.labels)), key=str):
            raise SteadyTuneError(
                f"column '{task.label}': the file names its classes {', '.join(names)}, "
                f"but those of task '{task.name}' are {', '.join(task.labels)}"
            )

    def index(value: Any) -> int | None:
        if isinstance(value, str):
            return named(value)
        return by_number.get(value) if isinstance(value, int | float) else None

    return index


def read_labels(split: Split) -> None:
    """Fill in `labels` and `kept` of a split; adds a problem if a value is not a label."""
    task, values = split.task, split.columns[split.task.label]
    if task.regression:
        index: Callable[[Any], float | None] = _number
        known = "a finite number"
    else:
        known = f"one of {', '.join(map(repr, task.values))}"
        try:
            index = label_index(task, split.class_names)
        except SteadyTuneError as error:
            split.problems.append(str(error))
            return
    wrong: list[int] = []
    for row, value in enumerate(values):
        found = None if value in task.no_gold and value not in task.values else index(value)
        absent = found is None and is_missing(value, task)
        if found is None and not absent:
            wrong.append(row)
        split.labels.append(0 if found is None else found)
        split.kept.append(not absent)
    if wrong:
        said = f"row {wrong[0]}: label {values[wrong[0]]!r} of task '{task.name}' is not {known}"
        split.problems.append(said + _more(len(wrong)))
    if not any(split.kept):
        split.problems.append(f"no row of column '{task.label}' has a gold label")


def read_answers(split: Split) -> None:
    """Fill in `labels` and `kept` of a split of questions; adds a problem if an answer is malformed or misplaced."""
    contexts = split.columns[split.task.text[1]]
    for row, (answers, context) in enumerate(zip(split.columns[split.task.label], contexts, strict=True)):
        texts, starts = (answers.get(key) if isinstance(answers, dict) else None for key in ("text", "answer_start"))
        if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
            split.problems.append(f"row {row}: expected lists text and answer_start, found {answers!r}")
            texts = []
        # Only the first answer is trained on, so only its position must be right.
        elif texts and context[starts[0] : starts[0] + len(texts[0])] != texts[0]:
            split.problems.append(f"row {row}: the answer {texts[0]!r} is not at character {starts[0]}")
        split.labels.append(0)
        split.kept.append(bool(texts))


def is_missing(value: Any, task: Task) -> bool:
    """Whether a label's value means that the row has no gold label."""
    if isinstance(value, dict | list):
        return False
    return value in task.no_gold or value == "-1" or (isinstance(value, float) and math.isnan(value))


def is_empty(text: str) -> bool:
    """Whether a text has no visible character, only blanks, control characters and zero-width characters."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def _number(value: Any) -> float | None:
    """A number, or a text that spells one, as a float; None for anything else and if it is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        check(kind)
        for check in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    )


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""

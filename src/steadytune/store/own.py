"""Read and check the rows of a suite's own tasks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, raise_all, short
from steadytune.store.own_files import Columns, read_columns
from steadytune.store.own_folders import hash_path
from steadytune.store.own_places import Place
from steadytune.store.own_problems import RowProblems
from steadytune.store.own_values import answer_problem, check_differ, read_score
from steadytune.store.receipt import hash_rows
from steadytune.suite.own import EVALUATION, TRAIN, OwnTask, SplitPin, TaskPin
from steadytune.suite.own_labels import HALF_CHARACTER, expected_labels, find_classes, is_label, label_problem, spell
from steadytune.tasks.duplicates import key_of
from steadytune.tasks.reading import is_empty

Row = dict[str, Any]
HOLDOUT_STREAM = "steadytune own holdout"
BOOLEANS = {"true": "yes", "false": "no"}
"""Booleans mean these labels, if the labels are yes and no: YAML reads the words as booleans, pandas writes True."""


class OwnData:
    """The rows of an own task, read from its files and checked.

    Args:
        where: the task in the suite's file, for messages.
        entry: the task's entry there.
        places: the files of each split.
        labels: the pinned labels; if empty, they are found in the data.

    Raises:
        SteadyTuneError: everything wrong with the files, one line per mistake: row, column, value, what was expected.
    """

    def __init__(self, where: str, entry: OwnTask, places: Mapping[str, Place], labels: tuple[str, ...] = ()) -> None:
        self.where, self.entry, self.places = where, entry, places
        self.problems = RowProblems()
        columns = _read_all(where, entry, places)
        self.labels = self._labels(columns, labels)
        self.rows = {split: self._rows(places[split].paths[0], found) for split, found in columns.items()}
        if self.problems:
            raise SteadyTuneError(f"{where}: {self.problems}")
        if not (entry.labels or labels):
            self._check_shared_classes()
        if entry.holdout:
            self.rows = self._split_off(entry.holdout)
        if not entry.span:
            values = {split: [row[entry.label] for row in rows] for split, rows in self.rows.items()}
            check_differ(where, values, (entry.metric, *entry.metrics), self.labels)

    def pin(self) -> TaskPin:
        """A pin of the files' current content."""
        splits: dict[Any, SplitPin] = {}
        for split, rows in self.rows.items():
            place = self.places.get(split, Place(()))
            file = hash_path(place.paths[0]) if place.paths and not place.hub else None
            splits[split] = SplitPin(
                file_sha256=file, files=dict(place.hub), rows_sha256=hash_rows(rows), rows=len(rows)
            )
        return TaskPin(read=self.entry.reading(), labels=self.labels, splits=splits)

    def untrained(self) -> list[str]:
        """The classes of evaluation examples that no training example has: often a typo."""
        classes = self._classes() if self.labels else {}
        return [self.labels[place] for place in sorted(classes.get(EVALUATION, set()) - classes.get(TRAIN, set()))]

    def _classes(self) -> dict[str, set[int]]:
        return {split: {row[self.entry.label] for row in rows} - {None} for split, rows in self.rows.items()}

    def _labels(self, columns: Mapping[str, Mapping[str, list[Any]]], pinned: tuple[str, ...]) -> tuple[str, ...]:
        if self.entry.span or self.entry.regression:
            return ()
        name = self.entry.label
        values = [value for split in columns.values() for value in split[name]]
        labels = self.entry.labels or pinned or find_classes(f"{self.where}: label: '{name}'", values)
        if expected := expected_labels(labels, (self.entry.metric, *self.entry.metrics)):
            raise SteadyTuneError(f"{self.where}: expected {expected}")
        return labels

    def _check_shared_classes(self) -> None:
        """Refuse splits that share no class: usually the two spell the same classes differently."""
        if not self.labels or EVALUATION not in self.rows:
            return
        classes = self._classes()
        if classes[TRAIN].isdisjoint(classes[EVALUATION]):
            names = {
                split: ", ".join(self.labels[place] for place in sorted(found)) for split, found in classes.items()
            }
            raise SteadyTuneError(
                f"{self.where}: {EVALUATION} has the classes {names[EVALUATION]} and {TRAIN} has none of them, but "
                f"{names[TRAIN]}: spell them alike, or name the classes with `labels` if this is meant"
            )

    def _rows(self, path: Path, columns: Mapping[str, list[Any]]) -> list[Row]:
        if self.entry.span:
            return self._questions(path, columns)
        values: dict[str, list[Any]] = {}
        for name in self.entry.text:
            values[name] = [self._text(path, row, name, value) for row, value in enumerate(columns[name])]
            if not self.problems and all(map(is_empty, values[name])):
                self.problems.add_column(f"{path}: column '{name}': no row has a text")
        read = self._score if self.entry.regression else self._class
        values[self.entry.label] = [read(path, row, value) for row, value in enumerate(columns[self.entry.label])]
        if not self.problems and all(label is None for label in values[self.entry.label]):
            self.problems.add_column(f"{path}: column '{self.entry.label}': no row has a label")
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]

    def _text(self, path: Path, row: int, column: str, value: Any) -> str:
        where = f"{path}: column '{column}'"
        if value is None or isinstance(value, str):
            if half := HALF_CHARACTER.search(value or ""):
                self.problems.add(where, row, f"half of a character, {half[0]!r}", "expected whole ones")
            return value or ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return "" if value != value else str(value)
        self.problems.add(where, row, short(value), "expected a text")
        return ""

    def _class(self, path: Path, row: int, value: Any) -> int | None:
        column = f"{path}: column '{self.entry.label}'"
        text = spell(value) if is_label(value) else None
        if text in self.labels:
            return self.labels.index(text)
        if problem := label_problem(value, self.labels):
            self.problems.add(column, row, short(value), problem)
            return None
        if text is None or text == "-1":
            return None
        folded = [label.casefold() for label in self.labels]
        name = text.casefold()
        if name not in folded and {"no", "yes"} <= set(folded):
            name = BOOLEANS.get(name, name)
        if folded.count(name) == 1:
            return folded.index(name)
        self.problems.add(column, row, short(value), f"expected one of {', '.join(self.labels)}", self.labels)
        return None

    def _score(self, path: Path, row: int, value: Any) -> float | None:
        try:
            return read_score(value, self.entry.decimal)
        except ValueError as error:
            self.problems.add(f"{path}: column '{self.entry.label}'", row, short(value), str(error))
            return None

    def _questions(self, path: Path, columns: Mapping[str, list[Any]]) -> list[Row]:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for number, row in enumerate(rows):
            for column in ("question", "context"):
                row[column] = self._text(path, number, column, row[column])
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                if problem := answer_problem(row["context"], text, start):
                    self.problems.add(f"{path}: {problem.key}", number, problem.value, problem.expected)
        if not self.problems and not any(row["answers"]["text"] for row in rows):
            self.problems.add_column(f"{path}: no question has an answer")
        return rows

    def _split_off(self, share: float) -> dict[str, list[Row]]:
        """Split the training rows in two, stratified by label; rows with the same texts stay together.

        Questions stay together if they are about the same text.
        """
        import numpy as np

        from steadytune.tasks.subsets import subset_rows

        rows, label = self.rows[TRAIN], self.entry.label
        columns = ("context",) if self.entry.span else self.entry.text
        keys = [key_of(row[column] for column in columns) for row in rows]
        by_text = dict(zip(keys, rows, strict=True))
        labels = [0 if self.entry.span or row[label] is None else row[label] for row in by_text.values()]
        size = round(share * len(by_text))
        if not 0 < size < len(by_text):
            raise SteadyTuneError(
                f"{self.where}: holdout {share} of {len(by_text)} different texts leaves nothing on one side"
            )
        chosen = subset_rows(np.array(labels, dtype=float), size, HOLDOUT_STREAM).tolist()
        names = list(by_text)
        apart = {names[place] for place in chosen}
        sides = {
            TRAIN: [row for key, row in zip(keys, rows, strict=True) if key not in apart],
            EVALUATION: [row for key, row in zip(keys, rows, strict=True) if key in apart],
        }
        for side, found in sides.items():
            if not any(row["answers"]["text"] if self.entry.span else row[label] is not None for row in found):
                what = "question with an answer" if self.entry.span else "row with a label"
                raise SteadyTuneError(f"{self.where}: holdout {share} leaves no {what} for {side}")
        return sides


def _read_all(where: str, entry: OwnTask, places: Mapping[str, Place]) -> dict[str, Columns]:
    """Read the columns of every split.

    Raises:
        SteadyTuneError: one line per file that cannot be read.
    """
    columns, problems = {}, []
    for split, place in places.items():
        try:
            columns[split] = read_columns(where, entry, split, place.paths)
        except SteadyTuneError as error:
            problems.append(str(error))
    # `raise_all` drops repeated problems: both splits may be read from one file.
    raise_all(problems)
    return columns

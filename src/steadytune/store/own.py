"""A suite's own tasks: the rows of its files, read once and checked as a whole."""

import logging
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, nearest, short
from steadytune.store.own_files import Columns, read_columns
from steadytune.store.own_folders import hash_path
from steadytune.store.own_places import Place
from steadytune.store.receipt import hash_rows
from steadytune.suite.own import EVALUATION, TRAIN, OwnTask, SplitPin, TaskPin
from steadytune.tasks.duplicates import key_of

logger = logging.getLogger(__name__)

Row = dict[str, Any]
HOLDOUT_STREAM = "steadytune own holdout"
SHOWN_PROBLEMS = 20
COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
MANY_CLASSES = 20
"""More classes than this, and than half of the rows, are taken for a mistake."""


class OwnData:
    """An own task's files, read.

    Args:
        where: the task in the suite's file, for messages.
        entry: what the file says.
        places: the files of each split.
        labels: those that the task was pinned with; found in the data if there are none.

    Raises:
        SteadyTuneError: everything that is wrong with the files, a line each: row, column, value, what was expected.
    """

    def __init__(self, where: str, entry: OwnTask, places: Mapping[str, Place], labels: tuple[str, ...] = ()) -> None:
        self.where, self.entry, self.places = where, entry, places
        # The first row of each, and how many have it.
        self.problems: dict[str, list[int]] = {}
        columns = _read_all(where, entry, places)
        self.labels = self._labels(columns, labels)
        if self.entry.metric == "f1" and len(self.labels) != 2:
            raise SteadyTuneError(f"{where}: metric: f1 is for 2 classes, found {len(self.labels)}: use macro_f1")
        self.rows = {split: self._rows(places[split].paths[0], found) for split, found in columns.items()}
        if self.problems:
            lines = [f"{said} (row {row}{f' and {count - 1:,} more' if count > 1 else ''})"
                     for said, (row, count) in self.problems.items()]  # fmt: skip
            more = len(lines) - SHOWN_PROBLEMS
            lines = [*lines[:SHOWN_PROBLEMS], *([f"… and {more} more problems"] if more > 0 else [])]
            total = sum(count for _, count in self.problems.values())
            raise SteadyTuneError(f"{where}: {total:,} problem{'s' * (total > 1)}\n  " + "\n  ".join(lines))
        if entry.holdout:
            self.rows = self._split_off(entry.holdout)

    def pin(self) -> TaskPin:
        """What the files hold now."""
        splits: dict[Any, SplitPin] = {}
        for split, rows in self.rows.items():
            place = self.places.get(split, Place(()))
            file = hash_path(place.paths[0]) if place.paths and not place.hub else None
            splits[split] = SplitPin(
                file_sha256=file, files=dict(place.hub), rows_sha256=hash_rows(rows), rows=len(rows)
            )
        return TaskPin(read=self.entry.reading(), labels=self.labels, splits=splits)

    def _labels(self, columns: Mapping[str, Mapping[str, list[Any]]], pinned: tuple[str, ...]) -> tuple[str, ...]:
        if self.entry.span or self.entry.regression:
            return ()
        if self.entry.labels or pinned:
            return self.entry.labels or pinned
        found = {spell(value) for split in columns.values() for value in split[self.entry.label]} - {None, "-1"}
        names = [name for name in found if name is not None]
        numeric = all(name.lstrip("-").isdigit() for name in names)
        if len(names) < 2:
            raise SteadyTuneError(
                f"{self.where}: label: '{self.entry.label}' has {len(names)} classes, expected 2 or more"
            )
        rows = sum(spell(value) is not None for split in columns.values() for value in split[self.entry.label])
        if len(names) > max(MANY_CLASSES, rows // 2):
            raise SteadyTuneError(
                f"{self.where}: label: '{self.entry.label}' has {len(names):,} classes in {rows:,} rows: is that the "
                "label? Name the classes with `labels`; for a number, choose the metric pearson_spearman"
            )
        names = sorted(names, key=int if numeric else str)
        spelled: dict[str, list[str]] = {}
        for name in names:
            spelled.setdefault(name.casefold(), []).append(name)
        if same := [found for found in spelled.values() if len(found) > 1]:
            raise SteadyTuneError(
                f"{self.where}: label: '{self.entry.label}' has classes that differ in case alone, "
                f"{' and '.join(', '.join(found) for found in same)}: name the classes with `labels`, one spelling each"
            )
        return tuple(names)

    def _rows(self, path: Path, columns: Mapping[str, list[Any]]) -> list[Row]:
        if self.entry.span:
            return self._questions(path, columns)
        values: dict[str, list[Any]] = {}
        for name in self.entry.text:
            values[name] = [self._text(path, row, name, value) for row, value in enumerate(columns[name])]
        read = self._score if self.entry.regression else self._class
        values[self.entry.label] = [read(path, row, value) for row, value in enumerate(columns[self.entry.label])]
        if not self.problems and all(label is None for label in values[self.entry.label]):
            self._problem(f"{path}: column '{self.entry.label}': no row has a label", 0)
        return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]

    def _problem(self, said: str, row: int) -> None:
        self.problems.setdefault(said, [row, 0])[1] += 1

    def _text(self, path: Path, row: int, column: str, value: Any) -> str:
        if value is None or isinstance(value, str):
            return value or ""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return "" if value != value else str(value)
        self._problem(f"{path}: column '{column}': {short(value)}, expected a text", row)
        return ""

    def _class(self, path: Path, row: int, value: Any) -> int | None:
        text = spell(value)
        if text in self.labels:
            return self.labels.index(text)
        if text is None or text == "-1":
            return None
        folded = [label.casefold() for label in self.labels]
        aliases = {"true": "yes", "false": "no"} if isinstance(value, bool) else {}
        name = aliases.get(text, text).casefold()
        if folded.count(name) == 1:
            return folded.index(name)
        expected = ", ".join(self.labels) + nearest(text, self.labels)
        self._problem(f"{path}: column '{self.entry.label}': {short(value)}, expected one of {expected}", row)
        return None

    def _score(self, path: Path, row: int, value: Any) -> float | None:
        if spell(value) is None:
            return None
        try:
            number = float(self._with_point(value))
        except (TypeError, ValueError):
            number = float("nan")
            if isinstance(value, str) and self.entry.decimal == "." and COMMA_NUMBER.fullmatch(value.strip()):
                self._problem(f"{path}: column '{self.entry.label}': a decimal comma: say `decimal: \",\"`", row)
                return None
        if not math.isfinite(number) or isinstance(value, bool):
            self._problem(f"{path}: column '{self.entry.label}': {short(value)}, expected a finite number", row)
            return None
        return number

    def _with_point(self, value: Any) -> Any:
        """A number's text as Python reads it. A point beside decimal commas parts thousands, or is a mistake."""
        if self.entry.decimal == "." or not isinstance(value, str):
            return value
        return "ambiguous" if "." in value else value.replace(",", ".")

    def _questions(self, path: Path, columns: Mapping[str, list[Any]]) -> list[Row]:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for number, row in enumerate(rows):
            for column in ("question", "context"):
                row[column] = self._text(path, number, column, row[column])
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                if problem := _answer_problem(row["context"], text, start):
                    self._problem(f"{path}: {problem}", number)
        return rows

    def _split_off(self, share: float) -> dict[str, list[Row]]:
        """The training rows cut in two, stratified by label; rows with the same texts are on one side.

        Of questions, all about one text are.
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
        return {
            TRAIN: [row for key, row in zip(keys, rows, strict=True) if key not in apart],
            EVALUATION: [row for key, row in zip(keys, rows, strict=True) if key in apart],
        }


def _read_all(where: str, entry: OwnTask, places: Mapping[str, Place]) -> dict[str, Columns]:
    """The columns of every split.

    Raises:
        SteadyTuneError: a line for each file that cannot be read.
    """
    columns, problems = {}, []
    for split, place in places.items():
        try:
            columns[split] = read_columns(where, entry, split, place.paths)
        except SteadyTuneError as error:
            problems.append(str(error))
    if problems:
        # Both splits may be of one file.
        raise SteadyTuneError("\n".join(dict.fromkeys(problems)))
    return columns


def _answer_problem(context: str, text: Any, start: Any) -> str:
    """What is wrong with an answer to a question about a text; empty if nothing is."""
    if not isinstance(text, str):
        return f"answers.text: {short(text)}, expected a text"
    if type(start) is not int or start < 0:
        return f"answers.answer_start: {short(start)}, expected a whole number from 0"
    if context[start : start + len(text)] != text:
        return f"the answer {short(text)} is not at character {start}"
    return ""


def spell(value: Any) -> str | None:
    """A label as text, whatever type a file has it in: 1, 1.0, "1" and "1.0" are `1`; None for null, NaN and blanks."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    whole, dot, zeros = text.partition(".")
    if dot and whole.lstrip("-").isdigit() and not zeros.strip("0"):
        text = whole
    return text or None

"""Labels of a suite's own tasks: how values are spelt as labels, which labels conflict, and which the data contain."""

import datetime
import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.safe_yaml import CONTROL
from steadytune.tasks.labels import canonical

WHOLE = re.compile(r"-?\d{1,99}")
"""A whole number of plausible length; `int` refuses strings of thousands of digits."""
HALF_CHARACTER = re.compile(r"[\ud800-\udfff]")
"""An unpaired surrogate, left over from truncated JSON; it cannot be written to a file."""
MANY_CLASSES = 20
"""A column with more classes than this, and than half its number of rows, is taken for a mistake."""
NO_LABEL = (bytes, dict, list, set, tuple)
TIMES = (datetime.date, datetime.time, datetime.timedelta)
"""Refused as labels, because dates and times have too many spellings. A date given as text is an ordinary word."""
INFINITE = ("inf", "+inf", "-inf")
NULLS = ("nan", "NaN", "NAN", "null", "NULL", "Null", "None", "NA", "N/A", "n/a", "<NA>", "#N/A")
"""What programs write for a missing value. `none` and `na` are not included, because people use them as classes."""


def is_label(value: Any) -> bool:
    """Whether a value can be a label or a missing one: text, a number, a boolean or null, but no container or bytes."""
    return not isinstance(value, NO_LABEL) and not (isinstance(value, str) and HALF_CHARACTER.search(value))


def label_problem(value: Any, labels: Sequence[str] = ()) -> str:
    """What was expected instead of a value that is neither a label nor a missing one; empty if the value is fine.

    Args:
        value: as the file has it.
        labels: the task's known labels, which are always accepted, in upper or lower case.
    """
    text = spell(value) if is_label(value) and not isinstance(value, TIMES) else value
    problem = _problem_of(text)
    # Most labels are fine; only the others are compared with the known labels.
    known = problem and isinstance(text, str) and text.casefold() in {label.casefold() for label in labels}
    return "" if known else problem


def _problem_of(text: Any) -> str:
    if not isinstance(text, str | None) or text in INFINITE or HALF_CHARACTER.search(text or ""):
        return "expected a word or a number"
    if CONTROL.search(text or ""):
        return "expected a word without control characters"
    if text and not text.isascii() and all(unicodedata.category(mark) == "Cf" for mark in text):
        return "expected a word that can be seen"
    if text in NULLS:
        return "expected a class: write an empty field for no label, or name it in `labels`"
    return ""


def spell(value: Any) -> str | None:
    """A label as text, for any type in the file: 1, 1.0, "1" and "1.0" give `1`; null, NaN and blanks give None."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value).strip()
    whole, dot, zeros = text.partition(".")
    if dot and WHOLE.fullmatch(whole) and not zeros.strip("0"):
        text = whole
    return text or None


def expected_labels(labels: Sequence[str], metrics: Sequence[str]) -> str:
    """What was expected of a task's labels if some read alike or there are too many for a metric; else empty.

    Labels that read alike become one when a model's classes are compared with an evaluation set's.
    """
    if alike := _alike(labels, lambda label: canonical(label).casefold()):
        return f"labels that do not read alike, found {' and '.join(map(', '.join, alike))}"
    if "f1" in metrics and len(labels) > 2:
        return f"2 labels for the metric f1, found {len(labels)}: use macro_f1"
    return ""


def _alike(labels: Sequence[str], key: Callable[[str], str]) -> list[list[str]]:
    """Groups of two or more labels with the same key."""
    by_key: dict[str, list[str]] = {}
    for label in labels:
        by_key.setdefault(key(label), []).append(label)
    return [found for found in by_key.values() if len(found) > 1]


def _as_seen(label: str) -> str:
    """A label as a reader sees it: composed (NFC), spaces collapsed, without invisible characters, -0 as 0."""
    shown = "".join(mark for mark in unicodedata.normalize("NFC", label) if unicodedata.category(mark) != "Cf")
    shown = canonical(" ".join(shown.split())).casefold()
    return "0" if label == "-0" else shown


def find_classes(where: str, values: Sequence[Any]) -> tuple[str, ...]:
    """The classes in a column, sorted as numbers if all are whole numbers, else alphabetically.

    Values that cannot be labels are left out, and so is -1.

    Args:
        where: the task in the suite's file and the column, for messages.
        values: the column's values in all splits.

    Raises:
        SteadyTuneError: fewer than two classes, implausibly many, some that read alike, or -1 among other numbers.
    """
    fit = [value for value in values if not label_problem(value)]
    labels = [name for name in map(spell, fit) if name is not None]
    names = {name for name in labels if name != "-1"}
    if len(names) < 2 and len(fit) == len(values):
        hint = ": -1 is no label unless `labels` names it" if "-1" in labels else ""
        raise SteadyTuneError(f"{where} has {len(names)} class{'es' * (len(names) != 1)}, expected 2 or more{hint}")
    if len(names) > max(MANY_CLASSES, len(labels) // 2):
        raise SteadyTuneError(
            f"{where} has {len(names):,} classes in {len(labels):,} rows: is that the label? Name the classes with "
            "`labels`; for a number, choose the metric pearson_spearman"
        )
    numeric = all(map(WHOLE.fullmatch, names))
    # 1 and 01 are the same number but two labels.
    classes = sorted(names, key=lambda name: (int(name) if numeric else 0, name))
    if numeric and len(names) > 1 and "-1" in labels:
        # -1 may be a class, as in (-1, 0, 1), or mark a hidden label: only the user knows.
        raise SteadyTuneError(
            f"{where} has {labels.count('-1'):,} rows with -1 besides {', '.join(classes[:MANY_CLASSES])}: name the "
            "classes with `labels`, and -1 among them if it is one; otherwise these rows have no label"
        )
    if expected := expected_labels(classes, ()):
        raise SteadyTuneError(
            f"{where}: expected {expected}: rename one, or name the classes with `labels` if only case differs"
        )
    if alike := _alike(classes, _as_seen):
        # Escaped, because they look the same in print.
        found = " and ".join(", ".join(map(ascii, labels)) for labels in alike)
        raise SteadyTuneError(f"{where}: expected labels that do not look alike, found {found}: spell one as the other")
    return tuple(classes)

"""Check the values of a suite's own tasks: scores, answers to questions, and labels that are all the same."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from steadytune.errors import SteadyTuneError, short
from steadytune.suite.own import EVALUATION, SCORES
from steadytune.suite.own_labels import spell

COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
LARGEST = 3.4028234e38
"""Largest label: training computes with 32-bit floating-point numbers."""
OF_SEVERAL = (*SCORES, "auroc")
"""Metrics that are undefined if all labels are the same."""


def read_score(value: Any, decimal: str) -> float | None:
    """Read a label that is a number; None for null, NaN and blanks.

    Raises:
        ValueError: the label is not a usable number; the message says what was expected.
    """
    if spell(value) is None:
        return None
    try:
        number = float(_with_point(value, decimal))
    except (TypeError, ValueError, OverflowError):
        if isinstance(value, str) and decimal == "." and COMMA_NUMBER.fullmatch(value.strip()):
            raise ValueError('expected a decimal point: say `decimal: ","` for commas') from None
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError("expected a finite number")
    if abs(number) > LARGEST:
        raise ValueError("expected a number from -3.4e38 to 3.4e38")
    return number


def _with_point(value: Any, decimal: str) -> Any:
    """A number's text as Python reads it, or "ambiguous", which Python cannot read.

    With decimal commas, a point separates thousands or is a mistake.
    """
    if not isinstance(value, str):
        return value
    # Python reads 1_000 as a thousand, but in data it may mean anything.
    if "_" in value or (decimal == "," and "." in value):
        return "ambiguous"
    return value.replace(",", ".") if decimal == "," else value


class AnswerProblem(NamedTuple):
    """What is wrong with an answer."""

    key: str
    value: str
    """The value as messages show it."""
    expected: str


def answer_problem(context: str, text: Any, start: Any) -> AnswerProblem | None:
    """What is wrong with an answer to a question about a text; None if nothing is."""
    if not isinstance(text, str):
        return AnswerProblem("answers.text", short(text), "expected a text")
    if not text.strip():
        return AnswerProblem("answers.text", short(text), "expected a text that is not empty")
    if type(start) is not int or start < 0:
        return AnswerProblem("answers.answer_start", short(start), "expected a whole number from 0")
    if start >= len(context):
        return AnswerProblem("answers.answer_start", str(start), "expected one within the context")
    if context[start : start + len(text)] != text:
        return AnswerProblem("answers", f"{short(text)} at character {start}", "expected the context's text there")
    return None


def check_differ(
    where: str, splits: Mapping[str, Sequence[float | None]], metrics: Sequence[str], labels: Sequence[str]
) -> None:
    """Refuse a training split whose labels are all the same, and such an evaluation split if a metric is undefined.

    Args:
        where: the task in the suite's file, for messages.
        splits: a class index, a score or None for each row of each split.
        metrics: the task's metrics.
        labels: the task's classes; empty for a regression.
    """
    without_value = ", ".join(metric for metric in metrics if metric in OF_SEVERAL)
    for split, values in splits.items():
        found = {value for value in values if value is not None}
        if len(found) > 1 or (split == EVALUATION and not without_value):
            continue
        value = f"class, {labels[int(found.pop())]}" if labels else f"score, {short(found.pop())}"
        why = f"on which {without_value} has no value" if split == EVALUATION else "from which nothing can be learned"
        raise SteadyTuneError(f"{where}: {split} has one {value}, {why}: expected two or more")

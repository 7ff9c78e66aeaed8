"""Values of a suite's own tasks that are no class labels: scores, and the answers to questions."""

import math
import re
from typing import Any

from steadytune.errors import short
from steadytune.suite.own_labels import spell

COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
LARGEST = 3.4028234e38
"""Of the numbers that training computes with, which have 32 bits."""


def read_score(value: Any, decimal: str) -> float | None:
    """A label that is a number; None for null, NaN and blanks.

    Raises:
        ValueError: what is wrong with it.
    """
    if spell(value) is None:
        return None
    try:
        number = float(_with_point(value, decimal))
    except (TypeError, ValueError, OverflowError):
        if isinstance(value, str) and decimal == "." and COMMA_NUMBER.fullmatch(value.strip()):
            raise ValueError('a decimal comma: say `decimal: ","`') from None
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"{short(value)}, expected a finite number")
    if abs(number) > LARGEST:
        raise ValueError(f"{short(value)}, expected a number of at most 3.4e38 either way")
    return number


def _with_point(value: Any, decimal: str) -> Any:
    """A number's text as Python reads it. A point beside decimal commas parts thousands, or is a mistake."""
    if not isinstance(value, str):
        return value
    # Python reads 1_000 as a thousand; whoever writes it in data may mean anything.
    if "_" in value or (decimal == "," and "." in value):
        return "ambiguous"
    return value.replace(",", ".") if decimal == "," else value


def answer_problem(context: str, text: Any, start: Any) -> str:
    """What is wrong with an answer to a question about a text; empty if nothing is."""
    if not isinstance(text, str):
        return f"answers.text: {short(text)}, expected a text"
    if not text.strip():
        return f"answers.text: {short(text)}, expected a text that is not empty"
    if type(start) is not int or start < 0:
        return f"answers.answer_start: {short(start)}, expected a whole number from 0"
    if start >= len(context):
        return f"answers.answer_start: {start}, expected one within the context of {len(context)} characters"
    if context[start : start + len(text)] != text:
        return f"the answer {short(text)} is not at character {start}"
    return ""

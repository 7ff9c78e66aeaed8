"""Sums, times and sizes as `steadytune plan` prints them."""

import math
from collections.abc import Callable, Sequence


def total(values: Sequence[float], spell: Callable[[float], str]) -> str:
    """The sum of the finite values: `at least 5 min` if some are NaN, `?` if all are."""
    known = [value for value in values if math.isfinite(value)]
    if values and not known:
        return "?"
    return f"{'at least ' if len(known) < len(values) else ''}{spell(sum(known))}"


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def size(count: float) -> str:
    """A number of bytes in decimal units (kB = 1,000 B)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"

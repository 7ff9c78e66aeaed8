"""csv files that are safe to open in a spreadsheet: none of their text runs as a formula."""

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from steadytune.files import atomic_path
from steadytune.rendering.formats import csv_field


def write_csv(path: Path, heading: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write lines atomically: numbers in full precision, None and non-finite numbers as empty fields."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(map(_field, heading))
        writer.writerows(map(_field, line) for line in lines)


def _field(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else ""
    return "" if value is None else csv_field(value)

"""Measurements inside encoders, as figures and tables read them: a suite's `inside.parquet`, by method and task."""

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from steadytune.files import read_parquet
from steadytune.layout import inside_table_path
from steadytune.results.loading import as_rows, seeds_of
from steadytune.results.model import Results

BEFORE = "before"
"""Stands in place of a method's name for the encoder before fine-tuning."""

Row = dict[str, Any]


class Point(NamedTuple):
    """One layer of a curve: mean and spread over the seeds (sample standard deviation, 0 for one seed)."""

    layer: int
    mean: float
    spread: float


@dataclass(frozen=True)
class Inside:
    """One encoder's measurements; methods and tasks in the suite's order."""

    encoder: str
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    rows: dict[tuple[str, str, str], list[Row]] = field(repr=False)
    """(measure, method, task) -> rows of the table."""

    def curve(self, measure: str, method: str, task: str) -> list[Point]:
        """A measure by layer over the seeds; layers at which no seed has a number are left out."""
        layers = _by(["layer"], self.rows.get((measure, method, task), []))
        return [
            Point(int(layer), statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0)
            for (layer,), values in layers.items()
        ]

    def matrix(self, method: str, task: str) -> list[tuple[int, int, float]]:
        """Noise propagation: (layer where the noise enters, layer, mean relative change over the seeds)."""
        cells = _by(["layer", "to_layer"], self.rows.get(("noise_propagation", method, task), []))
        return [(int(layer), int(other), statistics.fmean(values)) for (layer, other), values in cells.items()]

    def values(self, measure: str, method: str, task: str) -> list[float]:
        """The values of a measure that is not by layer."""
        return [row["value"] for row in self.rows.get((measure, method, task), [])]

    def label(self, method: str) -> str:
        """A method's name; if some planned models could not be analysed, with the number that were."""
        found = [value for task in self.tasks for value in self.values("looked_into", method, task)]
        return method if all(found) else f"{method} ({int(sum(found))}/{len(found)} models)"


def load_inside(results: Results, encoder: str | None = None) -> Inside | None:
    """The measurements inside an encoder, by default the first one that has any; None if there are none.

    For a method with several variants, they are those of the variant that `results` shows.
    """
    path = inside_table_path(results.folder)
    if results.suite.inside == () or not path.is_file():
        return None
    records = as_rows(read_parquet(path))
    measured = {row["encoder"] for row in records}
    first = [results.focus] if results.focus else [results.primary, *results.encoders]
    wanted = first if encoder is None else [encoder]
    shown = next((name for name in wanted if name in measured), None)
    if shown is None:
        return None
    rows: dict[tuple[str, str, str], list[Row]] = {}
    for row in records:
        if row["encoder"] != shown:
            continue
        before = row["method"] == BEFORE
        method = BEFORE if before else results.method_of(shown, row["method"], row["task"], *seeds_of(row))
        if method is not None:
            rows.setdefault((row["measure"], method, row["task"]), []).append(row)
    methods, tasks = {key[1] for key in rows}, {key[2] for key in rows}
    return Inside(
        shown,
        tuple(method for method in results.methods if method in methods),
        tuple(task for task in results.tasks if task in tasks),
        rows,
    )


def inside_encoder(results: Results) -> str:
    """The encoder that `load_inside` loads by default."""
    inside = load_inside(results)
    return inside.encoder if inside else results.primary


def every_inside(results: Results) -> Iterator[tuple[str, Inside]]:
    """Each encoder that has measurements, with them, in the suite's order."""
    for encoder in results.encoders:
        if inside := load_inside(results, encoder):
            yield encoder, inside


def _by(columns: list[str], rows: list[Row]) -> dict[tuple[Any, ...], list[float]]:
    """Finite values grouped by columns, in ascending order of the columns' values."""
    groups: dict[tuple[Any, ...], list[float]] = {}
    for row in rows:
        if math.isfinite(row["value"]):
            groups.setdefault(tuple(row[column] for column in columns), []).append(row["value"])
    return dict(sorted(groups.items()))

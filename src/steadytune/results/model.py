"""The inputs of every table and figure: one suite's results, grouped by cell.

Scores are in points (metric x 100): see `Score.in_points`.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from steadytune.layout import history_path, record_path
from steadytune.record_reader import RecordReader
from steadytune.results.description import Description
from steadytune.results.scores import ABSENT, Score
from steadytune.results.variability import Variability
from steadytune.suite.cell import Cell

Key = tuple[str, str, str]
"""(encoder, method, task)."""
SetKey = tuple[str, str, str, str]
"""(encoder, method, task, evaluation set)."""
SeedKey = tuple[str, str, str, int]
"""(encoder, method, task, seed)."""
Accuracies = dict[SetKey, dict[str, dict[int, tuple[float, float]]]]
"""(encoder, method, task, evaluation set) -> accuracy metric -> seed -> (value, the majority class's value)."""


@dataclass(frozen=True)
class ExampleCounts:
    """How many examples an encoder was trained on, and evaluated on in one set."""

    n: int
    """Evaluation examples."""
    truncated: int
    """Evaluation examples cut to the maximum length."""
    seen_in_training: int
    """Evaluation examples whose texts are also those of a training example."""
    train_examples: int
    train_truncated: int


@dataclass(frozen=True)
class Results:
    """One suite's results. Encoders, methods and tasks keep the suite's order; unlisted names follow, sorted."""

    folder: Path
    suite: Description
    cells: dict[Key, dict[int, str]]
    """(encoder, method, task) -> seed -> status."""
    seconds: dict[SeedKey, float]
    scores: dict[SetKey, Score] = field(repr=False)
    """(encoder, method, task, evaluation set) -> score by the headline metric."""
    encoders: tuple[str, ...]
    methods: tuple[str, ...]
    tasks: tuple[str, ...]
    variability: tuple[Variability, ...]
    held_out: dict[Key, Score] = field(default_factory=dict, repr=False)
    """Scores on the share of the training split that was held out."""
    variants: dict[SeedKey, str] = field(default_factory=dict, repr=False)
    """(encoder, method, task, seed) -> the variant that stands for the method, if `selection.select` has chosen."""
    examples: dict[Key, ExampleCounts] = field(default_factory=dict, repr=False)
    """(encoder, task, evaluation set) -> counts, if any cell was evaluated on the set."""
    choices: dict[Key, int] = field(default_factory=dict, repr=False)
    """(encoder, method, task) -> the number of variants to choose from."""
    stale: dict[SeedKey, str] = field(default_factory=dict, repr=False)
    """(encoder, method, task, seed) -> why its scores, though shown, are not fresh."""
    accuracies: Accuracies = field(default_factory=dict, repr=False)
    """The finite accuracies of every variant, even if accuracy is not the headline metric."""
    rule: str = ""
    """How variants were chosen, a key of `selection.RULES`; empty if there was no selection."""
    focus: str = ""
    """The encoder that a single-encoder figure shows, if one was requested."""

    @property
    def name(self) -> str:
        """The suite's name."""
        return self.suite.name

    @cached_property
    def encoders_begun(self) -> tuple[str, ...]:
        """The encoders with a cell that has run, in the suite's order."""
        begun = {key[0] for key, statuses in self.cells.items() if set(statuses.values()) != {"missing"}}
        return tuple(encoder for encoder in self.encoders if encoder in begun)

    @property
    def primary(self) -> str:
        """The encoder in focus; by default the first with a cell that has run, else the suite's first."""
        return self.focus or (*self.encoders_begun, *self.encoders)[0]

    @property
    def baseline(self) -> str:
        """The method that the others are compared with: the suite's first."""
        return self.methods[0]

    @cached_property
    def stuck(self) -> frozenset[Key]:
        """Every (encoder, method, task) for which no run learned anything: see `Score.at_majority`."""
        return frozenset(key[:3] for key, score in self.scores.items() if key[2] == key[3] and score.at_majority)

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Every planned seed."""
        return tuple(sorted({seed for statuses in self.cells.values() for seed in statuses}))

    def score(self, encoder: str, method: str, task: str, evaluation_set: str | None = None) -> Score | None:
        """The score on `evaluation_set` (default: the task itself); None if the suite plans no such cell."""
        return self.scores.get((encoder, method, task, evaluation_set or task))

    def begun(self) -> "Results":
        """The results without cells of methods and tasks that have not run; unchanged if no cell has run at all."""
        run = [key for key, statuses in self.cells.items() if set(statuses.values()) != {"missing"}]
        if not run:
            return self
        methods, tasks = {key[1] for key in run}, {key[2] for key in run}
        return self.only(lambda key: key[1] in methods and key[2] in tasks)

    def only(self, wanted: Callable[[Key], bool]) -> "Results":
        """The results with only the cells whose (encoder, method, task) is wanted."""
        cells = {key: value for key, value in self.cells.items() if wanted(key)}
        scores = {key: score for key, score in self.scores.items() if key[:3] in cells}
        choices = {key: count for key, count in self.choices.items() if key in cells}
        return replace(self, cells=cells, scores=scores, choices=choices)

    def methods_of(self, encoder: str) -> list[str]:
        """Methods that the suite plans for an encoder."""
        return [method for method in self.methods if any((encoder, method, task) in self.cells for task in self.tasks)]

    def tasks_of(self, encoder: str) -> list[str]:
        """Tasks that the suite plans for an encoder."""
        return [task for task in self.tasks if any((encoder, method, task) in self.cells for method in self.methods)]

    def shared_tasks(self, encoder: str) -> list[str]:
        """The tasks that the suite plans for every method of an encoder, so their averages are comparable."""
        methods = self.methods_of(encoder)
        return [task for task in self.tasks if all((encoder, method, task) in self.cells for method in methods)]

    def compared_tasks(self, encoders: Sequence[str]) -> list[str]:
        """The tasks that have several methods or several of these encoders; if there are none, all of theirs."""
        planned = Counter(task for encoder, _, task in self.cells if encoder in encoders)
        tasks = [task for task in self.tasks if planned[task]]
        return [task for task in tasks if planned[task] > 1] or tasks

    def transfer_sets(self, encoder: str, task: str) -> list[str]:
        """Evaluation sets other than `task` itself of models of `encoder` trained on `task`."""
        found = {key[3] for key in self.scores if key[0] == encoder and key[2] == task and key[3] != task}
        return list(ordered(self.tasks, found, only_found=True))

    def planned(self) -> list[tuple[Key, dict[int, str]]]:
        """Each (encoder, method, task) with the statuses of its seeds, in the suite's order."""
        keys = [(e, m, t) for e in self.encoders for m in self.methods for t in self.tasks]
        return [(key, self.cells[key]) for key in keys if key in self.cells]

    def metric(self, task: str) -> str:
        """The headline metric of a task; empty if unknown."""
        return next((score.metric for key, score in self.scores.items() if key[2] == key[3] == task), "")

    def cell(self, encoder: str, method: str, task: str, seed: int) -> Cell:
        """The cell of the variant that stands for the method at this seed."""
        return Cell(encoder, self.variants.get((encoder, method, task, seed), method), task, seed)

    @cached_property
    def _methods_by_cell(self) -> dict[SeedKey, str]:
        return {
            (encoder, variant, task, seed): method for (encoder, method, task, seed), variant in self.variants.items()
        }

    def method_of(self, encoder: str, variant: str, task: str, *seeds: int) -> str | None:
        """The method that a variant stands for at all of these seeds; None if there is no such method."""
        if not self.variants:
            return variant
        methods = {self._methods_by_cell.get((encoder, variant, task, seed)) for seed in seeds}
        return methods.pop() if len(methods) == 1 else None

    def record(self, encoder: str, method: str, task: str, seed: int) -> dict[str, Any]:
        """A cell's record; empty if its status says it is absent, or its file is missing or damaged."""
        if self.cells.get((encoder, method, task), {}).get(seed) in ABSENT:
            return {}
        cell = self.cell(encoder, method, task, seed)
        if cell not in self._records:
            self._records[cell] = self._read_record(record_path(self.folder, cell))
        return self._records[cell]

    @cached_property
    def _records(self) -> dict[Cell, dict[str, Any]]:
        """Records read so far: a page asks for every record several times."""
        return {}

    @cached_property
    def _reader(self) -> RecordReader:
        return RecordReader()

    def _read_record(self, path: Path) -> dict[str, Any]:
        """A record; empty if there is none, or it is not JSON."""
        try:
            return self._reader.read(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return {}

    def history(self, encoder: str, method: str, task: str, seed: int) -> dict[str, list[tuple[float, float]]]:
        """A cell's curves: column of `history.csv` -> (epoch, finite value), the last value logged at each epoch."""
        path = history_path(self.folder, self.cell(encoder, method, task, seed))
        curves: dict[str, dict[float, float]] = {}
        if path.is_file():
            with path.open(encoding="utf-8", newline="") as handle:
                for row in csv.DictReader(handle):
                    for column, text in row.items():
                        if column != "epoch" and math.isfinite(value := to_float(text)):
                            curves.setdefault(column, {})[float(row["epoch"])] = value
        return {column: sorted(points.items()) for column, points in curves.items()}


def ordered(listed: Any, found: set[str], *, only_found: bool = False) -> tuple[str, ...]:
    """`listed` in its order (`only_found`: without names not in `found`), then the other names in `found`, sorted."""
    listed = tuple(name for name in listed if not only_found or name in found)
    return (*listed, *sorted(found - set(listed)))


def to_float(value: Any) -> float:
    """A float; NaN for None and for text that is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan

"""A suite: the cells spanned by its file's grid, and the resolved spec of each. Does not import torch."""

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, cached_property
from itertools import islice, product
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import RESULTS, project_file
from steadytune.methods import registry
from steadytune.suite.cell import SEED, Cell, Spec, digest_by_seed, nearest_cell
from steadytune.suite.file import Grid, SuiteFile
from steadytune.suite.own import OwnLock, model_key, read_own_lock, to_task
from steadytune.suite.protocols import Protocols
from steadytune.suite.start import Start
from steadytune.suite.variants import MOST_CELLS, expand
from steadytune.tasks.table import Task, find_task, split_size

STORE_VARIABLE = "STEADYTUNE_STORE"


class Suite:
    """A suite's file and its cells. `load_suite` checks the names and that every cell resolves."""

    def __init__(self, file: SuiteFile, path: Path, results: Path | None = None) -> None:
        self.file = file
        self.path = path
        self.name = file.suite
        self.results = results or RESULTS / file.suite
        self._specs: dict[Cell, Spec] = {}
        self._specs_by_group: dict[tuple[str, str, str], Spec] = {}
        self._digests: dict[tuple[str, str, str], Callable[[int], str]] = {}
        self._parsed = cache(lambda method: registry.parse(method, self.settings))
        self.protocols = Protocols(file, path)
        local = os.environ.get(STORE_VARIABLE)
        self.sources = file.sources.model_copy(update={"local": Path(local)}) if local else file.sources

    @cached_property
    def argument(self) -> str:
        """The suite as a command-line argument: its name if `find_suite` finds its file by it, else the file's path."""
        named = (Path(f"{self.name}.yaml"), project_file(Path("config") / f"{self.name}.yaml"))
        found = next((path for path in named if path.is_file()), None)
        alike = found and self.path.exists() and found.samefile(self.path)
        return self.name if alike else shlex.quote(str(self.path))

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell of the grid once, in the order of the file, then the parents that are not in the grid."""
        return tuple(dict.fromkeys([*self.planned, *self.parents]))

    @cached_property
    def planned(self) -> tuple[Cell, ...]:
        """Every cell of the grid once, in the order of the file."""
        cells = (cell for block in self.file.grid for cell in self._span(block))
        found = tuple(dict.fromkeys(islice(cells, MOST_CELLS + 1)))
        if len(found) > MOST_CELLS:
            raise SteadyTuneError(f"{self.path}: grid: more than {MOST_CELLS} cells")
        return found

    @cached_property
    def parents(self) -> dict[Cell, None]:
        """The cells whose fine-tuned encoder other cells start from, as an ordered set."""
        return dict.fromkeys(parent for cell in self.planned if (parent := self.parent(cell)))

    @staticmethod
    def parent(cell: Cell) -> Cell | None:
        """The cell whose fine-tuned encoder `cell` starts from; None if it starts from the pretrained one."""
        start = Start.of(cell.method)
        return start.parent(cell) if start else None

    @cached_property
    def inside_cells(self) -> tuple[Cell, ...]:
        """The cells whose fine-tuned encoder the stage `inside` analyses."""
        block = self.file.inside
        return tuple(cell for cell in self._span(block) if cell in self._members) if block else ()

    @cached_property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The variants of each method, by the method's name in the grid's blocks, including a block's start."""
        found: dict[str, dict[str, None]] = {}
        for block in self.file.grid:
            for method in block.named_methods:
                found.setdefault(method, {}).update(dict.fromkeys(self.variants(method, block)))
        return {name: tuple(variants) for name, variants in found.items()}

    def model(self, encoder: str, task: str) -> str:
        """The lock's key of the weights that an encoder starts from on a task."""
        entry = self.file.encoders[encoder]
        return entry.models.get(task) or (self.own_model(encoder) if entry.own else entry.model)

    def own_model(self, encoder: str) -> str:
        """The key of an own encoder.

        Raises:
            SteadyTuneError: the encoder has not been staged yet.
        """
        if encoder not in self.own_lock.encoders:
            raise SteadyTuneError(self._not_pinned(f"encoders.{encoder}"))
        return model_key(encoder, self.own_lock.encoders[encoder])

    def _not_pinned(self, place: str) -> str:
        return f"{self.path}: {place}: not pinned yet: run `steadytune stage {self.argument}`"

    def task(self, name: str) -> Task:
        """A task by its name in the suite, `rte` or `rte@1k`.

        Raises:
            SteadyTuneError: the task is unknown, or its size is misspelt.
        """
        return find_task(name, self.own_tasks)

    @cached_property
    def own_lock(self) -> OwnLock:
        """The pins of the suite's own tasks and encoders."""
        return read_own_lock(self.path)

    @cached_property
    def own_tasks(self) -> dict[str, Task]:
        """The suite's own tasks by name.

        Raises:
            SteadyTuneError: a task has not been staged yet, or its pinned labels conflict.
        """
        found = {}
        for name, entry in self.file.tasks.items():
            where = f"{self.path}: tasks.{name}"
            if name not in self.own_lock.tasks:
                raise SteadyTuneError(self._not_pinned(f"tasks.{name}"))
            found[name] = to_task(where, name, entry, self.own_lock.tasks[name])
        return found

    @cached_property
    def analysis_plan(self) -> str | None:
        """The current SHA-256 of the suite's analysis plan; None if the suite names no plan or the file is missing."""
        path = self.path.parent / (self.file.analysis_plan or "")
        return sha256(path) if path.is_file() else None

    def spec(self, cell: Cell) -> Spec:
        """A cell with every setting resolved.

        Raises:
            SteadyTuneError: the cell is outside the grid, or has an invalid name or value.
        """
        # Asked for each cell again and again: hash it only once if it is known.
        if (found := self._specs.get(cell)) is None:
            found = self._specs[cell] = self._resolve(cell)
        return found

    def digest(self, cell: Cell) -> str:
        """`spec(cell).digest()`; cells that differ only in their seed share the work."""
        spec, key = self.spec(cell), (cell.encoder, cell.method, cell.task)
        if spec.start:
            return spec.digest()
        if key not in self._digests:
            self._digests[key] = digest_by_seed(spec.to_dict() | {"seed": SEED})
        return self._digests[key](cell.seed)

    def _resolve(self, cell: Cell) -> Spec:
        if cell not in self._members:
            hint = nearest_cell(cell, self.cells)
            raise SteadyTuneError(f"{self.path}: no cell '{cell}' in suite '{self.name}'{hint}")
        # Cells that differ only in their seed share everything else.
        key = (cell.encoder, cell.method, cell.task)
        if key not in self._specs_by_group:
            self._specs_by_group[key] = self._resolve_group(cell)
        return replace(self._specs_by_group[key], seed=cell.seed, start=self.parent(cell))

    def _resolve_group(self, cell: Cell) -> Spec:
        parts, rest = self._parsed(cell.method)
        encoder, task = self.file.encoders[cell.encoder], self.task(cell.task)
        start, key = Start.of(cell.method), (cell.encoder, cell.method, cell.task)
        # A cell that is only a parent is scored on its own task only.
        transfer = self.file.transfer.get(cell.task, task.transfer) if key in self._planned else ()
        return Spec(
            suite=self.name,
            encoder=cell.encoder,
            model=self.model(cell.encoder, start.task if start else cell.task),
            weights=encoder.weights,
            method=cell.method,
            parts=parts,
            task=cell.task,
            transfer=transfer,
            predict=self.file.predict.get(cell.task, ()),
            tasks={name: self.task(name) for name in (cell.task, *transfer)},
            seed=cell.seed,
            protocol=self.protocols.of(cell, rest),
        )

    def read_tasks(self) -> list[Task]:
        """Every task that is read, each once and without a size; `train` is None for tasks that nothing trains on."""
        trained = {cell.task for cell in self.cells} | set(self.file.variability.tasks)
        trained |= set(self.file.inside.probes if self.file.inside else ())
        trained = {split_size(name)[0] for name in trained}
        names = {name for cell in self.cells for name in (cell.task, *self.spec(cell).transfer)}
        names |= set(self.file.inside.reads if self.file.inside else ()) | set(self.file.variability.tasks)
        tasks = {task.name: replace(task, size=None, train=task.train if task.name in trained else None)
                 for task in map(self.task, names)}  # fmt: skip
        return [tasks[name] for name in sorted(tasks)]

    def datasets(self) -> list[str]:
        """Lock keys of all data sets that the suite reads."""
        return sorted({task.dataset_key for task in self.read_tasks()})

    def models(self) -> list[str]:
        """Lock keys of all encoder weights that the suite reads."""
        started = {self.spec(cell).model for cell in self.cells}
        return sorted(started | {self.model(*pair) for pair in self.variability_pairs()})

    def variability_pairs(self) -> list[tuple[str, str]]:
        """(encoder, task) pairs for which the variability of layers is measured, in the order of the file."""
        wanted = self.file.variability
        pairs = [
            (cell.encoder, cell.task)
            for cell in self.cells
            if cell.encoder in wanted.encoders or self.spec(cell).reads_selection
            if not self.task(cell.task).span
        ]
        return list(dict.fromkeys([*pairs, *product(wanted.encoders, wanted.tasks)]))

    @property
    def has_verdicts(self) -> bool:
        """Whether there is anything to judge: claims, or two methods to compare."""
        return bool(self.file.claims) or len({cell.method for cell in self.cells}) > 1

    def inside_pairs(self) -> list[tuple[str, str]]:
        """(encoder, task) pairs of `inside_cells`."""
        return list(dict.fromkeys((cell.encoder, cell.task) for cell in self.inside_cells))

    @cached_property
    def settings(self) -> dict[str, dict[str, Any]]:
        """Settings by method name."""
        return {name: entry.settings for name, entry in self.file.methods.items()}

    def variants(self, method: str, block: Grid) -> list[str]:
        """The variants of a method in a block; the method itself if it has no grid there."""
        grids = {name: entry.grid for name, entry in self.file.methods.items()}
        return expand(method, grids, self.file.protocol.grid, block.grid)

    def _span(self, block: Grid) -> Iterator[Cell]:
        """The cells of a block, in its order."""
        for method in block.named_methods:
            for names in product(block.encoders, self.variants(method, block), block.tasks, block.seeds):
                yield Cell(*names)

    @cached_property
    def _members(self) -> frozenset[Cell]:
        return frozenset(self.cells)

    @cached_property
    def _planned(self) -> frozenset[tuple[str, str, str]]:
        return frozenset((cell.encoder, cell.method, cell.task) for cell in self.planned)

"""A suite's file: its schema, its checks, and the cells that its grid spans. Pure, and free of torch."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from steadytune.analysis.claims import find_claims
from steadytune.analysis.settings import VariabilitySettings
from steadytune.cell import Cell, Spec, Weights
from steadytune.errors import SteadyTuneError, nearest, unknown
from steadytune.methods import registry
from steadytune.protocol import Protocol
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.schema import Checked, check, explain, read_yaml
from steadytune.tasks.labels import shared_space
from steadytune.tasks.table import parse_task
from steadytune.variants import expand

DEFAULT_SUITE = Path("config/mini.yaml")
STORE_VARIABLE = "STEADYTUNE_STORE"
# Short names of protocol settings in a variant's name: hype-n~lr=2e-05.
SHORT_NAMES = {"lr": "learning_rate"}


class Sources(Checked):
    """Where staged data and encoders come from."""

    order: tuple[Literal["local", "hub", "url"], ...] = ("hub", "url")
    """Kinds of source in order of preference: the first for which the lock has a pin is used."""
    local: Path | None = None
    """The folder of a store staged elsewhere; the environment variable STEADYTUNE_STORE replaces it."""


class EncoderEntry(Checked):
    """An encoder of a suite."""

    model: str
    """Key of its weights in the lock: `<owner>/<name>`."""
    weights: Weights = "pretrained"
    """`random` draws every weight anew from the cell's seed: what pretraining is worth."""


class Grid(Checked):
    """A block of cells: every encoder x method x task x seed of its lists."""

    encoders: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _count_of_seeds(cls, value: Any) -> Any:
        """`seeds: 3` stands for the seeds 0, 1, 2."""
        if isinstance(value, Mapping) and isinstance(value.get("seeds"), int):
            return {**value, "seeds": tuple(range(value["seeds"]))}
        return value


class Inside(Grid):
    """Cells whose fine-tuned encoder is looked into: those of the block that the suite has."""

    probes: tuple[str, ...] = ()
    """Tasks on which a fresh linear head is trained at every layer; a cell leaves out its own."""
    examples: int = Field(256, ge=8)
    """Of the task's evaluation split, at most so many are measured on: a fixed stratified subset."""


class Override(Checked):
    """Settings for some of the cells; a later override wins."""

    encoder: str = "*"
    method: str = "*"
    task: str = "*"
    """Shell patterns that a cell's names must match."""
    protocol: dict[str, Any] = {}
    """Protocol settings to replace."""

    def matches(self, cell: Cell) -> bool:
        """Whether it is for this cell."""
        pairs = ((cell.encoder, self.encoder), (cell.method, self.method), (cell.task, self.task))
        return all(fnmatchcase(name, pattern) for name, pattern in pairs)


class MethodEntry(Checked, extra="allow"):
    """Settings of a method that replace its defaults, and a grid of others."""

    grid: dict[str, tuple[Any, ...]] = {}
    """Values by setting, its own or the protocol's: cells multiply, each a variant named by its values."""

    @property
    def settings(self) -> dict[str, Any]:
        """All but the grid."""
        return dict(self.model_extra or {})


class SuiteFile(Checked):
    """The keys of a file under `config/`."""

    suite: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    description: str = ""
    notes: tuple[str, ...] = ()
    """Sentences that the report prints wherever this suite's numbers are shown."""
    store: Path = Path("store")
    sources: Sources = Sources()
    protocol: MethodEntry = MethodEntry()
    """Training settings of every cell, and a grid that every method has."""
    encoders: dict[str, EncoderEntry]
    methods: dict[str, MethodEntry] = {}
    """Settings by method name."""
    selection: Literal["fixed", "published", "nested"] = "fixed"
    """Which variant of a grid stands for its method in tables and figures: `rendering/selection.py`."""
    grid: tuple[Grid, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    transfer: dict[str, tuple[str, ...]] = {}
    """Evaluation sets by trained task, where they are not those of the task table."""
    variability: VariabilitySettings = VariabilitySettings()
    """Encoders whose layers are measured on every task that they are fine-tuned on, and how."""
    inside: Inside | None = None
    """What fine-tuning does inside: which cells are looked into, and how."""
    claims: tuple[str, ...] = ()
    """Claims to judge: names of files under `config/claims`, or ids of claims in them."""
    tables: tuple[str, ...] = ("main",)
    figures: tuple[str, ...] = ()


class Suite:
    """A checked suite: every name in it is known and every cell resolves."""

    def __init__(self, file: SuiteFile, path: Path) -> None:
        self.file = file
        self.path = path
        self.name = file.suite
        local = os.environ.get(STORE_VARIABLE)
        self.sources = file.sources.model_copy(update={"local": Path(local)}) if local else file.sources
        for cell in self.cells:
            self.spec(cell)
        for name in file.variability.encoders:
            if name not in file.encoders:
                raise unknown("encoder", name, file.encoders, f"{path}: variability")
        self._check_selection()
        self._check_inside()
        self.claims = find_claims(file.claims, f"{path}: claims")
        for kind, names, known in (("table", file.tables, TABLES), ("figure", file.figures, FIGURES)):
            for name in names:
                if name not in known:
                    raise unknown(kind, name, known, f"{path}: {kind}s")

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every cell of the grid once, in the order of the file."""
        return tuple(dict.fromkeys(cell for block in self.file.grid for cell in self._span(block)))

    @cached_property
    def inside_cells(self) -> tuple[Cell, ...]:
        """The cells whose fine-tuned encoder is looked into."""
        block = self.file.inside
        return tuple(cell for cell in self._span(block) if cell in self._members) if block else ()

    def spec(self, cell: Cell) -> Spec:
        """Everything of a cell after defaults.

        Raises:
            SteadyTuneError: a cell outside the grid, or a name or value in it that does not hold.
        """
        if cell not in self._members:
            raise SteadyTuneError(f"{self.path}: no cell '{cell}' in suite '{self.name}'{self._nearest_cell(cell)}")
        if cell.encoder not in self.file.encoders:
            raise unknown("encoder", cell.encoder, self.file.encoders, f"{self.path}: grid")
        try:
            parts, rest = registry.parse(cell.method, self._settings)
            task, _ = parse_task(cell.task)
            transfer = self.file.transfer.get(cell.task, task.transfer)
            for name in transfer:
                shared_space(task.labels, parse_task(name)[0].labels)
            if task.span and any(part.build().reads_selection for part in parts):
                raise SteadyTuneError(
                    f"method '{cell.method}' reads the variability of classes: '{cell.task}' has none"
                )
        except SteadyTuneError as error:
            raise SteadyTuneError(f"{self.path}: {error}") from None
        if task.train is None:
            raise SteadyTuneError(f"{self.path}: grid: task '{cell.task}' is for evaluation only")
        encoder = self.file.encoders[cell.encoder]
        return Spec(
            suite=self.name,
            encoder=cell.encoder,
            model=encoder.model,
            weights=encoder.weights,
            method=cell.method,
            parts=parts,
            task=cell.task,
            transfer=transfer,
            seed=cell.seed,
            protocol=self._protocol(cell, rest),
        )

    def datasets(self) -> list[str]:
        """Keys in the lock of every data set that a cell reads, each once."""
        names = {name for cell in self.cells for name in (cell.task, *self.spec(cell).transfer)}
        names |= set(self.file.inside.probes if self.file.inside else ())
        return sorted({parse_task(name)[0].dataset_key for name in names})

    def models(self) -> list[str]:
        """Keys in the lock of every encoder's weights, each once."""
        return sorted({self.file.encoders[cell.encoder].model for cell in self.cells})

    def layer_studies(self) -> list[tuple[str, str]]:
        """(encoder, task) pairs whose layers' variability is measured, in the order of the file."""
        pairs = (
            (cell.encoder, cell.task)
            for cell in self.cells
            if cell.encoder in self.file.variability.encoders or self.spec(cell).reads_selection
            if not parse_task(cell.task)[0].span
        )
        return list(dict.fromkeys(pairs))

    def inside_pairs(self) -> list[tuple[str, str]]:
        """(encoder, task) pairs of the cells that are looked into."""
        return list(dict.fromkeys((cell.encoder, cell.task) for cell in self.inside_cells))

    @cached_property
    def base_protocol(self) -> Protocol:
        """The protocol before overrides: what measurements that belong to no cell go by."""
        return self._check_protocol(self.file.protocol.settings)

    @cached_property
    def _settings(self) -> dict[str, dict[str, Any]]:
        """Settings by method name."""
        return {name: entry.settings for name, entry in self.file.methods.items()}

    def _variants(self, method: str) -> list[str]:
        """The points of a method's grid, or the method itself."""
        grids = {name: entry.grid for name, entry in self.file.methods.items()}
        return expand(method, grids, self.file.protocol.grid)

    def _span(self, block: Grid) -> Iterator[Cell]:
        """The cells of a block, in its order."""
        for method in block.methods:
            for names in product(block.encoders, self._variants(method), block.tasks, block.seeds):
                yield Cell(*names)

    def _check_inside(self) -> None:
        """Names that cells of the suite have, and tasks that a probe can be trained on."""
        block = self.file.inside
        if block is None:
            return
        for kind, names in (("encoder", block.encoders), ("method", block.methods), ("task", block.tasks)):
            known = {getattr(cell, kind) for cell in self.cells}
            for name in names:
                if known.isdisjoint(self._variants(name) if kind == "method" else [name]):
                    raise unknown(kind, name, known, f"{self.path}: inside.{kind}s")
        if not self.inside_cells:
            raise SteadyTuneError(f"{self.path}: inside: no cell of the suite has these names and seeds together")
        for name in (*block.tasks, *block.probes):
            try:
                task, _ = parse_task(name)
            except SteadyTuneError as error:
                raise SteadyTuneError(f"{self.path}: inside.probes: {error}") from None
            if task.span:
                raise SteadyTuneError(f"{self.path}: inside: '{name}' has spans for answers, and no classes")
            if task.train is None:
                raise SteadyTuneError(f"{self.path}: inside.probes: task '{name}' is for evaluation only")

    def _check_selection(self) -> None:
        """Nested selection needs something to look at."""
        wanted = "selection: nested" if self.file.selection == "nested" else "tables: selection"
        if "selection" in self.file.tables or self.file.selection == "nested":
            for cell in self.cells:
                if not self.spec(cell).protocol.holdout:
                    raise SteadyTuneError(
                        f"{self.path}: {wanted}: expected `protocol.holdout` above 0, but {cell} has 0"
                    )

    @cached_property
    def _members(self) -> frozenset[Cell]:
        return frozenset(self.cells)

    def _protocol(self, cell: Cell, variant: Mapping[str, str]) -> Protocol:
        """The file's protocol, then the overrides that match, then what the variant's name says."""
        settings = self.file.protocol.settings
        for override in self.file.overrides:
            if override.matches(cell):
                settings |= override.protocol
        settings |= {SHORT_NAMES.get(key, key): value for key, value in variant.items()}
        return self._check_protocol(settings)

    def _check_protocol(self, settings: dict[str, Any]) -> Protocol:
        known = [field.name for field in fields(Protocol)]
        for key in settings:
            if key not in known:
                raise SteadyTuneError(f"{self.path}: protocol: unknown key '{key}'{nearest(key, known)}")
        try:
            return TypeAdapter(Protocol).validate_python(settings)
        except ValidationError as error:
            raise SteadyTuneError(f"{self.path}: protocol: {explain(error, Protocol)}") from None

    def _nearest_cell(self, cell: Cell) -> str:
        """The valid name nearest to the first part of a cell that the grid does not have."""
        for part in ("encoder", "method", "task"):
            names = {getattr(known, part) for known in self.cells}
            if getattr(cell, part) not in names:
                return f": unknown {part} '{getattr(cell, part)}'{nearest(getattr(cell, part), names)}"
        seeds = sorted(
            known.seed
            for known in self.cells
            if (known.encoder, known.method, known.task) == (cell.encoder, cell.method, cell.task)
        )
        if seeds:
            return f": seed {cell.seed} is not among its seeds {seeds}"
        return f"; the nearest is {nearest(str(cell), map(str, self.cells)) or 'none'}"


def load_suite(path: Path) -> Suite:
    """Read and check a suite's file.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value, what was expected and the nearest valid name.
    """
    return Suite(check(SuiteFile, read_yaml(path), path), path)


def find_suite(name: str) -> Path:
    """The file of a suite given by path (`config/mini.yaml`) or by name (`mini`)."""
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    known = {file.stem: file for file in _suite_files()}
    if name not in known:
        raise unknown("suite", name, known, "config/")
    return known[name]


def _suite_files() -> Iterator[Path]:
    return (path for path in sorted(Path("config").glob("*.yaml")) if path.name != "lock.yaml")

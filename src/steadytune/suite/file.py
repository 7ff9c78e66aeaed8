"""The schema of a suite's file. Free of torch."""

import math
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from steadytune.places import UserPath, expanded
from steadytune.schema import Repo, StrictModel, matching
from steadytune.suite.cell import Cell, Weights
from steadytune.suite.own import OwnTask, check_commit
from steadytune.suite.start import Start
from steadytune.suite.variability import VariabilitySettings

MOST_SEEDS = 10_000


def _each_once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("each seed once")
    return seeds


def _count_of_seeds(value: Any) -> Any:
    """`seeds: 3` stands for the seeds 0, 1, 2."""
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        if value > MOST_SEEDS:
            raise ValueError(f"at most {MOST_SEEDS} seeds")
        return tuple(range(value))
    if not isinstance(value, list | tuple):
        raise ValueError("a list of seeds, or their number: 1 or more")
    return value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def is_file_name(name: str) -> bool:
    """Whether a name has the ending of a file, and is not one that the project knows."""
    return Path(name).suffix in (".yaml", ".yml")


def _file_expanded(name: str) -> str:
    return expanded(name) if is_file_name(name) else name


def _value(value: Any) -> Any:
    if isinstance(value, list) and value and all(type(number) is int for number in value):
        return value
    if not isinstance(value, bool | int | float | str | None) or (
        isinstance(value, float) and not math.isfinite(value)
    ):
        raise ValueError("a finite number, true, false, null, a word, or a list of whole numbers")
    return value


Seeds = Annotated[
    tuple[Annotated[int, Field(ge=0, strict=True)], ...],
    Field(min_length=1),
    AfterValidator(_each_once),
    BeforeValidator(_count_of_seeds),
]
Axis = Annotated[tuple[Annotated[Any, AfterValidator(_value)], ...], Field(min_length=1)]
"""The values of one setting."""


Name = Annotated[
    str,
    Field(max_length=100),
    matching("[A-Za-z0-9][A-Za-z0-9_.-]*", "letters from a to z, digits, _ . and -, a letter or digit first"),
]
"""Of an encoder or an own task: it becomes part of paths and of commands."""


class Sources(StrictModel):
    """Where staged data and encoders come from."""

    order: tuple[Literal["local", "hub", "url"], ...] = ("hub", "url")
    """Kinds of source in order of preference: the first for which the lock has a pin is used."""
    local: UserPath | None = None
    """The folder of a store staged elsewhere; the environment variable STEADYTUNE_STORE replaces it."""
    unpinned_limit: int = Field(default=20_000_000_000, ge=1)
    """Bytes that a file may have if the lock states no size for it."""


class EncoderEntry(StrictModel):
    """An encoder of a suite."""

    model: str = ""
    """Key of its weights in the lock, `<owner>/<name>`; or a folder of the user's, as `save_pretrained` writes it,
    relative to the suite's file and beginning with `.`, `/`, `~` or `$`."""
    hub: Repo | None = None
    """In place of `model`: a repository on the hub that the lock need not have."""
    revision: str | None = None
    """Its commit."""
    models: dict[str, str] = {}
    """Other weights by task, where a paper starts from a checkpoint that knows a related one."""
    weights: Weights = "pretrained"
    """`random` draws every weight anew from the cell's seed: what pretraining is worth."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        check_commit(self.hub, self.revision, "")
        if (self.hub is None) != bool(self.model):
            raise ValueError("`model`, or `hub` and `revision`: one of the two")
        return self

    @property
    def own(self) -> bool:
        """Whether the suite brings it itself: a folder of the user's, or a repository on the hub."""
        return self.hub is not None or self.model.startswith((".", "/", "~", "$"))


class Grid(StrictModel):
    """A block of cells: every encoder x method x task x seed of its lists."""

    encoders: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    seeds: Seeds
    grid: dict[str, Axis] = {}
    """Values by setting for every method of the block, in place of the same setting's in the suite's other grids."""
    start: Start | None = None
    """The cell whose fine-tuned encoder every cell of the block starts from; methods then end in `@task`."""

    @property
    def named_methods(self) -> tuple[str, ...]:
        """The methods, each with where it starts."""
        return tuple(map(self.start.added_to, self.methods)) if self.start else self.methods


class Inside(Grid):
    """Cells whose fine-tuned encoder is looked into: those of the block that the suite has."""

    probes: tuple[str, ...] = ()
    """Tasks on which a fresh linear head is trained at every layer; a cell leaves out its own."""
    examples: int = Field(256, ge=8)
    """Of the task's evaluation split, at most so many are measured on: a fixed stratified subset."""
    forgetting: str | None = None
    """A task on whose texts (of the evaluation split) the masked-word loss is measured; its labels are not read."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The tasks that are read besides those of the cells."""
        return (*self.probes, *([self.forgetting] if self.forgetting else []))


class Override(StrictModel):
    """Settings for some of the cells; a later override wins."""

    encoder: str = "*"
    method: str = "*"
    task: str = "*"
    """Shell patterns that a cell's names must match."""
    protocol: dict[str, Any] = {}
    """Protocol settings to replace."""

    def matches(self, cell: Cell) -> bool:
        """Whether it is for this cell."""
        return all(self.pattern_of(part)(getattr(cell, part)) for part in ("encoder", "method", "task"))

    def pattern_of(self, part: str) -> Callable[[str], bool]:
        """Whether a name matches what it says of `encoder`, `method` or `task`."""
        return partial(fnmatchcase, pat=getattr(self, part))


class MethodEntry(StrictModel, extra="allow"):
    """Settings of a method that replace its defaults, and a grid of others."""

    grid: dict[str, Axis] = {}
    """Values by setting, its own or the protocol's: cells multiply, each a variant named by its values."""

    @property
    def settings(self) -> dict[str, Any]:
        """All but the grid."""
        return dict(self.model_extra or {})


class SuiteFile(StrictModel):
    """The keys of a file under `config/`."""

    suite: Annotated[str, matching("[a-z0-9][a-z0-9-]*", "lower-case letters, digits and -, such as my-suite")]
    title: str
    description: str = ""
    notes: tuple[str, ...] = ()
    """Sentences that the report prints wherever this suite's numbers are shown."""
    store: UserPath = Path("store")
    empty_texts: Literal["count", "refuse"] = "count"
    """Whether texts without a visible character are counted when staging, or refused."""
    sources: Sources = Sources()
    protocol: MethodEntry = MethodEntry()
    """Training settings of every cell, and a grid that every method has."""
    encoders: dict[Name, EncoderEntry]
    methods_from: tuple[UserPath, ...] = ()
    """Python files with methods that the project does not have, relative to the suite's file."""
    methods: dict[str, MethodEntry] = {}
    """Settings by method name."""
    selection: Literal["fixed", "published", "nested"] = "fixed"
    """Which variant of a grid stands for its method in tables and figures: `results/selection.py`."""
    tasks: dict[Name, OwnTask] = {}
    """The suite's own tasks, beside those of the task table."""
    grid: tuple[Grid, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    keep: Literal["best", "all", "none"] = "none"
    """Fine-tuned weights that stay beside their records: `best` is one cell by encoder, method (all its variants) and
    task, by its score on the development set, or on held-out training data if the protocol holds some out."""
    transfer: dict[str, tuple[str, ...]] = {}
    """Evaluation sets by trained task, where they are not those of the task table."""
    predict: dict[str, Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)]] = {}
    """By trained task, splits of its data set whose labels are hidden: predictions are written, and not scored."""
    variability: VariabilitySettings = VariabilitySettings()
    """Encoders whose layers are measured on every task that they are fine-tuned on, and how."""
    inside: Inside | None = None
    """What fine-tuning does inside: which cells are looked into, and how."""
    claims: Annotated[tuple[Annotated[str, AfterValidator(_file_expanded)], ...], BeforeValidator(_one_or_more)] = ()
    """Claims to judge: names of files under `config/claims`, ids of claims in them, or files of the user's, relative to
    the suite's file and with their ending, `my_claims.yaml`."""
    analysis_plan: UserPath | None = None
    """What was written down before the first cell ran, relative to the suite's file; records carry its hash."""
    tables: tuple[str, ...] = ("main",)
    figures: tuple[str, ...] = ()

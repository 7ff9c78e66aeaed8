"""The schema of a suite's file. Does not import torch."""

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
    """Expand a number of seeds: `seeds: 3` means seeds 0, 1 and 2."""
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
    """Whether a name in `claims` is a file of the user's (ends in .yaml or .yml) and not a name the project knows."""
    return Path(name).suffix in (".yaml", ".yml")


def _without_braces(path: Path) -> Path:
    # Snakemake would take them for wildcards.
    if set("{}") & set(str(path)):
        raise ValueError("a path without { or }")
    return path


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
"""The values of one setting in a grid."""


Name = Annotated[
    str,
    Field(max_length=100),
    matching("[A-Za-z0-9][A-Za-z0-9_.-]*", "letters from a to z, digits, _ . and -, a letter or digit first"),
]
"""Name of an encoder or an own task, which becomes part of paths and commands."""


class Sources(StrictModel):
    """Where staged data and encoders come from."""

    order: tuple[Literal["local", "hub", "url"], ...] = ("hub", "url")
    """Kinds of source in order of preference; the first one that the lock has a pin for is used."""
    local: UserPath | None = None
    """Folder of a store staged elsewhere; the environment variable STEADYTUNE_STORE overrides it."""
    unpinned_limit: int = Field(default=20_000_000_000, ge=1)
    """Largest size, in bytes, of a file for which the lock states no size."""


class EncoderEntry(StrictModel):
    """An encoder of a suite."""

    model: str = ""
    """Key of its weights in the lock, `<owner>/<name>`; or a user's folder in the format of `save_pretrained`, relative
    to the suite's file and starting with `.`, `/`, `~` or `$`."""
    hub: Repo | None = None
    """A repository on the hub, instead of `model`; it need not be in the lock."""
    revision: str | None = None
    """The repository's commit."""
    models: dict[str, str] = {}
    """Other weights by task, for papers that start some tasks from a checkpoint trained on a related task."""
    weights: Weights = "pretrained"
    """`random` draws every weight from the cell's seed, to measure what pretraining is worth."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        check_commit(self.hub, self.revision, "")
        if (self.hub is None) != bool(self.model):
            raise ValueError("either `model`, or `hub` with `revision`")
        return self

    @property
    def own(self) -> bool:
        """Whether the suite brings the encoder itself, as a user's folder or a repository on the hub."""
        return self.hub is not None or self.model.startswith((".", "/", "~", "$"))


class Grid(StrictModel):
    """A block of cells: every combination of the encoders, methods, tasks and seeds it lists."""

    encoders: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    tasks: tuple[str, ...] = Field(min_length=1)
    seeds: Seeds
    grid: dict[str, Axis] = {}
    """Values by setting for every method of the block; they replace the same setting in the suite's other grids."""
    start: Start | None = None
    """The cell whose fine-tuned encoder every cell of the block starts from; method names then end in `@task`."""

    @property
    def named_methods(self) -> tuple[str, ...]:
        """The methods' names, each with the block's start if it has one."""
        return tuple(map(self.start.added_to, self.methods)) if self.start else self.methods


class Inside(Grid):
    """Cells whose fine-tuned encoder is analysed layer by layer: the block's cells that are in the suite."""

    probes: tuple[str, ...] = ()
    """Tasks on which a new linear head is trained at every layer; a cell skips its own task."""
    examples: int = Field(256, ge=8)
    """Maximum number of examples of the task's evaluation split to measure on: a fixed stratified subset."""
    forgetting: str | None = None
    """A task whose evaluation texts the masked-word loss is measured on; its labels are not read."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The tasks read in addition to the cells' own."""
        return (*self.probes, *([self.forgetting] if self.forgetting else []))


class Override(StrictModel):
    """Protocol settings for some of the cells; later overrides win."""

    encoder: str = "*"
    method: str = "*"
    task: str = "*"
    """Shell patterns that the cell's encoder, method and task must match."""
    protocol: dict[str, Any] = {}
    """Protocol settings to replace."""

    def matches(self, cell: Cell) -> bool:
        """Whether the override applies to a cell."""
        return all(self.pattern_of(part)(getattr(cell, part)) for part in ("encoder", "method", "task"))

    def pattern_of(self, part: str) -> Callable[[str], bool]:
        """A test of whether a name matches the pattern for `part`: `encoder`, `method` or `task`."""
        return partial(fnmatchcase, pat=getattr(self, part))


class MethodEntry(StrictModel, extra="allow"):
    """Settings of a method that replace its defaults, and a grid of settings to try."""

    grid: dict[str, Axis] = {}
    """Values by setting, of the method or the protocol. Every combination is a variant, named by its values."""

    @property
    def settings(self) -> dict[str, Any]:
        """All settings except the grid."""
        return dict(self.model_extra or {})


class SuiteFile(StrictModel):
    """The keys of a file under `config/`."""

    suite: Annotated[str, matching("[a-z0-9][a-z0-9-]*", "lower-case letters, digits and -, such as my-suite")]
    title: str
    description: str = ""
    notes: tuple[str, ...] = ()
    """Sentences printed in the report wherever it shows this suite's numbers."""
    store: Annotated[UserPath, AfterValidator(_without_braces)] = Path("store")
    empty_texts: Literal["count", "refuse"] = "count"
    """Whether staging counts or refuses texts without a visible character."""
    sources: Sources = Sources()
    protocol: MethodEntry = MethodEntry()
    """Training settings of every cell, and a grid for every method."""
    encoders: dict[Name, EncoderEntry]
    methods_from: tuple[UserPath, ...] = ()
    """Python files that define further methods, relative to the suite's file."""
    methods: dict[str, MethodEntry] = {}
    """Settings by method name."""
    selection: Literal["fixed", "published", "nested"] = "fixed"
    """How the variant of a grid that represents its method in tables and figures is chosen: `results/selection.py`."""
    tasks: dict[Name, OwnTask] = {}
    """The suite's own tasks, in addition to those of the task table."""
    grid: tuple[Grid, ...] = Field(min_length=1)
    overrides: tuple[Override, ...] = ()
    keep: Literal["best", "all", "none"] = "none"
    """Which cells keep their fine-tuned weights next to the record. `best` keeps one per encoder, method (over all its
    variants) and task: the best score on held-out training data if the protocol holds some out, else on the development
    set."""
    transfer: dict[str, tuple[str, ...]] = {}
    """Evaluation sets by trained task, if they differ from the task table's."""
    predict: dict[str, Annotated[tuple[str, ...], BeforeValidator(_one_or_more), Field(min_length=1)]] = {}
    """Splits with hidden labels to predict, by trained task; the predictions are written but not scored."""
    variability: VariabilitySettings = VariabilitySettings()
    """Encoders whose layers are measured on every task they are fine-tuned on, and how."""
    inside: Inside | None = None
    """Which cells' encoders are analysed layer by layer, and how."""
    claims: Annotated[tuple[Annotated[str, AfterValidator(_file_expanded)], ...], BeforeValidator(_one_or_more)] = ()
    """Claims to judge: names of files under `config/claims`, ids of claims in them, or the user's own files, written
    with their suffix (`my_claims.yaml`) and relative to the suite's file."""
    analysis_plan: UserPath | None = None
    """A plan written before the first cell ran, relative to the suite's file; records carry its hash."""
    tables: tuple[str, ...] = ("main",)
    figures: tuple[str, ...] = ()

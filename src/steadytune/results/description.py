"""What results need to know about their suite: its names in the file's order, and which encoders to compare."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from steadytune.suite.suite import Suite
from steadytune.tasks.task import Task


class PretrainingPair(NamedTuple):
    """Two encoders of one architecture, with pretrained and with random weights."""

    pretrained: str
    random: str


@dataclass(frozen=True, kw_only=True)
class Description:
    """A suite as tables, figures and the report describe it. Only the name is required."""

    name: str
    title: str = ""
    description: str = ""
    notes: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    models: Mapping[str, str] = field(default_factory=dict)
    """The key of the weights in the lock, by pretrained encoder."""
    methods: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    named: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By method or variant named in the grid, the variants that it spans."""
    measured_tasks: tuple[str, ...] | None = None
    """Tasks on which layer variability is measured; None for every task that has a file."""
    measured: frozenset[tuple[str, str]] | None = None
    """The (encoder, task) pairs measured; None for every pair with a file. A removed stage's files are not loaded."""
    claims: bool = True
    """Whether the suite names claims; if not, verdicts left by an earlier version of it are not loaded."""
    inside: tuple[str, ...] | None = None
    """Encoders that are measured inside; None for every encoder with measurements."""
    compared: tuple[str, ...] = ()
    """Encoders with several methods, or all if none has: single-encoder figures are drawn for each of them."""
    pretraining_pairs: tuple[PretrainingPair, ...] = ()
    own_tasks: Mapping[str, Task] = field(default_factory=dict)
    """Tasks that are not in the task table, by name."""
    selection: str = "fixed"
    """How one variant of a grid is chosen: a key of `selection.RULES`."""
    analysis_plan: str | None = None
    """SHA-256 of the analysis plan's current text."""
    tables: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    argument: str = ""
    """The suite as a command-line argument; its name if empty."""
    store: Path = Path("store")
    """The folder of the staged data sets and encoders."""
    recorded: bool = False
    """Whether the results are those of a recorded suite, which its readers have to restore first."""


def describe(suite: Suite) -> Description:
    """The description of a suite."""
    file = suite.file
    encoders = _unique(cell.encoder for cell in suite.cells)
    methods = Counter(encoder for encoder, _ in {(cell.encoder, cell.method) for cell in suite.cells})
    return Description(
        name=suite.name,
        title=file.title,
        description=file.description,
        notes=tuple(file.notes),
        encoders=encoders,
        models={name: entry.model for name, entry in file.encoders.items() if entry.weights == "pretrained"},
        methods=_unique(cell.method for cell in suite.cells),
        tasks=_unique(cell.task for cell in suite.cells),
        named={name: tuple(variants) for name, variants in suite.named.items()},
        measured_tasks=_unique(task for _, task in suite.variability_pairs()),
        measured=frozenset(suite.variability_pairs()),
        claims=bool(file.claims),
        inside=_unique(cell.encoder for cell in suite.inside_cells),
        compared=tuple(encoder for encoder in encoders if methods[encoder] > 1) or encoders,
        pretraining_pairs=tuple(
            PretrainingPair(name, other)
            for name, entry in file.encoders.items()
            for other, drawn in file.encoders.items()
            if entry.weights == "pretrained" and drawn.weights == "random" and entry.model == drawn.model
        ),
        own_tasks=suite.own_tasks,
        selection=file.selection,
        analysis_plan=suite.analysis_plan,
        tables=tuple(file.tables),
        figures=tuple(file.figures),
        argument=suite.argument,
        store=suite.file.store,
    )


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

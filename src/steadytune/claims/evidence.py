"""The evidence on a claim before anything is tested: its paired runs, and what is missing for them."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Test = Literal["its own", "ranks", "by seed", "over examples"]


@dataclass(frozen=True)
class Analysis:
    """A way to analyse the cells: the primary one, or a sensitivity analysis that a verdict should survive."""

    name: str
    rule: str | None = None
    """How variants are chosen; None: as the suite says."""
    without_degenerate: bool = False
    """Leave out pairs with a run that gives one answer for every example, on their own task alone."""
    with_diverged: bool = False
    """A diverged run counts as the majority class, instead of leaving its seed out."""
    best_epoch: bool = False
    """Each run counts with its best epoch on the reported set, instead of the last."""
    without_task: str | None = None
    test: Test = "its own"
    """Of mean differences."""


@dataclass(frozen=True)
class Stratum:
    """An encoder on a task, the sides' encoder and task where those differ."""

    encoder: str
    baseline_encoder: str
    task: str
    reference: str | None = None

    def __str__(self) -> str:
        return f"{self.encoder}, {self.task}"


@dataclass(frozen=True)
class Evidence:
    """Paired runs of a claim."""

    strata: tuple[Stratum, ...] = ()
    not_begun: tuple[str, ...] = ()
    """Tasks that it is about and that are left out so far, since some side has not begun them."""
    seeds: tuple[int, ...] = ()
    """Those that every array has, in its order of columns."""
    planned: int = 0
    """Seeds that the suite plans for all sides."""
    plan: str = ""
    """Digest of the sides, tasks, variants and seeds that the suite plans for it, whatever the analysis leaves out."""
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """By baseline: (first, second), both (strata, seeds): points, logs of a cost, or gains on tasks and reference."""
    errors: dict[str, float] = field(default_factory=dict)
    """By baseline: the standard error of the mean difference over the choice of examples, where predictions tell it."""
    left_out: tuple[int, ...] = ()
    """Planned seeds that some side or task has no score for."""
    ends: dict[str, int] = field(default_factory=dict)
    """How the runs ended, all sides together."""
    draws: tuple[tuple[int, int], ...] = ()
    """Of a claim about layers: draws that agree and all draws, for each stratum."""
    missing: tuple[str, ...] = ()
    """Files that the suite plans and that do not exist."""
    outside: tuple[str, ...] = ()
    """What the claim is about and the suite does not plan."""
    cost: int = 0
    """Cells that it needs in all."""
    lack: str = ""
    """Why it cannot be judged."""

    def on(self, row: int) -> "Evidence":
        """The evidence of one stratum alone."""
        pairs = {name: (first[row, None], second[row, None]) for name, (first, second) in self.pairs.items()}
        return replace(self, strata=(self.strata[row],), pairs=pairs, errors={})

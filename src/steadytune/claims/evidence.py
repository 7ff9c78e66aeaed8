"""The evidence on a claim before any test: its paired runs, and what is missing."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

Test = Literal["its own", "ranks", "by seed", "over examples"]


@dataclass(frozen=True)
class Analysis:
    """A way to analyse the cells: the primary one, or a sensitivity analysis that a verdict should survive."""

    name: str
    rule: str | None = None
    """How variants are chosen; None: by the suite's rule."""
    without_degenerate: bool = False
    """Leave out pairs with a run that gives one answer for every example, on that task only."""
    with_diverged: bool = False
    """Score a diverged run as the majority class, instead of leaving its seed out."""
    best_epoch: bool = False
    """Score each run at its best epoch on the reported set, instead of the last."""
    without_task: str | None = None
    test: Test = "its own"
    """How mean differences are tested."""


@dataclass(frozen=True)
class Stratum:
    """An encoder on a task, with the baselines' encoder and, for a gain, the reference task."""

    encoder: str
    baseline_encoder: str
    task: str
    reference: str | None = None

    def __str__(self) -> str:
        return f"{self.encoder}, {self.task}"


@dataclass(frozen=True)
class Evidence:
    """The paired runs of a claim, and what is missing."""

    strata: tuple[Stratum, ...] = ()
    not_begun: tuple[str, ...] = ()
    """Tasks of the claim that are left out so far, because some side has not begun them."""
    seeds: tuple[int, ...] = ()
    """The seeds of every array, in the order of its columns."""
    planned: int = 0
    """Seeds that the suite plans for all sides."""
    plan: str = ""
    """Digest of the sides, tasks, variants and seeds planned for the claim, including what the analysis leaves out."""
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """By baseline: (first, second), both (strata, seeds): points, logs of costs, or gains on tasks and references."""
    errors: dict[str, float] = field(default_factory=dict)
    """By baseline: the standard error of the mean difference over the choice of examples, if predictions exist."""
    left_out: tuple[int, ...] = ()
    """Planned seeds without a score on some side or task."""
    ends: dict[str, int] = field(default_factory=dict)
    """Number of runs by status, all sides together."""
    draws: tuple[tuple[int, int], ...] = ()
    """For a claim about layers, by stratum: the number of draws that agree, and of all draws."""
    missing: tuple[str, ...] = ()
    """Planned files that do not exist."""
    outside: tuple[str, ...] = ()
    """Cells or measurements that the claim needs and the suite does not plan."""
    cost: int = 0
    """Number of cells that the claim needs."""
    lack: str = ""
    """Why the claim cannot be judged; empty if it can."""

    def on(self, row: int) -> "Evidence":
        """The evidence of one stratum alone."""
        pairs = {name: (first[row, None], second[row, None]) for name, (first, second) in self.pairs.items()}
        return replace(self, strata=(self.strata[row],), pairs=pairs, errors={})

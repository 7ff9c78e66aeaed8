"""The evidence on a claim before anything is tested: its paired runs, and what is missing for them."""

from dataclasses import dataclass, field

import numpy as np

from steadytune.claims.statistics import Centre


@dataclass(frozen=True)
class Analysis:
    """A way to analyse the cells: the primary one, or a sensitivity analysis that a verdict should survive."""

    name: str
    says: str = ""
    rule: str | None = None
    """How variants are chosen, where it is not as the suite says."""
    without_degenerate: bool = False
    """Leave out seeds with a run that gives one answer for every example, on all sides."""
    with_diverged: bool = False
    """A diverged run counts as the majority class, instead of leaving its seed out."""
    centre: Centre = "mean"


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
    seeds: tuple[int, ...] = ()
    """Those that every array has, in its order of columns."""
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """By baseline: (first, second), both (strata, seeds): points, logs of a cost, or gains on tasks and reference."""
    left_out: tuple[int, ...] = ()
    """Planned seeds that some side or task has no score for."""
    ends: dict[str, int] = field(default_factory=dict)
    """How the runs ended, all sides together."""
    draws: tuple[tuple[int, int], ...] = ()
    """Of a claim about layers: draws that agree and all draws, for each stratum."""
    missing: tuple[str, ...] = ()
    """Files that the suite plans and that are not there."""
    outside: tuple[str, ...] = ()
    """What the claim is about and the suite does not plan."""
    cost: int = 0
    """Cells that it needs in all."""
    lack: str = ""
    """Why it cannot be judged."""

"""The studies that `steadytune simulate` draws: a suite's design, and paired differences with a known true mean."""

from collections import Counter
from dataclasses import dataclass
from statistics import median

import numpy as np

from steadytune.claims import power
from steadytune.claims.claim import ALPHA
from steadytune.claims.comparisons import against_baseline
from steadytune.claims.lacks import LEAST_SEEDS
from steadytune.errors import SteadyTuneError
from steadytune.planning.questions import tasks_together
from steadytune.planning.sizes import Sizes
from steadytune.store.lock import suite_lock
from steadytune.suite.suite import Suite

DISAGREE = 0.2
"""The assumed share of answers on which two runs differ, which determines the error over examples."""
COLLAPSE, DEPTH = 0.1, 10
"""The share of runs that collapse, and by how many standard deviations their scores fall."""
VARIANTS, SHARED_LUCK = 10, 0.5
"""Number of equally good variants to choose from, and the correlation of a run's held-out and reported scores."""


@dataclass(frozen=True)
class Design:
    """The size of a suite's study and its effect; scores in points."""

    tasks: int
    seeds: int
    methods: int
    """Number of methods compared with the baseline in one table."""
    examples: int
    """Number of examples in an evaluation set."""
    sd: float
    """Standard deviation of a pair's difference on a task."""
    effect: float
    """The claimed effect."""

    @classmethod
    def of(cls, tasks: int, seeds: int, methods: int, examples: int, sd: float, effect: float | None) -> "Design":
        """A design; the claimed effect is by default the one that is detected with 80 % power."""
        shown = power.detectable_effect(np.full(tasks, sd**2), seeds, ALPHA)
        return cls(tasks, seeds, methods, examples, sd, effect or shown)

    @classmethod
    def of_suite(cls, suite: Suite, seeds: int | None, sd: float, effect: float | None) -> "Design":
        """The design of a suite's comparisons with the baseline; `seeds` replaces the planned number of seeds."""
        asked = against_baseline(suite)
        counts = Counter(cell.group for cell in suite.cells)
        sizes = Sizes(suite.file.store, suite_lock(suite))
        rows = [sizes.rows(suite.task(name), "evaluation") for name in dict.fromkeys(cell.task for cell in suite.cells)]
        examples = round(median([count for count in rows if count] or [1000]))
        planned = seeds or Counter(counts.values()).most_common(1)[0][0]
        if planned < LEAST_SEEDS:
            where = f"--seeds {seeds}" if seeds else f"{suite.path}: seeds: {planned}"
            hint = "" if seeds else "; `--seeds` simulates another number"
            raise SteadyTuneError(f"{where}: expected {LEAST_SEEDS} or more, since fewer are never judged{hint}")
        return cls.of(max(tasks_together(suite, asked)), planned, max(len(asked), 1), examples, sd, effect)

    @property
    def error(self) -> float:
        """The standard error over examples of the difference on a task."""
        return 100 * (DISAGREE / self.examples) ** 0.5


class Draws:
    """Draws the paired differences of many studies, (replicates, tasks, seeds)."""

    def __init__(self, design: Design, replicates: int, generator: np.random.Generator) -> None:
        self.design, self.replicates, self.generator = design, replicates, generator

    def pairs(self, mean: float, seeds: int | None = None) -> np.ndarray:
        """Independent pairs with this true mean."""
        shape = (self.replicates, self.design.tasks, seeds or self.design.seeds)
        return mean + self.design.sd * self.generator.standard_normal(shape)

    def other_examples(self) -> np.ndarray:
        """Pairs without a true effect; the choice of examples shifts all seeds of a task by the same random amount."""
        shape = (self.replicates, self.design.tasks, 1)
        return self.pairs(0.0) + self.design.error * self.generator.standard_normal(shape)

    def collapsing(self, mean: float) -> np.ndarray:
        """Pairs with this true mean, in some of which the run collapses."""
        depth = DEPTH * self.design.sd
        sound = self.pairs(mean + COLLAPSE * depth)
        return sound - depth * (self.generator.random(sound.shape) < COLLAPSE)

    def nested(self, *, by_others: bool = True) -> np.ndarray:
        """Differences of a variant that is as good as the baseline, chosen from several per task by held-out scores.

        `by_others`: choose for each seed by the other seeds' scores, instead of by all seeds' scores.
        """
        shape = (self.replicates, self.design.tasks, VARIANTS, self.design.seeds)
        scores, luck = self.generator.standard_normal((2, *shape))
        held_out = SHARED_LUCK * scores + (1 - SHARED_LUCK**2) ** 0.5 * luck
        looked_at = held_out.sum(axis=-1, keepdims=True) - (held_out if by_others else 0)
        chosen = np.broadcast_to(looked_at.argmax(axis=2, keepdims=True), (*shape[:2], 1, self.design.seeds))
        best = np.take_along_axis(scores, chosen, axis=2)[:, :, 0]
        baseline = self.generator.standard_normal(best.shape)
        return self.design.sd * (best - baseline) / 2**0.5

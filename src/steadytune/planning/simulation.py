"""`steadytune simulate`: how often each verdict is right and wrong for a suite's own numbers of tasks and seeds.

Many studies are drawn in which the truth is known, and judged by the rule of `claims`: so whoever changes the rule, or
the design, sees what it costs. Differences are normal; sign flips are sampled above 2^10 patterns.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from steadytune.claims import power
from steadytune.claims import significance as tests
from steadytune.claims.claim import ALPHA
from steadytune.claims.comparisons import against_baseline
from steadytune.claims.differences import difference_p
from steadytune.claims.lacks import LEAST_SEEDS
from steadytune.claims.statistics import mean_of_tasks, stratified_mean
from steadytune.errors import SteadyTuneError
from steadytune.planning.questions import tasks_together
from steadytune.planning.sizes import Sizes
from steadytune.store.lock import suite_lock
from steadytune.suite.suite import Suite
from steadytune.text import counted

FLIPS: tests.OneSided = partial(tests.sign_flips, exact=10, draws=1999)
DISAGREE = 0.2
"""The share of answers that two runs are taken to give differently: it sets the error over examples."""
COLLAPSE, DEPTH = 0.1, 10
"""The share of runs that collapse, and how deep they fall, in standard deviations."""
VARIANTS, SHARED_LUCK = 10, 0.5
"""Equal variants to choose among, and the correlation of a run's held-out score with its reported one."""


@dataclass(frozen=True)
class Design:
    """What a suite asks of its seeds; scores in points."""

    tasks: int
    seeds: int
    methods: int
    """Compared with the baseline in one table."""
    examples: int
    """Of an evaluation set."""
    sd: float
    """Of a pair's difference on a task."""
    effect: float
    """The claimed one."""

    @classmethod
    def of(cls, tasks: int, seeds: int, methods: int, examples: int, sd: float, effect: float | None) -> "Design":
        """A design whose claimed effect, if none is given, has a chance of 80 % of being shown."""
        shown = power.detectable_effect(np.full(tasks, sd**2), seeds, ALPHA)
        return cls(tasks, seeds, methods, examples, sd, effect or shown)

    @classmethod
    def of_suite(cls, suite: Suite, seeds: int | None, sd: float, effect: float | None) -> "Design":
        """The design in which a suite compares its methods with the baseline; `seeds` in place of the planned ones."""
        asked = against_baseline(suite)
        counts = Counter((cell.encoder, cell.method, cell.task) for cell in suite.cells)
        sizes = Sizes(suite.file.store, suite_lock(suite))
        rows = [sizes.rows(suite.task(name), "evaluation") for name in dict.fromkeys(cell.task for cell in suite.cells)]
        examples = round(median([count for count in rows if count] or [1000]))
        planned = seeds or Counter(counts.values()).most_common(1)[0][0]
        if planned < LEAST_SEEDS:
            raise SteadyTuneError(f"seeds: {planned}: {LEAST_SEEDS} or more are judged; `--seeds` simulates others")
        return cls.of(max(tasks_together(suite, asked)), planned, max(len(asked), 1), examples, sd, effect)

    @property
    def error(self) -> float:
        """The standard error over examples of a task's difference."""
        return 100 * (DISAGREE / self.examples) ** 0.5


COLUMNS = ("reproduced", "of these smaller", "not reproduced", "interval covers")


class Row(NamedTuple):
    """How often a kind of study ends with each verdict; the rest is inconclusive."""

    truth: str
    reproduced: float
    smaller: float | None
    """Reproduced, and shown to be smaller than claimed; None if the claim has no size besides its bound."""
    not_reproduced: float
    covered: float | None = None
    """How often the interval holds the true effect."""


def simulate(design: Design, replicates: int, seed: int = 0) -> Iterator[Row]:
    """The rows of the table, in its order."""
    draw = Draws(design, replicates, np.random.default_rng(seed))
    size = design.effect
    for truth, mean in (("no effect", 0.0), ("half the claimed effect", size / 2), ("the claimed effect", size)):
        found = draw.pairs(mean)
        yield _row(truth, _difference(found, size), _covers(found, mean))
    found = draw.pairs(size)
    yield _row("half of a claimed effect twice as large", _difference(found, 2 * size))
    last = max(design.seeds, 25)
    for truth, mean in (("no effect", 0.0), ("the claimed effect", size)):
        found = draw.pairs(mean, seeds=last)
        yield _row(f"{truth}, a look after every seed up to {last}", looks(found, size, design.seeds))
    found = draw.other_examples()
    yield _row("no effect on other examples", _difference(found, size), _covers(found, 0.0))
    extra = design.error / design.tasks**0.5
    low, high = stratified_mean(found, extra).interval()
    over = _difference(found, size, partial(tests.t_test, extra=extra), extra=extra)
    yield _row("the same, over examples", over, (low <= 0) & (high >= 0))
    yield _row(f"{VARIANTS} equal variants, nested", _difference(draw.nested(), size))
    yield _row("not worse: worse by the margin", _not_worse(draw.pairs(-size), size))
    yield _row("not worse: equal", _not_worse(draw.pairs(0.0), size))
    yield _row(f"not worse: worse by the margin, {COLLAPSE:.0%} collapse", _not_worse(draw.collapsing(-size), size))
    ratio = power.detectable_ratio(design.seeds, design.tasks, ALPHA) or 0.5
    for truth, true in (("equal spread", 1.0), (f"spread {ratio:.2g} times as large", ratio)):
        yield _row(truth, _spread(true * draw.pairs(0.0), draw.pairs(0.0), ratio))


def describe(suite: Suite, design: Design, replicates: int) -> str:
    """The table for the terminal."""
    rows = list(simulate(design, replicates))
    width = max(len(row.truth) for row in rows)
    error = (ALPHA / 2 * (1 - ALPHA / 2) / replicates) ** 0.5
    draw = Draws(design, replicates, np.random.default_rng(1))
    return "\n".join(
        [
            f"{suite.name}: {counted(design.tasks, 'task')} x {design.seeds} seeds, pairs differ with a deviation of "
            f"{design.sd:g} point{'s' * (design.sd != 1)}; the claimed effect is {design.effect:.2g} points",
            f"{replicates} studies each (Monte Carlo error {error:.3f} at {ALPHA / 2:g}); evaluation sets of "
            f"{design.examples} examples, on which runs disagree about {DISAGREE:.0%}",
            "",
            "  ".join(["truth".ljust(width), *COLUMNS]),
            *(_line(row, width) for row in rows),
            "",
            f"chance that any of {counted(design.methods, 'method')} equal to the baseline is called higher or lower: "
            f"{draw.any_of_table():.3f}",
            "share of such pilots whose number of seeds really gives 80 % power for half the claimed effect: "
            f"{needed_holds(design):.2f}",
        ]
    )


def _line(row: Row, width: int) -> str:
    numbers = (row.reproduced, row.smaller, row.not_reproduced, row.covered)
    texts = ("" if value is None else f"{value:.3f}" for value in numbers)
    columns = (text.rjust(len(name)) for text, name in zip(texts, COLUMNS, strict=True))
    return "  ".join([row.truth.ljust(width), *columns]).rstrip()


def needed_holds(design: Design, pilots: int = 200, seed: int = 0) -> float:
    """In how many pilots of the design the number of seeds needed really gives half the claimed effect 80 %."""
    draw = Draws(design, pilots, np.random.default_rng(seed))
    variances = np.full(design.tasks, design.sd**2)
    held = []
    for estimate in draw.pairs(0.0).var(axis=-1, ddof=1):
        needs = power.seeds_for_mean(design.effect / 2, power.careful(estimate, design.seeds), ALPHA)
        true = power.power_of_mean(design.effect / 2, variances, needs or power.MOST_SEEDS, ALPHA)
        held.append(true >= power.POWER)
    return float(np.mean(held))


class Draws:
    """Differences of many studies, (replicates, tasks, seeds)."""

    def __init__(self, design: Design, replicates: int, generator: np.random.Generator) -> None:
        self.design, self.replicates, self.generator = design, replicates, generator

    def pairs(self, mean: float, seeds: int | None = None) -> np.ndarray:
        """Independent pairs with this true mean."""
        shape = (self.replicates, self.design.tasks, seeds or self.design.seeds)
        return mean + self.design.sd * self.generator.standard_normal(shape)

    def other_examples(self) -> np.ndarray:
        """No effect, but for what the examples of these evaluation sets favour, at every seed alike."""
        shape = (self.replicates, self.design.tasks, 1)
        return self.pairs(0.0) + self.design.error * self.generator.standard_normal(shape)

    def collapsing(self, mean: float) -> np.ndarray:
        """Pairs with this true mean, some of whose runs collapse."""
        depth = DEPTH * self.design.sd
        sound = self.pairs(mean + COLLAPSE * depth)
        return sound - depth * (self.generator.random(sound.shape) < COLLAPSE)

    def nested(self, *, by_others: bool = True) -> np.ndarray:
        """A variant like the baseline, chosen among several by held-out scores, on each task for itself.

        `by_others`: for each seed by the held-out scores of the other seeds, and not by all of them.
        """
        shape = (self.replicates, self.design.tasks, VARIANTS, self.design.seeds)
        scores, luck = self.generator.standard_normal((2, *shape))
        held_out = SHARED_LUCK * scores + (1 - SHARED_LUCK**2) ** 0.5 * luck
        looked_at = held_out.sum(axis=-1, keepdims=True) - (held_out if by_others else 0)
        chosen = np.broadcast_to(looked_at.argmax(axis=2, keepdims=True), (*shape[:2], 1, self.design.seeds))
        best = np.take_along_axis(scores, chosen, axis=2)[:, :, 0]
        baseline = self.generator.standard_normal(best.shape)
        return self.design.sd * (best - baseline) / 2**0.5

    def any_of_table(self) -> float:
        """How often any of several methods like the baseline is called higher or lower."""
        baseline, smallest = self.pairs(0.0), np.ones(self.replicates)
        for _ in range(self.design.methods):
            found = (self.pairs(0.0) - baseline) / 2**0.5
            up = np.sign(mean_of_tasks(found))[:, None, None]
            p = difference_p(FLIPS, up * found, self.design.effect, 0.0, by_mean=True, either=True)
            smallest = np.minimum(smallest, p.for_it)
        # Holm's first step.
        return float((smallest <= ALPHA / self.design.methods).mean())


Words = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""Which studies end *reproduced*, *reproduced, smaller than claimed*, and *not reproduced*."""


def _difference(
    found: np.ndarray, size: float, test: tests.OneSided = FLIPS, *, by_mean: bool = True, extra: float = 0.0
) -> Words:
    p = difference_p(test, found, size, 0.0, by_mean=by_mean, either=False, extra=extra)
    reproduced = (p.for_it <= ALPHA) & (mean_of_tasks(found) > 0)
    refuted = ~reproduced & (np.minimum(np.minimum(p.against, p.size), p.worse) <= ALPHA)
    return reproduced, reproduced & (p.size <= ALPHA), refuted


def looks(found: np.ndarray, size: float, planned: int) -> Words:
    """Whether a study is ever called either, if one looks after every seed: exactly at the plan, at any time else."""
    reproduced, refuted = np.zeros((2, len(found)), dtype=bool)
    for seeds in range(LEAST_SEEDS, found.shape[-1] + 1):
        exact = seeds == planned
        now = _difference(found[..., :seeds], size, FLIPS if exact else tests.anytime, by_mean=exact)
        reproduced, refuted = reproduced | now[0], refuted | now[2]
    return reproduced, None, refuted


def _not_worse(found: np.ndarray, margin: float) -> Words:
    reproduced = 2 * tests.t_test(found + margin) <= ALPHA
    return reproduced, None, ~reproduced & (2 * tests.t_test(-margin - found) <= ALPHA)


def _spread(first: np.ndarray, second: np.ndarray, ratio: float) -> Words:
    less = 2 * tests.brown_forsythe(first, second, "less") <= ALPHA
    against = [2 * tests.brown_forsythe(first / scale, second, "greater") <= ALPHA for scale in (1.0, ratio)]
    return less, None, ~less & np.logical_or(*against)


def _covers(found: np.ndarray, truth: float) -> np.ndarray:
    """Whether the interval of the sign flips holds the truth: it is what they do not reject."""
    return 2 * np.minimum(FLIPS(found - truth), FLIPS(truth - found)) > ALPHA


def _row(truth: str, words: Words, covered: Any = None) -> Row:
    return Row(truth, *(None if found is None else float(found.mean()) for found in (*words, covered)))  # pyright: ignore

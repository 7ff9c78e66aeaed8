"""`steadytune simulate`: how often each verdict is right or wrong with a suite's numbers of tasks and seeds.

Many studies with a known true effect are drawn and judged by the rule of `claims`. This shows the effect of changing
that rule or the design. Differences are normal; above 2^10 patterns, sign flips are sampled.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from steadytune.claims import power, significance
from steadytune.claims.claim import ALPHA
from steadytune.claims.differences import difference_p
from steadytune.claims.lacks import LEAST_SEEDS
from steadytune.claims.sign_flips import sign_flips
from steadytune.claims.spread import brown_forsythe
from steadytune.claims.statistics import mean_of_tasks, stratified_mean
from steadytune.planning.studies import COLLAPSE, DISAGREE, VARIANTS, Design, Draws
from steadytune.suite.suite import Suite
from steadytune.text import counted

FLIPS: significance.OneSided = partial(sign_flips, exact=10, draws=1999)
COLUMNS = ("reproduced", "of these smaller", "not reproduced", "interval covers")


class Row(NamedTuple):
    """How often a kind of study ends in each verdict; the remaining studies are inconclusive."""

    truth: str
    reproduced: float
    smaller: float | None
    """Reproduced, but shown to be smaller than claimed; None if the claim has a bound but no size."""
    not_reproduced: float
    covered: float | None = None
    """How often the interval contains the true effect."""


def simulate(design: Design, replicates: int) -> Iterator[Row]:
    """The rows of the table, in order."""
    draw = Draws(design, replicates, np.random.default_rng(0))
    size = design.effect
    for truth, mean in (("no effect", 0.0), ("half the claimed effect", size / 2), ("the claimed effect", size)):
        differences = draw.pairs(mean)
        yield _row(truth, _difference(differences, size), _covers(differences, mean))
    differences = draw.pairs(size)
    yield _row("half of a claimed effect twice as large", _difference(differences, 2 * size))
    last = max(design.seeds, 25)
    for truth, mean in (("no effect", 0.0), ("the claimed effect", size)):
        differences = draw.pairs(mean, seeds=last)
        yield _row(f"{truth}, a look after every seed up to {last}", looks(differences, size, design.seeds))
    differences = draw.other_examples()
    yield _row("no effect on other examples", _difference(differences, size), _covers(differences, 0.0))
    extra = design.error / design.tasks**0.5
    low, high = stratified_mean(differences, extra).interval()
    over = _difference(differences, size, partial(significance.t_test, extra=extra), extra=extra)
    yield _row("the same, over examples", over, (low <= 0) & (high >= 0))
    yield _row(f"{VARIANTS} equal variants, nested", _difference(draw.nested(), size))
    yield _row("not worse: worse by the margin", _not_worse(draw.pairs(-size), size))
    yield _row("not worse: equal", _not_worse(draw.pairs(0.0), size))
    yield _row(f"not worse: worse by the margin, {COLLAPSE:.0%} collapse", _not_worse(draw.collapsing(-size), size))
    ratio = power.detectable_ratio(design.seeds, design.tasks, ALPHA) or 0.5
    for truth, true in (("equal spread", 1.0), (f"spread {ratio:.2g} times as large", ratio)):
        yield _row(truth, _spread(true * draw.pairs(0.0), draw.pairs(0.0), ratio))
    differences = draw.collapsing(0.0)
    yield _row(f"no effect, {COLLAPSE:.0%} collapse", _difference(differences, size), _covers(differences, 0.0))


def describe(suite: Suite, design: Design, replicates: int) -> str:
    """The table for the terminal."""
    rows = list(simulate(design, replicates))
    width = max(len(row.truth) for row in rows)
    error = (ALPHA / 2 * (1 - ALPHA / 2) / replicates) ** 0.5
    draw = Draws(design, replicates, np.random.default_rng(1))
    return "\n".join(
        [
            f"{suite.name}: {counted(design.tasks, 'task')} x {design.seeds} seeds, pairs differ with a deviation of "
            f"{counted(design.sd, 'point', 'g')}; the claimed effect is {design.effect:.2g} points",
            f"{replicates} studies each (Monte Carlo error {error:.3f} at {ALPHA / 2:g}); evaluation sets of "
            f"{design.examples} examples, on which runs disagree about {DISAGREE:.0%}",
            "",
            "  ".join(["truth".ljust(width), *COLUMNS]),
            *(_line(row, width) for row in rows),
            "",
            f"chance that any of {counted(design.methods, 'method')} equal to the baseline is called higher or lower: "
            f"{false_alarms(draw):.3f}",
            "share of such pilots whose number of seeds really gives 80 % power for half the claimed effect: "
            f"{needed_holds(design):.2f}",
        ]
    )


def _line(row: Row, width: int) -> str:
    numbers = (row.reproduced, row.smaller, row.not_reproduced, row.covered)
    texts = ("" if value is None else f"{value:.3f}" for value in numbers)
    columns = (text.rjust(len(name)) for text, name in zip(texts, COLUMNS, strict=True))
    return "  ".join([row.truth.ljust(width), *columns]).rstrip()


def needed_holds(design: Design, pilots: int = 200) -> float:
    """The share of pilot studies whose number of seeds needed really gives 80 % power for half the claimed effect."""
    draw = Draws(design, pilots, np.random.default_rng(0))
    variances = np.full(design.tasks, design.sd**2)
    held = []
    for estimate in draw.pairs(0.0).var(axis=-1, ddof=1):
        needs = power.seeds_for_mean(design.effect / 2, power.upper_variances(estimate, design.seeds), ALPHA)
        true = power.power_of_mean(design.effect / 2, variances, needs or power.MOST_SEEDS, ALPHA)
        held.append(true >= power.POWER)
    return float(np.mean(held))


def false_alarms(draws: Draws) -> float:
    """How often at least one of several methods that equal the baseline is called higher or lower."""
    design, smallest = draws.design, np.ones(draws.replicates)
    baseline = draws.pairs(0.0)
    for _ in range(design.methods):
        differences = (draws.pairs(0.0) - baseline) / 2**0.5
        up = np.sign(mean_of_tasks(differences))[:, None, None]
        p = difference_p(FLIPS, up * differences, design.effect, 0.0, by_mean=True, either=True)
        smallest = np.minimum(smallest, p.for_it)
    # The first step of Holm's correction.
    return float((smallest <= ALPHA / design.methods).mean())


Outcomes = tuple[np.ndarray, np.ndarray | None, np.ndarray]
"""Which studies end as *reproduced*, *reproduced, smaller than claimed*, and *not reproduced*."""


def _difference(
    differences: np.ndarray,
    size: float,
    test: significance.OneSided = FLIPS,
    *,
    by_mean: bool = True,
    extra: float = 0.0,
) -> Outcomes:
    p = difference_p(test, differences, size, 0.0, by_mean=by_mean, either=False, extra=extra)
    reproduced = (p.for_it <= ALPHA) & (mean_of_tasks(differences) > 0)
    refuted = ~reproduced & (np.minimum(np.minimum(p.against, p.size), p.worse) <= ALPHA)
    return reproduced, reproduced & (p.size <= ALPHA), refuted


def looks(differences: np.ndarray, size: float, planned: int) -> Outcomes:
    """How studies end with a look after every seed: p-values are exact at the planned number, else anytime-valid."""
    reproduced, refuted = np.zeros((2, len(differences)), dtype=bool)
    for seeds in range(LEAST_SEEDS, differences.shape[-1] + 1):
        exact = seeds == planned
        now = _difference(differences[..., :seeds], size, FLIPS if exact else significance.anytime, by_mean=exact)
        reproduced, refuted = reproduced | now[0], refuted | now[2]
    return reproduced, None, refuted


def _not_worse(differences: np.ndarray, margin: float) -> Outcomes:
    reproduced = 2 * significance.t_test(differences + margin) <= ALPHA
    return reproduced, None, ~reproduced & (2 * significance.t_test(-margin - differences) <= ALPHA)


def _spread(first: np.ndarray, second: np.ndarray, ratio: float) -> Outcomes:
    less = 2 * brown_forsythe(first, second, "less") <= ALPHA
    against = [2 * brown_forsythe(first / scale, second, "greater") <= ALPHA for scale in (1.0, ratio)]
    return less, None, ~less & np.logical_or(*against)


def _covers(differences: np.ndarray, truth: float) -> np.ndarray:
    """Whether the interval of the sign-flip test (the shifts it does not reject) contains the true effect."""
    return 2 * np.minimum(FLIPS(differences - truth), FLIPS(truth - differences)) > ALPHA


def _row(truth: str, outcomes: Outcomes, covered: Any = None) -> Row:
    return Row(truth, *(None if share is None else float(share.mean()) for share in (*outcomes, covered)))  # pyright: ignore

"""From the paired runs of a claim to an effect, its interval, p-values for and against, and what the seeds could show.

All p-values are on one scale: at most alpha speaks for, or against, the claim. Tests of a difference are two-sided, so
that each side's is twice the one-sided value; tests against a bound are one-sided. A claim about several baselines is
about each: its p-value is the largest of theirs, and its contrary's the smallest times their number.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy import stats

from steadytune.claims import power
from steadytune.claims.claim import (
    Claim,
    Comparison,
    Cost,
    Difference,
    Equivalent,
    Gain,
    LayerStability,
    NotWorse,
    Spread,
)
from steadytune.claims.evidence import Evidence
from steadytune.claims.judged import Finding, Unit
from steadytune.claims.significance import above, brown_forsythe, sign_flip, tost, wilcoxon
from steadytune.claims.statistics import (
    Centre,
    bootstrap_interval,
    mean_of_tasks,
    spread_interval,
    spread_ratio,
    stratified_mean,
)

UNITS: dict[str, Unit] = {"spread": "ratio", "cost": "ratio", "layer-stability": "share"}


@dataclass(frozen=True)
class Design:
    """What decides the power of the comparison with one baseline."""

    alpha: float
    """The level that decides what the seeds could show."""
    chance: float
    """With which an effect of the claim's size is to be shown."""
    centre: Centre = "mean"


def find(claim: Claim, evidence: Evidence, alpha: float, centre: Centre = "mean") -> Finding:
    """The finding of a claim whose evidence lacks nothing.

    Args:
        claim: what is claimed.
        evidence: its runs.
        alpha: the claim's share of its family's error, which decides what the seeds could show.
        centre: what stands for a task's runs.
    """
    if isinstance(claim, LayerStability):
        return _layers(claim, evidence, alpha)
    design = Design(alpha, power.chance_of_each(len(evidence.pairs)), centre)
    each = [
        replace(_compare(claim, first, second, design), against=name)
        for name, (first, second) in evidence.pairs.items()
    ]
    weakest = min(each, key=lambda found: (found.favours, -found.p if found.favours else found.p_against))
    needs = [found.needs for found in each]
    most = None if None in needs else max(count for count in needs if count is not None)
    return replace(
        weakest,
        p_against=min(1.0, len(each) * min(found.p_against for found in each)),
        powered=all(found.powered for found in each),
        needs=most,
        smallest_p=max(found.smallest_p for found in each),
    )


def _compare(claim: Comparison, first: np.ndarray, second: np.ndarray, design: Design) -> Finding:
    """One baseline; both arrays (strata, seeds)."""
    if isinstance(claim, Spread):
        return _spread(claim, first, second, design)
    if isinstance(claim, Cost):
        return _cost(claim, first - second, design)
    if isinstance(claim, NotWorse | Equivalent):
        return _bounded(claim, first - second, design)
    assert isinstance(claim, Difference | Gain)
    return _difference(claim, first - second, design)


def _difference(claim: Difference | Gain, differences: np.ndarray, design: Design) -> Finding:
    """differences: first - second in points, (strata, seeds)."""
    sign, centre = 1 if claim.direction == "higher" else -1, design.centre
    test: Callable[..., float] = wilcoxon if claim.test == "wilcoxon" else sign_flip
    options = {} if claim.test == "wilcoxon" else {"centre": centre}
    effect = mean_of_tasks(differences, centre)
    # Pairs that are equal have no sign, so that this can be more than `power.smallest_p` of as many pairs.
    smallest = min(1.0, 2 * test(np.abs(differences), "greater", **options))
    powered, needs, detectable = _mean_design(differences, abs(claim.size()), design, "difference")
    return Finding(
        effect=effect,
        interval=stratified_mean(differences).interval(),
        bootstrap=bootstrap_interval(differences, centre),
        favours=sign * effect > 0,
        p=min(1.0, 2 * test(sign * differences, "greater", **options)),
        p_against=min(1.0, 2 * test(sign * differences, "less", **options)),
        powered=powered and smallest <= design.alpha,
        needs=needs,
        detectable=detectable,
        smallest_p=smallest,
    )


def _bounded(claim: NotWorse | Equivalent, differences: np.ndarray, design: Design) -> Finding:
    """Not worse than -margin, or between -margin and margin; differences in points, (strata, seeds)."""
    margin, both, centre = claim.size(), isinstance(claim, Equivalent), design.centre
    goal: power.Goal = "equivalence" if both else "bound"
    powered, needs, detectable = _mean_design(differences, margin, design, goal)
    # For medians `above` flips signs about the bound; the t test of means has no such limit.
    sides = (differences + margin, differences - margin)[: 1 + both]
    smallest = 0.0 if centre == "mean" else max(above(np.abs(side), 0, centre) for side in sides)
    too_low, too_high = above(-differences, margin, centre), above(differences, margin, centre)
    effect = mean_of_tasks(differences, centre)
    return Finding(
        effect=effect,
        interval=stratified_mean(differences).interval(),
        bootstrap=bootstrap_interval(differences, centre),
        favours=abs(effect) < margin if both else effect > -margin,
        p=tost(differences, margin, centre) if both else above(differences, -margin, centre),
        p_against=min(too_low, too_high) if both else too_low,
        powered=powered and smallest <= design.alpha,
        needs=needs,
        detectable=detectable,
        smallest_p=smallest,
    )


def _cost(claim: Cost, logs: np.ndarray, design: Design) -> Finding:
    """logs: of first / second, (strata, seeds).

    The power question: would the bound be shown if both cost the same, or, for a bound below 1, if the first cost the
    bound's square of the second?
    """
    bound = math.log(claim.size())
    powered, needs, detectable = _mean_design(logs, abs(bound), design, "bound")
    estimate = stratified_mean(logs)
    low, high = estimate.interval()
    return Finding(
        effect=math.exp(estimate.mean),
        interval=(math.exp(low), math.exp(high)),
        favours=estimate.mean <= bound,
        p=above(-logs, -bound),
        p_against=above(logs, bound),
        powered=powered,
        needs=needs,
        detectable=math.exp(detectable if bound > 0 else bound - detectable),
        smallest_p=0.0,
    )


def _spread(claim: Spread, first: np.ndarray, second: np.ndarray, design: Design) -> Finding:
    (strata, seeds), alpha, chance = first.shape, design.alpha, design.chance
    ratio = spread_ratio(first, second)
    return Finding(
        effect=ratio,
        interval=spread_interval(ratio, strata, seeds),
        favours=ratio < 1,
        p=min(1.0, 2 * float(brown_forsythe(first, second, "less"))),
        p_against=min(1.0, 2 * float(brown_forsythe(first, second, "greater"))),
        powered=power.power_of_ratio(claim.size(), seeds, strata, alpha) >= chance,
        needs=power.seeds_for_ratio(claim.size(), strata, alpha, chance=chance),
        detectable=power.detectable_ratio(seeds, strata, alpha, chance=chance),
        smallest_p=0.0,
    )


def _layers(claim: LayerStability, evidence: Evidence, alpha: float) -> Finding:
    """The share of draws that agree, all strata together."""
    hits, draws = (sum(column) for column in zip(*evidence.draws, strict=True))
    share, smallest = claim.size(), claim.size() ** draws
    found = stats.binomtest(hits, draws, share, "greater")
    low, high = stats.binomtest(hits, draws, share).proportion_ci(0.95)
    return Finding(
        effect=hits / draws,
        interval=(float(low), float(high)),
        favours=hits / draws >= share,
        p=float(found.pvalue),
        p_against=float(stats.binomtest(hits, draws, share, "less").pvalue),
        powered=smallest <= alpha,
        needs=math.ceil(math.log(alpha) / math.log(share)),
        detectable=float("nan"),
        smallest_p=smallest,
    )


def _mean_design(
    differences: np.ndarray, size: float, design: Design, goal: power.Goal
) -> tuple[bool, int | None, float]:
    """Whether `size` had the chance that is asked, the seeds with which it has, and what had it with these."""
    (strata, seeds), alpha, chance = differences.shape, design.alpha, design.chance
    sd = float(np.sqrt(differences.var(axis=1, ddof=1).mean()))
    powered = power.power_of_mean(size, sd, seeds, strata, alpha, goal) >= chance
    unequal = Fraction(int(np.count_nonzero(differences)), differences.size)
    needs = power.seeds_for_mean(size, sd, strata, alpha, goal, chance=chance, unequal=unequal)
    return powered, needs, power.detectable_effect(sd, seeds, strata, alpha, goal, chance=chance)

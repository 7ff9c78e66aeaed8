"""The finding on a claim from its paired runs: effect, intervals, p-values, and what the seeds could show.

All p-values are on one scale: at most alpha is evidence for, or against, the claim. Each is twice a one-sided value, so
bounds too are tested at 0.025. A claim about several baselines must hold against each: its p-value is the largest of
theirs, and each p-value against it is the smallest times their number (Bonferroni).
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np

from steadytune.claims import power, significance
from steadytune.claims.claim import (
    Claim,
    Comparison,
    Cost,
    Equivalent,
    LayerStability,
    MeanDifference,
    NotWorse,
    Spread,
)
from steadytune.claims.designs import Design, power_of
from steadytune.claims.differences import difference_p, doubled
from steadytune.claims.evidence import Evidence, Test
from steadytune.claims.judged import Finding, Interval, Unit
from steadytune.claims.ratios import find_cost, find_share, find_spread
from steadytune.claims.sign_flips import flip_interval, sign_flips, signed_ranks
from steadytune.claims.statistics import cautious_mean, constant, mean_of_tasks

UNITS: dict[str, Unit] = {"spread": "ratio", "cost": "ratio", "layer-stability": "share"}


def find(claim: Claim, evidence: Evidence, alpha: float, test: Test = "its own", *, interim: bool = False) -> Finding:
    """The finding on a claim whose evidence lacks nothing.

    Args:
        claim: what is claimed.
        evidence: its runs.
        alpha: the claim's share of its family's error rate.
        test: the test of mean differences.
        interim: whether p-values must be anytime-valid.
    """
    if isinstance(claim, LayerStability):
        return find_share(claim, evidence, alpha)
    chance = power.chance_of_each(len(evidence.pairs))
    each = [
        replace(
            _compare(claim, first, second, Design(alpha, chance, test, interim, evidence.errors.get(name))),
            against=name,
        )
        for name, (first, second) in evidence.pairs.items()
    ]
    weakest = min(each, key=lambda found: (found.favours, -found.p if found.favours else found.p_against))
    ranges = [found.needs_range for found in each if found.needs_range]
    return replace(
        weakest,
        p=max(found.p for found in each),
        e_value=min(found.e_value for found in each),
        **{name: _smallest([getattr(found, name) for found in each]) for name in AGAINST},
        needs=_most([found.needs for found in each]),
        needs_range=(_most([low for low, _ in ranges]), _most([high for _, high in ranges])) if ranges else None,
        smallest_p=max(found.smallest_p for found in each),
    )


def _smallest(p_values: Sequence[float]) -> float:
    """The smallest p-value times the number of p-values, at most 1; NaN if the claim has no such test."""
    return float(np.minimum(1.0, len(p_values) * np.min(p_values)))


def _most(counts: Sequence[int | None]) -> int | None:
    """The largest count; None, which means more than `power` searches, if any count is None."""
    known = [count for count in counts if count is not None]
    return max(known) if len(known) == len(counts) else None


AGAINST = ("p_against", "p_size", "p_worse")
"""The p-values of a finding that can refute a claim."""


def _compare(claim: Comparison, first: np.ndarray, second: np.ndarray, design: Design) -> Finding:
    """The finding against one baseline; both arrays are (strata, seeds)."""
    if isinstance(claim, Spread):
        return find_spread(claim, first, second, design)
    if isinstance(claim, Cost):
        return find_cost(claim, first - second, design)
    if isinstance(claim, NotWorse | Equivalent):
        return _bounded(claim, first - second, design)
    assert isinstance(claim, MeanDifference)
    return _difference(claim, first - second, design)


def _difference(claim: MeanDifference, differences: np.ndarray, design: Design) -> Finding:
    """differences: first - second in points, (strata, seeds)."""
    effect = mean_of_tasks(differences)
    # A claim without a direction takes the effect's; p is two-sided either way.
    higher = claim.direction == "higher" or (claim.direction == "either" and effect >= 0)
    size, gains = abs(claim.size()), differences if higher else -differences
    bound = size if claim.at_least else 0.0
    test, interval = _test_of(claim.test, differences, design)
    either = claim.direction == "either"
    p = difference_p(test, gains, size, bound, by_mean=design.by_mean, either=either, extra=design.extra)
    # If all differences are equal, a t test would be certain of any effect.
    t_speaks = either and design.by_mean and not constant(gains).all()
    if p.by_mean or (t_speaks and math.isinf(interval[0])):
        interval = cautious_mean(differences, design.extra).interval()
    # Pairs at the bound have no sign.
    from_bound = gains - bound
    signs = Fraction(int(np.count_nonzero(np.nan_to_num(from_bound))), int(np.isfinite(gains).sum()))
    # A true effect equal to the bound would be shown by chance alone, so power is for an effect of bound + size.
    needs, needs_range, detectable = power_of(size, differences, design, unequal=signs, either=t_speaks)
    return Finding(
        effect=effect,
        interval=interval,
        interval_examples=_over_both(differences, design),
        favours=bool(mean_of_tasks(gains) > bound),
        p=p.for_it,
        p_against=p.against,
        p_size=float(p.size),
        p_worse=p.worse,
        needs=needs,
        needs_range=needs_range,
        detectable=bound + detectable,
        # If some pairs have no sign, this can exceed `power.smallest_p` of as many pairs.
        smallest_p=0.0 if t_speaks else doubled(sign_flips(np.abs(from_bound))),
        e_value=significance.e_value(from_bound),
    )


def _test_of(name: str, differences: np.ndarray, design: Design) -> tuple[significance.OneSided, Interval]:
    """The test of a mean difference, and the interval of the shifts that it does not reject."""
    if design.interim:
        return significance.anytime, significance.inverted(significance.anytime, differences)
    if design.test == "by seed":
        return significance.by_seed, significance.t_interval(np.nanmean(differences, axis=0)[None])
    if design.test == "over examples":
        return partial(significance.t_test, extra=design.extra), significance.t_interval(differences, design.extra)
    if design.test == "ranks" or name == "wilcoxon":
        return signed_ranks, significance.inverted(signed_ranks, differences)
    return sign_flips, flip_interval(differences)


def _bounded(claim: NotWorse | Equivalent, differences: np.ndarray, design: Design) -> Finding:
    """The finding on being above -margin, or within -margin to margin; differences in points, (strata, seeds)."""
    margin, both = claim.size(), isinstance(claim, Equivalent)
    test: significance.OneSided = (
        significance.anytime if design.interim else partial(significance.t_test, extra=design.extra)
    )
    effect, low, high = mean_of_tasks(differences), test(differences + margin), test(margin - differences)
    too_low, too_high = test(-margin - differences), test(differences - margin)
    # If all pairs of each task are equal, only their signs count, and few pairs have few sign patterns.
    signs = not design.extra and bool(constant(differences).all())
    needs, needs_range, detectable = power_of(
        margin, differences, design, both=both, unequal=Fraction(1) if signs else None
    )
    return Finding(
        effect=effect,
        interval=significance.inverted(test, differences)
        if design.interim
        else significance.t_interval(differences, design.extra),
        interval_examples=_over_both(differences, design),
        favours=bool(abs(effect) < margin if both else effect > -margin),
        p=doubled(max(low, high) if both else low),
        p_against=doubled(min(too_low, too_high) if both else too_low),
        needs=needs,
        needs_range=needs_range,
        detectable=detectable,
        smallest_p=power.smallest_p(int(np.isfinite(differences).sum())) if signs else 0.0,
    )


def _over_both(differences: np.ndarray, design: Design) -> Interval | None:
    """The interval over seeds and examples; None at an interim look, because it is valid for a single look only."""
    return None if design.error is None or design.interim else significance.t_interval(differences, design.error)

"""Findings that are ratios or shares: relative cost, relative spread, and how often draws agree."""

import math

import numpy as np
from scipy import stats

from steadytune.claims import power, significance
from steadytune.claims.claim import Cost, LayerStability, Spread
from steadytune.claims.designs import Design, power_of
from steadytune.claims.differences import doubled
from steadytune.claims.evidence import Evidence
from steadytune.claims.judged import Finding
from steadytune.claims.spread import Alternative, brown_forsythe, spread_interval, spread_ratio
from steadytune.claims.statistics import constant, stratified_mean

ROUNDING = 1e-9
"""Tolerance for the log of a ratio of costs."""


def find_cost(claim: Cost, logs: np.ndarray, design: Design) -> Finding:
    """The finding on a bound for relative cost; `logs` are logs of first / second, (strata, seeds).

    Power is the chance of showing the bound if both cost the same or, for a bound below 1, if the true ratio is the
    bound's square.
    """
    bound = math.log(claim.size())
    estimate = stratified_mean(logs)
    # The anytime-valid test takes per cent as points.
    test: significance.OneSided = (
        (lambda values: significance.anytime(100 * values)) if design.interim else significance.t_test
    )
    # Costs that are counted, not measured, do not vary, so no test is needed.
    counted = bool(constant(logs).all())
    low, high = significance.inverted(test, logs) if design.interim and not counted else estimate.interval()
    p, p_against = doubled(test(bound - logs)), doubled(test(logs - bound))
    if counted:
        p, p_against = (0.0, 1.0) if estimate.mean <= bound + ROUNDING else (1.0, 0.0)
    needs, needs_range, reach = power_of(abs(bound), logs, design)
    return Finding(
        effect=math.exp(estimate.mean),
        interval=(math.exp(low), math.exp(high)),
        favours=bool(estimate.mean <= bound + ROUNDING),
        p=p,
        p_against=p_against,
        needs=needs,
        needs_range=needs_range,
        detectable=math.exp(reach if bound > 0 else bound - reach),
        smallest_p=0.0,
    )


def find_spread(claim: Spread, first: np.ndarray, second: np.ndarray, design: Design) -> Finding:
    """The finding on whether `first` spreads less over seeds; both arrays are scores in points, (strata, seeds)."""
    (strata, seeds), alpha, chance = first.shape, design.alpha, design.chance
    ratio = spread_ratio(first, second)

    def p(alternative: Alternative, scale: float = 1.0) -> float:
        found = float(brown_forsythe(first / scale, second, alternative))
        return 1.0 if design.interim else float(doubled(found))

    return Finding(
        effect=ratio,
        interval=spread_interval(ratio, strata, seeds),
        favours=ratio < 1,
        p=p("less"),
        p_against=p("greater"),
        p_size=p("greater", claim.size()),
        needs=power.seeds_for_ratio(claim.size(), strata, alpha, chance=chance),
        detectable=power.detectable_ratio(seeds, strata, alpha, chance=chance),
        smallest_p=0.0,
    )


def find_share(claim: LayerStability, evidence: Evidence, alpha: float) -> Finding:
    """The finding on the share of draws that agree with all examples on a layer, all strata together."""
    hits, draws = (sum(column) for column in zip(*evidence.draws, strict=True))
    share = claim.size()
    low, high = stats.binomtest(hits, draws, share).proportion_ci(0.95)
    return Finding(
        effect=hits / draws,
        interval=(float(low), float(high)),
        favours=hits / draws >= share,
        p=doubled(float(stats.binomtest(hits, draws, share, "greater").pvalue)),
        p_against=doubled(float(stats.binomtest(hits, draws, share, "less").pvalue)),
        needs=math.ceil(math.log(alpha / 2) / math.log(share)),
        detectable=float("nan"),
        smallest_p=doubled(share**draws),
    )

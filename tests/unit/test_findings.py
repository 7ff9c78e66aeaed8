"""Findings from paired runs, checked by hand: several baselines, equal pairs, bounds and interim looks."""

import itertools

import numpy as np
import pytest
from scipy import stats

from steadytune.claims import power
from steadytune.claims.claim import Cost, Difference, Equivalent, NotWorse, Spread
from steadytune.claims.evidence import Evidence
from steadytune.claims.findings import find
from steadytune.claims.judged import Finding
from steadytune.claims.significance import e_value


def compared(kind, pairs, analysis="its own", *, interim=False, errors=(), **changes) -> Finding:
    """The finding at level 0.05 for a claim against the baselines in `pairs`, each with both sides' arrays."""
    values = {"id": "c", "sentence": "", "where": "", "paper": "p", "source": "", "family": "f", "encoders": ("one",),
              "tasks": ("rte",), "method": "m", "margin": 1.0, "seeds": 3}  # fmt: skip
    evidence = Evidence(pairs=pairs, errors=dict(errors))
    return find(kind(**values | changes, against=tuple(pairs)), evidence, 0.05, analysis, interim=interim)


def finding(kind, *differences, **settings) -> Finding:
    """The finding for a claim against one baseline for each array of differences (tasks, seeds)."""
    pairs = {f"baseline-{place}": (rows, np.zeros_like(rows)) for place, rows in enumerate(differences)}
    return compared(kind, pairs, **settings)


def difference(*differences, **changes) -> Finding:
    return finding(Difference, *differences, statistic="difference", **changes)


def test_opposite_claim_is_bonferroni_corrected_over_the_baselines():
    # Six pairs below both baselines: 2 of 2^6 sign patterns against each, times two tests.
    below = np.array([[-1.0, -1.2, -0.8, -1.1, -0.9, -1.3]])
    assert difference(below).p_against == 2 / 64
    assert difference(below, below - 0.1).p_against == 4 / 64
    # One baseline is beaten, but the p-value against the other is still doubled.
    found = difference(below, -below)
    assert (found.p_against, found.against, found.favours) == (4 / 64, "baseline-0", False)
    assert difference(-below, -below, -below).p_against == 1


def test_p_values_that_do_not_apply_to_a_claim_are_nan():
    below = np.array([[-1.0, -1.2, -0.8, -1.1, -0.9, -1.3]])
    bound = finding(NotWorse, below, below, statistic="not-worse")
    assert np.isnan([bound.p_size, bound.p_worse]).all()
    assert np.isfinite(bound.p_against)
    assert np.isfinite([difference(below).p_size, difference(below).p_worse]).all()


def test_power_is_planned_for_all_baselines_together():
    # A miss probability of 0.2 in all: 0.1 for each of two baselines, 0.2 / 3 for each of three.
    assert [power.chance_of_each(count) for count in (1, 2, 3)] == pytest.approx([0.8, 0.9, 1 - 0.2 / 3])
    pairs = 0.5 + np.tile([[1.0, -1.0]], 19) * np.sqrt(37 / 38)
    one, two = difference(pairs, margin=0.5), difference(pairs, pairs, margin=0.5)
    # The deviation is 1, times the factor that makes the plan hold in 80 % of cases.
    variances = np.ones(1) * 37 / stats.chi2.ppf(0.2, 37)
    assert one.needs == power.seeds_for_mean(0.5, variances, 0.05)
    assert two.needs == power.seeds_for_mean(0.5, variances, 0.05, chance=0.9)
    assert two.detectable > one.detectable > 0.5


def test_equal_pairs_have_no_sign():
    # Two tasks of four seeds, equal on one task: four signs, so p is at least 2 of 2^4 patterns.
    differences = np.array([[3.0, 3.2, 2.9, 3.1], [0.0] * 4])
    found = difference(differences)
    assert found.p == found.smallest_p == 2 / 16
    # Each further seed adds one pair with a sign: 2^(1 - 6) is below 0.05.
    assert found.needs == 6
    assert difference(differences, test="wilcoxon").smallest_p == 2 / 16


def test_identical_runs_decide_nothing():
    found = difference(np.zeros((2, 3)))
    assert (found.p, found.smallest_p, found.needs) == (1, 1, None)


def test_at_least_claim_is_tested_against_its_margin():
    gains = np.array([[1.4, 1.5, 1.6, 1.5, 1.3, 1.7]])
    found = difference(gains, at_least=True)
    assert (found.p, found.favours) == (2 / 64, True)
    # Clearly above 0, but not by 2 points.
    too_small = difference(gains, at_least=True, margin=2.0)
    assert (too_small.p, too_small.p_against, too_small.favours) == (1, 2 / 64, False)
    assert difference(gains, margin=2.0).p == difference(gains, margin=2.0).p_size == 2 / 64


def test_at_least_claim_drops_pairs_at_the_bound_not_equal_pairs():
    gains = np.array([[0.0, 0.0, 0.0, 3.0, 3.1, 3.2]])
    # All six lie above or below 1 point, but only three lie above 0.
    assert difference(gains, at_least=True).smallest_p == 2 / 64
    assert difference(gains).smallest_p == 2 / 8
    found = difference(gains / 3.0, at_least=True, direction="lower")
    assert found.smallest_p == 2 / 64
    at_bound = difference(np.array([[1.0, 1.0, 1.0, 3.0, 3.1, 3.2]]), at_least=True)
    assert (at_bound.p, at_bound.smallest_p) == (2 / 8, 2 / 8)


def test_p_value_against_several_baselines_is_the_largest():
    # Above the first baseline at every seed but one, whose loss pulls the mean below it; the second is a tie.
    first = np.array([[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, -20.0]])
    second = np.array([[0.1, -0.13, 0.2, -0.22, 0.3, -0.05, 0.12, -0.01]])
    each = [2 * stats.wilcoxon(pairs[0], alternative="greater", method="exact").pvalue for pairs in (first, second)]
    found = difference(first, second, test="wilcoxon")
    assert (found.against, found.favours) == ("baseline-0", False)
    assert found.p == pytest.approx(max(each))
    assert found.p > min(each)


def test_clear_average_loss_is_found_although_tasks_disagree():
    """+8.8 and -44.5 points on two tasks: sign flips cannot detect the loss, the t test of the mean can."""
    found = difference(np.array([[8.5, 8.8, 9.1], [-44.1, -44.5, -44.9]]))
    assert found.p_against > 0.05 > 0.001 > found.p_worse
    # The interval belongs to the test that decides; the sign-flip interval spans both tasks' means.
    assert found.interval[0] < -17.85 < found.interval[1] < -16


def test_bound_claims_are_tested_at_half_of_the_level():
    differences = np.array([[-0.4, 0.3, 0.2, -0.1]])
    above = stats.ttest_1samp(differences[0], -1, alternative="greater").pvalue
    below = stats.ttest_1samp(differences[0], 1, alternative="less").pvalue
    assert finding(NotWorse, differences, statistic="not-worse").p == pytest.approx(2 * above)
    both = finding(Equivalent, differences, statistic="equivalent")
    assert both.p == pytest.approx(2 * max(above, below))
    assert both.smallest_p == 0


def test_interim_p_value_is_the_anytime_valid_one():
    differences = np.array([[3.0, 2.0, 2.5], [1.5, 2.0, 1.0]])
    found = difference(differences, interim=True)
    assert found.p == pytest.approx(2 / found.e_value)
    assert difference(differences).p < found.p
    assert finding(NotWorse, differences, statistic="not-worse", interim=True).p == pytest.approx(
        2 / e_value(differences + 1)
    )


def test_interim_cost_counts_one_per_cent_as_one_point():
    logs = np.array([[0.02, 0.03, 0.025, 0.02, 0.03, 0.02, 0.03, 0.02]])
    settings = {"statistic": "cost", "measure": "flops", "margin": 1.05}
    found = finding(Cost, logs, interim=True, **settings)
    assert found.p == pytest.approx(2 / e_value(100 * (np.log(1.05) - logs)))
    # The interval matches the test: its upper end is the tightest bound that can be shown.
    just = finding(Cost, logs, interim=True, **settings | {"margin": found.interval[1]})
    assert just.p == pytest.approx(0.05, rel=1e-2)


def test_differences_equal_up_to_rounding_decide_nothing():
    # One more of 277 examples is right at each seed.
    second = 100 * np.array([[150, 160, 141]]) / 277
    gains = 100 * np.array([[151, 161, 142]]) / 277 - second
    assert len(set(gains[0])) > 1
    found, exact = difference(gains, direction="either"), difference(np.full((1, 3), 0.5), direction="either")
    assert found.p == exact.p == 0.25
    # Three signs cannot exclude any shift.
    assert np.isinf([found.interval, exact.interval]).all()
    assert difference(-gains).p_worse == difference(np.full((1, 3), -0.5)).p_worse == 1


def test_loss_within_the_error_over_examples_is_not_significant():
    losses = np.array([[-1.0, -1.1, -0.9, -1.05, -0.95, -1.0]])
    over_seeds = difference(losses)
    assert over_seeds.p_worse < 1e-4
    settings = {"analysis": "over examples", "errors": {"baseline-0": 2.0}}
    # A t statistic of -1 / 2 with almost no uncertainty about the error.
    undone = pytest.approx(2 * stats.norm.cdf(-0.5), rel=0.01)
    assert difference(losses, **settings).p_worse == undone
    assert difference(losses, direction="lower", **settings).p == undone
    assert difference(losses, analysis="by seed").p_worse == 1


UNLIKE = np.array([[1.9, -0.4, 2.6, 0.9, -1.3, 3.1, 0.2, 1.5], [0.3, 0.8, -0.2, 1.1, 0.5, -0.6, 1.4, 0.1]])


def test_by_seed_analysis_tests_the_mean_over_tasks():
    found = difference(UNLIKE, analysis="by seed")
    above = stats.ttest_1samp(UNLIKE.mean(axis=0), 0, alternative="greater")
    assert found.p == pytest.approx(2 * above.pvalue)
    assert found.p_against == 1
    both_sides = stats.ttest_1samp(UNLIKE.mean(axis=0), 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((both_sides.low, both_sides.high))


def test_rank_analysis_flips_signs_task_by_task():
    ranks = np.sign(UNLIKE) * stats.rankdata(np.abs(UNLIKE), axis=1)
    patterns = np.array(list(itertools.product([1, -1], repeat=8))) @ np.abs(ranks).T
    # Every pattern of one task combined with every pattern of the other.
    sums = patterns[:, None, 0] + patterns[None, :, 1]
    p = 2 * (sums >= ranks.sum()).mean()
    assert difference(UNLIKE, analysis="ranks").p == difference(UNLIKE, test="wilcoxon").p == pytest.approx(p)
    assert difference(UNLIKE).p != pytest.approx(p)


def test_rank_interval_comes_from_walsh_averages():
    """From tables of Wilcoxon's test for eight pairs: a rank sum of 3 or less rejects at 0.05, two-sided."""
    pairs = UNLIKE[:1]
    averages = sorted((one + other) / 2 for one, other in itertools.combinations_with_replacement(pairs[0], 2))
    expected = pytest.approx((averages[3], averages[-4]), abs=1e-5)
    assert difference(pairs, analysis="ranks").interval == difference(pairs, test="wilcoxon").interval == expected
    assert difference(pairs).interval != expected


def test_undirected_interim_comparison_has_no_t_interval():
    gains = np.array([[1.8, 1.7, 1.9]])
    assert np.isinf(difference(gains, direction="either", interim=True).interval).all()
    exact = difference(gains, direction="either")
    # With three seeds the t test of the mean can decide, which no sign pattern can.
    assert exact.p < 0.05
    assert (exact.smallest_p, difference(gains).smallest_p) == (0, 0.25)
    # So the t test's power sets the seeds needed, whereas a directed claim needs its sixth sign.
    assert (exact.needs, difference(gains).needs) == (3, 6)
    equal = difference(np.zeros((1, 3)), direction="either")
    assert (equal.smallest_p, equal.needs) == (1, None)


def test_equal_flop_counts_meet_a_margin_of_one():
    settings = {"statistic": "cost", "measure": "flops"}
    equal, above = np.zeros((1, 3)), np.full((1, 3), np.log(1.01))
    assert (finding(Cost, equal, margin=1.0, **settings).p, finding(Cost, above, margin=1.0, **settings).p) == (0, 1)
    assert finding(Cost, above, margin=1.0, **settings).p_against == 0
    assert finding(Cost, above, margin=1.01, **settings).favours
    interim = finding(Cost, above, margin=1.05, interim=True, **settings)
    assert (interim.p, interim.interval) == (0, pytest.approx((1.01, 1.01)))


def test_spread_claim_has_p_values_of_one_at_an_interim_look():
    generator = np.random.default_rng(4)
    first, second = generator.normal(70, 1, (1, 9)), generator.normal(70, 4, (1, 9))
    claim = {"statistic": "spread", "margin": 0.1}
    exact, interim = (compared(Spread, {"b": (first, second)}, interim=early, **claim) for early in (False, True))
    assert exact.p == pytest.approx(stats.levene(first[0], second[0], center="median").pvalue)
    # The first spread is about a quarter of the second, which is more than a tenth of it.
    assert exact.p_size == pytest.approx(stats.levene(10 * first[0], second[0], center="median").pvalue)
    assert (interim.p, interim.p_against, interim.p_size) == (1, 1, 1)
    assert (interim.effect, interim.interval) == (exact.effect, exact.interval)


def test_measured_cost_is_t_tested_on_log_ratios():
    logs = np.array([[0.01, 0.06, -0.02, 0.03, 0.045]])
    found = finding(Cost, logs, statistic="cost", measure="seconds", margin=1.05)
    below, above = (stats.ttest_1samp(np.log(1.05) - logs[0], 0, alternative=side) for side in ("greater", "less"))
    assert (found.p, found.p_against) == pytest.approx((2 * below.pvalue, min(1, 2 * above.pvalue)))
    reach = stats.ttest_1samp(logs[0], 0).confidence_interval(0.95)
    assert found.interval == pytest.approx((np.exp(reach.low), np.exp(reach.high)))
    dear = finding(Cost, logs + 0.1, statistic="cost", measure="seconds", margin=1.05)
    assert dear.p_against == pytest.approx(2 * stats.ttest_1samp(logs[0] + 0.1, np.log(1.05), alternative="greater")[1])


def power_of_t(effect: float, variance: float, pairs: int) -> float:
    """The power of a one-sided t test at 0.025, on one task."""
    return stats.nct.sf(stats.t.isf(0.025, pairs - 1), pairs - 1, effect * (pairs / variance) ** 0.5)


WIDE = 0.9 + np.array([[2.0, -1.5, 0.3, -0.8, 1.1, -0.4, -1.9, 1.2, 0.6, -0.6]])


def test_detectable_effect_of_an_at_least_claim_lies_above_its_bound():
    # Browne's upper limit, with 80 % confidence, for the variance of ten pairs.
    variance = WIDE.var(ddof=1) * 9 / stats.chi2.ppf(0.2, 9)
    beyond, above_zero = (difference(WIDE, margin=1.5, at_least=bound).detectable for bound in (True, False))
    assert power_of_t(beyond - 1.5, variance, 10) == pytest.approx(0.8)
    assert power_of_t(above_zero, variance, 10) == pytest.approx(0.8)


def test_needed_seeds_range_spans_the_80_percent_variance_interval():
    limits = [WIDE.var(ddof=1) * 9 / stats.chi2.ppf(tail, 9) for tail in (0.9, 0.1)]
    fewest = tuple(next(n for n in range(3, 500) if power_of_t(1.0, limit, n) >= 0.8) for limit in limits)
    # With more than six pairs, the signs impose no limit.
    assert difference(WIDE).needs_range == fewest
    assert 7 < fewest[0] < fewest[1]


@pytest.mark.parametrize("direction", ["higher", "lower"])
def test_missing_pair_gives_the_same_e_value_as_a_zero_difference(direction):
    pairs = np.array([[1.2, -0.3, 0.8, 2.0], [0.4, 1.0, -0.2, 0.9]])
    left_out, without_difference = pairs.copy(), pairs.copy()
    left_out[1, 3], without_difference[1, 3] = np.nan, 0.0
    evidence = difference(left_out, direction=direction).e_value
    assert evidence == pytest.approx(difference(without_difference, direction=direction).e_value)
    assert evidence != pytest.approx(difference(pairs, direction=direction).e_value)

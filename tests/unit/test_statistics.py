"""Statistics and tests over seeds against enumeration, closed forms and simulated data with a known truth."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from steadytune.claims import power
from steadytune.claims.significance import (
    benjamini_hochberg,
    brown_forsythe,
    holm,
    mcnemar,
    permutation,
    sign_flip,
    t_test,
    tost,
    wilcoxon,
)
from steadytune.claims.statistics import (
    almost_stochastic_order,
    bootstrap_interval,
    mean_of_tasks,
    probability_of_improvement,
    spread_interval,
    spread_ratio,
    stratified_mean,
    summarise,
    violation_ratio,
)


@pytest.fixture
def generator():
    return np.random.default_rng(20)


def test_a_summary_of_four_runs_by_hand():
    found = summarise(np.array([4.0, 1.0, 2.0, 9.0]))
    assert (found.runs, found.mean, found.median, found.best, found.worst) == (4, 4.0, 3.0, 9.0, 1.0)
    # Without the lowest and the highest run; deviations 0, -3, -2, 5.
    assert found.interquartile_mean == 3.0
    assert found.sd == pytest.approx(math.sqrt(38 / 3))
    assert math.isnan(summarise(np.array([4.0])).sd)


def test_the_mean_over_tasks_weighs_tasks_alike():
    scores = np.array([[1.0, 2.0, 6.0], [10.0, 10.0, 10.0]])
    assert mean_of_tasks(scores) == 6.5
    assert mean_of_tasks(scores, "median") == 6.0
    found = stratified_mean(scores)
    # Variance 7 over 3 runs on one task, 0 on the other: error sqrt(7 / 3) / 2, all of it from 2 degrees of freedom.
    assert found.error == pytest.approx(math.sqrt(7 / 3) / 2)
    assert found.df == pytest.approx(2)


def test_one_task_gives_the_usual_t_interval_and_tests(generator):
    scores = generator.normal(0.3, 1, size=(1, 7))
    expected = stats.ttest_1samp(scores[0], 0).confidence_interval(0.95)
    assert stratified_mean(scores).interval() == pytest.approx((expected.low, expected.high))
    for side in ("two-sided", "greater", "less"):
        assert t_test(scores, 0.1, side) == pytest.approx(stats.ttest_1samp(scores[0], 0.1, alternative=side).pvalue)


def test_runs_without_spread_are_sure():
    scores = np.full((2, 3), 0.1) * 3
    assert (t_test(scores, 0.2, "greater"), t_test(scores, 0.4, "greater")) == (0.0, 1.0)
    assert t_test(np.zeros((2, 3))) == 1.0
    assert stratified_mean(scores).error == 0


def test_bootstrap_resamples_within_tasks():
    # Each task's runs are equal, so that resampling within tasks changes nothing, across tasks it would.
    assert bootstrap_interval(np.array([[1.0, 1.0], [5.0, 5.0], [9.0, 9.0]])) == (5.0, 5.0)
    # Two runs 0 and 1: the resampled mean is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4.
    assert bootstrap_interval(np.array([[0.0, 1.0]])) == (0.0, 1.0)
    low, high = bootstrap_interval(np.arange(40.0)[None], level=0.9, resamples=20_000)
    # Of many runs, normal: 19.5 -+ 1.645 * sqrt((40^2 - 1) / 12 / 40).
    assert (low, high) == pytest.approx((19.5 - 3.0, 19.5 + 3.0), abs=0.1)
    one = np.array([[1.0, 4.0, 2.0, 8.0]])
    assert bootstrap_interval(one, "median") == bootstrap_interval(one, "median")


def test_ratio_of_deviations_and_its_interval():
    first, second = np.array([[0.0, 2.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [0.0, 24.0]])
    # Deviations 2 : 1 and 1 : 8; geometric mean of 2 and 1/8.
    assert spread_ratio(first, second) == pytest.approx(0.5)
    low, high = spread_interval(0.5, tasks=1, runs=6)
    quantile = stats.f(5, 5).ppf(0.975)
    assert (low, high) == pytest.approx((0.5 / math.sqrt(quantile), 0.5 * math.sqrt(quantile)), rel=0.02)


def test_probability_of_improvement_counts_pairs():
    first, second = np.array([[1.0, 3.0], [5.0, 5.0]]), np.array([[2.0, 3.0, 0.0], [5.0, 6.0, 7.0]])
    # Task 1: 1 > 0; 3 > 2, 3 > 0, 3 = 3: 3.5 of 6. Task 2: two ties of 6: 1 of 6.
    assert probability_of_improvement(first, second) == pytest.approx((3.5 / 6 + 1 / 6) / 2)


def test_violation_ratio_integrates_the_quantile_functions(generator):
    # Quantiles (0, 4) against (1, 2): below by 1 on one half, above by 2 on the other: 1 / (1 + 4).
    first, second = np.array([4.0, 0.0]), np.array([1.0, 2.0])
    assert violation_ratio(first, second) == pytest.approx(0.2)
    assert violation_ratio(second, first) == pytest.approx(0.8)
    assert violation_ratio(first + 9, second) == 0
    assert violation_ratio(first, first) == 0.5
    # Samples of unequal size against a fine grid of quantiles.
    first, second = generator.normal(size=5), generator.normal(0.3, 2, size=7)
    grid = (np.arange(70_000) + 0.5) / 70_000
    gaps = np.quantile(first, grid, method="inverted_cdf") - np.quantile(second, grid, method="inverted_cdf")
    assert violation_ratio(first, second) == pytest.approx(np.minimum(gaps, 0) @ gaps / (gaps @ gaps), rel=1e-9)


def test_almost_stochastic_order_is_a_bound(generator):
    better, worse = generator.normal(1.0, 1, size=40), generator.normal(0.0, 1, size=40)
    bound = almost_stochastic_order(better, worse)
    assert violation_ratio(better, worse) < bound < 0.5
    assert almost_stochastic_order(worse, better) == 1
    assert almost_stochastic_order(better + 100, worse) == 0


def brute_sign_flip(differences, side):
    signs = itertools.product([1, -1], repeat=differences.size)
    null = np.array([(np.array(s).reshape(differences.shape) * differences).mean(axis=1).mean() for s in signs])
    observed = differences.mean()
    greater, less = (null >= observed - 1e-12).mean(), (null <= observed + 1e-12).mean()
    return {"greater": greater, "less": less, "two-sided": min(1, 2 * min(greater, less))}[side]


@pytest.mark.parametrize("side", ["two-sided", "greater", "less"])
def test_sign_flip_is_the_enumeration(generator, side):
    for shape in ((1, 3), (1, 6), (2, 4), (3, 3)):
        differences = generator.normal(0.4, 1, size=shape)
        assert sign_flip(differences, side) == pytest.approx(brute_sign_flip(differences, side))


def test_sign_flip_of_three_pairs_cannot_reach_a_quarter():
    assert sign_flip(np.array([[5.0, 6.0, 7.0]])) == 0.25
    assert power.smallest_p(3) == 0.25
    assert sign_flip(np.array([[5.0, 6.0, 7.0]] * 4)) == power.smallest_p(3, 4) == pytest.approx(2 / 4096)
    assert sign_flip(np.zeros((2, 3))) == 1
    # One pair differs, the others are ties: both signs are as likely.
    assert sign_flip(np.array([[5.0, 0.0, 0.0]])) == 1


def test_sign_flip_of_medians_is_not_moved_by_one_run():
    differences = np.array([[1.0, 2.0, 3.0, 2.0, 1.0, -40.0]])
    # The mean follows the one run, whose sign decides it.
    assert sign_flip(differences, "greater") > 0.5
    signs = np.array(list(itertools.product([1, -1], repeat=6)))
    expected = (np.median(signs * differences, axis=1) >= 1.5).mean()
    assert sign_flip(differences, "greater", centre="median") == expected < 0.3


def test_monte_carlo_counts_the_observed_data():
    differences = np.full((2, 10), 3.0)
    # The observed pattern is the most extreme of 2^20: no draw but its like reaches it.
    assert sign_flip(differences, "greater", draws=999) == pytest.approx(1 / 1000)
    assert sign_flip(differences, draws=999) == sign_flip(differences, draws=999) == pytest.approx(2 / 1000)
    assert permutation(differences, -differences, "greater", draws=999) == pytest.approx(1 / 1000)


@pytest.mark.parametrize("side", ["two-sided", "greater", "less"])
def test_permutation_is_the_enumeration(generator, side):
    first, second = generator.normal(0.5, 1, size=(1, 4)), generator.normal(size=(1, 5))

    def gap(x, y, axis):
        return x.mean(axis=axis) - y.mean(axis=axis)

    expected = stats.permutation_test((first[0], second[0]), gap, vectorized=True, n_resamples=10**6, alternative=side)
    assert permutation(first, second, side) == pytest.approx(expected.pvalue)
    drawn = permutation(first, second, side, draws=100)
    assert drawn == pytest.approx(expected.pvalue, abs=0.15)
    # Two tasks: every pair of splits.
    first, second = generator.normal(0.5, 1, size=(2, 2)), generator.normal(size=(2, 3))
    pooled, null = np.concatenate([first, second], axis=1), []
    for splits in itertools.product(itertools.combinations(range(5), 2), repeat=2):
        gaps = [row[list(s)].mean() - np.delete(row, s).mean() for row, s in zip(pooled, splits, strict=True)]
        null.append(np.mean(gaps))
    observed = (first.mean(axis=1) - second.mean(axis=1)).mean()
    above, below = (null >= observed - 1e-12).mean(), (null <= observed + 1e-12).mean()
    expected = {"greater": above, "less": below, "two-sided": min(1, 2 * min(above, below))}[side]
    assert permutation(first, second, side) == pytest.approx(expected)


def test_wilcoxon_drops_ties_and_is_exact():
    # Ranks 1 to 5, all positive: 1 of 2^5 patterns a side.
    assert wilcoxon(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])) == pytest.approx(2 / 32)
    assert wilcoxon(np.zeros((1, 4))) == 1


def test_mcnemar_by_hand():
    first = np.array([True] * 6 + [False] * 2 + [True] * 5)
    second = np.array([False] * 6 + [True] + [False] + [True] * 5)
    # 6 against 1 discordant examples: 2 * (C(7, 0) + C(7, 1)) / 2^7.
    assert mcnemar(first, second) == pytest.approx(2 * 8 / 128)
    assert mcnemar(first, first) == 1


def test_brown_forsythe_of_one_task_is_scipys_in_its_direction(generator):
    narrow, wide = generator.normal(size=(1, 9)), generator.normal(0, 4, size=(1, 11))
    expected = stats.levene(narrow[0], wide[0], center="median").pvalue
    assert brown_forsythe(narrow, wide) == pytest.approx(expected)
    assert brown_forsythe(narrow, wide, "less") == pytest.approx(expected / 2)
    assert brown_forsythe(narrow, wide, "greater") == pytest.approx(1 - expected / 2)
    # Stouffer: two tasks of equal z add up to sqrt(2) z.
    doubled = brown_forsythe(np.repeat(narrow, 2, axis=0), np.repeat(wide, 2, axis=0), "less")
    assert doubled == pytest.approx(stats.norm.sf(math.sqrt(2) * stats.norm.isf(expected / 2)))
    assert brown_forsythe(np.ones((1, 4)), np.ones((1, 4))) == 1


def test_tost_is_two_one_sided_tests(generator):
    differences = generator.normal(0.1, 0.5, size=(1, 12))
    low = stats.ttest_1samp(differences[0], -0.5, alternative="greater").pvalue
    high = stats.ttest_1samp(differences[0], 0.5, alternative="less").pvalue
    assert tost(differences, 0.5) == pytest.approx(max(low, high))


def test_corrections_by_hand():
    p_values = np.array([0.04, 0.01, 0.03])
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 gives 0.03, 0.06, 0.04, never falling: 0.03, 0.06, 0.06.
    assert holm(p_values) == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1, 1])
    # Times 3/1, 3/2, 3/3 in that order: 0.03, 0.045, 0.04, never rising from the end: 0.03, 0.04, 0.04.
    assert benjamini_hochberg(p_values) == pytest.approx([0.04, 0.03, 0.04])


def rate(rejects, runs):
    return sum(rejects() for _ in range(runs)) / runs


@pytest.mark.parametrize("shape", [(1, 6), (3, 3)])
def test_false_positive_rates_are_nominal(generator, shape):
    """At level 0.05 under the null, with noise that is skewed and unequal between tasks where a test allows it."""
    scales = np.arange(1, shape[0] + 1)[:, None]
    runs = 600
    flips = rate(lambda: sign_flip(scales * generator.standard_t(3, size=shape)) <= 0.05, runs)
    splits = rate(lambda: permutation(*(scales * generator.exponential(size=(2, *shape)))) <= 0.05, runs)
    means = rate(lambda: t_test(generator.normal(size=shape)) <= 0.05, runs)
    # 0.05 and four standard errors of a rate over 600 runs; exact tests of few pairs fall short of their level.
    assert 0.01 <= flips <= 0.086
    assert 0.01 <= splits <= 0.086
    assert 0.02 <= means <= 0.086


def test_equivalence_is_rarely_claimed_at_the_margin(generator):
    found = rate(lambda: tost(generator.normal(1, 1, size=(2, 8)), 1.0) <= 0.05, 1500)
    assert 0.03 <= found <= 0.073


def test_spread_is_rarely_claimed_where_it_is_equal(generator):
    for shape, highest in (((1, 10), 0.07), ((4, 5), 0.07), ((4, 3), 0.01)):
        first, second = generator.normal(size=(2, 3000, *shape))
        assert (brown_forsythe(first, second) <= 0.05).mean() <= highest


def test_the_t_interval_covers_where_the_bootstrap_does_not(generator):
    covered = {"t": 0, "bootstrap": 0}
    for seed in range(400):
        scores = generator.normal(size=(1, 3))
        for name, (low, high) in (
            ("t", stratified_mean(scores).interval()),
            ("bootstrap", bootstrap_interval(scores, resamples=200, seed=seed)),
        ):
            covered[name] += low < 0 < high
    assert 0.92 <= covered["t"] / 400 <= 0.98
    assert covered["bootstrap"] / 400 <= 0.82


def test_seeds_for_a_paired_t_test_are_the_textbooks():
    # The textbook's 34 pairs for a medium effect (d = 0.5, two-sided 0.05, power 0.8).
    assert power.seeds_for_mean(0.5, 1, 1, 0.05) == 34
    assert power.detectable_effect(1, 34, 1, 0.05) == pytest.approx(0.5, abs=0.01)
    # However large the effect, 2^(1 - n) has to come below 0.05, and with 5 tests below 0.01.
    assert power.seeds_for_mean(100, 1, 1, 0.05) == 6
    assert power.seeds_for_mean(100, 1, 1, 0.01) == 8
    assert power.seeds_for_mean(100, 1, 4, 0.05) == 2
    assert power.seeds_for_mean(100, 1, 1, 0.05, "bound") == 2
    assert power.seeds_for_mean(1e-3, 1, 1, 0.05) is None
    assert power.power_of_mean(0.5, 1, 1, 1, 0.05) == 0
    assert power.detectable_effect(1, 1, 1, 0.05) == math.inf
    assert power.power_of_mean(0.5, 0, 3, 1, 0.05) == 1


def test_power_is_what_simulation_finds(generator):
    detectable = power.detectable_effect(1, 5, 3, 0.05)
    found = rate(lambda: t_test(generator.normal(detectable, 1, size=(3, 5))) <= 0.05, 1500)
    assert found == pytest.approx(0.8, abs=0.06)
    flips = rate(lambda: sign_flip(generator.normal(detectable, 1, size=(3, 5)), draws=400) <= 0.05, 300)
    assert flips == pytest.approx(0.8, abs=0.12)


def test_power_of_bounds_is_what_simulation_finds(generator):
    # A true difference of 0, bounds at 0.9 standard deviations.
    for goal, test in (("bound", lambda d: t_test(d, -0.9, "greater")), ("equivalence", lambda d: tost(d, 0.9))):
        expected = power.power_of_mean(0.9, 1, 6, 2, 0.05, goal)
        found = rate(lambda test=test: test(generator.normal(size=(2, 6))) <= 0.05, 1500)
        assert found == pytest.approx(expected, abs=0.05), goal


def test_spread_needs_many_seeds():
    # An F test of a halved deviation needs 19 runs a side; Brown and Forsythe's is a little less sharp.
    assert 19 <= power.seeds_for_ratio(0.5, 1, 0.05) <= 28
    assert power.seeds_for_ratio(0.95, 1, 0.05) is None
    # Three seeds show no ratio that occurs.
    assert power.detectable_ratio(3, 1, 0.05) == 0
    assert power.detectable_ratio(25, 4, 0.05) == pytest.approx(0.7)

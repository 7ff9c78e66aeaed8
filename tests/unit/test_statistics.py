"""Statistics and tests over seeds, checked by enumeration, closed forms and simulations with a known truth."""

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from steadytune.claims import power
from steadytune.claims.differences import difference_p
from steadytune.claims.examples import resampled_counts, resampled_metric
from steadytune.claims.sign_flips import flip_interval, sign_flips, signed_ranks
from steadytune.claims.significance import (
    anytime,
    by_seed,
    e_value,
    holm,
    inverted,
    t_interval,
    t_test,
)
from steadytune.claims.spread import brown_forsythe, spread_interval, spread_ratio
from steadytune.claims.statistics import (
    mean_of_tasks,
    probability_of_improvement,
    stratified_mean,
    summarise,
)
from steadytune.evaluation.formulas import CLASS_METRICS, METRICS, SCORE_METRICS

RECORDED = {
    name: np.array(rows)
    for name, rows in json.loads((Path(__file__).parent / "oracles/recorded_differences.json").read_text()).items()
}
"""Paired differences (tasks, seeds) of recorded claims; tasks RTE, MRPC, STS-B, CoLA, MNLI."""


@pytest.fixture
def generator():
    return np.random.default_rng(20)


def test_summary_of_four_runs_matches_hand_calculation():
    found = summarise(np.array([4.0, 1.0, 2.0, 9.0]))
    assert (found.runs, found.mean, found.median, found.best, found.worst) == (4, 4.0, 3.0, 9.0, 1.0)
    # The mean without the lowest and the highest run; deviations 0, -3, -2, 5.
    assert found.interquartile_mean == 3.0
    assert found.sd == pytest.approx(math.sqrt(38 / 3))
    assert math.isnan(summarise(np.array([4.0])).sd)


def test_mean_over_tasks_weights_tasks_equally():
    scores = np.array([[1.0, 2.0, 6.0], [10.0, 10.0, 10.0]])
    assert mean_of_tasks(scores) == 6.5
    found = stratified_mean(scores)
    # Variance 7 over 3 runs on one task, 0 on the other: error sqrt(7 / 3) / 2, all of it from 2 degrees of freedom.
    assert found.error == pytest.approx(math.sqrt(7 / 3) / 2)
    assert found.df == pytest.approx(2)


def test_spread_ratio_and_its_interval_match_closed_forms():
    first, second = np.array([[0.0, 2.0], [0.0, 3.0]]), np.array([[0.0, 1.0], [0.0, 24.0]])
    # Deviations 2 : 1 and 1 : 8; geometric mean of 2 and 1/8.
    assert spread_ratio(first, second) == pytest.approx(0.5)
    low, high = spread_interval(0.5, tasks=1, runs=6)
    quantile = stats.f(5, 5).ppf(0.975)
    assert (low, high) == pytest.approx((0.5 / math.sqrt(quantile), 0.5 * math.sqrt(quantile)), rel=0.02)


def test_probability_of_improvement_counts_pairs_and_half_of_ties():
    first, second = np.array([[1.0, 3.0], [5.0, 5.0]]), np.array([[2.0, 3.0, 0.0], [5.0, 6.0, 7.0]])
    # Task 1: 1 > 0; 3 > 2, 3 > 0, 3 = 3: 3.5 of 6. Task 2: two ties of 6: 1 of 6.
    assert probability_of_improvement(first, second) == pytest.approx((3.5 / 6 + 1 / 6) / 2)


def test_brown_forsythe_matches_scipy_and_combines_tasks_by_stouffer(generator):
    narrow, wide = generator.normal(size=(1, 9)), generator.normal(0, 4, size=(1, 11))
    expected = stats.levene(narrow[0], wide[0], center="median").pvalue
    assert brown_forsythe(narrow, wide) == pytest.approx(expected)
    assert brown_forsythe(narrow, wide, "less") == pytest.approx(expected / 2)
    assert brown_forsythe(narrow, wide, "greater") == pytest.approx(1 - expected / 2)
    # Stouffer: two tasks of equal z add up to sqrt(2) z.
    doubled = brown_forsythe(np.repeat(narrow, 2, axis=0), np.repeat(wide, 2, axis=0), "less")
    assert doubled == pytest.approx(stats.norm.sf(math.sqrt(2) * stats.norm.isf(expected / 2)))
    assert brown_forsythe(np.ones((1, 4)), np.ones((1, 4))) == 1


def test_holm_matches_hand_calculation():
    p_values = np.array([0.04, 0.01, 0.03])
    # Sorted 0.01, 0.03, 0.04: times 3, 2, 1 gives 0.03, 0.06, 0.04, never falling: 0.03, 0.06, 0.06.
    assert holm(p_values) == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.6, 0.7])) == pytest.approx([1, 1])


def rate(rejects, runs):
    return sum(rejects() for _ in range(runs)) / runs


def test_brown_forsythe_rarely_rejects_equal_spreads(generator):
    for shape, highest in (((1, 10), 0.07), ((4, 5), 0.07), ((4, 3), 0.01)):
        first, second = generator.normal(size=(2, 3000, *shape))
        assert (brown_forsythe(first, second) <= 0.05).mean() <= highest


def test_showing_a_spread_ratio_needs_many_seeds():
    # An F test of a halved deviation needs 19 runs a side; Brown and Forsythe's is a little less sharp.
    assert 19 <= power.seeds_for_ratio(0.5, 1, 0.05) <= 28
    assert power.seeds_for_ratio(0.95, 1, 0.05) is None
    # Three seeds cannot show any ratio.
    assert power.detectable_ratio(3, 1, 0.05) == 0
    assert power.detectable_ratio(25, 4, 0.05) == pytest.approx(0.7)


def test_one_task_matches_scipys_t_test_and_interval(generator):
    scores = generator.normal(0.3, 1, size=(1, 7))
    expected = stats.ttest_1samp(scores[0], 0).confidence_interval(0.95)
    assert stratified_mean(scores).interval() == pytest.approx((expected.low, expected.high))
    assert t_test(scores - 0.1) == pytest.approx(stats.ttest_1samp(scores[0], 0.1, alternative="greater").pvalue)
    assert inverted(t_test, scores) == pytest.approx((expected.low, expected.high), abs=1e-5)


def test_t_test_without_spread_falls_back_to_sign_flips():
    scores = np.full((2, 3), 0.1) * 3
    assert stratified_mean(scores).error == 0
    assert (t_test(scores - 0.2), t_test(scores - 0.4), t_test(np.zeros((2, 3)))) == (2**-6, 1.0, 1.0)
    # Two tasks whose signs differ: count the sign patterns of six pairs that give 2 - 1 or more.
    apart = np.array([[2.0] * 3, [-1.0] * 3])
    assert t_test(apart) == enumerated(apart)
    # Among several studies, those with spread keep their t test.
    both = np.stack([scores, scores + np.array([0.1, 0, -0.1])])
    assert t_test(both).tolist() == [t_test(scores), t_test(both[1])]
    assert t_test(both[1]) == stratified_mean(both[1]).p
    assert t_interval(scores) == pytest.approx((0.3, 0.3))
    assert t_interval(scores[:1]) == (-np.inf, np.inf)


def test_t_test_rarely_confirms_a_false_bound_on_coarse_scores(generator):
    """Fifty examples and a method that is one point worse: most studies of three seeds have no spread at all."""
    lost, won = generator.random((2, 20_000, 3, 50)) < [[[[0.015]]], [[[0.005]]]]
    differences = 2.0 * (won.sum(axis=-1) - lost.sum(axis=-1))
    assert (2 * t_test(differences[:, None] + 1) <= 0.05).mean() <= 0.025


def enumerated(differences):
    """One-sided p-value over all sign patterns, ignoring NaN pairs."""
    there = np.isfinite(differences)
    parts = (differences / there.sum(axis=1, keepdims=True) / len(differences))[there]
    means = np.array(list(itertools.product([1, -1], repeat=len(parts)))) @ parts
    return np.mean(means >= parts.sum() - 1e-12)


def test_sign_flips_match_enumeration(generator):
    for shape in ((1, 3), (1, 6), (2, 4), (3, 3)):
        differences = generator.normal(0.4, 1, size=shape)
        assert sign_flips(differences) == pytest.approx(enumerated(differences))
    # If a task lacks one pair, its other pairs weigh more.
    differences[1, 2] = np.nan
    assert sign_flips(differences) == pytest.approx(enumerated(differences))


def test_unanimous_sign_flips_reach_the_smallest_p_and_ties_do_not():
    three = np.array([[5.0, 6.0, 7.0]])
    assert 2 * sign_flips(three) == power.smallest_p(3) == 0.25
    assert 2 * sign_flips(np.repeat(three, 4, axis=0)) == power.smallest_p(3, 4) == pytest.approx(2 / 4096)
    assert sign_flips(np.zeros((2, 3))) == 1
    # Only one pair differs, the others are ties: both signs are equally likely.
    assert sign_flips(np.array([[5.0, 0.0, 0.0]])) == 0.5
    # More than 2^20 patterns are sampled; no sampled pattern is as extreme as the observed one.
    assert 2 * sign_flips(np.full((3, 10), 3.0)) == pytest.approx(power.smallest_p(10, 3), rel=0.01)


def test_sign_flips_treat_sums_equal_up_to_rounding_as_ties():
    """Accuracies on 277 examples as floats: the sums of -1, 1, 1 in different orders differ by rounding."""
    first, second = np.array([[169, 171, 167]]), np.array([[170, 170, 166]])
    assert sign_flips(100 * first / 277 - 100 * second / 277) == 0.5


def test_sign_flip_p_values_and_interval_match_enumeration():
    differences = RECORDED["tiny-hype-n-average"]
    for kept in (differences, np.delete(differences, 0, axis=0), np.delete(differences, 3, axis=0)):
        assert sign_flips(kept) == pytest.approx(enumerated(kept))
    low, high = flip_interval(differences)
    # The shifts at which the enumeration starts and stops rejecting.
    assert enumerated(differences - low + 1e-6) <= 0.025 < enumerated(differences - low - 1e-6)
    assert enumerated(high - differences + 1e-6) <= 0.025 < enumerated(high - differences - 1e-6)
    assert inverted(sign_flips, differences) == pytest.approx((low, high), abs=1e-4)
    # Too few pairs for any shift to be rejected.
    assert flip_interval(differences[:1]) == (-math.inf, math.inf)


@pytest.mark.parametrize("name", ["tiny-hype-n-dropout-on", "tiny-lnsr-average"])
def test_sign_flip_p_values_against_a_size_match_enumeration(name):
    to_size = 0.5 - RECORDED[name]
    assert 0.01 < sign_flips(to_size) == pytest.approx(enumerated(to_size))


def evidence_at_any_time(differences: np.ndarray) -> float:
    """The mean over rates of the product over d of exp(rate d) / cosh(rate d)."""
    return np.mean([np.prod(2 / (1 + np.exp(-2 * rate * differences))) for rate in 2.0 ** np.arange(-6, 3)])


@pytest.mark.parametrize("name", ["average", "dropout-off", "out-of-domain"])
def test_e_value_and_anytime_p_value_match_their_formula(name):
    differences = RECORDED[f"tiny-hype-n-{name}"]
    expected = evidence_at_any_time(differences)
    assert e_value(differences) == pytest.approx(expected)
    assert anytime(differences) == pytest.approx(1 / expected)
    assert 0 < anytime(differences) < 1 == anytime(-differences)


@pytest.mark.parametrize("name", ["average", "dropout-off"])
def test_by_seed_matches_a_t_test_of_seed_means(name):
    differences = RECORDED[f"tiny-hype-n-{name}"]
    expected = stats.ttest_1samp(differences.mean(axis=0), 0, alternative="greater").pvalue
    assert by_seed(differences) == pytest.approx(expected)


def test_anytime_test_limits_false_positives_over_repeated_looks(generator):
    """Five tasks, looks after 3 to 25 seeds: Ville's inequality bounds the chance of ever rejecting at 0.05."""
    fixed = ever = 0
    for _ in range(300):
        differences = generator.normal(size=(5, 25))
        ever += any(2 * anytime(differences[:, :seeds]) <= 0.05 for seeds in range(3, 26))
        fixed += any(2 * t_test(differences[:, :seeds]) <= 0.05 for seeds in range(3, 26))
    assert ever / 300 <= 0.03 < 0.06 < fixed / 300


def test_anytime_interval_ends_where_the_e_value_is_40():
    small = np.array([[0.3, 0.2, 0.25], [0.1, 0.2, 0.3]])
    low, high = inverted(anytime, small)
    # The ends are over twenty times the largest difference away but finite: six pairs can reach E = 2^6 and need 40.
    ends = evidence_at_any_time(small - low), evidence_at_any_time(high - small)
    assert ends == pytest.approx((40, 40), rel=1e-4)
    assert np.isinf(inverted(anytime, small[:, :2])).all()


def test_signed_ranks_are_taken_within_each_task():
    # Ranks 1, 2, 3 and 3, 1, 2 regardless of a task's scale; all are positive, 1 of 2^6 patterns.
    assert signed_ranks(np.array([[1.0, 2.0, 3.0], [900.0, 100.0, 200.0]])) == 1 / 64
    # One task: Wilcoxon's exact test.
    differences = np.array([[1.5, -0.5, 2.5, 3.5, -1.0]])
    assert signed_ranks(differences) == stats.wilcoxon(differences[0], alternative="greater").pvalue


@pytest.mark.parametrize("shape", [(1, 6), (3, 3)])
def test_false_positive_rates_are_nominal(generator, shape):
    """At level 0.025 under the null; the noise differs between tasks if the test allows it."""
    scales, runs = np.arange(1, shape[0] + 1)[:, None], 800
    flips = rate(lambda: sign_flips(scales * generator.standard_t(3, size=shape)) <= 0.025, runs)
    means = rate(lambda: t_test(generator.normal(size=shape)) <= 0.025, runs)
    # 0.025 and four standard errors of a rate over 800 runs; exact tests of few pairs are conservative.
    assert 0.003 <= flips <= 0.047
    assert 0.01 <= means <= 0.047


@pytest.mark.parametrize("metric", [*CLASS_METRICS, *SCORE_METRICS])
def test_resampled_metric_matches_the_metric_of_repeated_rows(generator, metric):
    """Each example is repeated as often as it was drawn."""
    numbers = metric in SCORE_METRICS
    gold = generator.integers(0, 6 if numbers else 2, size=60).astype(float if numbers else int)
    if metric not in (*SCORE_METRICS, "f1", "accuracy_f1"):
        # A third class, so rare that some resamples lack it.
        gold[0] = 2
    predictions = np.where(generator.random(60) < 0.7, gold, gold[::-1])
    counts = resampled_counts(60, 20)
    assert (counts.sum(axis=1) == 60).all()
    expected = [
        METRICS[metric](np.repeat(predictions, row.astype(int)), np.repeat(gold, row.astype(int))) for row in counts
    ]
    # Counts are exact in float32, shares of them are not.
    near = 1e-12 if numbers else 1e-6
    assert resampled_metric(metric, predictions, gold, counts) == pytest.approx(expected, rel=near, abs=near)


def test_interval_over_seeds_and_examples_uses_welch_satterthwaite_df():
    differences = RECORDED["tiny-en-pretrained-rte"]
    mean, error = differences.mean(), stats.sem(differences[0])
    assert stratified_mean(differences).error == pytest.approx(error)
    both = math.hypot(error, 3.5)
    # Welch-Satterthwaite: the error over examples counts as known, so only the error over seeds has degrees of freedom.
    reach = both * stats.t.ppf(0.975, both**4 / (error**4 / 9))
    assert stratified_mean(differences, 3.5).interval() == pytest.approx((mean - reach, mean + reach))


def chance_of_mean(effect: float, variances: np.ndarray, seeds: int, tail: float) -> float:
    """The power of a one-sided t test of a mean over tasks, with Welch's degrees of freedom."""
    squares = variances / seeds
    df = squares.sum() ** 2 / (squares**2 / (seeds - 1)).sum()
    return stats.nct.sf(stats.t.isf(tail, df), df, effect * len(variances) / squares.sum() ** 0.5)


@pytest.mark.parametrize("name", ["hype-with-r-drop", "hype-with-r3f", "variability-matches-all-layers"])
def test_power_and_seed_counts_match_the_noncentral_t(name):
    """Five tests in the family, a margin of 1 point; each task has its own deviation."""
    variances = RECORDED[f"tiny-{name}"].var(axis=1, ddof=1)
    # One-sided at 0.05 / 5.
    assert power.power_of_mean(1.0, variances, 3, 0.02) == pytest.approx(chance_of_mean(1.0, variances, 3, 0.01))
    fewest = next(seeds for seeds in range(3, 100) if chance_of_mean(1.0, variances, seeds, 0.01) >= 0.8)
    assert power.seeds_for_mean(1.0, variances, 0.02) == fewest > 3


def test_seeds_for_a_paired_t_test_match_the_textbook():
    one, four, flips = np.ones(1), np.ones(4), {"unequal": Fraction(1)}
    # The textbook's 34 pairs for a medium effect (d = 0.5, two-sided 0.05, power 0.8).
    assert power.seeds_for_mean(0.5, one, 0.05) == 34
    assert power.detectable_effect(one, 34, 0.05) == pytest.approx(0.5, abs=0.01)
    # Even for a huge effect, 2^(1 - n) must be below 0.05, or below 0.01 with 5 tests.
    assert power.seeds_for_mean(100, one, 0.05, **flips) == 6
    assert power.seeds_for_mean(100, one, 0.01, **flips) == 8
    assert power.seeds_for_mean(100, four, 0.05, **flips) == power.seeds_for_mean(100, one, 0.05) == 3
    assert power.seeds_for_mean(1e-3, one, 0.05) is None
    assert power.power_of_mean(0.5, one, 1, 0.05) == 0
    assert power.detectable_effect(one, 1, 0.05) == math.inf
    assert power.power_of_mean(0.5, np.zeros(1), 3, 0.05) == 1


def test_sign_flips_need_more_seeds_than_a_t_test_at_six_pairs(generator):
    one, flips = np.ones(1), {"unequal": Fraction(1)}
    effect = 1.001 * power.detectable_effect(one, 6, 0.05)
    assert power.seeds_for_mean(effect, one, 0.05) == 6
    # All six pairs must agree (2 of 2^6 patterns). At this effect they do with a chance of 0.63, not 0.8.
    found = rate(lambda: 2 * sign_flips(generator.normal(effect, size=(1, 6))) <= 0.05, 1500)
    assert found == pytest.approx(stats.norm.cdf(effect) ** 6, abs=0.04)
    assert found < 0.7
    assert power.seeds_for_mean(effect, one, 0.05, **flips) == 7
    assert power.seeds_for_mean(1.001 * stats.norm.ppf(0.8 ** (1 / 6)), one, 0.05, **flips) == 6


@pytest.mark.parametrize(
    ("tasks", "effect", "alpha", "either"),
    [(1, 1.5, 0.05 / 5, False), (1, 1.5, 0.05 / 10, False), (2, 1.2, 0.05, False),
     (3, 3.0, 0.05 / 20, True), (2, 4.0, 0.05 / 20, True), (2, 2.5, 0.05 / 5, True)],
)  # fmt: skip
def test_seeds_needed_with_few_sign_patterns_really_give_the_power(tasks, effect, alpha, either, generator):
    needed = power.seeds_for_mean(effect, np.ones(tasks), alpha, unequal=Fraction(1), either=either)
    differences = generator.normal(effect, size=(1500, tasks, needed))
    p = difference_p(sign_flips, differences, effect, 0.0, by_mean=True, either=either)
    # Two standard errors below 0.8.
    assert (p.for_it <= alpha).mean() > 0.78


def test_detectable_effect_has_80_percent_power_in_simulation(generator):
    variances, deviations = np.array([1.0, 4.0, 0.25]), np.array([[1.0], [2.0], [0.5]])
    detectable = power.detectable_effect(variances, 5, 0.05)
    found = rate(lambda: 2 * t_test(generator.normal(detectable, deviations, size=(3, 5))) <= 0.05, 1500)
    assert found == pytest.approx(0.8, abs=0.06)


def test_careful_variance_estimate_suffices_in_80_percent_of_cases(generator):
    """Variances estimated from 4 seeds are too small in about half of the cases, careful estimates in a fifth."""
    estimates = [power.upper_variances(generator.normal(size=(1, 4)).var(axis=1, ddof=1), 4)[0] for _ in range(1500)]
    assert np.mean(np.array(estimates) < 1) == pytest.approx(0.2, abs=0.04)


def test_sampled_sign_flips_agree_for_one_and_many_studies():
    differences = np.random.default_rng(3).normal(0.1, 1, (2, 5, 9))
    alone = [[sign_flips(side * one) for one in differences] for side in (1, -1)]
    assert np.array_equal(alone, [sign_flips(side * differences) for side in (1, -1)])
    signs = np.random.default_rng(0).integers(0, 2, size=(99_999, 45), dtype=np.int8)
    sums = signs[signs.any(axis=1)] @ differences[0].ravel()
    assert alone[0][0] == pytest.approx((1 + (sums <= 0).sum()) / (1 + len(sums)))


@pytest.mark.parametrize("classes", [2, 3])
def test_resampled_auroc_matches_the_auroc_of_repeated_rows(generator, classes):
    gold = generator.integers(0, classes, size=40)
    scores = generator.random((40, classes)).round(1)  # with ties
    counts = resampled_counts(40, 20)
    expected = [METRICS["auroc"](np.repeat(scores, row.astype(int), axis=0), np.repeat(gold, row.astype(int)))
                for row in counts]  # fmt: skip
    assert resampled_metric("auroc", scores, gold, counts) == pytest.approx(expected, abs=1e-6)


def test_auroc_is_a_half_if_a_class_is_missing():
    gold, counts = np.array([1, 1, 0]), np.array([[2.0, 1, 0], [1, 0, 2]])
    assert resampled_metric("auroc", np.array([[0.4, 0.6], [0.4, 0.6], [0.7, 0.3]]), gold, counts).tolist() == [0.5, 1]

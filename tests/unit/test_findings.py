"""From paired runs to a finding: several baselines, equal pairs, bounds and interim looks, by hand."""

import numpy as np
import pytest
from scipy import stats

from steadytune.claims import power
from steadytune.claims.claim import Cost, Difference, Equivalent, NotWorse
from steadytune.claims.evidence import Evidence
from steadytune.claims.findings import find
from steadytune.claims.judged import Finding
from steadytune.claims.significance import e_value


def finding(kind, *differences, interim=False, **changes) -> Finding:
    """Of a claim against as many baselines as there are arrays of differences (tasks, seeds), at level 0.05."""
    values = {"id": "c", "sentence": "", "where": "", "paper": "p", "source": "", "family": "f", "encoders": ("one",),
              "tasks": ("rte",), "method": "m", "margin": 1.0, "seeds": 3}  # fmt: skip
    against = tuple(f"baseline-{place}" for place in range(len(differences)))
    pairs = {name: (rows, np.zeros_like(rows)) for name, rows in zip(against, differences, strict=True)}
    return find(kind(**values | changes, against=against), Evidence(pairs=pairs), 0.05, interim=interim)


def difference(*differences, **changes) -> Finding:
    return finding(Difference, *differences, statistic="difference", **changes)


def test_the_contrary_of_a_claim_about_several_baselines_is_tested_as_often():
    # Six pairs below both baselines: 2 of 2^6 sign patterns against each, and two such tests.
    below = np.array([[-1.0, -1.2, -0.8, -1.1, -0.9, -1.3]])
    assert difference(below).p_against == 2 / 64
    assert difference(below, below - 0.1).p_against == 4 / 64
    # One baseline is beaten: the other alone still counts twice.
    found = difference(below, -below)
    assert (found.p_against, found.against, found.favours) == (4 / 64, "baseline-0", False)
    assert difference(-below, -below, -below).p_against == 1


def test_p_values_that_a_claim_does_not_have_are_undefined():
    below = np.array([[-1.0, -1.2, -0.8, -1.1, -0.9, -1.3]])
    bound = finding(NotWorse, below, below, statistic="not-worse")
    assert np.isnan([bound.p_size, bound.p_worse]).all()
    assert np.isfinite(bound.p_against)
    assert np.isfinite([difference(below).p_size, difference(below).p_worse]).all()


def test_effects_against_all_baselines_are_to_be_shown_together():
    # Missed by one of two with 0.1 each, by one of three with 0.2 / 3 each.
    assert [power.chance_of_each(count) for count in (1, 2, 3)] == pytest.approx([0.8, 0.9, 1 - 0.2 / 3])
    pairs = 0.5 + np.tile([[1.0, -1.0]], 19) * np.sqrt(37 / 38)
    one, two = difference(pairs, margin=0.5), difference(pairs, pairs, margin=0.5)
    # The deviation, 1, with the factor that makes the plan hold in 80 % of cases.
    variances = np.ones(1) * 37 / stats.chi2.ppf(0.2, 37)
    assert one.needs == power.seeds_for_mean(0.5, variances, 0.05)
    assert two.needs == power.seeds_for_mean(0.5, variances, 0.05, chance=0.9)
    assert two.detectable > one.detectable > 0.5


def test_pairs_that_are_equal_have_no_sign():
    # Two tasks of four seeds, equal on one: four signs, 2 of 2^4 patterns at the least.
    differences = np.array([[3.0, 3.2, 2.9, 3.1], [0.0] * 4])
    found = difference(differences)
    assert found.p == found.smallest_p == 2 / 16
    # A seed more is a pair more with a sign: 2^(1 - 6) is below 0.05.
    assert found.needs == 6
    assert difference(differences, test="wilcoxon").smallest_p == 2 / 16


def test_runs_that_are_all_equal_decide_nothing():
    found = difference(np.zeros((2, 3)))
    assert (found.p, found.smallest_p, found.needs) == (1, 1, None)


def test_a_claim_of_at_least_its_margin_is_tested_against_it():
    gains = np.array([[1.4, 1.5, 1.6, 1.5, 1.3, 1.7]])
    found = difference(gains, at_least=True)
    assert (found.p, found.favours) == (2 / 64, True)
    # Above 0 without doubt, and not by 2 points.
    too_small = difference(gains, at_least=True, margin=2.0)
    assert (too_small.p, too_small.p_against, too_small.favours) == (1, 2 / 64, False)
    assert difference(gains, margin=2.0).p == difference(gains, margin=2.0).p_size == 2 / 64


def test_pairs_at_the_bound_have_no_sign_and_equal_ones_have():
    gains = np.array([[0.0, 0.0, 0.0, 3.0, 3.1, 3.2]])
    # All six lie to one side of 1 point or the other, three of them above 0.
    assert difference(gains, at_least=True).smallest_p == 2 / 64
    assert difference(gains).smallest_p == 2 / 8
    found = difference(gains / 3.0, at_least=True, direction="lower")
    assert found.smallest_p == 2 / 64
    at_bound = difference(np.array([[1.0, 1.0, 1.0, 3.0, 3.1, 3.2]]), at_least=True)
    assert (at_bound.p, at_bound.smallest_p) == (2 / 8, 2 / 8)


def test_the_p_value_against_several_baselines_is_the_largest():
    # Above the first baseline at every seed but one, whose loss makes the mean fall below; the second is as good.
    first = np.array([[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, -20.0]])
    second = np.array([[0.1, -0.13, 0.2, -0.22, 0.3, -0.05, 0.12, -0.01]])
    each = [2 * stats.wilcoxon(pairs[0], alternative="greater", method="exact").pvalue for pairs in (first, second)]
    found = difference(first, second, test="wilcoxon")
    assert (found.against, found.favours) == ("baseline-0", False)
    assert found.p == pytest.approx(max(each))
    assert found.p > min(each)


def test_a_plain_loss_on_average_is_seen_though_tasks_disagree():
    """+8.8 and -44.5 on two tasks: signs cannot tell, the t test of the mean can."""
    found = difference(np.array([[8.5, 8.8, 9.1], [-44.1, -44.5, -44.9]]))
    assert found.p_against > 0.05 > 0.001 > found.p_worse
    # The interval belongs to the test that speaks; that of the flips reaches from one task's mean to the other's.
    assert found.interval[0] < -17.85 < found.interval[1] < -16


def test_a_bound_is_tested_at_half_of_the_level():
    differences = np.array([[-0.4, 0.3, 0.2, -0.1]])
    above = stats.ttest_1samp(differences[0], -1, alternative="greater").pvalue
    below = stats.ttest_1samp(differences[0], 1, alternative="less").pvalue
    assert finding(NotWorse, differences, statistic="not-worse").p == pytest.approx(2 * above)
    both = finding(Equivalent, differences, statistic="equivalent")
    assert both.p == pytest.approx(2 * max(above, below))
    assert both.smallest_p == 0


def test_an_interim_p_value_is_the_anytime_valid_one():
    differences = np.array([[3.0, 2.0, 2.5], [1.5, 2.0, 1.0]])
    found = difference(differences, interim=True)
    assert found.p == pytest.approx(2 / found.e_value)
    assert difference(differences).p < found.p
    assert finding(NotWorse, differences, statistic="not-worse", interim=True).p == pytest.approx(
        2 / e_value(differences + 1)
    )


def test_an_interim_cost_counts_per_cent_as_points():
    logs = np.array([[0.02, 0.03, 0.025, 0.02, 0.03, 0.02, 0.03, 0.02]])
    settings = {"statistic": "cost", "measure": "flops", "margin": 1.05}
    found = finding(Cost, logs, interim=True, **settings)
    assert found.p == pytest.approx(2 / e_value(100 * (np.log(1.05) - logs)))
    # The interval is the test's: its upper end is the bound that is just shown.
    just = finding(Cost, logs, interim=True, **settings | {"margin": found.interval[1]})
    assert just.p == pytest.approx(0.05, rel=1e-2)


def test_differences_that_are_equal_but_for_rounding_decide_nothing():
    # One of 277 examples more, at each seed.
    second = 100 * np.array([[150, 160, 141]]) / 277
    gains = 100 * np.array([[151, 161, 142]]) / 277 - second
    assert len(set(gains[0])) > 1
    found, exact = difference(gains, direction="either"), difference(np.full((1, 3), 0.5), direction="either")
    assert found.p == exact.p == 0.25
    # Three signs can exclude no shift.
    assert np.isinf([found.interval, exact.interval]).all()
    assert difference(-gains).p_worse == difference(np.full((1, 3), -0.5)).p_worse == 1


def test_a_loss_that_other_examples_could_undo_is_none():
    losses = np.array([[-1.0, -1.1, -0.9, -1.05, -0.95, -1.0]])
    over_seeds = difference(losses)
    assert over_seeds.p_worse < 1e-4
    claim = {"id": "c", "sentence": "", "where": "", "paper": "p", "source": "", "family": "f", "encoders": ("one",),
             "tasks": ("rte",), "method": "m", "margin": 1.0, "seeds": 3, "against": ("other",)}  # fmt: skip
    evidence = Evidence(pairs={"other": (losses, np.zeros_like(losses))}, errors={"other": 2.0})
    found = find(Difference(**claim, statistic="difference"), evidence, 0.05, "over examples")
    # A t statistic of -1 / 2 with hardly any doubt about the error.
    assert found.p_worse == pytest.approx(2 * stats.norm.cdf(-0.5), rel=0.01)
    by_seed = find(Difference(**claim, statistic="difference"), evidence, 0.05, "by seed")
    assert by_seed.p_worse == 1


def test_an_interim_comparison_without_direction_has_no_t_interval():
    gains = np.array([[1.8, 1.7, 1.9]])
    assert np.isinf(difference(gains, direction="either", interim=True).interval).all()
    exact = difference(gains, direction="either")
    # The t test of the mean speaks with three seeds, where no pattern of signs could.
    assert exact.p < 0.05
    assert (exact.smallest_p, difference(gains).smallest_p) == (0, 0.25)
    # So the t test's power is what counts, and a claim with a direction waits for its sixth sign.
    assert (exact.needs, difference(gains).needs) == (3, 6)
    equal = difference(np.zeros((1, 3)), direction="either")
    assert (equal.smallest_p, equal.needs) == (1, None)


def test_counted_costs_that_are_equal_are_at_most_equal():
    settings = {"statistic": "cost", "measure": "flops"}
    equal, above = np.zeros((1, 3)), np.full((1, 3), np.log(1.01))
    assert (finding(Cost, equal, margin=1.0, **settings).p, finding(Cost, above, margin=1.0, **settings).p) == (0, 1)
    assert finding(Cost, above, margin=1.0, **settings).p_against == 0
    assert finding(Cost, above, margin=1.01, **settings).favours
    interim = finding(Cost, above, margin=1.05, interim=True, **settings)
    assert (interim.p, interim.interval) == (0, pytest.approx((1.01, 1.01)))

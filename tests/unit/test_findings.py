"""From paired runs to a finding: several baselines, pairs that are equal, and the sign flips of medians, by hand."""

import numpy as np
import pytest

from steadytune.claims import power
from steadytune.claims.claim import Difference, Equivalent, NotWorse
from steadytune.claims.evidence import Evidence
from steadytune.claims.findings import find
from steadytune.claims.judged import Finding


def finding(kind, *differences, centre="mean", **changes) -> Finding:
    """Of a claim against as many baselines as there are arrays of differences (tasks, seeds), at level 0.05."""
    values = {"id": "c", "sentence": "", "where": "", "paper": "p", "source": "", "family": "f", "encoders": ("one",),
              "tasks": ("rte",), "method": "m", "margin": 1.0, "seeds": 2}  # fmt: skip
    against = tuple(f"baseline-{place}" for place in range(len(differences)))
    pairs = {name: (rows, np.zeros_like(rows)) for name, rows in zip(against, differences, strict=True)}
    return find(kind(**values | changes, against=against), Evidence(pairs=pairs), 0.05, centre)


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


def test_effects_against_all_baselines_are_to_be_shown_together():
    # Missed by one of two with 0.1 each, by one of three with 0.2 / 3 each.
    assert [power.chance_of_each(count) for count in (1, 2, 3)] == pytest.approx([0.8, 0.9, 1 - 0.2 / 3])
    # Differences of mean 0.5 and deviation 1; the textbooks' pairs for d = 0.5 at 0.05: 34 for 80 %, 44 for 90 %.
    pairs = 0.5 + np.tile([[1.0, -1.0]], 19) * np.sqrt(37 / 38)
    assert pairs.std(ddof=1) == pytest.approx(1)
    one, two = difference(pairs, margin=0.5), difference(pairs, pairs, margin=0.5)
    assert (one.needs, two.needs) == (34, 44)
    # 38 pairs are enough for one of them.
    assert (one.powered, two.powered) == (True, False)
    assert two.detectable > 0.5 > one.detectable


def test_pairs_that_are_equal_have_no_sign():
    # Two tasks of four seeds, equal on one: four signs, 2 of 2^4 patterns at the least.
    differences = np.array([[3.0, 3.2, 2.9, 3.1], [0.0] * 4])
    found = difference(differences)
    assert found.p == found.smallest_p == 2 / 16
    assert not found.powered
    # A seed more is a pair more with a sign: 2^(1 - 6) is below 0.05.
    assert found.needs == 6
    assert difference(differences, test="wilcoxon").smallest_p == 2 / 16
    # All 35 pairs are too many to enumerate; of the drawn patterns one in 2^5 has five signs alike.
    many = np.zeros((7, 5))
    many[0] = [3.0, 3.2, 2.9, 3.1, 3.3]
    assert difference(many).smallest_p == pytest.approx(2 / 32, abs=0.01)


def test_runs_that_are_all_equal_decide_nothing():
    found = difference(np.zeros((2, 3)))
    assert (found.p, found.smallest_p, found.powered, found.needs) == (1, 1, False, None)


@pytest.mark.parametrize(("kind", "statistic"), [(NotWorse, "not-worse"), (Equivalent, "equivalent")])
def test_medians_within_a_bound_can_show_no_more_than_their_signs(kind, statistic):
    """Above the bound by 1.1, 1.0 and 0.9: the median of 8 patterns is 1.0 or more in two, with 0.9 of either sign."""
    differences = np.array([[0.1, 0.0, -0.1]])
    median = finding(kind, differences, statistic=statistic, centre="median")
    assert (median.p, median.smallest_p, median.powered) == (0.25, 0.25, False)
    mean = finding(kind, differences, statistic=statistic)
    assert (mean.smallest_p, mean.powered) == (0, True)

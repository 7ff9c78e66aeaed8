"""Simulated studies: judged as real ones are, with the error rates that docs/claims.md states."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from worlds import shifted

from steadytune import cli
from steadytune.claims import power
from steadytune.claims.claim import ALPHA, Difference
from steadytune.claims.evidence import Evidence
from steadytune.claims.findings import find
from steadytune.claims.verdicts import decide
from steadytune.planning import simulation
from steadytune.planning.simulation import false_alarms, needed_holds, simulate
from steadytune.planning.studies import Design, Draws

DESIGN = Design.of(tasks=3, seeds=4, methods=3, examples=400, sd=2.0, effect=None)


@pytest.fixture(scope="module")
def rows() -> dict[str, simulation.Row]:
    return {row.truth: row for row in simulate(DESIGN, 500)}


def test_simulated_studies_get_the_verdicts_of_real_ones():
    generator = np.random.default_rng(3)
    studies = generator.normal(size=(60, 3, 3)) + generator.normal(size=(60, 3, 1)) + generator.normal(size=(60, 1, 1))
    claim = Difference(id="c", sentence="", where="", paper="p", source="", family="f", encoders=("one",), margin=1.0,
                       tasks=("rte",), method="m", against=("b",), statistic="difference")  # fmt: skip
    expected = []
    for study in studies:
        found = find(claim, Evidence(pairs={"b": (study, np.zeros_like(study))}), ALPHA)
        expected.append(decide(replace(found, p_adjusted=found.p), ALPHA))
    reproduced, smaller, refuted = simulation._difference(studies, 1.0)
    words = np.where(reproduced, "reproduced", np.where(refuted, "not reproduced", "inconclusive"))
    assert list(words) == expected
    assert len(set(expected)) == 3
    assert not (smaller & ~reproduced).any()


def test_error_rate_and_power_are_as_designed(rows):
    assert rows["no effect"].reproduced == pytest.approx(ALPHA / 2, abs=0.02)
    assert rows["the claimed effect"].reproduced == pytest.approx(power.POWER, abs=0.06)
    # A claim that is true at its size is refuted as rarely as one without any effect is reproduced.
    assert rows["the claimed effect"].not_reproduced == pytest.approx(ALPHA / 2, abs=0.02)
    assert rows["no effect"].not_reproduced == pytest.approx(power.POWER, abs=0.06)
    assert rows["no effect"].covered == pytest.approx(0.95, abs=0.03)


def test_half_the_claimed_effect_has_the_chances_of_a_t_test(rows):
    """Expected from a t test of twelve pairs, which detects the claimed effect with a probability of 0.8."""
    distance = DESIGN.effect / 2 / (DESIGN.sd / 12**0.5)
    half = stats.nct.sf(stats.t.isf(ALPHA / 2, 9), 9, distance)
    row = rows["half the claimed effect"]
    # It lies as far from 0 as from the claimed size.
    assert (row.reproduced, row.not_reproduced) == pytest.approx((half, half), abs=0.07)
    assert row.covered == pytest.approx(0.95, abs=0.03)
    # Above 0 and below twice its size: a fifth of studies miss each, which leaves 0.8 and 0.6.
    twice = rows["half of a claimed effect twice as large"]
    assert (twice.reproduced, twice.smaller) == pytest.approx((0.8, 0.6), abs=0.1)
    assert twice.smaller < twice.reproduced
    assert rows["the claimed effect"].smaller < ALPHA / 2


def test_spread_claims_have_low_error_and_high_power(rows):
    ratio = power.detectable_ratio(DESIGN.seeds, DESIGN.tasks, ALPHA)
    equal, smaller = rows["equal spread"], rows[f"spread {ratio:.2g} times as large"]
    # Five standard errors above 0.025.
    assert max(equal.reproduced, smaller.not_reproduced) < 0.06
    # That an equal spread is above the ratio is as easy to detect as that the ratio is below 1.
    assert min(equal.not_reproduced, smaller.reproduced) > 0.75


@pytest.mark.parametrize("methods", [1, 3])
def test_false_alarm_rate_is_the_same_for_three_methods_as_for_one(methods):
    rate = false_alarms(Draws(replace(DESIGN, methods=methods), 2000, np.random.default_rng(2)))
    # Methods that share a baseline give a little less than 0.05; the t test is used along with sign flips.
    assert rate == pytest.approx(ALPHA, abs=0.02)


def test_repeated_looks_keep_the_error_rate_and_power(rows):
    assert rows["no effect, a look after every seed up to 25"].reproduced < 0.06
    assert rows["the claimed effect, a look after every seed up to 25"].reproduced > 0.75


def test_errors_are_controlled_over_examples_and_by_nested_selection(rows):
    seeds, examples = rows["no effect on other examples"], rows["the same, over examples"]
    assert seeds.covered is not None
    assert examples.covered is not None
    assert seeds.reproduced > 0.08 > 0.04 > examples.reproduced
    assert seeds.covered < 0.85 < 0.93 < examples.covered
    assert rows["10 equal variants, nested"].reproduced < 0.06
    # If the held-out scores of all seeds choose, the best of several equal variants looks better than it is.
    own = Draws(DESIGN, 1500, np.random.default_rng(0)).nested(by_others=False)
    assert simulation._difference(own, DESIGN.effect)[0].mean() > 0.1


def test_collapsed_runs_inflate_the_error_of_not_worse_claims(rows):
    assert rows["not worse: worse by the margin"].reproduced < 0.05
    assert rows["not worse: worse by the margin, 10% collapse"].reproduced > 0.1


def test_about_80_percent_of_planned_seed_counts_suffice():
    assert needed_holds(replace(DESIGN, seeds=6), pilots=150) == pytest.approx(0.8, abs=0.12)


def test_simulate_command_uses_the_suites_design(world, root, capsys):
    (world.folder / "config/lock.yaml").write_bytes((root / "config/lock.yaml").read_bytes())
    (world.folder / "config/encoders").symlink_to(root / "config/encoders")
    world.build(shifted(1.0, seeds=3))
    assert cli.main(["simulate", "demo", "--replicates", "20", "--sd", "1", "--effect", "1.5"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("demo: 4 tasks x 3 seeds, pairs differ with a deviation of 1 point; ")
    assert "the claimed effect is 1.5 points" in said
    assert "any of 1 method equal to the baseline" in said
    assert cli.main(["simulate", "demo", "--seeds", "2"]) == 2
    assert "--seeds 2: expected 3 or more" in capsys.readouterr().err

"""Verdicts: every rule, and claims judged on made-up results whose verdict is known by hand."""

import json
import math
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from synthetic import Grid, mark_current
from worlds import TASKS, claim, noise, shifted, values

from steadytune import cli, looks
from steadytune.claims.files import suite_claims
from steadytune.claims.judged import VERDICTS, Finding, Verdicts, load_verdicts, write_verdicts
from steadytune.claims.layer_evidence import gather_draws
from steadytune.claims.verdicts import decide, judge
from steadytune.dag.products import Products
from steadytune.errors import SteadyTuneError
from steadytune.files import plain
from steadytune.layout import claims_path, looks_path, metrics_path, predictions_path, results_folder
from steadytune.looks import Look, keep_looks, read_looks
from steadytune.planning.budget import requirements
from steadytune.rendering.claims import needed_text, to_text, verdict_text
from steadytune.rendering.formats import to_csv, to_markdown, to_tex, write_table
from steadytune.rendering.tables import make_table
from steadytune.rendering.verdicts import not_judged
from steadytune.results.description import Description, describe
from steadytune.results.loading import load_or_empty, load_results
from steadytune.suite.loading import load_suite
from steadytune.suite.suite import Suite

FINDING = Finding(
    effect=1.0,
    interval=(0.5, 1.5),
    favours=True,
    p=0.01,
    p_against=1.0,
    needs=3,
    detectable=0.5,
    smallest_p=0.0,
)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"p_adjusted": 0.05}, "reproduced"),
        ({"p_adjusted": 0.05, "p_size": 0.001}, "reproduced"),
        ({"p_adjusted": 0.051}, "inconclusive"),
        # An opposite effect, one below the claimed size or a mean on the other side: at the family's share of 0.05.
        ({"p_adjusted": 1.0, "favours": False, "p_against": 0.025}, "not reproduced"),
        ({"p_adjusted": 1.0, "favours": False, "p_against": 0.026}, "inconclusive"),
        ({"p_adjusted": 0.2, "p_size": 0.025}, "not reproduced"),
        ({"p_adjusted": 0.2, "p_size": 0.026}, "inconclusive"),
        ({"p_adjusted": 1.0, "favours": False, "p_worse": 0.02}, "not reproduced"),
        # An effect on the other side is never a reproduction.
        ({"p_adjusted": 0.01, "favours": False}, "inconclusive"),
    ],
)
def test_decide_follows_the_rules_of_a_verdict(changes, verdict):
    assert decide(replace(FINDING, **changes), alpha=0.025) == verdict
    assert decide(None, alpha=0.025) == "not evaluated"


def test_clear_difference_is_reproduced(world):
    grid = shifted(3.0)
    found = world.judge(grid, claim("wins"))["wins"]
    assert found.verdict == "reproduced"
    # All 12 pairs are positive: 2 of 2^12 sign patterns.
    assert found.finding.p == found.finding.p_adjusted == found.finding.smallest_p == pytest.approx(2 / 4096)
    pairs = [[grid.values["mini", m, t, s] for m in ("hype-n", "vanilla")] for t in TASKS for s in range(3)]
    assert found.finding.effect == pytest.approx(100 * np.mean([one - other for one, other in pairs]))
    low, high = found.finding.interval
    assert low < found.finding.effect < high
    assert (found.seeds, found.left_out, found.missing, found.command) == ((0, 1, 2), (), (), None)
    assert found.cost == 24
    details = {entry.stratum: entry for entry in found.details}
    assert details["mini, mini-rte"].improvement > 0.5
    assert details["mini, mini-rte"].second.runs == 3


def test_finished_claim_is_also_tested_by_ranks_and_by_seed(world):
    found = world.judge(shifted(3.0), claim("wins"), claim("alone", tasks=["mini-rte"]))
    assert {"ranks", "by seed"} <= set(found["wins"].sensitivity)
    # With one task, a seed's mean is its only pair.
    assert set(found["alone"].sensitivity) & {"ranks", "by seed"} == {"ranks"}


def test_three_pairs_are_inconclusive_however_large_the_effect(world):
    found = world.judge(shifted(9.0, tasks=("mini-rte",)), claim("alone"))["alone"]
    assert found.verdict == "inconclusive"
    assert found.finding.p == found.finding.smallest_p == 0.25
    # The noise is small compared with the margin, so six pairs suffice: 2^-5 is below 0.05.
    assert found.finding.needs == 6
    assert "0.25" in found.reason
    assert found.finding.interval == (-math.inf, math.inf)


def test_verdict_on_six_pairs_depends_on_the_other_claims_in_the_family(world):
    """Holm compares the smaller of two p-values with 0.025, the other with 0.05; six pairs reach 2 / 2^6 = 0.031."""
    scores = values("vanilla", "mini-rte", *[60] * 6) | values("hype-n", "mini-rte", 69, 70, 71, 72, 73, 74)
    scores |= values("vanilla", "mini-mrpc", *[60] * 6) | values("hype-n", "mini-mrpc", 69, 70, 71, 72, 73, 74)
    grid = Grid(tasks=("mini-rte", "mini-mrpc"), seeds=6, values=scores)
    one, both = claim("one", tasks=["mini-rte"], family="f"), claim("both", family="f")
    other = claim("other", tasks=["mini-mrpc"], family="g")
    found = world.judge(grid, one, both, other, claim("more", tasks=["mini-rte"], family="g"))
    assert (found["both"].verdict, found["one"].verdict) == ("reproduced", "reproduced")
    assert (found["other"].verdict, found["more"].verdict) == ("inconclusive", "inconclusive")
    assert found["other"].finding.smallest_p == pytest.approx(2 / 64)
    assert all(said in found["other"].reason for said in ("0.031", "0.025", "2 tests", "others of its family"))


def test_insignificant_effect_below_the_claimed_size_is_not_reproduced(world):
    scores = {}
    for task in TASKS:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n", task, 70.4, 71.8, 74.1)
    found = world.judge(Grid(tasks=TASKS, values=scores), claim("wins"))["wins"]
    # Differences 0.4, -0.2, 0.1 on every task.
    assert found.finding.effect == pytest.approx(0.1)
    # All 12 pairs are below the claimed 2 points.
    assert found.finding.p_size == pytest.approx(2 / 4096)
    assert (found.verdict, found.smaller_than_claimed) == ("not reproduced", False)
    assert found.finding.detectable < 2.0


def test_significant_effect_below_the_claimed_size_is_marked_smaller(world):
    found = world.judge(shifted(1.0, sd=0.1), claim("wins", margin=2.0))["wins"]
    assert (found.verdict, found.smaller_than_claimed) == ("reproduced", True)
    assert "smaller" in found.reason
    assert verdict_text(found) == "reproduced, smaller than claimed"


def test_look_before_all_planned_seeds_is_interim(world):
    """Nine pairs of one point each are 1 of 2^9 outcomes; the anytime-valid test finds weaker evidence."""
    statuses = {("mini", "hype-n", task, seed): "missing" for task in TASKS[:3] for seed in (3, 4)}
    grid = shifted(1.0, sd=0.1, seeds=5, tasks=TASKS[:3], statuses=statuses)
    suite = world.build(grid, claim("wins"))
    (found,) = judge(suite, load_or_empty(suite))
    assert (found.interim, found.planned, found.test) == (True, 5, "anytime")
    (look,) = found.looks
    assert (look.seeds, look.planned) == (3, 5)
    assert found.finding.p == pytest.approx(2 / found.finding.e_value)
    assert found.finding.p > 2 / 2**9
    assert all(said in found.reason for said in ("Interim", "more seeds are planned"))
    assert verdict_text(found).endswith("interim, 3 of 5 seeds")
    # An interim look allows only one test, so the other analyses change the scores or leave out a task.
    assert list(found.sensitivity) == ["best epoch of each run", *(f"without {task}" for task in TASKS[:3])]
    # With all planned seeds, the exact test decides, regardless of earlier looks.
    shutil.rmtree(world.results)
    replace(grid, statuses={}).write(world.folder / "results")
    mark_current(suite)
    (final,) = judge(suite, load_or_empty(suite), {"wins": (look, replace(look, seeds=4))})
    assert (final.interim, final.test, len(final.looks)) == (False, "sign-flip", 3)
    assert "Interim" not in final.reason


def reseed(suite: dict, claims: list, seeds: list[int]) -> None:
    for block in suite["grid"]:
        block["seeds"] = seeds


CHANGES = {
    "more seeds": lambda suite, claims: reseed(suite, claims, [0, 1, 2, 3, 4, 5]),
    "another strength": lambda suite, claims: suite.update(methods={"hype-n": {"sigma": 0.02}}),
    "another learning rate": lambda suite, claims: suite.update(protocol={"learning_rate": 3e-5}),
    "another margin": lambda suite, claims: claims[0].update(margin=0.5),
    "a task less": lambda suite, claims: claims[0].update(tasks=list(TASKS[:3])),
    "the other direction": lambda suite, claims: claims[0].update(direction="lower"),
    "a claim of its family less": lambda suite, claims: claims.pop(),
    "a family of its own": lambda suite, claims: claims[0].update(family="wins"),
    "more seeds under another name": lambda suite, claims: (
        reseed(suite, claims, [0, 1, 2, 3, 4, 5]),
        claims[0].update(id="renamed"),
    ),
}
PICKED = {
    "fewer seeds": lambda suite, claims: reseed(suite, claims, [0, 1, 2, 3]),
    "another seed in place of one": lambda suite, claims: reseed(suite, claims, [0, 1, 2, 3, 5]),
    "a seed that is said to have suggested it": lambda suite, claims: claims[0].update(
        exploratory=True, suggested_by=[4]
    ),
    "fewer seeds under another name": lambda suite, claims: (
        reseed(suite, claims, [0, 1, 2, 3]),
        claims[0].update(id="renamed"),
    ),
}
HARMLESS = {
    "nothing": lambda suite, claims: None,
    "other words": lambda suite, claims: claims[0].update(sentence="It wins.", where="Table 2"),
    "a claim of its family more": lambda suite, claims: claims.append(claim("more", family="both")),
}


@pytest.mark.parametrize("change", [*CHANGES, *HARMLESS])
def test_plan_changed_after_a_look_is_judged_by_the_anytime_test(world, change):
    again = judged_after(world, (CHANGES | HARMLESS)[change])
    assert (again.interim, again.test == "anytime") == (change in CHANGES, change in CHANGES)
    assert len(again.looks) == (1 if change in ("nothing", "other words") else 2)
    # All planned seeds have a score, so none is missing.
    assert again.missing == ()
    assert verdict_text(again).endswith("; interim, the plan was changed") == (change in CHANGES)
    assert ("the plan was changed" in again.reason) == (change in CHANGES)


@pytest.mark.parametrize("change", PICKED)
def test_seeds_picked_after_a_look_are_not_evaluated(world, change):
    """The best five of ten seeds without any effect are clearly above 0: no p-value is valid for them."""
    found = judged_after(world, PICKED[change])
    assert (found.verdict, found.finding) == ("not evaluated", None)
    assert "Seed 4 left out" in found.reason


def test_seeds_outside_every_look_are_judged_separately(world):
    found = judged_after(world, lambda suite, claims: reseed(suite, claims, [5, 6, 7]), seeds=8)
    assert (found.verdict, found.interim, found.seeds) == ("reproduced", True, (5, 6, 7))


def test_claim_added_next_to_the_old_one_is_a_new_claim(world):
    added = claim("more", family="more", margin=0.5)
    assert not judged_after(world, lambda suite, claims: claims.insert(0, added)).interim


def judged_after(world, change, seeds=6):
    """The first of two claims, judged after a look at five seeds and then a change of the suite or the claims."""
    both = claim("wins", family="both"), claim("keeps", statistic="not-worse", margin=1.0, family="both")
    suite = world.build(shifted(1.0, sd=0.1, seeds=seeds), *both)
    written = world.folder / "config/demo.yaml", world.folder / "config/claims/demo.yaml"
    value, claims = (yaml.safe_load(path.read_text()) for path in written)
    reseed(value, claims["claims"], [0, 1, 2, 3, 4])
    written[0].write_text(yaml.safe_dump(value))
    every = pd.read_parquet(metrics_path(suite))
    suite = collected(every)
    first = judge(suite, load_or_empty(suite))
    assert not first[0].interim
    change(value, claims["claims"])
    for path, content in zip(written, (value, claims), strict=True):
        path.write_text(yaml.safe_dump(content))
    suite = collected(every)
    return judge(suite, load_or_empty(suite), Verdicts("demo", claims=first).looks())[0]


def collected(every: pd.DataFrame) -> Suite:
    """Load the suite as its file is now, and give it the scores of the seeds that it plans."""
    suite = load_suite(Path("config/demo.yaml"))
    every[every["seed"].isin({cell.seed for cell in suite.cells})].to_parquet(metrics_path(suite))
    mark_current(suite)
    return suite


def test_looks_of_a_removed_claim_are_kept_and_damage_is_refused(world):
    suite = world.build(shifted(1.0, seeds=3), claim("wins"), claim("rest", family="rest"))
    looks = Verdicts("demo", claims=judge(suite, load_or_empty(suite))).looks()
    keep_looks(suite, looks)
    keep_looks(suite, {"rest": looks["rest"]})
    assert read_looks(suite) == looks
    path = looks_path(suite)
    path.write_text(path.read_text().replace('"seeds": 3', '"seeds": 2'))
    with pytest.raises(SteadyTuneError, match="damaged"):
        read_looks(suite)


def test_damaged_looks_file_is_set_aside(tmp_path):
    wins, rest = (Look(seeds=seeds, planned=5, plan="a plan", family=1) for seeds in (2, 3))
    keep_looks(tmp_path, {"wins": (wins,)})
    damaged = looks_path(tmp_path).read_text().replace('"seeds": 2', '"seeds": 1')
    looks_path(tmp_path).write_text(damaged)
    keep_looks(tmp_path, {"rest": (rest,)})
    assert read_looks(tmp_path) == {"rest": (rest,)}
    assert looks_path(tmp_path).with_name("looks.json.damaged").read_text() == damaged
    looks_path(tmp_path).write_text("{}")
    keep_looks(tmp_path, {"rest": (rest,)})
    kept = [looks_path(tmp_path).with_name(f"looks.json.damaged{number}").read_text() for number in (".1", "")]
    assert kept == [damaged, "{}"], "the first copy stays"


def test_concurrent_looks_are_both_kept(world, monkeypatch):
    suite = world.build(shifted(3.0), claim("wins"), claim("rest"))
    found = Verdicts("demo", claims=judge(suite, load_or_empty(suite))).looks()
    both_have_read = Barrier(2)

    def read(of):
        earlier = read_looks(of)
        with suppress(BrokenBarrierError):
            both_have_read.wait(timeout=1)
        return earlier

    monkeypatch.setattr(looks, "read_looks", read)
    threads = [Thread(target=keep_looks, args=(suite, {name: found[name]})) for name in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read_looks(suite) == found
    assert len(found) == 2


def test_seeds_that_suggested_an_exploratory_claim_are_left_out(world):
    claims = (claim("seen", exploratory=True, suggested_by=[0, 1]), claim("told", family="other"))
    found = world.judge(shifted(3.0, seeds=5), *claims)
    assert (found["seen"].seeds, found["seen"].planned, found["told"].seeds) == ((2, 3, 4), 3, (0, 1, 2, 3, 4))
    assert verdict_text(found["seen"]) == "reproduced; exploratory"


def test_reason_counts_seeds_left_without_the_suggesting_ones(world):
    claims = (claim("seen", exploratory=True, suggested_by=[0, 1]), claim("told", family="other"))
    missing = {("mini", "hype-n", "mini-rte", seed): "missing" for seed in (2, 3, 4)}
    seen, told = world.judge(shifted(3.0, seeds=5, statuses=missing), *claims).values()
    assert [re.findall(r"\d+", found.reason) for found in (seen, told)] == [["0", "3", "3"], ["2", "3", "3"]]
    assert ["suggested" in found.reason for found in (seen, told)] == [True, False]


def test_reason_counts_degenerate_and_diverged_runs(world):
    degenerate = {("mini", method, "mini-rte", 4): "degenerate" for method in ("vanilla", "hype-n")}
    degenerate["mini", "hype-n", "mini-mrpc", 0] = "diverged"
    keeps = {"statistic": "not-worse", "margin": 1.0}
    found = world.judge(shifted(0.5, seeds=5, statuses=degenerate), claim("keeps", **keeps), claim("wins"))
    assert (found["keeps"].verdict, found["keeps"].degenerate) == ("reproduced", 2)
    for judged in found.values():
        assert "2 of its runs gave one answer" in judged.reason
        assert "1 of its runs diverged" in judged.reason
        assert judged.seeds == (1, 2, 3, 4)


def test_interim_claim_needs_its_cells_and_a_finished_one_seeds_of_a_new_study(world):
    missing = {("mini", "hype-n", "mini-rte", seed): "missing" for seed in (4, 5)}
    grid = shifted(1.0, sd=4.0, seeds=6, tasks=("mini-rte",), statuses=missing)
    suite = world.build(grid, claim("wins", margin=2.0))
    (interim,) = judge(suite, load_or_empty(suite))
    assert (interim.verdict, interim.interim, needed_text(interim)) == ("inconclusive", True, "2 to run")
    shutil.rmtree(world.results)
    replace(grid, statuses={}).write(world.folder / "results")
    mark_current(suite)
    (whole,) = judge(suite, load_or_empty(suite))
    assert needed_text(whole) == f"{whole.finding.needs} seeds"


def test_sensitivity_shows_an_effect_due_to_one_task(world):
    scores = {}
    for place, task in enumerate(TASKS):
        base = 70 + noise(place, 3, size=4)
        scores |= values("vanilla", task, *base)
        scores |= values("hype-n", task, *(base + noise(place, 4, size=4, sd=0.2) + 20 * (place == 0)))
    views = world.judge(Grid(tasks=TASKS, seeds=4, values=scores), claim("wins"))["wins"].sensitivity
    assert abs(views[f"without {TASKS[0]}"].finding.effect) < 0.3 < 6 < views[f"without {TASKS[1]}"].finding.effect


def answer_ten_examples(world, suite, *sets):
    """Write every cell's predictions, on its own set or on `sets`: vanilla gets six of ten right, hype-n two more."""
    right = {"vanilla": [1] * 6 + [0] * 4, "hype-n": [1] * 8 + [0] * 2}
    for cell in suite.cells:
        said = np.array(right[cell.method])
        table = {"row": range(10), "label": 1, "prediction": said, "logit_0": 1.0 - said, "logit_1": 1.0 * said}
        path = predictions_path(world.results, cell)
        path.parent.mkdir(exist_ok=True)
        pd.concat([pd.DataFrame({"evaluation_set": name} | table) for name in sets or [cell.task]]).to_parquet(path)


OF_TEN = 100 * math.sqrt(0.2 * 0.8 / 10)
"""The standard error over ten examples of getting two more right: eight differences of 0 and two of 1."""


def error_over_examples(found) -> float:
    """The standard error over examples of a finding that has no error over seeds."""
    low, high = found.finding.interval_examples
    return (high - low) / 2 / stats.norm.ppf(0.975)


def test_sensitivity_over_examples_can_overturn_the_verdict(world):
    """Ten examples, of which hype-n gets two more right at every seed: certain over seeds, not over examples."""
    tasks = ("mini-rte",)
    scores = values("vanilla", tasks[0], *[60] * 6) | values("hype-n", tasks[0], *[80] * 6)
    suite = world.build(Grid(tasks=tasks, seeds=6, values=scores), claim("wins"))
    answer_ten_examples(world, suite)
    (found,) = judge(suite, load_or_empty(suite))
    assert found.verdict == "reproduced"
    assert error_over_examples(found) == pytest.approx(OF_TEN, rel=0.1)
    assert found.sensitivity["over examples"].verdict == "inconclusive"
    # The two sides answer two of ten examples differently, at every seed.
    assert found.details[0].changed == pytest.approx(0.2)


@pytest.mark.parametrize("status", ["ok", "missing"])
def test_interim_look_has_no_interval_over_examples(world, status):
    scores = values("vanilla", "mini-rte", 60, 61, 60) | values("hype-n", "mini-rte", 80, 80, 81)
    last = {("mini", method, "mini-rte", 3): status for method in ("vanilla", "hype-n")}
    suite = world.build(Grid(tasks=("mini-rte",), seeds=4, values=scores, statuses=last), claim("wins"))
    answer_ten_examples(world, suite)
    (found,) = judge(suite, load_or_empty(suite))
    assert found.interim == (status == "missing")
    assert bool(found.finding.interval_examples) == (status == "ok")


def test_encoders_on_the_same_examples_share_the_error_over_examples(world):
    """Two encoders that answer alike are as uncertain over examples as one."""
    encoders, task = ("mini", "twin"), "mini-rte"
    scores = {}
    for encoder in encoders:
        scores |= values("vanilla", task, *[60] * 6, encoder=encoder)
        scores |= values("hype-n", task, *[80] * 6, encoder=encoder)
    suite = world.build(
        Grid(encoders=encoders, tasks=(task,), seeds=6, values=scores), claim("wins", encoders=encoders)
    )
    answer_ten_examples(world, suite)
    (found,) = judge(suite, load_or_empty(suite))
    assert error_over_examples(found) == pytest.approx(OF_TEN, rel=0.1)


def test_tasks_and_sets_have_independent_errors_over_examples(world):
    tasks, sets = ("mini-rte", "mini-sst2"), ("mini-rte-constructions", "mini-rte-vocabulary")
    grid = Grid(tasks=tasks, seeds=6, transfer={"mini-rte": sets})
    suite = world.build(grid, claim("tasks"), claim("sets", tasks=["mini-rte"], sets=list(sets)))
    frame = pd.read_parquet(metrics_path(suite))
    frame["value"] = np.where(frame["method"] == "hype-n", 0.8, 0.6)
    frame.to_parquet(metrics_path(suite))
    mark_current(suite)
    answer_ten_examples(world, suite, *tasks, *sets)
    for found in judge(suite, load_or_empty(suite)):
        # A mean of two, each with this error.
        assert error_over_examples(found) == pytest.approx(OF_TEN / math.sqrt(2), rel=0.1)


def test_gain_with_equal_answers_on_both_tasks_has_no_example_error(world):
    scores = values("vanilla", "mini-rte@100", *[60] * 4) | values("hype-n", "mini-rte@100", 65, 67, 69, 66)
    scores |= values("vanilla", "mini-rte", *[60] * 4) | values("hype-n", "mini-rte", *[61] * 4)
    suite = world.build(
        Grid(tasks=("mini-rte@100", "mini-rte"), seeds=4, values=scores),
        claim("gain", statistic="gain", tasks=["mini-rte@100"], reference=["mini-rte"]),
    )
    answer_ten_examples(world, suite, "mini-rte@100", "mini-rte")
    (found,) = judge(suite, load_or_empty(suite))
    over_seeds = stats.ttest_1samp([4, 6, 8, 5], 0).confidence_interval(0.95)
    assert found.finding.interval_examples == pytest.approx((over_seeds.low, over_seeds.high))


def test_no_effect_and_an_opposite_effect_are_not_reproduced(world):
    scores = {}
    for task in TASKS:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n", task, 70.4, 71.8, 73.6)
        scores |= values("lnsr", task, 67, 69.5, 70.5)
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=TASKS, values=scores)
    found = world.judge(
        grid, claim("none"), claim("worse", method="lnsr"), claim("lower", method="lnsr", direction="lower")
    )
    assert [found[name].verdict for name in ("none", "worse", "lower")] == ["not reproduced"] * 2 + ["reproduced"]
    assert found["none"].finding.p_against > 0.05
    assert found["worse"].finding.p_against == pytest.approx(2 / 4096)
    assert found["lower"].finding.effect == found["worse"].finding.effect < 0


def test_only_seeds_present_on_every_side_and_task_are_judged(world):
    grid = shifted(3.0, seeds=5, statuses={("mini", "hype-n", "mini-cola", 1): "failed",
                                           ("mini", "vanilla", "mini-rte", 3): "missing"})  # fmt: skip
    found = world.judge(grid, claim("wins"))["wins"]
    assert (found.seeds, found.left_out) == ((0, 2, 4), (1, 3))
    assert found.ends == {"ok": 38, "failed": 1, "missing": 1}
    pairs = [[grid.values["mini", m, t, s] for m in ("hype-n", "vanilla")] for t in TASKS for s in (0, 2, 4)]
    assert found.finding.effect == pytest.approx(100 * np.mean([one - other for one, other in pairs]))
    # Failed cells have run; missing cells still can.
    assert found.missing == ("results/demo/cells/mini/vanilla/mini-rte/seed-3/record.json",)
    assert found.command == ("steadytune run demo -- $(steadytune claims demo --missing wins)")


@pytest.mark.parametrize("tasks", [["mini-rte"], "*"])
@pytest.mark.parametrize("wrong", [{"encoders": ["minni"]}, {"baseline_encoders": ["minni"]}])
def test_misspelt_encoder_gets_a_suggestion(world, tasks, wrong):
    (found,) = world.judge(shifted(3.0, tasks=("mini-rte",)), claim("wrong", tasks=tasks, **wrong)).values()
    assert found.verdict == "not evaluated"
    assert "'minni' (did you mean 'mini'?)" in found.reason


def test_unevaluated_claims_name_what_is_missing_and_the_command(world, capsys):
    statuses = {("mini", "hype-n", "mini-rte", seed): "missing" for seed in (0, 1)}
    grid = shifted(3.0, tasks=("mini-rte",), statuses=statuses)
    away = claim("away", tasks=["mini-rte@100"], seeds=4)
    never = claim("never", unreachable="nobody has the labels", margin=None)
    found = world.judge(grid, claim("partly"), away, never)
    assert {entry.verdict for entry in found.values()} == {"not evaluated"}
    assert re.findall(r"\d+", found["partly"].reason) == ["1", "3", "2"]
    assert found["partly"].command.endswith("$(steadytune claims demo --missing partly)")
    assert "8 of its 8 cells" in found["away"].reason
    assert found["away"].outside[:2] == tuple(f"mini/hype-n/mini-rte@100/seed-{seed}" for seed in (0, 1))
    # The claim belongs to this suite, which does not plan these cells: no command would run them.
    assert found["away"].command is None
    assert "nobody has the labels" in found["never"].reason.lower()
    assert cli.main(["claims", "demo", "--missing", "partly"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"results/demo/cells/mini/hype-n/mini-rte/seed-{seed}/record.json" for seed in (0, 1)
    ]


def test_claim_of_another_suite_names_that_suites_command(world):
    suite = world.build(shifted(3.0), claim("away", tasks=["mini-rte@100"], suite="other"))
    (found,) = judge(suite, load_or_empty(suite))
    assert found.command is None, "there is no such suite"
    (world.folder / "config/other.yaml").write_text("")
    (found,) = judge(suite, load_or_empty(suite))
    assert found.command == ("steadytune run other -- $(steadytune claims other --missing away)")


def test_claim_without_results_lists_every_cell_as_missing(world):
    suite = world.build(shifted(3.0), claim("wins"))
    (world.results / "metrics.parquet").unlink()
    (found,) = judge(suite, load_or_empty(suite))
    assert (found.verdict, len(found.missing), found.cost) == ("not evaluated", 24, 24)


def test_claim_against_several_uses_the_least_favourable_baseline(world):
    scores = {}
    for task in TASKS:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n", task, 73, 75.5, 77.2)
        scores |= values("lnsr", task, 72.9, 75.6, 77.1)
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=TASKS, values=scores)
    found = world.judge(grid, claim("both", against=["vanilla", "lnsr"]), claim("one"))
    assert found["one"].verdict == "reproduced"
    assert (found["both"].verdict, found["both"].finding.against) == ("not reproduced", "lnsr")
    assert found["both"].finding.effect == pytest.approx(0.1 / 3)


def test_gain_is_a_difference_of_differences(world):
    # hype-n gains 5, 6, 7 points on the small task and 1, 1, 1 on the large one.
    scores = values("vanilla", "mini-rte@100", 60, 61, 62) | values("hype-n", "mini-rte@100", 65, 67, 69)
    scores |= values("vanilla", "mini-rte", 80, 81, 82) | values("hype-n", "mini-rte", 81, 82, 83)
    grid = Grid(tasks=("mini-rte@100", "mini-rte"), values=scores)
    found = world.judge(grid, claim("gain", statistic="gain", tasks=["mini-rte@100"], reference=["mini-rte"]))["gain"]
    assert found.finding.effect == pytest.approx(5)
    assert (found.finding.p, found.verdict) == (0.25, "inconclusive")


def test_more_evaluation_sets_per_run_add_no_pairs(world):
    grid = replace(shifted(3.0, tasks=("mini-rte",)), transfer={"mini-rte": ("mini-mnli", "mini-mrpc")})
    found = world.judge(grid, claim("away", sets="*"), claim("named", sets=["mini-mrpc"]))
    # Three runs a side: no p-value below 0.25, though there are six scores.
    assert found["away"].finding.smallest_p == 0.25
    cells = [[("mini", method, "mini-rte", seed) for method in ("hype-n", "vanilla")] for seed in range(3)]
    gaps = {s: np.mean([grid.value(a, s) - grid.value(b, s) for a, b in cells]) for s in ("mini-mnli", "mini-mrpc")}
    assert found["away"].finding.effect == pytest.approx(100 * np.mean(list(gaps.values())))
    assert found["named"].finding.effect == pytest.approx(100 * gaps["mini-mrpc"])


def steadier(world, times: float, margin: float):
    """The claim of a smaller spread, judged on twelve seeds whose scores vary `times` less with hype-n."""
    scores = {}
    for place, task in enumerate(TASKS):
        wide = noise(place, 5, size=12, sd=4)
        scores |= values("vanilla", task, *(70 + wide)) | values("hype-n", task, *(70 + wide[::-1] / times))
    spread = claim("steadier", statistic="spread", margin=margin)
    return world.judge(Grid(tasks=TASKS, seeds=12, values=scores), spread)["steadier"]


def test_clearly_smaller_spread_is_reproduced(world):
    found = steadier(world, 4, margin=0.5)
    assert found.verdict == "reproduced"
    assert (found.finding.effect, found.unit) == (pytest.approx(0.25), "ratio")
    assert found.finding.interval[0] < 0.25 < found.finding.interval[1] < 1
    assert "median" not in found.sensitivity


def test_smaller_than_claimed_is_json_serialisable_for_a_spread(world):
    found = steadier(world, 1.8, margin=0.5)
    assert (found.verdict, found.smaller_than_claimed) == ("reproduced", False)
    assert json.loads(json.dumps(plain(found)))["smaller_than_claimed"] is False


def test_hardly_smaller_spread_is_not_reproduced(world):
    found = steadier(world, 1.1, margin=0.25)
    assert (found.verdict, found.finding.effect) == ("not reproduced", pytest.approx(1 / 1.1))
    assert "ratio is above" in found.reason
    assert "0.25" in found.reason


def test_spread_claim_on_three_seeds_is_inconclusive(world):
    found = world.judge(shifted(0.0, sd=4), claim("steadier", statistic="spread", margin=0.5))["steadier"]
    assert found.verdict == "inconclusive"
    assert "nor that the ratio is above 0.5" in found.reason
    assert 3 < found.finding.needs < 20


def test_spread_claim_is_not_evaluated_if_a_side_does_not_vary(world):
    """One task on which all runs of a side collapse would make the ratio 0, infinite or undefined."""
    scores = {}
    for place, task in enumerate(TASKS):
        for method in ("vanilla", "hype-n", "lnsr"):
            scores |= values(method, task, *(70 + noise(place, len(method), size=10, sd=4)))
    scores |= values("lnsr", "mini-cola", *[30.0] * 10)
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=TASKS, seeds=10, values=scores)
    steady = {"statistic": "spread", "margin": 0.5}
    suite = world.build(
        grid,
        claim("first", method="lnsr", **steady),
        claim("second", against=["vanilla", "lnsr"], **steady),
        claim("neither", **steady),
    )
    found = {entry.id: entry for entry in judge(suite, load_or_empty(suite))}
    for name in ("first", "second"):
        assert found[name].verdict == "not evaluated"
        assert re.findall(r"mini/[\w/-]+", found[name].reason) == ["mini/lnsr/mini-cola"]
    assert found["neither"].finding.effect > 0
    # Each run gives one class, but not always the same one: the scores vary, though nothing was learned.
    path = world.results / "metrics.parquet"
    frame = pd.read_parquet(path)
    frame.loc[(frame["method"] == "hype-n") & (frame["task"] == "mini-rte"), "status"] = "degenerate"
    frame.to_parquet(path)
    mark_current(suite)
    neither = judge(suite, load_or_empty(suite))[2]
    assert re.findall(r"mini/[\w/-]+", neither.reason) == ["mini/hype-n/mini-rte"]


def test_not_worse_and_equivalent_claims_use_one_sided_t_tests(world):
    differences = [-0.4, 0.3, 0.2, -0.1, 0.3, 0.2]
    base = [70, 71, 74, 69, 72, 73]
    scores = values("vanilla", "mini-rte", *base)
    scores |= values("hype-n", "mini-rte", *(b + d for b, d in zip(base, differences, strict=True)))
    scores |= values("lnsr", "mini-rte", *(b - 3 + d for b, d in zip(base, differences, strict=True)))
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=("mini-rte",), seeds=6, values=scores)
    no_worse = {"statistic": "not-worse", "margin": 0.5}
    found = world.judge(
        grid,
        claim("no-worse", **no_worse),
        claim("worse", method="lnsr", **no_worse),
        claim("same", statistic="equivalent", margin=0.5),
        claim("other", statistic="equivalent", margin=0.5, method="lnsr"),
        claim("too-close", statistic="equivalent", margin=0.1),
    )
    above = stats.ttest_1samp(differences, -0.5, alternative="greater").pvalue
    below = stats.ttest_1samp(differences, 0.5, alternative="less").pvalue
    assert found["no-worse"].finding.p == pytest.approx(2 * above)
    assert found["same"].finding.p == pytest.approx(2 * max(above, below))
    verdicts = {name: entry.verdict for name, entry in found.items()}
    assert verdicts == {
        "no-worse": "reproduced",
        "worse": "not reproduced",
        "same": "reproduced",
        "other": "not reproduced",
        "too-close": "inconclusive",
    }
    assert found["too-close"].finding.needs > 6


def test_cost_claims_compare_ratios_from_the_records(world):
    # Records have 1e9 FLOPs for vanilla and 2e9 for the others, in 9 seconds each.
    found = world.judge(
        shifted(1.0),
        claim("same-time", statistic="cost", measure="seconds", margin=1.05),
        claim("same-work", statistic="cost", measure="flops", margin=1.05),
        claim("half", statistic="cost", measure="trainable", margin=0.6),
    )
    assert {name: (entry.finding.effect, entry.verdict) for name, entry in found.items()} == {
        "same-time": (pytest.approx(1), "reproduced"),
        "same-work": (pytest.approx(2), "not reproduced"),
        "half": (pytest.approx(0.5), "reproduced"),
    }
    assert found["half"].sensitivity == {}
    # Equal ratios have no spread, so any distance from the bound is detectable.
    assert [found[name].finding.detectable for name in ("same-time", "half")] == pytest.approx([1, 0.6])


def test_times_on_different_devices_are_not_compared(world):
    suite = world.build(shifted(1.0), claim("same-time", statistic="cost", measure="seconds", margin=1.05))
    path = world.results / "cells/mini/hype-n/mini-rte/seed-0/record.json"
    record = json.loads(path.read_text())
    record["environment"]["device_name"] = "Another"
    path.write_text(json.dumps(record))
    (found,) = judge(suite, load_or_empty(suite))
    assert found.verdict == "not evaluated"
    assert all(device in found.reason for device in ("A processor", "Another"))


def test_seed_with_a_quarantined_record_is_left_out_of_cost(world):
    """The record may be another cell's or lack the cost, so its seed is left out on all sides."""
    cell = ("mini", "hype-n", "mini-rte", 1)
    costly = claim("answers", statistic="cost", measure="inference", margin=1.05)
    suite = world.build(shifted(1.0, seeds=4, statuses={cell: "quarantined"}), costly)
    path = world.results / "cells/mini/hype-n/mini-rte/seed-1/record.json"
    record = json.loads(path.read_text())
    for training in ({"flops": 1e9}, {"flops": 1e9, "inference_flops": 9e6}):
        path.write_text(json.dumps(record | {"training": training}))
        (found,) = judge(suite, load_or_empty(suite))
        assert (found.seeds, found.left_out, found.finding.effect) == ((0, 2, 3), (1,), pytest.approx(1))


def test_seed_with_zero_cost_is_left_out(world):
    suite = world.build(shifted(1.0, seeds=4), claim("half", statistic="cost", measure="trainable", margin=0.6))
    path = world.results / "cells/mini/hype-n/mini-rte/seed-1/record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"training": record["training"] | {"trainable_parameters": 0}}))
    (found,) = judge(suite, load_or_empty(suite))
    assert (found.seeds, found.left_out, found.finding.effect) == ((0, 2, 3), (1,), pytest.approx(0.5))


def layer_claims() -> list[dict[str, Any]]:
    common = {key: claim("x")[key] for key in ("sentence", "where", "encoders", "tasks")}
    layers = common | {"statistic": "layer-stability", "margin": 0.6, "family": "layers"}
    return [layers | {"id": "scarce", "examples": 100}, layers | {"id": "unequal", "majority": 0.9}]


def measure_layers(world, **agreements: float) -> None:
    """Write, by task, the share of 40 draws of 100 examples that choose the same layer as all data."""
    for task, agreement in agreements.items():
        path = world.results / f"variability/mini/{task.replace('_', '-')}.json"
        point = {"examples": 100, "share": 0.5, "agreement": agreement, "distance": 0.1}
        point |= {"nu": [], "nu_low": [], "nu_high": []}
        robustness = {"draws": 40, "scarcity": [point], "imbalance": []}
        path.write_text(json.dumps(json.loads(path.read_text()) | {"robustness": robustness}))


def test_layer_stability_is_judged_by_a_binomial_test_of_the_draws(world):
    suite = world.build(Grid(tasks=("mini-rte", "mini-cola")), *layer_claims(), variability=["mini"])
    measure_layers(world, mini_rte=0.95, mini_cola=0.85)
    scarce, unequal = judge(suite, load_or_empty(suite))
    # 38 and 34 of 40 draws.
    assert (scarce.finding.effect, scarce.draws, scarce.verdict) == (pytest.approx(0.9), 80, "reproduced")
    assert scarce.finding.p == pytest.approx(2 * stats.binomtest(72, 80, 0.6, "greater").pvalue)
    assert unequal.verdict == "not evaluated"
    assert unequal.outside == ("mini/mini-rte", "mini/mini-cola")
    (world.results / "variability/mini/mini-rte.json").unlink()
    scarce, _ = judge(suite, load_or_empty(suite))
    assert scarce.missing == ("results/demo/variability/mini/mini-rte.json",)
    assert scarce.verdict == "not evaluated"


def test_stability_of_a_layer_few_draws_choose_is_not_reproduced(world):
    scarce = layer_claims()[0]
    suite = world.build(Grid(tasks=("mini-rte", "mini-cola")), scarce, variability=["mini"])
    measure_layers(world, mini_rte=0.3, mini_cola=0.2)
    (found,) = judge(suite, load_or_empty(suite))
    assert (found.finding.effect, found.draws, found.verdict) == (pytest.approx(0.25), 80, "not reproduced")
    assert found.finding.p_against == pytest.approx(2 * stats.binomtest(20, 80, 0.6, "less").pvalue)
    # If all draws agree: 0.6^7 is 0.028 and 0.6^8 is 0.017, and 0.025 lies between them.
    assert found.finding.needs == 8


def test_unmeasured_layer_does_not_count_in_its_family(world):
    scarce = layer_claims()[0]
    elsewhere = scarce | {"id": "elsewhere", "encoders": ["mini-random"]}
    suite = world.build(Grid(encoders=("mini", "mini-random")), scarce, elsewhere, variability=["mini"])
    measure_layers(world, mini_rte=0.95)
    found, other = judge(suite, load_or_empty(suite))
    assert (found.family_size, other.family_size, other.verdict) == (1, 1, "not evaluated")
    assert found.finding.p_adjusted == found.finding.p


def test_measurement_without_draws_is_not_evaluated(world):
    suite = world.build(Grid(tasks=("mini-rte",)), *layer_claims(), variability=["mini"])
    path = world.results / "variability/mini/mini-rte.json"
    content = json.loads(path.read_text())
    for robustness in (None, {"draws": 20, "scarcity": [], "imbalance": []}):
        path.write_text(json.dumps(content | {"robustness": robustness}))
        assert [entry.verdict for entry in judge(suite, load_or_empty(suite))] == ["not evaluated"] * 2


def test_damaged_measurement_error_names_file_and_key(world):
    suite = world.build(Grid(tasks=("mini-rte",)), *layer_claims(), variability=["mini"])
    path = world.results / "variability/mini/mini-rte.json"
    robustness = {"draws": 20, "scarcity": [{"examples": 100}], "imbalance": []}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"robustness": robustness}))
    with pytest.raises(SteadyTuneError, match=r"mini-rte\.json: .*robustness\.scarcity\.0\.share"):
        gather_draws(suite_claims(suite)[0], suite)


def test_p_values_are_corrected_within_a_family(world):
    scores = {}
    for task in TASKS[:2]:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n", task, 73, 75.5, 77.2)
        scores |= values("lnsr", task, 73.1, 75.6, 77.1)
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=TASKS[:2], values=scores)
    alone = world.judge(
        grid,
        claim("a", family="pair"),
        claim("b", family="pair", method="lnsr"),
        claim("c", family="single"),
        # Not judged, so it does not count in its family.
        claim("d", family="single", tasks=["mini-stsb"]),
    )
    # All 6 pairs are positive: 2 / 64 each.
    assert {name: entry.finding.p for name, entry in alone.items() if name != "d"} == dict.fromkeys("abc", 2 / 64)
    assert [alone[name].finding.p_adjusted for name in "abc"] == [4 / 64, 4 / 64, 2 / 64]
    assert alone["d"].finding is None
    assert (alone["c"].verdict, alone["c"].family_size) == ("reproduced", 1)
    assert alone["a"].verdict == "inconclusive"


def test_family_size_includes_claims_that_have_not_run(world):
    tasks, scores = TASKS[:2], {}
    for task in tasks:
        scores |= values("vanilla", task, 70, 72, 74, 71) | values("hype-n", task, 73, 75.5, 77.2, 74.1)
    # hype-n has one degenerate run, lnsr has all but one on each task, and r-drop has not run.
    statuses = {("mini", "hype-n", "mini-rte", 3): "degenerate"}
    statuses |= {("mini", "lnsr", task, seed): "degenerate" for task in tasks for seed in range(3)}
    statuses |= {("mini", "r-drop", task, seed): "missing" for task in tasks for seed in range(4)}
    grid = Grid(methods=("vanilla", "hype-n", "lnsr", "r-drop"), tasks=tasks, seeds=4, values=scores, statuses=statuses)
    others = [claim(name, family="three", method=name) for name in ("lnsr", "r-drop")]
    never = claim("never", family="three", unreachable="nobody has the labels", margin=None)
    found = world.judge(grid, claim("wins", family="three"), *others, never)
    assert [found[name].family_size for name in ("wins", "lnsr", "r-drop", "never")] == [3] * 4
    without = found["wins"].sensitivity["without degenerate runs"]
    # Seven of eight pairs are left, all positive: 2 of 2^7, times three although lnsr has too few runs left.
    assert (without.finding.p, without.finding.p_adjusted) == (2 / 128, 6 / 128)


def test_plan_and_verdicts_use_the_same_family_size(world):
    away = claim("away", family="pair", tasks=["mini-stsb"])
    suite = world.build(shifted(3.0, seeds=5, tasks=TASKS[:2]), claim("wins", family="pair"), away)
    (wins,) = [need for need in requirements(suite) if need.claim.id == "wins"]
    # Alone at 0.05, three seeds on two tasks suffice: 2^(1 - 6). Two tests would need seven pairs, so four seeds.
    assert wins.seeds == 3
    assert judge(suite, load_or_empty(suite))[0].family_size == 1


def test_sensitivity_shows_a_verdict_due_to_degenerate_runs(world):
    # Two of vanilla's seeds always give one answer (0.53, the majority); on the other seeds both methods are equal.
    degenerate = {("mini", "vanilla", task, seed): "degenerate" for task in TASKS for seed in (0, 1)}
    scores = {}
    for place, task in enumerate(TASKS):
        base = 60 + noise(place, 7, size=6)
        scores |= values("vanilla", task, *base) | values("hype-n", task, *(base + noise(place, 8, size=6, sd=0.2)))
    found = world.judge(Grid(tasks=TASKS, seeds=6, values=scores, statuses=degenerate), claim("wins"))["wins"]
    assert found.verdict == "reproduced"
    without = found.sensitivity["without degenerate runs"]
    assert not without.survives
    assert without.verdict == "not reproduced"
    assert abs(without.finding.effect) < 0.5 < found.finding.effect
    assert "diverged runs as majority class" not in found.sensitivity


def test_sensitivity_shows_a_verdict_due_to_leaving_out_diverged_runs(world):
    diverged = {("mini", "hype-n", task, 5): "diverged" for task in TASKS}
    found = world.judge(shifted(1.5, sd=0.3, seeds=6, statuses=diverged), claim("wins"))["wins"]
    assert (found.verdict, found.left_out) == ("reproduced", (5,))
    counted = found.sensitivity["diverged runs as majority class"]
    assert counted.finding.effect < found.finding.effect
    assert not counted.survives


def test_sensitivity_shows_a_verdict_due_to_variant_selection(world):
    # sigma 0.1 is better on the reported set by 3 points and worse on held-out data.
    scores, held_out = {}, {}
    for place, task in enumerate(TASKS):
        base = 70 + noise(place, 11, size=3)
        scores |= values("vanilla", task, *base)
        scores |= values("hype-n~sigma=0.1", task, *(base + 3 + noise(place, 12, size=3, sd=0.2)))
        scores |= values("hype-n~sigma=0.2", task, *(base + noise(place, 13, size=3, sd=0.2)))
        for method, level in (("vanilla", 70), ("hype-n~sigma=0.1", 60), ("hype-n~sigma=0.2", 71)):
            held_out |= values(method, task, level, level, level)
    methods = ("vanilla", "hype-n~sigma=0.1", "hype-n~sigma=0.2")
    grid = Grid(methods=methods, tasks=TASKS, values=scores, held_out=held_out)
    named = claim("variant", method="hype-n~sigma=0.2")
    found = world.judge(grid, claim("wins"), named, selection="published", protocol={"holdout": 0.1})
    assert found["wins"].verdict == "reproduced"
    assert found["wins"].cost == 36, "every variant has to run"
    nested = found["wins"].sensitivity["nested selection"]
    assert not nested.survives
    assert abs(nested.finding.effect) < 0.5
    # A claim that names its variant has nothing to select.
    assert "nested selection" not in found["variant"].sensitivity
    assert abs(found["variant"].finding.effect) < 0.5


def test_claim_stays_interim_until_every_variant_has_run(world):
    scores, missing = {}, {("mini", "hype-n~sigma=0.2", task, 2): "missing" for task in TASKS}
    for task in TASKS:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n~sigma=0.1", task, 73.5, 75, 76.5)
        scores |= values("hype-n~sigma=0.2", task, 70.5, 72)
    methods = ("vanilla", "hype-n~sigma=0.1", "hype-n~sigma=0.2")
    grid = Grid(methods=methods, tasks=TASKS, values=scores, statuses=missing)
    found = world.judge(grid, claim("wins"), selection="published")["wins"]
    # The best variant so far has all seeds, but cells of another variant are missing.
    assert (found.seeds, found.planned, len(found.missing)) == ((0, 1, 2), 3, 4)
    assert verdict_text(found).endswith("; interim, cells are missing")


def test_suites_own_selection_rule_is_not_a_sensitivity_analysis(world):
    """Selection on held-out data is compared with selection on the reported set, where sigma 0.1 is 3 points better."""
    scores, held_out = {}, {}
    for task in TASKS:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n~sigma=0.1", task, 73.5, 75, 76.5)
        scores |= values("hype-n~sigma=0.2", task, 70.5, 72, 73.5)
        for method, level in (("vanilla", 70), ("hype-n~sigma=0.1", 60), ("hype-n~sigma=0.2", 71)):
            held_out |= values(method, task, level, level, level)
    methods = ("vanilla", "hype-n~sigma=0.1", "hype-n~sigma=0.2")
    grid = Grid(methods=methods, tasks=TASKS, values=scores, held_out=held_out)
    found = world.judge(grid, claim("wins"), selection="nested", protocol={"holdout": 0.1})["wins"]
    assert found.finding.effect == pytest.approx(0)
    assert "nested selection" not in found.sensitivity
    reported = found.sensitivity["selection on the reported set"]
    assert (reported.finding.effect, reported.verdict) == (pytest.approx(3), "reproduced")


def test_two_way_claim_uses_accuracy_on_two_labels(world):
    """The headline, on three labels, gives 1 point and selects sigma 0.1, which has 10 points on two labels."""
    variants = {"vanilla": (0.60, 0.70), "hype-n~sigma=0.1": (0.61, 0.80), "hype-n~sigma=0.2": (0.55, 0.95)}
    scores = {("mini", m, "mini-mnli", seed): three for m, (three, _) in variants.items() for seed in range(3)}
    grid = Grid(methods=tuple(variants), tasks=("mini-mnli",), values=scores)
    read = claim("two", reading="two-way", tasks=["mini-mnli"])
    suite = world.build(grid, read, claim("three", tasks=["mini-mnli"]), selection="published")
    path = world.results / "metrics.parquet"
    frame = pd.read_parquet(path)
    rows = frame[frame["headline"]].assign(metric="accuracy_two_way", headline=False, majority=0.66)
    rows["value"] = [variants[method][1] for method in rows["method"]]
    pd.concat([frame, rows]).to_parquet(path)
    mark_current(suite)
    two, three = judge(suite, load_or_empty(suite))
    assert (two.finding.effect, three.finding.effect) == (pytest.approx(10), pytest.approx(1))


def test_another_encoder_can_be_the_baseline(world):
    scores = {}
    for task in TASKS:
        scores |= values("vanilla", task, 80, 82, 84) | values("vanilla", task, 60, 61, 65, encoder="mini-random")
    grid = Grid(encoders=("mini", "mini-random"), methods=("vanilla",), tasks=TASKS, values=scores)
    better = claim("pretraining", method="vanilla", baseline_encoders=["mini-random"], margin=5.0)
    found = world.judge(grid, better)["pretraining"]
    assert (found.verdict, found.finding.effect) == ("reproduced", pytest.approx(20))


def test_wilcoxon_claim_gets_the_exact_signed_rank_p_value(world):
    differences = [3.0, -9.0, 2.0, 1.2, 1.9, 4.1, 0.8]
    scores = values("vanilla", "mini-rte", *[70] * 7) | values("hype-n", "mini-rte", *(70 + np.array(differences)))
    grid = Grid(tasks=("mini-rte",), seeds=7, values=scores)
    found = world.judge(grid, claim("ranks", test="wilcoxon"), claim("flips", family="other"))
    above = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
    assert found["ranks"].finding.p == pytest.approx(2 * above)
    assert found["flips"].finding.p != pytest.approx(2 * above)
    assert found["ranks"].finding.effect == found["flips"].finding.effect == pytest.approx(np.mean(differences))


@pytest.fixture
def judged(world):
    """A suite whose claims have every verdict, the judged claims, and the world."""
    scores = {}
    for task in TASKS:
        scores |= values("vanilla", task, 70, 72, 74) | values("hype-n", task, 73, 75.5, 77.2)
        scores |= values("lnsr", task, 70.4, 71.8, 74.1)
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=TASKS, values=scores)
    suite = world.build(
        grid,
        claim("wins"),
        claim("tie", method="lnsr"),
        claim("alone", tasks=["mini-rte"]),
        claim("reverse", direction="lower"),
        claim("away", tasks=["mini-stsb"]),
        claim("steady", statistic="spread", margin=0.5),
    )
    return suite, judge(suite, load_or_empty(suite)), world


def test_every_verdict_survives_writing_and_reading(judged):
    suite, claims, _ = judged
    assert {entry.verdict for entry in claims} == set(VERDICTS)
    folder = results_folder(suite)
    write_verdicts(folder, Verdicts(suite.name, claims=claims))
    first = claims_path(suite).read_bytes()
    json.loads(first, parse_constant=lambda name: pytest.fail(name))
    # Reading gives back what was written, except for numbers that JSON cannot hold.
    assert plain(list(load_verdicts(folder).claims)) == plain(list(claims))
    write_verdicts(folder, load_verdicts(folder))
    assert claims_path(suite).read_bytes() == first


def test_damaged_claims_file_error_names_the_key(judged):
    suite, claims, _ = judged
    folder, path = results_folder(suite), claims_path(suite)
    write_verdicts(folder, Verdicts(suite.name, claims=claims))
    path.write_text(path.read_text().replace('"verdict": "reproduced"', '"verdict": "reproducd"', 1))
    with pytest.raises(SteadyTuneError, match=r"claims\.0\.verdict: 'reproducd'.*did you mean 'reproduced'"):
        load_verdicts(folder)


def test_claims_table_has_a_row_per_claim_in_every_format(judged, tmp_path):
    suite, claims, world = judged
    write_verdicts(results_folder(suite), Verdicts(suite.name, claims=claims))
    table = make_table("claims", load_results(world.results, describe(suite)))
    rows = {line[0]: line for line in table.lines}
    assert list(rows) == ["wins", "tie", "alone", "reverse", "away", "steady"]
    assert rows["wins"][2] == "reproduced"
    assert rows["alone"][-1] == "6 seeds"
    assert rows["away"][3:] == ("–", "–", "–", "–", "6 unplanned")
    # (3 + 3.5 + 3.2) / 3 on every task.
    assert str(rows["wins"][3]).startswith("+3.2 [")
    assert len(to_csv(table).splitlines()) == 7
    assert "| wins | wins holds. | reproduced |" in to_markdown(table)
    tex = to_tex(table)
    assert r"{\raggedright wins holds.\par}" in tex
    assert r"@{}p{0.25\linewidth}p{0.25\linewidth}lrrrrl@{}" in tex
    paths = write_table(table, tmp_path / "claims")
    assert all(path.stat().st_size for path in paths)


def test_claims_table_without_claims_says_so(world):
    world.build(Grid(), claim("wins"))
    table = make_table("claims", load_results(world.results, Description(name="demo", claims=False)))
    assert table.caption == "This suite judges no claims."
    assert table.lines == []


def test_tables_rendered_before_the_verdicts_name_the_command_that_writes_them(world):
    suite = world.build(Grid(), claim("wins"))
    results = load_results(world.results, describe(suite))
    command = f"`steadytune claims {results.suite.argument} --write`"
    for name in ("claims", "readings", "comparisons"):
        table = make_table(name, results)
        assert any(command in note for note in table.notes), name
        assert not any("judges no claim" in text or "no two methods" in text for text in (*table.notes, table.caption))
        assert "\\caption" in to_tex(table)
    write_verdicts(world.results, Verdicts(suite.name, claims=judge(suite, results)))
    for name in ("claims", "readings", "comparisons"):
        assert not any(command in note for note in make_table(name, results).notes), name


def test_command_that_writes_verdicts_exists(world):
    suite = world.build(Grid(), claim("wins"))
    command, _, name, option = not_judged(load_results(world.results, describe(suite))).split("`")[1].split()
    assert (command, name, option) == ("steadytune", "demo", "--write")
    assert cli.main(["claims", name, option]) == 0
    assert not_judged(load_results(world.results, describe(suite))) == ""


def test_unreachable_claims_alone_get_no_note_on_families(world):
    suite = world.build(Grid(), claim("never", unreachable="The data are not public."))
    claims = judge(suite, load_or_empty(suite))
    write_verdicts(results_folder(suite), Verdicts(suite.name, claims=claims))
    table = make_table("claims", load_results(world.results, describe(suite)))
    text = to_text(suite.name, claims)
    assert "never: not evaluated" in text
    assert not any("families" in said for said in (text, *table.notes))
    assert all(table.notes)
    assert text.splitlines()[1:3] == ["", "never: not evaluated"]


def test_claims_command_prints_verdicts_and_keeps_each_look_once(judged, capsys):
    suite, claims, _ = judged
    text = to_text(suite.name, claims)
    assert "wins: reproduced" in text
    assert "effect +3.2 [" in text
    assert "needs: 6 seeds" in text
    assert cli.main(["claims", "demo"]) == 0
    assert capsys.readouterr().out == text + "\n"
    assert not claims_path(suite).exists()
    # The look is kept; taking the same one again adds none.
    kept = looks_path(suite).read_bytes()
    assert [look.seeds for look in read_looks(suite)["wins"]] == [3]
    assert cli.main(["claims", "demo", "--write"]) == 0
    assert looks_path(suite).read_bytes() == kept
    assert claims_path(suite).exists()
    # The written verdicts depend on the looks, so a later look makes them stale.
    assert [status.state for status in Products(suite).status(["claims"])] == ["fresh"]
    keep_looks(suite, {"wins": (replace(read_looks(suite)["wins"][0], plan="another"),)})
    (status,) = Products(suite).status(["claims"])
    assert (status.state, "looks" in status.why) == ("stale", True)
    capsys.readouterr()
    assert cli.main(["claims", "demo", "--missing", "win"]) == 2
    assert "unknown claim 'win' (did you mean 'wins'?)" in capsys.readouterr().err


def test_claims_are_not_evaluated_if_every_run_is_degenerate(world):
    grid = shifted(0.0)
    grid.statuses = dict.fromkeys(grid.cells(), "degenerate")
    claims = [claim("wins"), claim("keeps", statistic="not-worse", margin=1.0)]
    found = world.judge(grid, *claims)
    assert {name: entry.verdict for name, entry in found.items()} == {"wins": "not evaluated", "keeps": "not evaluated"}
    assert "nothing was learned" in found["wins"].reason.lower()

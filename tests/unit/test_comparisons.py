"""Comparing two methods without a claim: on average, on every task, in the table and on the terminal."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from synthetic import Grid
from worlds import TASKS, noise, shifted, values

from steadytune import cli
from steadytune.claims.comparisons import against_baseline, compare, judge_all, pair
from steadytune.claims.judged import Verdicts, agreeing, write_verdicts
from steadytune.layout import claims_path, looks_path
from steadytune.looks import keep_looks, read_looks
from steadytune.rendering.comparisons import average_text
from steadytune.rendering.figures import draw
from steadytune.rendering.tables import make_table
from steadytune.results.description import describe
from steadytune.results.loading import load_or_empty, load_results
from steadytune.suite.loading import load_suite


def compared(world, grid: Grid, **top):
    """The comparisons of a suite without a claims file, by method."""
    suite = world.build(grid, **top)
    found = judge_all(suite, load_or_empty(suite)).comparisons
    return {each.id.partition("/")[2]: each for each in found}


def apart(*by_task: np.ndarray) -> Grid:
    """A grid in which hype-n differs from vanilla by these amounts: an array over seeds for each task."""
    scores = {}
    for task, differences in zip(TASKS, by_task, strict=False):
        base = 60 + noise(len(task), size=len(differences), sd=3)
        scores |= values("vanilla", task, *base) | values("hype-n", task, *(base + differences))
    return Grid(tasks=TASKS[: len(by_task)], seeds=len(by_task[0]), values=scores)


@pytest.mark.parametrize(("sign", "word"), [(1, "lower"), (-1, "higher")])
def test_tasks_with_opposite_effects_are_judged_on_their_mean(world, sign, word):
    """+8.8 and -44.5 points: sign flips reach p 0.25 at best, yet the mean is clearly not 0."""
    differences = sign * np.array([[8.5, 8.8, 9.1], [-44.1, -44.5, -44.9]])
    (found,) = compared(world, apart(*differences)).values()
    assert found.finding.effect == pytest.approx(-17.85 * sign)
    # Two standard errors, of 0.3 / sqrt(3) and 0.4 / sqrt(3), and 2 degrees of freedom.
    error = math.sqrt(0.3**2 / 3 + 0.4**2 / 3) / 2
    reach = stats.t.ppf(0.975, 2) * error
    assert found.finding.interval == pytest.approx((-17.85 * sign - reach, -17.85 * sign + reach))
    assert found.finding.p == pytest.approx(2 * stats.t.sf(17.85 / error, 2))
    assert (found.verdict, found.on_every_task) == ("reproduced", "no")
    write_verdicts(world.results, Verdicts("demo", comparisons=(found,)))
    results = load_results(world.results, describe(load_suite(Path("config/demo.yaml"))))
    (row,) = make_table("comparisons", results).lines
    assert row[0] == "hype-n"
    assert (row[4], row[5]) == (word, f"no, {word} on 1 of 2")


def test_consistent_gain_is_better_on_every_task(world):
    (found,) = compared(world, shifted(3.0, sd=0.4, seeds=8)).values()
    # These runs saved no predictions.
    assert {detail.changed for detail in found.details} == {None}
    assert (found.verdict, found.on_every_task) == ("reproduced", "yes")
    # All 32 pairs are positive; each task alone reaches 2 of 2^8 sign patterns.
    assert [detail.difference.p <= 2 / 256 for detail in found.on_tasks()] == [True] * 4
    assert found.test == "sign-flip"


def test_rounding_difference_has_no_direction():
    rounding = 0.1 + 0.2 - 0.3
    assert rounding > 0
    assert agreeing([2.0, rounding, -1.0]) == [True, False, False]
    assert agreeing([-2.0, rounding, 1.0, -rounding]) == [True, False, False, False]


def test_p_values_are_holm_corrected_over_the_table(world):
    scores = {}
    for place, task in enumerate(TASKS):
        base = 70 + noise(place, 1, size=3, sd=2)
        scores |= values("vanilla", task, *base)
        for method, shift in (("hype-n", 3.0), ("hype-u", 0.3), ("lnsr", 0.0)):
            scores |= values(method, task, *(base + shift + noise(place, len(method), int(shift * 10), size=3, sd=0.6)))
    grid = Grid(methods=("vanilla", "hype-n", "hype-u", "lnsr"), tasks=TASKS, values=scores)
    found = compared(world, grid)
    p = sorted(each.finding.p for each in found.values())
    holm = np.minimum(1, np.maximum.accumulate([3 * p[0], 2 * p[1], p[2]]))
    assert sorted(each.finding.p_adjusted for each in found.values()) == pytest.approx(list(holm))
    assert found["hype-n"].verdict == "reproduced"
    assert {each.family_size for each in found.values()} == {3}
    # lnsr is shown to lie within a point of vanilla.
    assert found["lnsr"].verdict == "not reproduced"


def test_rows_averaging_over_different_tasks_list_their_tasks(world):
    """hype-n gains 1 on three tasks and 9 on the fourth, which lnsr lacks: +3.0 next to +1.0."""
    scores = {}
    for task in TASKS:
        scores |= values("vanilla", task, 60, 61, 62)
        scores |= values("lnsr", task, 61, 62, 63)
        scores |= values("hype-n", task, *((69, 70, 71) if task == TASKS[3] else (61, 62, 63)))
    methods = ("vanilla", "hype-n", "lnsr")
    grid = Grid(methods=methods, tasks=TASKS, values=scores, methods_of={TASKS[3]: ("vanilla", "hype-n")})
    found = compared(world, grid)
    write_verdicts(world.results, Verdicts("demo", comparisons=tuple(found.values())))
    results = load_results(world.results, describe(load_suite(Path("config/demo.yaml"))))
    table = make_table("comparisons", results)
    assert [row[1].partition(" ")[0] for row in table.lines] == ["+3.0", "+1.0"]
    assert "over 3 to 4 tasks" in table.caption
    (note,) = (note for note in table.notes if note.startswith("Averages over different tasks"))
    found = re.findall(r"(\S+) over ([^;.]+)", note.partition(": ")[2])
    named = {method: [task for task in TASKS if task in tasks] for method, tasks in found}
    assert named == {"hype-n": list(TASKS), "lnsr": list(TASKS[:3])}


def test_rows_that_leave_out_seeds_of_some_tasks_are_noted(world):
    # Both methods have five seeds on three tasks and three on the fourth; lnsr has three on every task.
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=TASKS, seeds=5)
    short = {("lnsr", task) for task in TASKS} | {("vanilla", TASKS[3]), ("hype-n", TASKS[3])}
    grid.cells = lambda: [cell for cell in Grid.cells(grid) if cell[1:3] not in short or cell[3] < 3]
    found = compared(world, grid)
    assert [found[method].seeds for method in ("hype-n", "lnsr")] == [(0, 1, 2)] * 2
    write_verdicts(world.results, Verdicts("demo", comparisons=tuple(found.values())))
    results = load_results(world.results, describe(load_suite(Path("config/demo.yaml"))))
    (note,) = (note for note in make_table("comparisons", results).notes if "hype-n" in note)
    assert "hype-n (3 of up to 5 seeds)" in note and "lnsr" not in note


def test_comparison_does_not_wait_for_extra_baseline_seeds(world):
    grid = shifted(3.0, seeds=5, statuses={("mini", "vanilla", task, 4): "missing" for task in TASKS})
    grid.cells = lambda: [cell for cell in Grid.cells(grid) if cell[1] == "vanilla" or cell[3] < 3]
    (found,) = compared(world, grid).values()
    assert (found.seeds, found.planned, found.interim, found.missing) == ((0, 1, 2), 3, False, ())


def test_compare_command_answers_on_average_and_on_every_task(world, capsys):
    suite = world.build(shifted(3.0))
    assert cli.main(["compare", "demo", "hype-n", "vanilla", "--effect", "2"]) == 0
    text = capsys.readouterr().out
    (found,) = compare(suite, load_or_empty(suite), pair(suite, "hype-n", "vanilla", 2.0))
    assert f"better on average?    higher: +{found.finding.effect:.1f} [" in text
    assert f"to see 2 points: {found.finding.needs} seeds" in text
    assert f"better on every task? {found.on_every_task}, higher on 4 of 4" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("    ")] == ["task", *TASKS]
    # Swapping the names asks the same question; the output keeps the report's order.
    assert cli.main(["compare", "demo", "vanilla", "hype-n", "--effect", "2"]) == 0
    assert capsys.readouterr().out == text
    assert not claims_path(suite).exists()


@pytest.mark.parametrize("names", [("hype-n", "vanilla"), ("vanilla", "hype-n")])
def test_compare_command_counts_earlier_looks_at_the_report(world, capsys, names):
    """After a look at three seeds in the report, comparing five is an interim look, whatever --effect asks about."""
    suite = world.build(shifted(1.0, sd=0.1, seeds=5))
    (now,) = compare(suite, load_or_empty(suite), against_baseline(suite))
    (name,) = looks = Verdicts("demo", comparisons=(now,)).looks()
    keep_looks(suite, {name: (replace(looks[name][0], plan="that of three seeds"),)})
    assert cli.main(["compare", "demo", *names, "--effect", "2"]) == 0
    assert "interim" in capsys.readouterr().out
    assert [look.plan for look in read_looks(suite)[name]] == ["that of three seeds", looks[name][0].plan]


def test_look_at_a_pair_outside_the_tables_is_not_kept(world):
    suite = world.build(shifted(1.0, methods=("vanilla", "hype-n", "lnsr")))
    assert cli.main(["compare", "demo", "hype-n", "vanilla"]) == 0
    kept = looks_path(suite).read_bytes()
    assert cli.main(["compare", "demo", "lnsr", "hype-n"]) == 0
    assert looks_path(suite).read_bytes() == kept


def test_compare_p_value_is_not_corrected_for_other_encoders(world, capsys):
    scores = {}
    for encoder in ("mini", "twin"):
        scores |= values("vanilla", "mini-rte", 70, 71, 72, 70, 71, 72, encoder=encoder)
        scores |= values("hype-n", "mini-rte", 71, 72.5, 73, 70.5, 72, 73, encoder=encoder)
    world.build(Grid(encoders=("mini", "twin"), seeds=6, values=scores))
    assert cli.main(["compare", "demo", "hype-n", "vanilla"]) == 0
    said = capsys.readouterr().out
    p = stats.ttest_1samp([1, 1.5, 1, 0.5, 1, 1], 0).pvalue
    assert re.findall("; p ([0-9.]+);", said) == [f"{p:.2g}"] * 2


def two_encoders(**settings) -> Grid:
    """A grid in which twin scores about 2 points more than mini, give or take half a point."""
    scores = {}
    for task in TASKS[:2]:
        for encoder, shift in (("mini", np.zeros(6)), ("twin", np.array([2, 2.5, 2, 1.5, 2, 2]))):
            for method in ("vanilla", "hype-n"):
                scores |= values(method, task, *(np.array([70, 71, 72, 69, 73, 70]) + shift), encoder=encoder)
    return Grid(encoders=("mini", "twin"), tasks=TASKS[:2], seeds=6, values=scores, **settings)


def test_compare_command_compares_two_encoders(world, capsys):
    world.build(two_encoders())
    assert cli.main(["compare", "demo", "twin/vanilla", "mini/vanilla"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("demo: twin/vanilla against mini/vanilla\n\n2 tasks, seeds 0–5\n")
    # The standard error of the mean of two tasks is 0.316 / sqrt(12); with 5 to 10 degrees of freedom t is 2.2 to 2.6.
    assert "better on average?    higher: +2.0 [1.8, 2.2]" in said
    rows = [line.split() for line in said.splitlines() if line.startswith("    ")]
    assert rows[0][:3] == ["task", "twin/vanilla", "mini/vanilla"]
    assert [row[1:7:3] for row in rows[1:]] == [["72.8", "70.8"]] * 2


def test_nothing_learned_warning_covers_only_the_compared_methods(world, capsys):
    """lnsr stays at the majority class's 53 points."""
    scores = {}
    for method, level in (("vanilla", 70), ("hype-n", 72), ("lnsr", 53)):
        scores |= values(method, "mini-rte", level, level - 0.5, level - 1)
    world.build(Grid(methods=("vanilla", "hype-n", "lnsr"), values=scores))
    assert cli.main(["compare", "demo", "hype-n", "vanilla"]) == 0
    assert capsys.readouterr().out.startswith("demo: hype-n against vanilla")
    assert cli.main(["compare", "demo", "lnsr", "vanilla"]) == 0
    assert capsys.readouterr().out.startswith("Nothing was learned by lnsr")


def test_encoder_named_on_one_side_applies_to_both(world, capsys):
    world.build(two_encoders())
    for names in (("twin/hype-n", "vanilla"), ("hype-n", "twin/vanilla")):
        assert cli.main(["compare", "demo", *names]) == 0
        assert capsys.readouterr().out.count("twin, 2 tasks") == 1
    # In the report's order, whichever order was asked for.
    assert cli.main(["compare", "demo", "vanilla", "twin/hype-n"]) == 0
    assert "twin/hype-n against vanilla" in capsys.readouterr().out


def test_task_not_begun_by_one_encoder_is_left_out(world, capsys):
    statuses = {("mini", "vanilla", TASKS[0], seed): "missing" for seed in range(6)}
    world.build(two_encoders(statuses=statuses))
    assert cli.main(["compare", "demo", "twin/hype-n", "mini/vanilla"]) == 0
    assert f"1 task (not begun: {TASKS[0]}), seeds" in capsys.readouterr().out


def test_compare_names_the_variant_chosen_by_selection(world, capsys):
    scores = values("vanilla", "mini-rte", 70, 71, 72)
    scores |= values("hype-n~sigma=0.1", "mini-rte", 60, 61, 62) | values("hype-n~sigma=0.2", "mini-rte", 73, 74, 76)
    methods = ("vanilla", "hype-n~sigma=0.1", "hype-n~sigma=0.2")
    world.build(Grid(methods=methods, values=scores), selection="published")
    assert cli.main(["compare", "demo", "hype-n", "vanilla"]) == 0
    assert "Chosen: hype-n on mini-rte (mini): sigma=0.2." in " ".join(capsys.readouterr().out.split())
    assert cli.main(["compare", "demo", "hype-n~sigma=0.1", "vanilla"]) == 0
    assert "Chosen" not in capsys.readouterr().out


def test_comparing_a_method_with_its_only_variant_is_refused(world, capsys):
    scores = values("vanilla", "mini-rte", 70, 71, 72) | values("hype-n~sigma=0.1", "mini-rte", 60, 61, 62)
    world.build(Grid(methods=("vanilla", "hype-n~sigma=0.1"), values=scores))
    assert cli.main(["compare", "demo", "hype-n", "hype-n~sigma=0.1"]) == 2
    assert "expected two that differ" in capsys.readouterr().err


def test_comparison_without_runs_shows_the_run_command(world, capsys):
    grid = shifted(3.0)
    grid.statuses |= dict.fromkeys(grid.cells(), "missing")
    world.build(grid)
    assert cli.main(["compare", "demo", "hype-n", "vanilla"]) == 0
    said = capsys.readouterr().out
    assert "24 cells not run yet" in said
    assert said.endswith("  run: steadytune run demo\n")


@pytest.mark.parametrize(
    ("names", "message"),
    [(("hype-m", "vanilla"), "unknown method 'hype-m'.*'hype-n'"), (("lnsr", "hype-n"), "unknown method 'lnsr'"),
     (("hype-n", "hype-n"), "hype-n against hype-n: expected two that differ"),
     (("minni/hype-n", "vanilla"), "unknown encoder 'minni'.*'mini'"), (("mini/", "vanilla"), "unknown method ''"),
     (("mini", "vanilla"), "'mini' is an encoder: expected mini/METHOD"),
     (("mini/hype-n", "hype-n"), "mini/hype-n against hype-n: expected two that differ")],
)  # fmt: skip
def test_uncomparable_names_are_refused_with_the_reason(world, capsys, names, message):
    world.build(shifted(3.0))
    assert cli.main(["compare", "demo", *names]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_other_forms_are_compared_with_the_plain_form(world):
    """By hand: 60.2, 61.5, 62.8 minus 60, 61, 62 is 0.5 on average, with standard deviation 0.3."""
    methods = ("vanilla", "r3f", "r3f-released", "freelb", "freelb~steps=3", "hype-n~sigma=0", "smart-released")
    scores = {}
    for method in methods:
        scores |= values(method, "mini-rte", 60, 61, 62)
    scores |= values("r3f-released", "mini-rte", 60.2, 61.5, 62.8)
    # Variants spanned by a grid are not forms, and hype-n has no plain form here.
    grid = Grid(methods=methods, tasks=("mini-rte",), values=scores)
    suite = world.build(grid)
    found = {each.id: each for each in judge_all(suite, load_or_empty(suite)).forms}
    assert list(found) == ["mini/r3f-released", "mini/freelb~steps=3"]
    assert [each.family for each in found.values()] == ["against r3f", "against freelb"]
    (detail,) = found["mini/r3f-released"].on_tasks()
    reach = stats.t.ppf(0.975, 2) * 0.3 / math.sqrt(3)
    assert detail.difference.effect == pytest.approx(0.5)
    assert detail.difference.interval == pytest.approx((0.5 - reach, 0.5 + reach))
    (plain,) = found["mini/freelb~steps=3"].on_tasks()
    # Three equal pairs say as little about other seeds as three signs would.
    assert (plain.difference.effect, plain.difference.interval) == (0, (-math.inf, math.inf))

    with_share = replace(detail, changed=0.125)
    judged = replace(found["mini/r3f-released"], details=(with_share,))
    not_run = replace(judged, id="mini/smart-released", finding=None, details=())
    write_verdicts(world.results, Verdicts("demo", forms=(not_run, judged, found["mini/freelb~steps=3"])))
    (axes,) = draw("forms", load_results(world.results, describe(suite))).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["r3f-released", "freelb~steps=3"]
    # An unbounded interval runs past the panel, which reaches 2.5 times the largest difference to either side.
    assert axes.get_xlim() == pytest.approx((-1.25, 1.25))
    _, *drawn = [list(line.get_xdata()) for line in axes.lines]
    assert drawn == [pytest.approx(value) for value in ([0.5 - reach, 0.5 + reach], [0.5], [-2.5, 2.5], [0])]
    assert [text.get_text() for text in axes.texts] == ["12.5 %", ""]


def test_task_not_begun_is_left_out_and_named(world):
    whole = shifted(3.0, sd=0.4, seeds=8)
    absent = {("mini", method, TASKS[0], seed): "missing" for method in ("vanilla", "hype-n") for seed in range(8)}
    (found,) = compared(world, replace(whole, statuses=absent)).values()
    told = {key: value for key, value in whole.values.items() if key[2] != TASKS[0]}
    sides = [np.mean([value for key, value in told.items() if key[1] == method]) for method in ("hype-n", "vanilla")]
    assert (found.not_begun, found.strata) == ((TASKS[0],), tuple(f"mini, {task}" for task in TASKS[1:]))
    assert found.finding.effect == pytest.approx(100 * (sides[0] - sides[1]))
    # The other tasks are complete, but the comparison is still interim.
    assert (found.interim, len(found.missing), found.seeds) == (True, 16, tuple(range(8)))
    assert average_text(found).endswith("interim, 3 of 4 tasks")


def test_no_task_is_left_out_if_none_has_begun(world):
    absent = {("mini", "hype-n", task, seed): "missing" for task in TASKS for seed in range(3)}
    (found,) = compared(world, replace(shifted(1.0), statuses=absent)).values()
    assert (found.not_begun, found.finding, len(found.strata)) == ((), None, len(TASKS))

"""How much the usual ways of choosing a score inflate it: by hand, by enumeration, and interval coverage."""

import math
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy import stats
from synthetic import Grid
from worlds import claim, values

from steadytune.claims.judged import Verdicts, write_verdicts
from steadytune.claims.optimism import best_gain, expected_best, jackknife_gain, median_gain, normal_order, optimism_of
from steadytune.claims.verdicts import judge
from steadytune.layout import history_path
from steadytune.rendering.figures import draw
from steadytune.rendering.tables import make_table
from steadytune.rendering.tables.optimism import ANALYSES
from steadytune.results.epochs import by_other_seeds
from steadytune.results.loading import load_or_empty, load_results
from steadytune.results.selection import select
from steadytune.suite.cell import Cell


def write_curves(folder, curves):
    """Replace histories: (method, seed) -> points by epoch on mini-rte."""
    for (method, seed), points in curves.items():
        lines = [f"{epoch},{epoch},0.5,0,{value / 100}" for epoch, value in enumerate(points, 1)]
        path = history_path(folder, Cell("mini", method, "mini-rte", seed))
        path.write_text("\n".join(["epoch,step,train_loss,learning_rate,accuracy", *lines]) + "\n")


CURVES = {("vanilla", 0): (60, 70, 64), ("vanilla", 1): (61, 63, 66), ("vanilla", 2): (62, 65, 68)}
GRID = Grid(methods=("vanilla",), values=values("vanilla", "mini-rte", *(curve[-1] for curve in CURVES.values())))


def audited(tmp_path, grid=GRID, curves=CURVES):
    folder = grid.write(tmp_path)
    write_curves(folder, curves)
    return load_results(folder, grid.suite)


def test_gain_of_each_way_of_choosing_by_hand(tmp_path):
    found = optimism_of(audited(tmp_path))["mini", "vanilla"]
    assert (found.tasks, found.seeds, found.last) == (("mini-rte",), (3,), pytest.approx(66))
    # For each seed, the other two are best after epoch 3 (67), 2 (67.5 against 66) and 2 (66.5 against 65).
    assert found.stopping.value == pytest.approx((64 + 63 + 65) / 3 - 66)
    assert found.best_epoch.value == pytest.approx((70 + 66 + 68) / 3 - 64)
    assert (found.median.value, found.best_seed.value) == (pytest.approx(0), pytest.approx(2))
    assert found.best_seed_and_epoch.value == pytest.approx(70 - 66)
    assert found.grid is None
    # The last points 64, 66 and 68 have a deviation of 2; the best of three gains 3 / (2 sqrt(pi)) of it.
    reach = [3 / math.sqrt(math.pi) * math.sqrt(2 / stats.chi2.ppf(tail, 2)) for tail in (0.975, 0.025)]
    assert (found.best_seed.low, found.best_seed.high) == pytest.approx(reach, rel=0.05)
    # Published tables: the variance of the median of three exceeds that of the mean by 0.1154.
    assert found.median.high == -found.median.low
    assert found.median.high == pytest.approx(stats.t.ppf(0.975, 2) * 2 * math.sqrt(0.1154), rel=0.02)


def test_incomplete_histories_give_no_epoch_gains(tmp_path):
    found = optimism_of(audited(tmp_path, curves={**CURVES, ("vanilla", 1): (61, 66)}))["mini", "vanilla"]
    assert (found.stopping, found.best_epoch, found.best_seed_and_epoch) == (None, None, None)
    assert found.best_seed.value == pytest.approx(2)
    once = {name: curve[-1:] for name, curve in CURVES.items()}
    assert optimism_of(audited(tmp_path / "once", curves=once))["mini", "vanilla"].best_epoch is None


TASKS = ("mini-rte", "mini-cola")


def rows_of(table):
    return {line[0]: line[1] for block in table.blocks for line in block.rows}


def test_every_row_covers_only_tasks_that_all_methods_share(tmp_path):
    cells = values("vanilla", "mini-rte", 60, 62, 67) | values("hype-n", "mini-rte", 61, 63, 65)
    cells |= values("vanilla", "mini-cola", 20, 30, 70)
    grid = Grid(tasks=TASKS, methods_of={"mini-cola": ("vanilla",)}, values=cells)
    results = load_results(grid.write(tmp_path), grid.suite)
    found = optimism_of(results)
    assert {item.tasks for item in found.values()} == {("mini-rte",)}
    # 67 - 63 and 65 - 63: mini-cola, whose best seed is 30 above its mean, is in no row.
    assert [item.best_seed.value for item in found.values()] == [pytest.approx(4), pytest.approx(2)]
    table = make_table("optimism", results)
    assert rows_of(table) == {"vanilla": "63.0", "hype-n": "63.0"}
    assert "mini-rte" in table.notes[0]
    assert "mini-cola" not in table.notes[0]


def test_method_that_lacks_runs_on_a_shared_task_is_named_as_left_out(tmp_path):
    grid = Grid(tasks=TASKS, statuses={("mini", "hype-n", "mini-cola", seed): "missing" for seed in (1, 2)})
    table = make_table("optimism", load_results(grid.write(tmp_path), grid.suite))
    assert list(rows_of(table)) == ["vanilla"]
    assert all(task in table.notes[0] for task in TASKS)
    assert "hype-n" in table.notes[0].partition("Left out")[2]


def test_methods_without_a_common_task_are_reported_as_incomparable(tmp_path):
    only = {"mini-rte": ("vanilla",), "mini-cola": ("hype-n",)}
    grid = Grid(tasks=TASKS, encoders=("mini", "mini-random"), methods_of=only)
    table = make_table("optimism", load_results(grid.write(tmp_path), grid.suite))
    assert re.findall(r"(\S+) over (mini-\w+)", table.notes[0]) == [("hype-n", "mini-cola"), ("vanilla", "mini-rte")]
    assert "cannot be compared" in table.notes[0]


def test_grid_on_only_some_tasks_gives_no_grid_gain(tmp_path):
    weak, strong = "hype-n~sigma=1e-05", "hype-n~sigma=1e-04"
    # mini-cola has a single grid point, so there is nothing to choose.
    planned = [(weak, "mini-rte"), (strong, "mini-rte"), (weak, "mini-cola")]
    grid = Grid(
        methods=(weak, strong),
        tasks=TASKS,
        methods_of={"mini-cola": (weak,)},
        held_out={("mini", *place, seed): 0.6 for place in planned for seed in range(3)},
    )
    results = load_results(grid.write(tmp_path), replace(grid.suite, selection="nested"))
    item = optimism_of(results)["mini", "hype-n"]
    assert (item.tasks, item.grid) == (TASKS, None)


def test_epoch_is_chosen_by_the_other_seeds():
    assert by_other_seeds(np.array([[9.0, 1, 1], [0, 3, 2], [0, 3, 2]])).tolist() == [1, 0, 0]


def test_grid_gain_is_published_minus_nested_selection(tmp_path):
    weak, strong = "hype-n~sigma=1e-05", "hype-n~sigma=1e-04"
    reported, held_out = {weak: (70, 71, 72), strong: (66, 67, 69)}, {weak: 0.60, strong: 0.65}
    grid = Grid(
        methods=(weak, strong),
        values=values(weak, "mini-rte", *reported[weak]) | values(strong, "mini-rte", *reported[strong]),
        held_out={("mini", name, "mini-rte", seed): held_out[name] for name in reported for seed in range(3)},
    )
    results = load_results(grid.write(tmp_path), replace(grid.suite, selection="nested"))
    found = optimism_of(results)["mini", "hype-n"].grid
    # Both choices are the same without any one seed, so the differences of seeds are independent here.
    reach = stats.ttest_1samp([4, 4, 3], 0).confidence_interval()
    assert (found.value, found.low, found.high) == pytest.approx(((4 + 4 + 3) / 3, reach.low, reach.high))
    assert select(results).score("mini", "hype-n", "mini-rte").mean == pytest.approx((66 + 67 + 69) / 3)


def test_grid_gain_needs_held_out_scores_on_every_task(tmp_path):
    weak, strong, tasks = "hype-n~sigma=1e-05", "hype-n~sigma=1e-04", ("mini-rte", "mini-cola")
    scores = {}
    for task in tasks:
        scores |= values(weak, task, 70, 71, 72) | values(strong, task, 74, 75, 76)
    held_out = {("mini", name, "mini-rte", seed): 0.6 for name in (weak, strong) for seed in range(3)}
    grid = Grid(methods=(weak, strong), tasks=tasks, values=scores, held_out=held_out)
    results = load_results(grid.write(tmp_path), replace(grid.suite, selection="nested"))
    assert optimism_of(results)["mini", "hype-n"].grid is None


def test_expected_best_of_k_is_the_mean_over_all_subsets_of_size_k():
    scores = np.array([3.0, 8, 1, 5, 5])
    expected = [np.mean([max(chosen) for chosen in combinations(scores, k)]) for k in range(1, 6)]
    assert expected_best(scores).tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("runs", "largest", "median"), [(2, 0.5642, 0), (3, 0.8463, 0.1154), (5, 1.1630, 0.0868)])
def test_normal_order_matches_published_tables(runs, largest, median):
    """Tables of the expected maximum, and of the variance of the median minus that of the mean (1 / n)."""
    assert normal_order(runs)[0] == pytest.approx(largest, abs=1e-4)
    assert normal_order(runs)[1] == pytest.approx(median, abs=2e-3)


def test_gain_intervals_have_95_percent_coverage():
    generator, sd = np.random.default_rng(5), np.array([1.0, 4.0])
    truth = normal_order(4)[0] * sd.mean()
    covered = np.zeros(3)
    for _ in range(300):
        runs = list(generator.standard_normal((2, 4)) * sd[:, None])
        more = list(generator.standard_normal((2, 25)) * sd[:, None])
        gains = best_gain(runs, runs), median_gain(more), jackknife_gain(lambda values: values, runs)
        covered += [gain.low <= value <= gain.high for gain, value in zip(gains, (truth, 0, 0), strict=True)]
    # Three standard errors are 0.038; the median's interval is slightly too wide even with 25 runs.
    assert covered / 300 == pytest.approx([0.95, 0.96, 0.95], abs=0.038)


@pytest.mark.parametrize("runs", [[1.0, 4, 9], [1.0, 4, 2, 9], [1.0, 4, 2, 9, 5, 5, 7]])
def test_jackknife_of_plain_means_is_the_t_interval(runs):
    runs = np.array(runs)
    found, expected = jackknife_gain(lambda values: values, [runs]), stats.ttest_1samp(runs, 0).confidence_interval()
    assert (found.value, found.low, found.high) == pytest.approx((runs.mean(), expected.low, expected.high))


def test_interval_of_the_epoch_that_other_seeds_choose_has_its_coverage():
    """Curves of 3 tasks x 5 runs x 10 epochs; a t interval of the runs' values would cover 0.84 and 0.9."""
    generator = np.random.default_rng(3)

    def curves():
        return list(generator.normal(size=(3, 5, 1)) + 0.7 * generator.normal(size=(3, 5, 10)))

    ways = [lambda curve: curve.max(axis=1) - by_other_seeds(curve), lambda curve: by_other_seeds(curve) - curve[:, -1]]
    found = [[jackknife_gain(way, study) for way in ways] for study in (curves() for _ in range(500))]
    for gains in zip(*found, strict=True):
        truth = np.mean([gain.value for gain in gains])
        assert np.mean([gain.low <= truth <= gain.high for gain in gains]) >= 0.95
        # Not much too wide either: the errors are at most half again as large as the gains' own deviation.
        errors = np.array([gain.high - gain.value for gain in gains]) / stats.t.ppf(0.975, 4)
        assert np.sqrt((errors**2).mean()) < 1.5 * np.std([gain.value for gain in gains])


def test_few_runs_never_show_that_the_median_differs_from_the_mean():
    # With only two distinct values, the median is as many deviations from the mean as possible.
    farthest = ([0.0, 0, 1], [0.0, 0, 0, 1], [0.0, 0, 0, 1, 1])
    for runs in map(np.array, farthest):
        gain = median_gain([runs])
        assert gain.low < 0 < gain.high
    assert median_gain([np.repeat([0.0, 1.0], [13, 12])]).high < 0


def test_readings_show_the_best_epoch_verdict_next_to_the_last_epochs(world):
    last = {"vanilla": 60.0 + np.arange(12) % 3, "hype-n": 60.5 + np.arange(12) % 3}
    cells = values("vanilla", "mini-rte", *last["vanilla"]) | values("hype-n", "mini-rte", *last["hype-n"])
    grid = Grid(seeds=12, values=cells)
    suite = world.build(grid, claim("gain", tasks=["mini-rte"], margin=0.4))
    # At their best epochs the two differ by 0.1 with alternating sign, so their mean difference is 0.
    curves = {(name, seed): (value + (name == "vanilla") * (0.5 + 0.1 * (-1) ** seed), value)
              for name, points in last.items() for seed, value in enumerate(points)}  # fmt: skip
    write_curves(world.results, curves)
    (judged,) = judge(suite, load_or_empty(suite))
    view = judged.sensitivity["best epoch of each run"]
    assert judged.verdict == "reproduced"
    assert view.verdict == "not reproduced"
    assert view.finding.effect == pytest.approx(0, abs=1e-9)
    write_verdicts(world.results, Verdicts("demo", claims=(judged,)))
    table = make_table("readings", load_or_empty(suite))
    ((name, verdict, best, *_, mean, median, seed),) = table.blocks[0].rows
    assert (name, best) == ("gain", "not reproduced")
    assert verdict.startswith("reproduced")
    assert (mean, median, seed) == ("+0.5", "+0.5", "+0.5")
    assert "1 by best epoch of each run" in table.notes[-1]
    # There is no grid to select from: a dash on the page, an empty field in the csv.
    assert [table.data[0][name] for name in ANALYSES] == ["not reproduced", "", ""]


def test_optimism_table_and_figures_show_the_gains(tmp_path):
    results = audited(tmp_path)
    table = make_table("optimism", results)
    ((method, last, seeds, *gains),) = table.blocks[0].rows
    assert (method, last, seeds) == ("vanilla", "66.0", "3")
    assert gains[0].startswith("−2.0 [")
    assert gains[-1] == "–"
    assert table.data[0]["best_epoch"] == pytest.approx(4)
    axes = draw("expected-best", results).axes
    curves = [line.get_ydata().tolist() for line in axes[0].lines if len(line.get_ydata()) == 3]
    assert curves[0] == pytest.approx([66, 67 + 1 / 3, 68])
    assert [one.get_title(loc="left") for one in draw("optimism", results).axes][:2] == [
        "epoch by other seeds",
        "best epoch",
    ]

"""Figures: what is drawn where, in which colour, and that equal results give equal bytes."""

import math
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.text import Text
from synthetic import Grid

from steadytune.dag.targets import Targets
from steadytune.errors import SteadyTuneError
from steadytune.rendering import style
from steadytune.rendering.figures import FIGURES, caption, draw, figure, panels, versions
from steadytune.rendering.report import write_figures
from steadytune.rendering.tables import make_table
from steadytune.results.description import describe
from steadytune.results.loading import load_results
from steadytune.results.model import Results
from steadytune.results.selection import select
from steadytune.suite.loading import load_suite


def loaded(grid: Grid, root: Path) -> Results:
    """A grid's results."""
    return load_results(grid.write(root), grid.suite)


def drawn(name: str, results: Results) -> Any:
    """Draw a figure; untyped, because matplotlib's stubs lack methods of its artists."""
    return draw(name, results)


def points(axes: Any, colour: str | None = None) -> list[list[float]]:
    """The scatter points of a panel, or only those filled with the given colour."""
    found = []
    for cloud in axes.collections:
        if isinstance(cloud, PathCollection):
            at = np.asarray(cloud.get_offsets())
            fills = [to_hex(face) for face in cloud.get_facecolors()]
            fills = fills * len(at) if len(fills) == 1 else fills or ["none"] * len(at)
            found += [spot for spot, fill in zip(at.tolist(), fills, strict=True) if colour in (None, fill)]
    return found


def lines(axes: Any) -> list[Any]:
    """The lines of a panel, without error bars."""
    return [line for line in axes.lines if line.get_linestyle() != "None"]


def curves(axes: Any) -> dict[str, list[float]]:
    """The heights of a panel's curves by colour."""
    return {to_hex(line.get_color()): list(line.get_ydata()) for line in lines(axes)}


def bars(axes: Any) -> list[float]:
    """The lengths of the vertical error bars of a panel."""
    segments = [
        part for found in axes.collections if isinstance(found, LineCollection) for part in found.get_segments()
    ]
    return sorted(float(part[1][1] - part[0][1]) for part in segments if len(part))


def texts(axes: Any) -> list[str]:
    """The texts inside a panel."""
    return [text.get_text() for text in axes.texts]


def labels(plot: Any) -> list[str]:
    """The texts of the legend."""
    return [text.get_text() for text in plot.legends[0].get_texts()]


@pytest.mark.parametrize("seeds", [1, 3, 25])
def test_seed_spread_shows_every_seed_mean_and_deviation(seeds, tmp_path):
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=("mini-rte", "mini-mrpc"), seeds=seeds)
    plot = drawn("seed-spread", loaded(grid, tmp_path))
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["mini-rte", "mini-mrpc"]
    assert [label.get_text() for label in plot.axes[0].get_yticklabels()] == list(grid.methods)
    for axes, task in zip(plot.axes, grid.tasks, strict=True):
        means = [line for line in axes.lines if line.get_marker() == "D"]
        for row, method in enumerate(grid.methods):
            found = points(axes, style.colour(row))
            expected = [100 * grid.value(("mini", method, task, seed), task) for seed in range(seeds)]
            assert sorted(x for x, _ in found) == pytest.approx(sorted(expected))
            assert all(abs(y - row) < 0.5 for _, y in found)
            assert len({tuple(spot) for spot in found}) == seeds, "a seed hides another"
            assert means[0].get_xdata()[row] == pytest.approx(statistics.fmean(expected))
            if seeds > 1:
                spread = statistics.stdev(expected)
                ends = [float(x) for line in axes.lines for x in line.get_xdata() if math.isfinite(x)]
                for end in (statistics.fmean(expected) - spread, statistics.fmean(expected) + spread):
                    assert min(abs(np.array(ends) - end)) < 1e-9
                    assert axes.get_xlim()[0] < end < axes.get_xlim()[1]


def test_seed_spread_shows_runs_that_did_not_end_ok(tmp_path):
    statuses = {("mini", "hype-n", "mini-rte", seed): "diverged" for seed in range(3)}
    statuses |= {("mini", "lnsr", "mini-rte", 1): "degenerate"}
    grid = Grid(
        methods=("vanilla", "hype-n", "lnsr", "r-drop"),
        statuses=statuses,
        methods_of={"mini": ("vanilla", "hype-n", "lnsr")},
    )
    plot = drawn("seed-spread", loaded(grid, tmp_path))
    (axes,) = plot.axes
    assert texts(axes) == ["no score", "0/3 ok", "2/3 ok"]
    assert [len(points(axes, style.colour(place))) for place in range(3)] == [3, 0, 2]
    assert [x for x, _ in points(axes, "none")] == [53], "a degenerate seed is hollow"
    assert "degenerate seed" in labels(plot)


def test_tasks_and_methods_not_begun_are_left_out(tmp_path):
    statuses = {("mini", "lnsr", task, seed): "missing" for task in ("mini-rte", "mini-cola") for seed in range(3)}
    statuses |= {("mini", name, "mini-cola", seed): "missing" for name in ("vanilla", "hype-n") for seed in range(3)}
    statuses |= {("mini", "hype-n", "mini-rte", seed): "missing" for seed in (1, 2)}
    grid = Grid(methods=("vanilla", "lnsr", "hype-n"), tasks=("mini-rte", "mini-cola"), statuses=statuses)
    (axes,) = drawn("seed-spread", loaded(grid, tmp_path)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["vanilla", "hype-n"]
    assert texts(axes) == ["1/3 ok"]


def test_one_encoder_figure_picks_an_encoder_that_has_run_and_names_it(tmp_path):
    grid = Grid(encoders=("mini", "twin"), methods_of={"mini": ("hype-n",)}, transfer={"mini-rte": ("mini-hans",)})
    whole = loaded(grid, tmp_path)
    assert caption("score-cost", whole).endswith("Encoder: mini.")
    grid = replace(grid, name="half", statuses={cell: "missing" for cell in grid.cells() if cell[0] == "mini"})
    half = loaded(grid, tmp_path)
    assert set(curves(drawn("learning-curves", half).axes[0])) == {style.colour(0), style.colour(1)}
    assert caption("learning-curves", half).endswith("Encoder: twin.")
    # Figures of all encoders name none, nor do the figures of a suite with one encoder.
    assert "Encoder:" not in caption("variability", half)
    assert "Encoder:" not in caption("score-cost", loaded(Grid(name="one"), tmp_path))


def test_seed_spread_shows_every_encoder_that_has_run(tmp_path):
    grid = Grid(encoders=("mini", "twin", "third"), tasks=("mini-rte", "mini-cola"), methods_of={"twin": ("hype-n",)})
    grid.statuses = {cell: "missing" for cell in grid.cells() if cell[0] == "third"}
    axes, _ = drawn("seed-spread", loaded(grid, tmp_path)).axes
    names = axes.get_yticklabels()
    assert [label.get_text() for label in names] == ["mini", "vanilla", "hype-n", "twin", "hype-n"]
    assert [label.get_fontweight() == "bold" for label in names] == [True, False, False, True, False]
    for row, cell in ((1, ("mini", "vanilla")), (2, ("mini", "hype-n")), (4, ("twin", "hype-n"))):
        expected = [100 * grid.value((*cell, "mini-rte", seed), "mini-rte") for seed in range(3)]
        assert sorted(x for x, y in points(axes) if abs(y - row) < 0.5) == pytest.approx(sorted(expected))
    # A method has its colour in every block.
    assert len(points(axes, style.colour(1))) == 2 * grid.seeds


def test_one_encoder_figure_is_drawn_for_each_compared_encoder(tmp_path):
    grid = Grid(encoders=("mini", "twin-0.6b", "third"))
    grid.statuses = {cell: "missing" for cell in grid.cells() if cell[0] == "third"}
    suite = replace(grid.suite, compared=grid.encoders)
    results = load_results(grid.write(tmp_path), suite)
    names = versions(["seed-spread", "score-cost"], suite)
    assert names == ["seed-spread", "score-cost@mini", "score-cost@twin-0.6b", "score-cost@third"]
    assert versions(["score-cost"], replace(suite, compared=("mini",))) == ["score-cost"]
    write_figures(results, names, tmp_path)
    assert {path.name for path in tmp_path.glob("*.svg")} == {f"{name}.svg" for name in names}
    for encoder in ("mini", "twin-0.6b"):
        (axes,) = drawn(f"score-cost@{encoder}", results).axes
        scores = [100 * grid.value((encoder, "vanilla", "mini-rte", seed), "mini-rte") for seed in range(3)]
        assert statistics.fmean(scores) in [pytest.approx(line.get_ydata()[0]) for line in axes.lines]
        assert caption(f"score-cost@{encoder}", results).endswith(f"Encoder: {encoder}.")
    assert texts(drawn("score-cost@third", results).axes[0]) == ["nothing of third has run"]


@pytest.mark.parametrize(
    ("suite", "encoders", "files"),
    [("mini", ("mini",), {"learning-curves"}),
     ("mini-modern", ("mini", "mini-modernbert", "mini-llama"),
      {f"learning-curves@{encoder}" for encoder in ("mini", "mini-modernbert", "mini-llama")})],
)  # fmt: skip
def test_workflow_makes_a_figure_per_encoder_with_methods_to_compare(suite, encoders, files, root, monkeypatch):
    monkeypatch.chdir(root)
    found = load_suite(Path(f"config/{suite}.yaml"))
    assert describe(found).compared == encoders
    assert {Path(path).stem for path in Targets(found).figures if "learning-curves" in path} == files


def test_one_encoder_caption_names_the_encoders_not_drawn(tmp_path):
    grid = Grid(encoders=("mini", "twin"), methods_of={"twin": ("vanilla",)})
    results = load_results(grid.write(tmp_path), replace(grid.suite, compared=("mini",)))
    assert caption("score-cost", results).endswith("Encoder: mini. Not drawn: twin, with one method.")
    assert "ot drawn" not in caption("seed-spread", results)


def test_seed_spread_draws_tasks_on_which_only_encoders_differ(tmp_path):
    """mini-rte has two methods of one encoder, mini-mrpc one method of two, and mini-cola one run in all."""
    tasks = ("mini-rte", "mini-mrpc", "mini-cola")
    grid = Grid(encoders=("mini", "mini-random"), tasks=tasks)
    planned = {("mini", "vanilla", task) for task in tasks}
    planned |= {("mini", "hype-n", "mini-rte"), ("mini-random", "vanilla", "mini-mrpc")}
    grid.cells = lambda: [cell for cell in Grid.cells(grid) if cell[:3] in planned]
    results = loaded(grid, tmp_path)
    plot = drawn("seed-spread", results)
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["mini-rte", "mini-mrpc"]
    assert caption("seed-spread", results).endswith(" Tasks with one method, not drawn: mini-cola.")
    assert "not drawn: mini-mrpc and mini-cola." in caption("score-cost", results)
    # The two rows of mini-mrpc are further apart than those of mini-rte, but caps are equally high.
    for axes in plot.axes:
        bars_and_caps = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 8]
        assert [np.nanmax(y) - np.nanmin(y) for y in bars_and_caps] == pytest.approx([0.12, 0.12])


def test_count_of_curves_is_never_cut_from_a_long_name(tmp_path):
    long = "my-own-method-of-noise-on-every-layer-1"
    grid = Grid(methods=("vanilla", long), statuses={("mini", long, "mini-rte", 0): "failed"})
    label = labels(drawn("learning-curves", loaded(grid, tmp_path)))[1]
    assert label.startswith("my-own-")
    assert label.endswith("-layer-1 (2/3 curves)")
    assert "…" in label


def test_single_row_has_room_and_names_its_encoder_if_several_exist(tmp_path):
    grid = Grid(encoders=("mini", "twin"), methods=("vanilla",))
    alone = drawn("seed-spread", loaded(replace(grid, encoders=("mini",)), tmp_path))
    assert alone.axes[0].get_window_extent().height / alone.dpi > 0.5, "half an inch"
    grid = replace(grid, name="half", statuses={cell: "missing" for cell in grid.cells() if cell[0] == "mini"})
    (axes,) = drawn("seed-spread", loaded(grid, tmp_path)).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["twin", "vanilla"]


def test_single_epoch_is_the_only_tick(tmp_path):
    (axes, _) = drawn("learning-curves", loaded(Grid(epochs=1), tmp_path)).axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_encoders_with_one_method_each_have_a_panel_for_every_task(tmp_path):
    grid = Grid(encoders=("mini", "twin"), tasks=("mini-rte", "mini-cola"), methods=("vanilla",))
    found = drawn("seed-spread", loaded(grid, tmp_path)).axes
    assert [axes.get_title(loc="left") for axes in found] == ["mini-rte", "mini-cola"]


def test_variants_listed_by_a_suite_have_their_own_rows(tmp_path):
    """A method's only variant has the plain name, as in the tables."""
    listed, alone = "hype-n~sigma=0", "layer-tune~count=1"
    grid = Grid(methods=("vanilla", "hype-n", listed, alone))
    named = {name: (name,) for name in grid.methods}
    results = load_results(grid.write(tmp_path), replace(grid.suite, named=named))
    (axes,) = drawn("seed-spread", results).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["vanilla", "hype-n", "layer-tune", listed]
    assert "layer-tune" in [line[0] for line in make_table("main", results).lines]
    for row, variant in ((2, alone), (3, listed)):
        own = [100 * grid.value(("mini", variant, "mini-rte", seed), "mini-rte") for seed in range(3)]
        assert sorted(x for x, y in points(axes) if round(y) == row) == pytest.approx(sorted(own))


def test_seed_spread_marks_methods_not_planned_on_a_task(tmp_path):
    grid = Grid(
        methods=("vanilla", "hype-n", "lnsr"),
        tasks=("mini-rte", "mini-mnli"),
        methods_of={"mini-mnli": ("vanilla", "lnsr")},
    )
    assert texts(drawn("seed-spread", loaded(grid, tmp_path)).axes[1]) == ["not planned"]


@pytest.mark.parametrize("name", ["seed-spread", "score-cost", "transfer"])
def test_task_with_a_single_method_has_no_panel(name, tmp_path):
    sets = {"mini-rte": ("mini-hans",), "mini-mnli": ("mini-hans",)}
    grid = Grid(tasks=("mini-rte", "mini-mnli"), methods_of={"mini-mnli": ("vanilla",)}, transfer=sets)
    (axes,) = drawn(name, loaded(grid, tmp_path)).axes
    assert "mini-rte" in axes.get_title(loc="left") + axes.get_xlabel()


@pytest.mark.parametrize(("level", "near"), [(0.56, True), (0.9, False)])
def test_majority_score_is_a_line_if_near_and_a_number_if_far(level, near, tmp_path):
    values = {
        ("mini", method, "mini-rte", seed): level + 0.01 * seed for method in ("vanilla", "hype-n") for seed in range(3)
    }
    (axes,) = drawn("seed-spread", loaded(Grid(values=values), tmp_path)).axes
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == ([[53, 53]] if near else [])
    assert ("53.0" in axes.get_title(loc="right")) != near
    assert (axes.get_xlim()[0] < 53) == near


@pytest.mark.parametrize(("level", "low", "high"), [(1.0, 98.1, 100.1), (0.0, -0.1, 1.9), (0.9, 89, 91)])
def test_axis_around_equal_scores_spans_two_points(level, low, high, tmp_path):
    grid = Grid(values=dict.fromkeys(Grid().cells(), level))
    (axes,) = drawn("seed-spread", loaded(grid, tmp_path)).axes
    assert axes.get_xlim() == pytest.approx((low, high))


def test_score_cost_draws_methods_of_equal_flops_side_by_side(tmp_path):
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"))
    (axes,) = drawn("score-cost", loaded(grid, tmp_path)).axes
    found = {
        to_hex(line.get_color()): line.get_xydata()[0].tolist() for line in axes.lines if len(line.get_xdata()) == 1
    }
    scores = {
        m: [100 * grid.value(("mini", m, "mini-rte", seed), "mini-rte") for seed in range(3)] for m in grid.methods
    }
    for place, method in enumerate(grid.methods):
        assert found[style.colour(place)][1] == pytest.approx(statistics.fmean(scores[method]))
    # In the synthetic records hype-n and lnsr take twice the baseline's FLOPs, so they are drawn side by side.
    ticks = {label.get_text(): at for at, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}
    assert ticks.keys() == {"1.00", "2.00"}
    assert found[style.colour(0)][0] == ticks["1.00"]
    two, other = found[style.colour(1)][0], found[style.colour(2)][0]
    assert (abs(two - other), (two + other) / 2) == (1, ticks["2.00"])
    assert bars(axes) == pytest.approx(sorted(2 * statistics.stdev(values) for values in scores.values()))
    best_first = sorted(scores, key=lambda method: -statistics.fmean(scores[method]))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == best_first


def test_variability_draws_a_band_and_rings_the_best_layer(tmp_path):
    grid = Grid(encoders=("mini", "mini-random"), tasks=("mini-rte", "mini-mrpc"), layers=4)
    results = loaded(grid, tmp_path)
    plot = drawn("variability", results)
    assert [axes.get_title(loc="left") for axes in plot.axes] == [
        f"{encoder}, {task}" for encoder in grid.encoders for task in grid.tasks
    ]
    for axes, item in zip(plot.axes, results.variability, strict=True):
        assert axes.get_yscale() == "log"
        assert axes.lines[0].get_ydata() == pytest.approx(item.nu)
        hollow = [[item.best_layer, item.nu[item.best_layer]], [0, item.nu[0]]]
        assert points(axes, style.PAPER) == [pytest.approx(spot) for spot in hollow]
        assert axes.get_title(loc="right") == f"l* = {item.best_layer} (60 %)"
        (band,) = [found for found in axes.collections if isinstance(found, PolyCollection)]
        corners = np.asarray(band.get_paths()[0].vertices)
        for layer, value in enumerate(item.nu):
            # The last layer's interval has no upper bound: it is cut off at the top of the panel.
            high = 1.3 * value if layer < 4 else axes.get_ylim()[1]
            at = corners[corners[:, 0] == layer][:, 1]
            assert (min(at), max(at)) == pytest.approx((0.8 * value, high))


def test_unbounded_band_keeps_the_axis_readable(tmp_path):
    results = loaded(Grid(layers=2), tmp_path)
    (item, *_) = results.variability
    # As measured with tiny-en on RTE. On a linear axis up to 4 x 64 the margin below 9.7 would reach below 0.
    bands = replace(item.bands, low=(48.8, 9.7, 12.0), high=(math.nan, 30.0, math.nan), corrected=(146.2, 15.3, 17.8))
    wide = replace(item, nu=(64.2, 12.7, 10.9), best_layer=2, bands=bands)
    (axes,) = drawn("variability", replace(results, variability=(wide,))).axes
    assert axes.get_ylim() == pytest.approx((8.2, 256.8), rel=0.05)


def test_variability_without_bands_is_a_line(tmp_path):
    results = loaded(Grid(), tmp_path)
    bare = replace(results, variability=tuple(replace(item, bands=None) for item in results.variability))
    (axes,) = drawn("variability", bare).axes
    assert len(axes.lines) == 1
    assert not [found for found in axes.collections if isinstance(found, PolyCollection)]
    assert axes.get_title(loc="right") == ""


def test_robustness_draws_imbalance_above_scarcity_for_each_task(tmp_path):
    grid = Grid(tasks=("mini-rte", "mini-mrpc"), layers=4)
    results = loaded(grid, tmp_path)
    plot = drawn("variability-robustness", results)
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["mini-rte", "mini-mrpc", "", ""]
    for axes, item in zip(plot.axes, [*results.variability, *results.variability], strict=True):
        draws, xs = (item.imbalance, [50, 70, 90]) if axes in plot.axes[:2] else (item.scarcity, [10, 100, 1000])
        line, chance = lines(axes)
        assert line.get_xdata() == pytest.approx(xs)
        assert line.get_ydata() == pytest.approx([100 * point.agreement for point in draws])
        assert list(chance.get_ydata()) == [25, 25]


def test_learning_curves_are_means_over_scored_seeds(tmp_path):
    grid = Grid(seeds=3, epochs=3, statuses={("mini", "hype-n", "mini-rte", 0): "failed"})
    results = loaded(grid, tmp_path)
    plot = drawn("learning-curves", results)
    for axes, column, scale in zip(plot.axes, ("train_loss", "accuracy"), (1, 100), strict=True):
        spreads = []
        for place, seeds in enumerate(((0, 1, 2), (1, 2))):
            histories = [results.history("mini", grid.methods[place], "mini-rte", seed)[column] for seed in seeds]
            epochs = [[scale * value for _, value in at] for at in zip(*histories, strict=True)]
            assert curves(axes)[style.colour(place)] == pytest.approx([statistics.fmean(values) for values in epochs])
            spreads += [2 * statistics.stdev(values) for values in epochs]
        assert bars(axes) == pytest.approx(sorted(spreads))
    assert labels(plot) == ["vanilla", "hype-n (2/3 curves)"]


def test_learning_curves_of_many_methods_are_split_by_colour(tmp_path):
    others = ["hype-n", "hype-u", "lnsr", "l2-sp", "mixout", "smart", "r3f", "r-drop"]
    grid = Grid(
        methods=("vanilla", *others),
        tasks=("mini-rte", "mini-cola"),
        methods_of={"mini-cola": ("vanilla", *others[:6])},
        statuses={("mini", "r-drop", "mini-rte", 0): "failed"},
    )
    results = loaded(grid, tmp_path)
    plot = drawn("learning-curves", results)
    found = {axes.get_title(loc="left"): axes for axes in plot.axes if axes.get_title(loc="left")}
    assert [len(curves(axes)) for axes in found.values()] == [7, 3, 7]
    assert list(found) == ["mini-rte, 1 of 2", "mini-rte, 2 of 2", "mini-cola"], "vanilla alone is no panel"
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in plot.axes if axes.get_legend()]
    assert sorted(legends, key=len) == [
        ["vanilla", "r3f", "r-drop (2/3 curves)"],
        *2 * [["vanilla", *others[:6]]],
    ]
    assert not plot.legends
    losses = [results.history("mini", "r3f", "mini-rte", seed)["train_loss"] for seed in range(3)]
    expected = [statistics.fmean(value for _, value in at) for at in zip(*losses, strict=True)]
    assert pytest.approx(expected) in list(curves(found["mini-rte, 2 of 2"]).values())


def test_task_with_few_of_many_methods_has_one_panel_of_learning_curves(tmp_path):
    """Also if they are far apart in the suite's order."""
    others = ["hype-n", "hype-u", "lnsr", "l2-sp", "mixout", "smart", "r3f", "r-drop"]
    few = ("vanilla", "hype-n", "lnsr", "r-drop")
    grid = Grid(methods=("vanilla", *others), tasks=("mini-rte", "mini-cola"), methods_of={"mini-cola": few})
    plot = drawn("learning-curves", loaded(grid, tmp_path))
    titles = [axes.get_title(loc="left") for axes in plot.axes if axes.get_title(loc="left")]
    assert titles == ["mini-rte, 1 of 2", "mini-rte, 2 of 2", "mini-cola"]
    legends = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in plot.axes if axes.get_legend()]
    assert list(few) in legends


@pytest.mark.parametrize(("steps", "apart"), [(4, True), (40, False)])
def test_short_curves_are_shifted_apart_and_long_ones_have_bands(steps, apart):
    rows = [{"x": x, "y": seed, "method": m} for m in ("a", "b") for x in range(steps) for seed in (0, 2)]
    _, [[axes]] = panels.canvas(1, 1, 2)
    panels.curves(axes, pd.DataFrame(rows), "x", "y", hue="method", looks=style.looks(("a", "b")))
    first, second = (np.asarray(line.get_xdata()) for line in lines(axes))
    shift = second - first
    assert shift == pytest.approx(shift[0])
    assert (0 < shift[0] < 0.5) == apart
    assert (first + second) / 2 == pytest.approx(np.arange(steps))
    assert bool([found for found in axes.collections if isinstance(found, PolyCollection)]) != apart


def test_learning_curves_leave_out_metrics_not_logged(tmp_path):
    grid = Grid(tasks=("mini-rte", "mini-mrpc"), metrics={"mini-rte": "matthews"})
    results = loaded(grid, tmp_path)
    for path in results.folder.rglob("history.csv"):
        path.write_text(path.read_text().replace("matthews", "other"))
    plot = drawn("learning-curves", results)
    assert [axes.axison for axes in plot.axes] == [True, True, False, True]
    assert len(texts(plot.axes[2])) == 1
    # The lowest visible panel of each task labels its horizontal axis.
    assert [axes.get_xlabel() for axes in plot.axes if axes.axison] == ["epoch", "", "epoch"]
    for path in results.folder.rglob("history.csv"):
        path.write_text(path.read_text().replace("accuracy", "other"))
    assert [axes.axison for axes in drawn("learning-curves", results).axes] == [True, True], "no row of empty panels"


def test_long_legend_does_not_shrink_the_panels():
    heights = []
    for names in (3, 30):
        plot, [[axes]] = panels.canvas(1, 1, 2)
        panels.legend(plot, {f"method-{n}": panels.handle(marker="o") for n in range(names)})
        plot.draw_without_rendering()
        heights.append(axes.get_window_extent().height)
    assert heights[1] > 0.8 * heights[0]


def test_method_keeps_its_colour_if_another_method_is_not_shown(tmp_path):
    grid = Grid(
        methods=("vanilla", "hype-n", "lnsr"),
        methods_of={"mini": ("vanilla", "lnsr")},
        transfer={"mini-rte": ("mini-hans",)},
    )
    results = loaded(grid, tmp_path)
    third, second = style.colour(2), style.colour(1)
    for name in ("seed-spread", "transfer"):
        (axes,) = drawn(name, results).axes
        assert points(axes, third) and not points(axes, second)
    assert set(curves(drawn("learning-curves", results).axes[0])) == {style.colour(0), third}


@pytest.mark.parametrize("dpi", [72, 100, 200])
def test_no_label_is_cut_off_at_any_resolution(dpi, tmp_path):
    variants = tuple(f"hype-n~hidden_dropout=0.{place:02}~sigma=0.00{place:02}" for place in range(1, 30))
    results = loaded(Grid(methods=("vanilla", *variants)), tmp_path)
    for name in ("score-cost", "seed-spread", "variability"):
        plot = drawn(name, results)
        with style.drawing():
            plot.set_dpi(dpi)
            plot.draw_without_rendering()
            box = plot.get_tightbbox()
        width, height = plot.get_size_inches()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= 0, name


def test_method_looks_the_same_in_every_figure_of_a_suite(tmp_path):
    """This holds whether a figure shows methods or all of their variants."""
    methods = ("vanilla", "hype-n~sigma=0.001", "hype-n~sigma=0.1", "lnsr")
    results = loaded(Grid(methods=methods, tasks=("mini-rte",)), tmp_path)
    variants, shown = panels.looks(results), panels.looks(select(results))
    assert {"hype-n~sigma=0.001", "hype-n~sigma=0.1"} == set(variants["palette"]) - set(shown["palette"])
    for kind in ("palette", "markers", "dashes"):
        assert {name: variants[kind][name] for name in ("vanilla", "hype-n", "lnsr")} == shown[kind]
        few = panels.looks(results, ["lnsr", "vanilla"])[kind]
        assert (few["lnsr"], few["vanilla"]) == (shown[kind]["lnsr"], shown[kind]["vanilla"])


def test_more_methods_than_colours_differ_by_marker():
    look = style.looks([f"method-{place}" for place in range(42)])
    assert len(set(zip(look["palette"].values(), look["markers"].values(), strict=True))) == 42
    assert Counter(look["palette"].values())[style.BASELINE] == 1


@pytest.mark.parametrize("name", ["transfer", "variability", "variability-robustness", "size-curves"])
def test_figure_without_data_shows_a_text_instead_of_axes(name, tmp_path):
    grid = Grid()
    folder = grid.write(tmp_path)
    for path in (folder / "variability").rglob("*.json"):
        path.unlink()
    (axes,) = drawn(name, load_results(folder, grid.suite)).axes
    assert not axes.axison
    assert len(texts(axes)) == 1


def test_every_figure_can_be_drawn_without_scores(tmp_path):
    grid = Grid(seeds=2, transfer={"mini-rte": ("mini-hans",)})
    grid.statuses = dict.fromkeys(grid.cells(), "missing")
    results = loaded(grid, tmp_path)
    for name in FIGURES:
        assert draw(name, results).axes


def test_every_figure_can_be_drawn_from_identical_runs(tmp_path):
    grid = Grid(seeds=2, epochs=1)
    results = loaded(replace(grid, values=dict.fromkeys(grid.cells(), 0.6)), tmp_path)
    for name in FIGURES:
        left, right = drawn(name, results).axes[0].get_xlim()
        assert left < right, name


def test_equal_results_give_byte_identical_figures(tmp_path):
    results = loaded(Grid(transfer={"mini-rte": ("mini-hans",)}), tmp_path)
    names = ["seed-spread", "variability", "learning-curves", "transfer"]
    write_figures(results, names, tmp_path / "a")
    # The user's matplotlib settings and the drawing order must not matter.
    with patch.dict("matplotlib.rcParams", {"lines.linewidth": 9, "figure.facecolor": "red"}):
        write_figures(results, reversed(names), tmp_path / "b", processes=2)
    # Nor the number of processes.
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert {Path(name).suffix for name in first} >= {".pdf", ".svg", ".png"}
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_figure_is_added_by_a_decorator_and_unknown_names_are_refused(tmp_path):
    results = loaded(Grid(), tmp_path)
    with patch.dict(FIGURES):

        @figure("blank", "Nothing.")
        def blank(results):
            return panels.canvas(1, 1, 1)[0]

        paths = write_figures(results, ["blank"], tmp_path)
        assert {path.name for path in paths} >= {"blank.pdf", "blank.svg", "blank.png"}
        with pytest.raises(ValueError, match="blank"):
            figure("blank")(blank)
        with pytest.raises(SteadyTuneError, match=r"'blanc'.*'blank'"):
            draw("blanc", results)


@pytest.mark.parametrize("length", [5, 24, 64])
@pytest.mark.parametrize("name", ["seed-spread", "variability", "learning-curves"])
def test_titles_stay_within_their_panels_and_off_the_notes(name, length, tmp_path):
    tasks = tuple(letter * (length - 3) + "@1k" for letter in "abc")
    panels = [axes for axes in drawn(name, loaded(Grid(tasks=tasks), tmp_path)).axes if axes.get_title("left")]
    titles = [axes.get_title("left") for axes in panels]
    assert all(title[0] == task[0] and title.endswith("@1k") for title, task in zip(titles, tasks, strict=True))
    assert length > 5 or titles == list(tasks)
    for axes in panels:
        assert axes.get_window_extent().width > 80
        shown = {text.get_text(): text.get_window_extent() for text in axes.get_children() if isinstance(text, Text)}
        note = axes.get_title("right")
        end = shown[note].x0 if note else axes.get_window_extent().x1
        assert shown[axes.get_title("left")].x1 <= end + 0.5


@pytest.mark.parametrize("name", ["seed-spread", "score-cost", "optimism", "learning-curves", "transfer"])
def test_long_method_names_leave_room_for_panels(name, tmp_path):
    own = "my-own-method-of-noise-on-every-layer-of-the-encoder-and-of-its-classifier-"
    grid = Grid(methods=("vanilla", own + "1", own + "2"), transfer={"mini-rte": ("mini-hans",)})
    plot = drawn(name, loaded(grid, tmp_path))
    legends = [*plot.legends, *filter(None, (axes.get_legend() for axes in plot.axes))]
    rows = [label for axes in plot.axes for label in axes.get_yticklabels()]
    words = [*rows, *(text for legend in legends for text in legend.get_texts())]
    named = [text for text in words if text.get_text().startswith("my-own")]
    assert {text.get_text()[-1] for text in named} == {"1", "2"}
    assert min(axes.get_window_extent().width for axes in plot.axes) > 80
    assert all(text.get_window_extent().x0 >= 0 for text in named)
    assert all(text.get_window_extent().x1 <= plot.bbox.width + 1 for text in named)

"""Figures: what is drawn where, in which colour, and that equal results give equal bytes."""

import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.colors import to_hex
from synthetic import Grid

from steadytune.errors import SteadyTuneError
from steadytune.rendering import style
from steadytune.rendering.figures import FIGURES, draw, figure, registry
from steadytune.rendering.marks import legend, marker
from steadytune.rendering.report import write_figures
from steadytune.results.loading import load_results
from steadytune.results.model import Results


def loaded(grid: Grid, root: Path) -> Results:
    """A grid's results."""
    return load_results(grid.write(root), grid.suite)


def drawn(name: str, results: Results) -> Any:
    """A figure; untyped, because matplotlib's stubs do not know what its artists can be asked."""
    return draw(name, results)


def clouds(axes: Any) -> list[Any]:
    """The scatters of a panel."""
    return [item for item in axes.collections if isinstance(item, PathCollection)]


def positions(cloud: Any) -> np.ndarray:
    """Where the points of a scatter are, (points, 2)."""
    return np.asarray(cloud.get_offsets())


def texts(axes: Any) -> list[str]:
    """What is written inside a panel."""
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("seeds", [1, 3, 25])
def test_seed_spread_has_a_point_for_every_seed_and_a_mean_for_every_method(seeds, tmp_path):
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=("mini-rte", "mini-mrpc"), seeds=seeds)
    results = loaded(grid, tmp_path)
    plot = drawn("seed-spread", results)
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["mini-rte", "mini-mrpc"]
    assert [label.get_text() for label in plot.axes[0].get_yticklabels()] == list(grid.methods)
    for axes, task in zip(plot.axes, grid.tasks, strict=True):
        for row, (method, cloud) in enumerate(zip(grid.methods, clouds(axes), strict=True)):
            points = positions(cloud)
            expected = [100 * grid.value(("mini", method, task, seed), task) for seed in range(seeds)]
            assert points[:, 0] == pytest.approx(expected)
            assert (abs(points[:, 1] - row) < 0.5).all()
            bar = axes.containers[row]
            assert bar.lines[0].get_xdata() == pytest.approx([statistics.fmean(expected)])
            assert bar.has_xerr == (seeds > 1)
            if seeds > 1:
                low, high = np.asarray(bar.lines[2][0].get_segments()[0])[:, 0]
                assert high - low == pytest.approx(2 * statistics.stdev(expected))
                assert axes.get_xlim()[0] < low < high < axes.get_xlim()[1]


def test_seed_spread_shows_what_did_not_end_ok(tmp_path):
    statuses = {("mini", "hype-n", "mini-rte", seed): "diverged" for seed in range(3)}
    statuses |= {("mini", "lnsr", "mini-rte", 1): "degenerate"}
    grid = Grid(
        methods=("vanilla", "hype-n", "lnsr", "r-drop"),
        statuses=statuses,
        methods_of={"mini": ("vanilla", "hype-n", "lnsr")},
    )
    (axes,) = drawn("seed-spread", loaded(grid, tmp_path)).axes
    assert texts(axes) == ["no score", "0/3 ok", "2/3 ok"]
    assert [len(positions(cloud)) for cloud in clouds(axes)] == [3, 2, 1]
    # The degenerate seed is hollow.
    assert len(clouds(axes)[2].get_facecolors()) == 0


def test_seed_spread_says_what_was_not_planned(tmp_path):
    grid = Grid(
        methods=("vanilla", "hype-n", "lnsr"),
        tasks=("mini-rte", "mini-mnli"),
        methods_of={"mini-mnli": ("vanilla", "lnsr")},
    )
    assert texts(drawn("seed-spread", loaded(grid, tmp_path)).axes[1]) == ["not planned"]


def test_seed_spread_leaves_out_a_task_with_nothing_to_compare(tmp_path):
    grid = Grid(tasks=("mini-rte", "mini-mnli"), methods_of={"mini-mnli": ("vanilla",)})
    (axes,) = drawn("seed-spread", loaded(grid, tmp_path)).axes
    assert axes.get_title(loc="left") == "mini-rte"


@pytest.mark.parametrize(("level", "near"), [(0.56, True), (0.9, False)])
def test_majority_is_a_line_when_near_and_a_number_when_far(level, near, tmp_path):
    values = {
        ("mini", method, "mini-rte", seed): level + 0.01 * seed for method in ("vanilla", "hype-n") for seed in range(3)
    }
    (axes,) = drawn("seed-spread", loaded(Grid(values=values), tmp_path)).axes
    dotted = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert [list(line.get_xdata()) for line in dotted] == ([[53, 53]] if near else [])
    assert axes.get_title(loc="right") == ("" if near else "◂ majority 53.0")


def test_variability_has_a_panel_for_every_task_with_its_band_and_rings_the_best_layer(tmp_path):
    grid = Grid(encoders=("mini", "mini-random"), tasks=("mini-rte", "mini-mrpc"), layers=4)
    results = loaded(grid, tmp_path)
    plot = drawn("variability", results)
    assert [axes.get_title(loc="left") for axes in plot.axes] == [
        f"{encoder}, {task}" for encoder in grid.encoders for task in grid.tasks
    ]
    for axes, item in zip(plot.axes, results.variability, strict=True):
        assert axes.get_yscale() == "log"
        assert axes.lines[0].get_ydata() == pytest.approx(item.nu)
        assert positions(clouds(axes)[0]).tolist() == [[item.best_layer, min(item.nu)]]
        assert axes.get_title(loc="right") == f"l* = {item.best_layer} (60 %)"
        (band,) = [found for found in axes.collections if isinstance(found, PolyCollection)]
        corners = np.asarray(band.get_paths()[0].vertices)
        for layer, value in enumerate(item.nu):
            # The last layer's interval has no upper end: it is cut at the panel's top.
            high = 1.3 * value if layer < 4 else axes.get_ylim()[1]
            at = corners[corners[:, 0] == layer][:, 1]
            assert (min(at), max(at)) == pytest.approx((0.8 * value, high))


def test_a_band_without_an_end_leaves_its_panel_an_axis_that_can_be_read(tmp_path):
    results = loaded(Grid(layers=2), tmp_path)
    (item, *_) = results.variability
    # As measured of tiny-en on RTE. On a linear axis up to 4 x 64 the margin below 9.7 would end below 0.
    bands = replace(item.bands, low=(48.8, 9.7, 12.0), high=(math.nan, 30.0, math.nan), corrected=(146.2, 15.3, 17.8))
    wide = replace(item, nu=(64.2, 12.7, 10.9), best_layer=2, bands=bands)
    (axes,) = drawn("variability", replace(results, variability=(wide,))).axes
    assert axes.get_ylim() == pytest.approx((8.2, 256.8), rel=0.05)


def test_a_long_legend_makes_the_figure_higher_and_not_the_panels_lower():
    heights = []
    for names in (3, 30):
        plot, (axes,) = style.canvas(1, columns=1, height=2)
        legend(plot, {f"method-{n}": marker() for n in range(names)})
        plot.draw_without_rendering()
        heights.append(axes.get_window_extent().height)
    assert heights[1] > 0.8 * heights[0]


def test_variability_without_bands_is_a_line(tmp_path):
    results = loaded(Grid(), tmp_path)
    bare = replace(results, variability=tuple(replace(item, bands=None) for item in results.variability))
    (axes,) = drawn("variability", bare).axes
    assert len(axes.lines) == 1
    assert not [found for found in axes.collections if isinstance(found, PolyCollection)]
    assert axes.get_title(loc="right") == ""


def test_robustness_has_a_panel_for_imbalance_and_one_for_scarcity(tmp_path):
    grid = Grid(tasks=("mini-rte", "mini-mrpc"), layers=4)
    results = loaded(grid, tmp_path)
    plot = drawn("variability-robustness", results)
    left, right = plot.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("share of the most frequent class (%)", "examples (log scale)")
    for axes, xs, name in ((left, [50, 70, 90], "imbalance"), (right, [10, 100, 1000], "scarcity")):
        *lines, chance = axes.lines
        for line, item in zip(lines, results.variability, strict=True):
            assert line.get_xdata() == pytest.approx(xs)
            assert line.get_ydata() == pytest.approx([100 * point.agreement for point in getattr(item, name)])
        assert chance.get_ydata() == pytest.approx([25, 25])
    assert [text.get_text() for text in plot.legends[0].get_texts()] == ["mini-rte", "mini-mrpc", "blind choice"]


def test_learning_curves_are_means_and_bands_over_scored_seeds(tmp_path):
    grid = Grid(seeds=3, epochs=2, statuses={("mini", "hype-n", "mini-rte", 0): "failed"})
    results = loaded(grid, tmp_path)
    plot = drawn("learning-curves", results)
    loss, score = plot.axes
    for axes, column, scale in ((loss, "train_loss", 1), (score, "accuracy", 100)):
        for line, band, seeds in zip(axes.lines, axes.collections, ((0, 1, 2), (1, 2)), strict=True):
            method = "vanilla" if len(seeds) == 3 else "hype-n"
            curves = [results.history("mini", method, "mini-rte", seed)[column] for seed in seeds]
            assert [epoch for epoch, _ in curves[0]] == [1, 2]
            epochs = [[scale * value for _, value in at] for at in zip(*curves, strict=True)]
            assert line.get_ydata() == pytest.approx([statistics.fmean(values) for values in epochs])
            assert isinstance(band, PolyCollection)
            heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
            edges = [statistics.fmean(values) + statistics.stdev(values) for values in epochs]
            assert max(heights) == pytest.approx(max(edges))
    assert [text.get_text() for text in plot.legends[0].get_texts()] == ["vanilla", "hype-n (2/3 curves)"]


def test_learning_curves_say_where_no_score_was_logged(tmp_path):
    results = loaded(Grid(metrics={"mini-rte": "matthews"}), tmp_path)
    for path in results.folder.rglob("history.csv"):
        path.write_text(path.read_text().replace("matthews", "other"))
    assert [texts(axes) for axes in drawn("learning-curves", results).axes] == [[], ["not logged"]]


def test_a_method_keeps_its_colour_in_every_figure_and_panel(tmp_path):
    grid = Grid(
        methods=("vanilla", "hype-n", "lnsr"),
        methods_of={"mini": ("vanilla", "lnsr")},
        transfer={"mini-rte": ("mini-hans",)},
    )
    results = loaded(grid, tmp_path)
    third = style.LIGHT.methods[2]
    assert to_hex(clouds(drawn("seed-spread", results).axes[0])[1].get_edgecolors()[0]) == third
    assert to_hex(clouds(drawn("transfer", results).axes[0])[2].get_facecolors()[0]) == third
    assert to_hex(drawn("learning-curves", results).axes[0].lines[1].get_color()) == third


def test_more_methods_than_colours_differ_by_marker():
    looks = {(style.method_colour(at), style.method_marker(at)) for at in range(30)}
    assert len(looks) == 30


@pytest.mark.parametrize("name", ["transfer", "variability", "variability-robustness"])
def test_what_a_suite_does_not_have_is_said(name, tmp_path):
    grid = Grid()
    folder = grid.write(tmp_path)
    for path in (folder / "variability").rglob("*.json"):
        path.unlink()
    (axes,) = drawn(name, load_results(folder, grid.suite)).axes
    assert texts(axes)[0].endswith("in this suite")


def test_every_figure_survives_a_grid_without_any_score(tmp_path):
    grid = Grid(seeds=2, transfer={"mini-rte": ("mini-hans",)})
    grid.statuses = dict.fromkeys(grid.cells(), "missing")
    assert len(write_figures(loaded(grid, tmp_path), FIGURES, tmp_path / "figures")) == 3 * len(FIGURES)


def test_equal_results_give_equal_bytes(tmp_path):
    results = loaded(Grid(transfer={"mini-rte": ("mini-hans",)}), tmp_path)
    write_figures(results, FIGURES, tmp_path / "a")
    # Neither the user's own settings nor what was drawn before may show.
    with style.drawing(style.DARK):
        write_figures(results, reversed(FIGURES), tmp_path / "b")
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert sorted(first) == sorted(f"{name}{suffix}" for name in FIGURES for suffix in (".pdf", ".svg", ".png"))
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}


def test_a_new_figure_is_one_function_and_an_unknown_one_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "FIGURES", dict(FIGURES))

    @figure("blank")
    def blank(results):
        return style.canvas(1, columns=1, height=1)[0]

    results = loaded(Grid(), tmp_path)
    assert [path.name for path in write_figures(results, ["blank"], tmp_path)] == [
        "blank.pdf",
        "blank.svg",
        "blank.png",
    ]
    with pytest.raises(SteadyTuneError, match=r"suite 'demo': unknown figure 'blanc' \(did you mean 'blank'\?\)"):
        draw("blanc", results)

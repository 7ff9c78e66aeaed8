"""The figures on transfer and on training-set sizes."""

import statistics

import numpy as np
import pytest
from matplotlib.colors import to_hex
from synthetic import Grid
from test_figures import curves, drawn, labels, lines, loaded, points

from steadytune.rendering import style


def test_transfer_plots_seeds_and_means_with_the_mean_over_sets_first(tmp_path):
    statuses = {("mini", "lnsr", "mini-rte", seed): "failed" for seed in range(3)}
    sets = ("mini-hans", "mini-snli")
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), transfer={"mini-rte": sets}, statuses=statuses)
    plot = drawn("transfer", loaded(grid, tmp_path))
    assert [axes.get_title(loc="left") for axes in plot.axes] == ["mean of 2 sets", "mini-hans", "mini-snli"]
    for axes, others in zip(plot.axes, (sets, sets[:1], sets[1:]), strict=True):
        cells = [("mini", "vanilla", "mini-rte", seed) for seed in range(3)]
        far = [statistics.fmean(100 * grid.value(cell, name) for name in others) for cell in cells]
        expected = [[100 * grid.value(cell, "mini-rte"), y] for cell, y in zip(cells, far, strict=True)]
        expected.append([statistics.fmean(column) for column in zip(*expected, strict=True)])
        assert sorted(points(axes, style.BASELINE)) == [pytest.approx(spot) for spot in sorted(expected)]
        assert points(axes, style.colour(1)) and not points(axes, style.colour(2))
    assert [label.partition(" (")[0] for label in labels(plot)][:3] == ["vanilla", "hype-n", "lnsr"]
    assert labels(plot)[2] != "lnsr"


def test_transfer_axes_are_equal_and_show_the_no_drop_diagonal(tmp_path):
    # Far apart: 30 points are lost.
    values = {("mini", m, "mini-rte", seed): 0.9 + 0.01 * seed for m in ("vanilla", "hype-n") for seed in range(3)}
    (axes,) = drawn("transfer", loaded(Grid(transfer={"mini-rte": ("mini-hans",)}, values=values), tmp_path)).axes
    assert axes.get_xlim() == axes.get_ylim()
    assert axes.get_box_aspect() == 1
    low, high = axes.get_xlim()
    assert all(low < at < high for spot in points(axes) for at in spot)
    (diagonal,) = [line for line in lines(axes) if getattr(line, "get_slope", lambda: 0)() == 1]
    assert diagonal.get_xy1() == (low, low)


@pytest.mark.parametrize("own", [0.55, 0.9], ids=["near", "far"])
def test_no_transfer_marker_is_cut_at_the_edge(own, tmp_path):
    """Even if scores spread over many points on one axis and hardly on the other."""
    values = {("mini", m, "mini-rte", seed): own + 0.001 * seed for m in ("vanilla", "hype-n") for seed in range(3)}
    plot = drawn("transfer", loaded(Grid(transfer={"mini-rte": ("mini-hans",)}, values=values), tmp_path))
    plot.draw_without_rendering()
    (axes,) = plot.axes
    box = axes.get_window_extent()
    for cloud in axes.collections:
        # Markers are squares and circles whose area in square points is the size.
        radius = max(cloud.get_sizes()) ** 0.5 / 2 * plot.dpi / 72
        for x, y in axes.transData.transform(np.asarray(cloud.get_offsets())):
            assert box.x0 + radius <= x <= box.x1 - radius
            assert box.y0 + radius <= y <= box.y1 - radius


def test_baselines_mean_is_drawn_last_and_hides_no_other(tmp_path):
    values = {("mini", m, "mini-rte", seed): 0.8 for m in ("vanilla", "hype-n") for seed in range(3)}
    (axes,) = drawn("transfer", loaded(Grid(transfer={"mini-rte": ("mini-hans",)}, values=values), tmp_path)).axes
    other, baseline = [cloud for cloud in axes.collections if len(cloud.get_offsets()) == 1]
    assert to_hex(baseline.get_facecolors()[0]) == style.BASELINE
    assert baseline.get_zorder() >= other.get_zorder()
    assert baseline.get_sizes()[0] < other.get_sizes()[0]


def test_transfer_shows_at_most_12_panels_and_counts_the_other_sets(tmp_path):
    tasks = tuple(f"task-{n}" for n in range(4))
    sets = {task: tuple(f"{task}-set-{n}" for n in range(4)) for task in tasks}
    plot = drawn("transfer", loaded(Grid(tasks=tasks, transfer=sets, seeds=2), tmp_path))
    assert [axes.get_title(loc="left") for axes in plot.axes] == [
        *["mean of 4 sets"] * 4,
        *(f"{task}-set-{n}" for task in tasks[:2] for n in range(4)),
    ]
    assert "8 more sets" in plot.legends[0].get_title().get_text()


def test_size_curves_draw_each_method_for_tasks_with_several_sizes(tmp_path):
    tasks = ("mini-rte@50", "mini-rte@200", "mini-rte", "mini-mrpc")
    counts = {"mini-rte@50": {"train_examples": 50}, "mini-rte@200": {"train_examples": 200}}
    counts["mini-rte"] = {"train_examples": 600}
    statuses = {("mini", "hype-n", "mini-rte@50", seed): "failed" for seed in range(3)}
    grid = Grid(tasks=tasks, counts=counts, statuses=statuses)
    (axes,) = drawn("size-curves", loaded(grid, tmp_path)).axes
    assert (axes.get_title(loc="left"), axes.get_xscale()) == ("mini-rte", "log")
    assert list(axes.get_xticks()) == [50, 200, 600]
    vanilla, hype = (line.get_xdata() for line in lines(axes)[:2])
    assert len(vanilla) == 3
    # Points are shifted to either side of the true sizes by the same factor.
    assert [a * b for a, b in zip(vanilla[1:], hype, strict=True)] == pytest.approx([200**2, 600**2])
    for place, names in ((0, tasks[:3]), (1, tasks[1:3])):
        method = grid.methods[place]
        values = [[100 * grid.value(("mini", method, name, seed), name) for seed in range(3)] for name in names]
        assert curves(axes)[style.colour(place)] == pytest.approx([statistics.fmean(found) for found in values])

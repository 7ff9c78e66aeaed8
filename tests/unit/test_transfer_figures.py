"""The figures of transfer and of training-set sizes."""

import statistics

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from synthetic import Grid
from test_figures import clouds, drawn, loaded, positions, texts


def test_transfer_has_seeds_and_means_by_method_the_mean_over_sets_first(tmp_path):
    statuses = {("mini", "lnsr", "mini-rte", seed): "failed" for seed in range(3)}
    sets = ("mini-hans", "mini-snli")
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), transfer={"mini-rte": sets}, statuses=statuses)
    plot = drawn("transfer", loaded(grid, tmp_path))
    names = ["mean of 2 sets (points)", "mini-hans (points)", "mini-snli (points)"]
    assert [axes.get_ylabel() for axes in plot.axes] == names
    for axes, others in zip(plot.axes, (sets, sets[:1], sets[1:]), strict=True):
        seeds, mean = clouds(axes)[:2]
        cells = [("mini", "vanilla", "mini-rte", seed) for seed in range(3)]
        far = [statistics.fmean(100 * grid.value(cell, name) for name in others) for cell in cells]
        expected = [[100 * grid.value(cell, "mini-rte"), y] for cell, y in zip(cells, far, strict=True)]
        assert positions(seeds) == pytest.approx(np.array(expected))
        assert positions(mean)[0] == pytest.approx([statistics.fmean(column) for column in zip(*expected, strict=True)])
        assert len(clouds(axes)) == 4
    assert [text.get_text() for text in plot.legends[0].get_texts()][:3] == ["vanilla", "hype-n", "lnsr (no score)"]


def test_transfer_has_twelve_panels_at_most_and_says_how_many_more_sets_there_are(tmp_path):
    tasks = tuple(f"task-{n}" for n in range(4))
    sets = {task: tuple(f"{task}-set-{n}" for n in range(4)) for task in tasks}
    plot = drawn("transfer", loaded(Grid(tasks=tasks, transfer=sets, seeds=2), tmp_path))
    labels = [(axes.get_xlabel(), axes.get_ylabel()) for axes in plot.axes]
    assert labels[:4] == [(f"{task} (points)", "mean of 4 sets (points)") for task in tasks]
    assert labels[4] == ("task-0 (points)", "task-0-set-0 (points)")
    assert len(labels) == 12
    assert "8 more sets: table transfer-sets" in [text.get_text() for text in plot.legends[0].get_texts()]


def test_size_curves_have_a_line_for_every_method_and_a_panel_for_every_task(tmp_path):
    tasks = ("mini-rte@50", "mini-rte@200", "mini-rte", "mini-mrpc")
    counts = {"mini-rte@50": {"train_examples": 50}, "mini-rte@200": {"train_examples": 200}}
    counts["mini-rte"] = {"train_examples": 600}
    statuses = {("mini", "hype-n", "mini-rte@50", seed): "failed" for seed in range(3)}
    grid = Grid(tasks=tasks, counts=counts, statuses=statuses)
    (axes,) = drawn("size-curves", loaded(grid, tmp_path)).axes
    assert (axes.get_title(loc="left"), axes.get_xlabel(), axes.get_xscale()) == (
        "mini-rte",
        "training examples",
        "log",
    )
    vanilla, hype = (line for line in axes.lines if line.get_linestyle() != ":")
    assert list(vanilla.get_xdata()) == [50, 200, 600]
    assert list(hype.get_xdata()) == [200, 600]
    for line, names, method in ((vanilla, tasks[:3], "vanilla"), (hype, tasks[1:3], "hype-n")):
        values = [[100 * grid.value(("mini", method, name, seed), name) for seed in range(3)] for name in names]
        assert line.get_ydata() == pytest.approx([statistics.fmean(found) for found in values])
    bands = [item for item in axes.collections if isinstance(item, PolyCollection)]
    edges = np.asarray(bands[1].get_paths()[0].vertices)[:, 1]
    assert max(edges) == pytest.approx(max(statistics.fmean(found) + statistics.stdev(found) for found in values))


def test_size_curves_need_a_task_in_several_sizes(tmp_path):
    (axes,) = drawn("size-curves", loaded(Grid(tasks=("mini-rte@50", "mini-mrpc")), tmp_path)).axes
    assert texts(axes) == ["no task in several sizes in this suite"]

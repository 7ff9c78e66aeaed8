"""Figures and tables of measurements inside encoders and of variants, from a synthetic table."""

import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from snakemake.iocontainers import Wildcards
from synthetic import Grid
from test_figures import bars, curves, drawn, labels, lines

from steadytune.dag.dag import Dag
from steadytune.layers.inside.collect import COLUMNS
from steadytune.rendering import style
from steadytune.rendering.tables import make_table
from steadytune.results import inside as data
from steadytune.results.loading import load_results
from steadytune.results.model import Results
from steadytune.suite.loading import load_suite

LAYERS = 3
FIGURES = ("task-generalisation", "token-similarity", "noise-propagation", "layer-drift", "variability-after")


def value(*names: Any) -> float:
    """A number in [0.02, 1) that depends on the names only."""
    return 0.02 + 0.98 * np.random.default_rng(list("/".join(map(str, names)).encode())).random()


def measurements(grid: Grid, lost: tuple[Any, ...] = ()) -> pd.DataFrame:
    """Every measure of every cell of a grid; the cells of `lost` left no model."""
    rows: list[dict[str, Any]] = []
    for encoder in grid.encoders:
        for task in grid.tasks:
            rows += _numbers({"encoder": encoder, "method": "before", "task": task}, ("token_similarity", "nu"))
    for cell in grid.cells():
        key = dict(zip(("encoder", "method", "task", "seed"), cell, strict=True))
        rows.append(key | {"measure": "looked_into", "value": float(cell not in lost)})
        if cell in lost:
            continue
        rows += _numbers(key, ("token_similarity", "nu", "cka", "parameter_distance"))
        for other in range(key["seed"] + 1, grid.seeds):
            pair = key | {"other_seed": other}
            for layer in range(LAYERS + 1):
                found = value(*pair.values(), layer)
                rows.append(pair | {"measure": "cka_between_seeds", "layer": layer, "value": found})
            for measure in ("churn", "churn_one_right"):
                rows.append(pair | {"measure": measure, "value": value(*pair.values(), measure)})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _numbers(key: dict[str, Any], measures: tuple[str, ...]) -> list[dict[str, Any]]:
    layers = range(LAYERS + 1)
    rows = [key | {"measure": m, "layer": at, "value": value(*key.values(), m, at)} for m in measures for at in layers]
    for probe, metric in (("mini-sst2", "accuracy"), ("mini-cola", "matthews")):
        for at in layers:
            row = key | {"measure": "probe", "probe": probe, "metric": metric, "layer": at}
            rows.append(row | {"value": value(*key.values(), probe, at)})
    for at in layers:
        for to in range(at, LAYERS + 1):
            change = 0.05 if at == to else value(*key.values(), at, to)
            rows.append(key | {"measure": "noise_propagation", "layer": at, "to_layer": to, "value": change})
    return rows


def loaded(grid: Grid, root: Path, lost: tuple[Any, ...] = ()) -> Results:
    folder = grid.write(root)
    measurements(grid, lost).to_parquet(folder / "inside.parquet")
    return load_results(folder, grid.suite)


def titles(plot: Any) -> list[str]:
    return [axes.get_title(loc="left") for axes in plot.axes]


@pytest.fixture
def grid() -> Grid:
    return Grid(methods=("vanilla", "hype-n"), tasks=("mini-rte", "mini-mrpc"), seeds=2)


def mean(grid: Grid, method: str, task: str, *names: Any, encoder: str = "mini") -> list[float]:
    """The mean over seeds of a measure at every layer."""
    seeds = [[value(encoder, method, task, seed, *names, at) for at in range(LAYERS + 1)] for seed in range(grid.seeds)]
    return np.mean(seeds, axis=0).tolist()


def test_probe_panels_show_each_pair_before_and_after_each_method(grid, tmp_path):
    plot = drawn("task-generalisation", loaded(grid, tmp_path))
    pairs = [f"{task} → {probe}" for task in grid.tasks for probe in ("mini-sst2", "mini-cola")]
    assert sorted(titles(plot)) == sorted(pairs)
    axes = next(axes for axes in plot.axes if axes.get_title(loc="left") == "mini-mrpc → mini-cola")
    assert axes.get_ylabel().startswith("Matthews corr.")
    found = curves(axes)
    before = [100 * value("mini", "before", "mini-mrpc", "mini-cola", at) for at in range(4)]
    assert found.pop(style.INK) == pytest.approx(before)
    spreads = []
    for place, method in enumerate(grid.methods):
        expected = [100 * at for at in mean(grid, method, "mini-mrpc", "mini-cola")]
        assert found.pop(style.colour(place)) == pytest.approx(expected)
        pairs = [[100 * value("mini", method, "mini-mrpc", s, "mini-cola", at) for s in (0, 1)] for at in range(4)]
        spreads += [2 * statistics.stdev(pair) for pair in pairs]
    assert not found
    assert bars(axes) == pytest.approx(sorted(spreads))
    assert labels(plot) == ["before", "vanilla", "hype-n"]


@pytest.mark.parametrize(("name", "measure"), [("token-similarity", "token_similarity"), ("variability-after", "nu")])
def test_layer_measures_have_a_panel_for_each_task(name, measure, grid, tmp_path):
    plot = drawn(name, loaded(grid, tmp_path))
    assert titles(plot) == list(grid.tasks)
    assert plot.axes[0].get_yscale() == ("log" if measure == "nu" else "linear")
    for axes, task in zip(plot.axes, grid.tasks, strict=True):
        assert curves(axes)[style.colour(1)] == pytest.approx(mean(grid, "hype-n", task, measure))


def test_layer_drift_draws_cka_above_parameter_distance(grid, tmp_path):
    plot = drawn("layer-drift", loaded(grid, tmp_path))
    assert titles(plot) == [*grid.tasks, "", ""]
    for axes, measure, scale in ((plot.axes[1], "cka", 1), (plot.axes[3], "parameter_distance", 100)):
        expected = [scale * at for at in mean(grid, "vanilla", "mini-mrpc", measure)]
        assert curves(axes)[style.colour(0)] == pytest.approx(expected)
        assert len(curves(axes)) == 2
    assert labels(plot) == ["vanilla", "hype-n"]


def test_noise_propagation_has_a_line_from_every_entry_layer(grid, tmp_path):
    plot = drawn("noise-propagation", loaded(grid, tmp_path))
    assert titles(plot) == ["before", "vanilla", "hype-n", "", "", ""]
    assert [axes.get_ylabel().partition("\n")[0] for axes in plot.axes] == ["mini-rte", "", "", "mini-mrpc", "", ""]
    assert len({axes.get_ylim() for axes in plot.axes}) == 1
    found = {int(line.get_xdata()[0]): line.get_xydata().tolist() for line in lines(plot.axes[4])}
    assert found.keys() == set(range(LAYERS + 1))
    for entry, line in found.items():
        changes = [np.mean([value("mini", "vanilla", "mini-mrpc", s, entry, to) for s in (0, 1)]) for to in range(4)]
        expected = [[entry, 5], *([to, 100 * changes[to]] for to in range(entry + 1, 4))]
        assert np.array(line) == pytest.approx(np.array(expected))


def test_missing_models_are_counted_in_the_legend(grid, tmp_path):
    lost = tuple(("mini", "hype-n", task, seed) for task, seed in (("mini-rte", 0), ("mini-mrpc", 0), ("mini-mrpc", 1)))
    results = loaded(grid, tmp_path, lost)
    plot = drawn("token-similarity", results)
    assert "1/4" in labels(plot)[2]
    assert [len(curves(axes)) for axes in plot.axes] == [3, 2]
    panels = drawn("noise-propagation", results).axes
    assert [axes.axison for axes in panels] == [True, True, True, True, True, False]


def test_churn_is_a_mean_over_pairs_of_seeds(grid, tmp_path):
    grid.seeds = 3
    table = make_table("churn", loaded(grid, tmp_path))
    assert [row["method"] for row in table.data] == ["vanilla", "vanilla", "hype-n", "hype-n"]
    pairs = [(0, 1), (0, 2), (1, 2)]
    row, line = table.data[3], table.lines[3]
    key = ("mini", "hype-n", "mini-mrpc")
    assert row["churn"] == pytest.approx(np.mean([value(*key, *pair, "churn") for pair in pairs]))
    assert row["cka"] == pytest.approx(np.mean([value(*key, *pair, LAYERS) for pair in pairs]))
    assert line[:3] == ("hype-n", "mini-mrpc", f"{100 * row['churn']:.1f}")
    assert line[-1] == "3"


def test_figure_of_an_unmeasured_encoder_shows_no_other_encoder(tmp_path):
    grid = Grid(encoders=("mini", "twin"), tasks=("mini-rte",), seeds=2)
    folder = grid.write(tmp_path)
    whole = measurements(grid)
    whole[whole["encoder"] == "twin"].to_parquet(folder / "inside.parquet")
    results = load_results(folder, grid.suite)
    (axes,) = drawn("token-similarity@twin", results).axes
    expected = mean(grid, "hype-n", "mini-rte", "token_similarity", encoder="twin")
    assert curves(axes)[style.colour(1)] == pytest.approx(expected)
    assert curves(drawn("token-similarity", results).axes[0]) == curves(axes), "the one that has something"
    assert [text.get_text() for text in drawn("token-similarity@mini", results).axes[0].texts] == [
        "nothing was measured inside an encoder in this suite"
    ]


@pytest.mark.parametrize("name", FIGURES)
def test_suite_without_inside_measurements_says_so(name, tmp_path):
    grid = Grid()
    results = load_results(grid.write(tmp_path), grid.suite)
    (axes,) = drawn(name, results).axes
    assert axes.texts[0].get_text().endswith("in this suite")
    assert make_table("churn", results).notes == ("This suite compares no seeds.",)


def test_only_the_selected_variant_of_a_method_is_drawn(tmp_path):
    grid = Grid(methods=("hype-n", "hype-n~sigma=0.1"), tasks=("mini-rte",), seeds=2)
    results = loaded(grid, tmp_path)
    shown = data.load_inside(results)
    assert shown is not None
    assert shown.methods == grid.methods
    (axes,) = drawn("token-similarity", results).axes
    assert len(curves(axes)) == 2
    expected = mean(grid, "hype-n", "mini-rte", "token_similarity")
    assert curves(axes)[style.colour(0)] == pytest.approx(expected)


def test_variants_table_lists_the_variants_of_a_method(tmp_path):
    grid = Grid(
        methods=("vanilla", "hype-n", "hype-n~sigma=0.1", "hype-n~layers=lower~where=both"),
        tasks=("mini-rte", "mini-mrpc"),
        methods_of={"mini-mrpc": ("vanilla", "hype-n")},
        statuses={("mini", "hype-n~sigma=0.1", "mini-rte", 1): "diverged"},
    )
    table = make_table("variants", load_results(grid.write(tmp_path), grid.suite))
    assert [heading[0] for heading in table.columns[1:]] == ["mini-rte"], "mini-mrpc has one variant alone"
    (block,) = table.blocks
    assert block.title == "hype-n"
    assert [row[0] for row in block.rows] == ["hype-n, suite settings", "sigma=0.1", "layers=lower, where=both"]
    scores = [100 * grid.value(("mini", "hype-n", "mini-rte", seed), "mini-rte") for seed in range(3)]
    assert str(block.rows[0][1]) == f"{statistics.fmean(scores):.1f} ± {statistics.stdev(scores):.1f}"
    assert str(block.rows[1][1]).endswith("(2/3)")
    note = make_table("main", load_results(tmp_path / grid.name, grid.suite)).notes[-1]
    assert "hype-n on mini-rte (mini): suite settings" in note
    assert make_table("variants", load_results(Grid(name="b").write(tmp_path), Grid(name="b").suite)).data == ()


def test_mini_layers_suite_hands_over_the_models_it_looks_into(root, monkeypatch):
    monkeypatch.chdir(root)
    dag = Dag(load_suite(Path("config/mini-layers.yaml")))
    assert len(dag.suite.inside_cells) == 24
    assert len(dag.handover_pattern.split("|")) == 24
    cell = "mini/hype-n/mini-stsb/seed-1"
    parts = dict(zip(("encoder", "method", "task", "seed"), ("mini", "hype-n", "mini-stsb", "1"), strict=True))
    whole, split = Wildcards(fromdict={"cell": cell}), Wildcards(fromdict=parts)
    for asked in (dag.cell_name, dag.cell_digest, dag.cell_inputs, dag.cell_threads, dag.inside_inputs):
        assert asked(whole) == asked(split)
    assert dag.handover_option(whole, {"model": "a"}) == "--hand-over"
    assert dag.handover_option(whole, {"record": "a"}) == ""
    assert dag.inside_inputs(whole)[0] == f"results/mini-layers/handover/{cell}.safetensors"
    assert len(dag.inside_studies) == 24 * 3 + 2
    assert Dag(load_suite(Path("config/real-small.yaml"))).handover_pattern == "(?!)"

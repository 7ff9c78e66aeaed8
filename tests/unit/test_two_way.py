"""The table that corresponds to HyPe's Table 7: two labels everywhere."""

import statistics

import pandas as pd
from synthetic import Grid

from steadytune.rendering.tables import make_table
from steadytune.results.loading import load_results
from steadytune.results.two_way import two_way_scores

THREE_WAY = ("mnli", "snli")


def table(grid, root, seeds=(0.7, 0.8, 0.9)):
    """The table for a grid whose cells have these two-label accuracies, by seed, on every three-label set."""
    folder = grid.write(root)
    frame = pd.read_parquet(folder / "metrics.parquet")
    rows = frame[frame["evaluation_set"].isin(THREE_WAY) & frame["headline"] & (frame["task"] != "qqp")].copy()
    rows["value"] = rows["seed"].map(dict(enumerate(seeds)))
    rows = rows.assign(metric="accuracy_two_way", headline=False, majority=0.66)
    pd.concat([frame, rows]).to_parquet(folder / "metrics.parquet")
    return make_table("two-way", load_results(folder, grid.suite))


def printed(result, block=0):
    return {str(row[0]): [str(value) for value in row[1:]] for row in result.blocks[block].rows}


def test_three_label_sets_are_collapsed_and_two_label_sets_kept(tmp_path):
    grid = Grid(methods=("vanilla",), tasks=("mnli",), transfer={"mnli": ("hans", "snli")})
    result = table(grid, tmp_path)
    assert [block.title for block in result.blocks] == ["trained on mnli"]
    rows = printed(result)
    assert list(rows) == ["mnli", "hans", "snli", "mean of the others"]
    assert rows["mnli"] == rows["snli"] == ["66.0", "80.0 ± 10.0"]
    hans = [100 * grid.value(("mini", "vanilla", "mnli", seed), "hans") for seed in range(3)]
    assert rows["hans"][0] == "53.0"
    assert rows["hans"][1].startswith(f"{sum(hans) / 3:.1f} ± ")
    # By seed: the means of 70, 80, 90 and the scores on HANS.
    means = [(own + far) / 2 for own, far in zip((70, 80, 90), hans, strict=True)]
    spread = f"{statistics.fmean(means):.1f} ± {statistics.stdev(means):.1f}"
    assert rows["mean of the others"] == ["59.5", spread]
    assert {row["evaluation_set"] for row in result.data} == {"mnli", "hans", "snli"}


def test_two_label_model_is_kept_and_sentiment_task_left_out(tmp_path):
    grid = Grid(methods=("vanilla",), tasks=("qqp", "sst2"), transfer={"qqp": ("snli",), "sst2": ("adv-sst2",)})
    result = table(grid, tmp_path)
    assert [block.title for block in result.blocks] == ["trained on qqp"]
    values = [100 * grid.value(("mini", "vanilla", "qqp", seed), "snli") for seed in range(3)]
    assert printed(result)["snli"][1].startswith(f"{sum(values) / 3:.1f} ± ")


def test_two_way_table_without_entailment_says_so(tmp_path):
    assert table(Grid(tasks=("sst2",)), tmp_path).notes[0].startswith("No cell of this suite has a score")


def test_method_with_only_failed_cells_is_shown_without_a_score(tmp_path):
    statuses = {("mini", "hype-n", "mnli", seed): "failed" for seed in range(3)}
    grid = Grid(tasks=("mnli",), transfer={"mnli": ("snli",)}, statuses=statuses)
    folder = grid.write(tmp_path)
    result = make_table("two-way", load_results(folder, grid.suite))
    assert printed(result)["snli"][2] == "no score (0/3)"
    assert "Failed: hype-n on mnli (every seed)." in result.notes


def test_incomplete_methods_are_not_marked_best(tmp_path):
    statuses = {("mini", "hype-n", "mnli", 2): "failed"}
    grid = Grid(tasks=("mnli",), transfer={"mnli": ("snli",)}, statuses=statuses)
    result = table(grid, tmp_path, seeds=(0.7, 0.8, float("nan")))
    assert printed(result)["snli"][2] == "75.0 ± 7.1 (2/3)"
    assert not any(getattr(value, "best", False) for row in result.blocks[0].rows for value in row)


def test_two_way_scores_use_the_gathered_table_not_the_file(tmp_path):
    grid = Grid(methods=("vanilla",), tasks=("mnli",), transfer={"mnli": ("hans",)})
    folder = grid.write(tmp_path)
    gathered = pd.read_parquet(folder / "metrics.parquet")
    gathered.loc[gathered["metric"] == "accuracy", "value"] = 0.9
    found = two_way_scores(load_results(folder, grid.suite, gathered))
    assert {point for score in found.values() for point in score.points.values()} == {90.0}

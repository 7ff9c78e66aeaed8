"""The transfer tables, and what tables say about the examples behind a score."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import Grid

from steadytune.rendering.table import Table
from steadytune.rendering.tables import make_table, slices
from steadytune.rendering.tables.transfer import drops, retained
from steadytune.results.loading import load_results
from steadytune.results.predictions import Slice, Slices
from steadytune.results.scores import Score, mean_over

SETS = ("hans", "snli")


class Fixed(Grid):
    """A grid whose scores on other sets are given too."""

    far: dict

    def value(self, cell, evaluation_set):
        return (
            self.far[cell[1], evaluation_set][cell[3]]
            if evaluation_set in SETS
            else super().value(cell, evaluation_set)
        )


@pytest.fixture
def grid() -> Fixed:
    own = {"vanilla": (0.60, 0.62, 0.64), "hype-n": (0.63, 0.63, 0.60)}
    made = Fixed(
        tasks=("mini-rte",),
        transfer={"mini-rte": SETS},
        values={("mini", method, "mini-rte", seed): v for method, vs in own.items() for seed, v in enumerate(vs)},
    )
    made.far = {
        ("vanilla", "hans"): (0.50, 0.56, 0.56),
        ("vanilla", "snli"): (0.58, 0.58, 0.64),
        ("hype-n", "hans"): (0.53, 0.53, 0.53),
        ("hype-n", "snli"): (0.60, 0.60, 0.60),
    }
    return made


def made(grid: Grid, root: Path, name: str = "transfer") -> Table:
    return make_table(name, load_results(grid.write(root), grid.suite))


def rows(table: Table, block: int) -> dict[str, list[str]]:
    lines = (*table.blocks[block].rows, *table.blocks[block].reference)
    return {str(line[0]): [str(value) for value in line[1:]] for line in lines}


def test_transfer_table_shows_the_mean_over_the_other_sets(grid, tmp_path):
    table = made(grid, tmp_path)
    assert [block.title for block in table.blocks] == ["trained on mini-rte, mean of 2 sets (accuracy)"]
    # The means of hans and snli by seed are 54, 57, 60, so the drops are 6, 5, 4. The majority class has 53 everywhere:
    # (1, 4, 7) of (7, 9, 11) points are retained.
    assert rows(table, 0)["vanilla"] == ["62.0 ± 2.0", "57.0 ± 3.0", "+5.0 ± 1.0", "40.8 ± 24.9"]
    assert rows(table, 0)["majority class"] == ["53.0", "53.0", "–", "–"]
    (row,) = (row for row in table.data if row["method"] == "vanilla")
    assert (row["sets"], row["mean"], row["own_mean"], row["drop"]) == ("hans snli", *map(pytest.approx, (57, 62, 5)))


def test_single_set_is_named_instead_of_a_mean(grid, tmp_path):
    grid.transfer = {"mini-rte": ("hans",)}
    table = made(grid, tmp_path)
    assert [block.title for block in table.blocks] == ["trained on mini-rte, tested on hans (accuracy)"]
    # hans: 50, 56, 56; drops 10, 6, 8; (-3, 3, 3) of (7, 9, 11) points retained.
    assert rows(table, 0)["vanilla"] == ["62.0 ± 2.0", "54.0 ± 3.5", "+8.0 ± 2.0", "5.9 ± 42.3"]


def test_transfer_sets_table_lists_every_set_below_the_own_task(grid, tmp_path):
    grid.metrics = {"snli": "matthews"}
    table = made(grid, tmp_path, "transfer-sets")
    assert table.columns == ("Set", "Metric", "Majority", "vanilla", "hype-n")
    assert [[str(value) for value in line] for line in table.blocks[0].rows] == [
        ["mini-rte", "accuracy", "53.0", "62.0 ± 2.0", "62.0 ± 1.7"],
        ["hans", "accuracy", "53.0", "54.0 ± 3.5", "53.0 ± 0.0"],
        ["snli", "Matthews corr.", "53.0", "60.0 ± 3.5", "60.0 ± 0.0"],
    ]
    # On HANS hype-n scores what the majority class does, so vanilla has no competitor there.
    assert [line[3].best for line in table.blocks[0].rows] == [True, False, True]
    assert [line[4].best for line in table.blocks[0].rows] == [True, False, True]
    data = {(row["evaluation_set"], row["method"]): row for row in table.data}
    assert set(data) == {(name, method) for name in SETS for method in ("vanilla", "hype-n")}
    row = data["hans", "vanilla"]
    assert (row["mean"], row["own_mean"], row["drop"]) == pytest.approx((54, 62, 8))
    assert row["retained"] == pytest.approx(100 * (-3 / 7 + 3 / 9 + 3 / 11) / 3)
    assert math.isnan(data["snli", "vanilla"]["drop"])


def many(**far: tuple[float, ...]) -> Fixed:
    """Nine methods that score 70 to 78 points on their own task, and by set what their three seeds score there."""
    methods = ("vanilla", "hype-n", "hype-u", "lnsr", "l2-sp", "mixout", "smart", "r3f", "sam")
    own = {(method, n): 0.70 + n / 100 for n, method in enumerate(methods)}
    made = Fixed(
        methods=methods,
        tasks=("mini-rte",),
        transfer={"mini-rte": SETS},
        values={("mini", method, "mini-rte", seed): value for (method, _), value in own.items() for seed in range(3)},
    )
    made.far = {(method, name): far.get(name, (0.53,) * 3) for method in methods for name in SETS}
    made.far["sam", "hans"] = (0.60, 0.62, 0.64)
    return made


def test_many_methods_are_rows_of_the_sets_table(tmp_path):
    grid = many(snli=(0.55, 0.55, 0.55))
    table = made(grid, tmp_path, "transfer-sets")
    assert len(table.columns) == 4
    shown = rows(table, 0)
    assert shown["Set"] == ["mini-rte", "hans", "snli"]
    assert shown["Metric"] == ["accuracy"] * 3
    assert list(shown)[2:-1] == list(grid.methods)
    assert shown["hype-n"] == ["71.0 ± 0.0", "53.0 ± 0.0", "55.0 ± 0.0"]
    assert shown["sam"] == ["78.0 ± 0.0", "62.0 ± 2.0", "55.0 ± 0.0"]
    assert shown["majority class"] == ["53.0"] * 3
    best = {(line[0], at) for line in table.blocks[0].rows for at, v in enumerate(line) if getattr(v, "best", False)}
    # On HANS only sam is above the majority class, and on SNLI all are equal.
    assert best == {("sam", 1), *((method, 3) for method in grid.methods)}


def test_sets_table_has_at_most_six_other_sets_across(tmp_path):
    sets = tuple(f"set-{n}" for n in range(8))
    grid = replace(Grid(), methods=many().methods, transfer={"mini-rte": sets})
    table = made(grid, tmp_path, "transfer-sets")
    assert [rows(table, n)["Set"] for n in (0, 1)] == [
        ["mini-rte", *sets[:6]],
        ["mini-rte", *sets[6:], "", "", "", ""],
    ]
    assert {len(line) for line in table.lines} == {len(table.columns)} == {8}


def test_sets_table_leaves_out_methods_without_a_score_only_if_there_are_many(grid, tmp_path):
    def gone(*methods: str) -> dict:
        return {("mini", method, "mini-rte", seed): "missing" for method in methods for seed in range(3)}

    wide = many()
    wide.statuses = gone(*wide.methods[2:])
    wide.far |= {(method, name): (math.nan,) * 3 for method in wide.methods[2:] for name in SETS}
    table = made(wide, tmp_path / "many", "transfer-sets")
    assert table.columns == ("Set", "Metric", "Majority", "vanilla", "hype-n")
    (note,) = (note for note in table.notes if note.startswith("Left out"))
    assert note.endswith(": hype-u, lnsr, l2-sp, mixout, smart, r3f and sam.")
    grid.statuses = gone("hype-n")
    grid.far |= {("hype-n", name): (math.nan,) * 3 for name in SETS}
    table = made(grid, tmp_path / "few", "transfer-sets")
    assert [str(line[4]) for line in table.blocks[0].rows] == ["no score (0/3)"] * 3
    assert not [note for note in table.notes if note.startswith("Left out")]


def test_slices_of_a_set_at_the_majority_class_are_not_bold(monkeypatch, tmp_path):
    """hype-n always answers entailment on HANS: right on every such example, and no better than the majority class."""
    grid = many(snli=(0.55, 0.55, 0.55))
    grid.far["lnsr", "hans"] = grid.far["sam", "hans"]
    part = Slice("hans", "heuristic", "lexical_overlap", "entailment", 500)
    points = {"hype-n": 100.0, "lnsr": 90.0, "sam": 80.0}
    found = {("mini", m, "mini-rte"): score(dict.fromkeys(range(3), v), majority=math.nan) for m, v in points.items()}
    monkeypatch.setattr(slices, "load_slices", lambda results: Slices({part: found}))
    (line,) = made(grid, tmp_path, "hans").lines
    assert {grid.methods[at] for at, value in enumerate(line[3:]) if getattr(value, "best", False)} == {"lnsr"}


def test_drop_needs_a_common_metric_and_paired_seeds(grid, tmp_path):
    grid.statuses = {("mini", "hype-n", "mini-rte", 2): "failed"}
    grid.far |= {("hype-n", name): (*values[:2], math.nan) for (m, name), values in grid.far.items() if m == "hype-n"}
    table = made(grid, tmp_path / "one")
    # hans and snli: 53 and 60 for both seeds, which score 63 on their own task.
    assert rows(table, 0)["hype-n"] == ["63.0 ± 0.0 (2/3)", "56.5 ± 0.0 (2/3)", "+6.5 ± 0.0", "35.0 ± 0.0"]
    grid.metrics = {"snli": "matthews"}
    table = made(grid, tmp_path / "two")
    assert table.blocks[0].title == "trained on mini-rte, mean of 2 sets"
    assert rows(table, 0)["vanilla"][2] == "–"


def score(points: dict[int, float], majority: float = 50.0, metric: str = "accuracy") -> Score:
    return Score(metric, majority, dict.fromkeys(range(3), "ok"), points)


def test_retained_needs_a_margin_over_the_majority_and_one_metric():
    far = score({0: 60.0, 1: 60.0})
    assert retained(score({0: 70.0, 1: 55.0}), far) == [50.0, 200.0]
    assert retained(score({0: 70.0, 1: 54.9}), far) == []
    assert retained(score({0: 70.0}, majority=math.nan), far) == []
    # Points of F1 and of accuracy are not comparable.
    assert retained(score({0: 70.0, 1: 55.0}, metric="f1"), far) == []


def test_mean_over_sets_uses_seeds_with_scores_on_all_sets():
    mean = mean_over([score({0: 60.0, 1: 70.0, 2: 80.0}), score({0: 40.0, 2: 60.0}, majority=30.0)])
    assert (mean.points, mean.majority, mean.metric, mean.complete) == ({0: 50.0, 2: 70.0}, 40.0, "accuracy", False)
    assert drops(score({0: 75.0, 1: 75.0, 2: 75.0}), mean) == (25.0, 5.0)


def test_notes_report_truncation_and_examples_seen_in_training(grid, tmp_path):
    grid.counts = {
        "mini-rte": {"n": 1000, "truncated": 10, "train_truncated": 300, "seen_in_training": 2},
        "hans": {"truncated": 5},
        "snli": {"seen_in_training": 7},
    }
    results = load_results(grid.write(tmp_path), grid.suite)
    sets, main = make_table("transfer-sets", results), make_table("main", results)
    cut = "Truncated to the maximum length, if more than 1 %: mini-rte in training 15.0 %"
    seen = "Examples whose texts are in the training set too, case and punctuation aside: mini-rte: 2 of 1000"
    assert main.notes[-2:] == (f"{cut}.", f"{seen}.")
    assert sets.notes[-2:] == (f"{cut}; hans 1.3 %.", f"{seen}; snli, trained on mini-rte: 7 of 400.")


def test_notes_on_examples_name_encoders_only_if_they_differ(tmp_path):
    grid = Grid(encoders=("mini", "twin"), counts={"mini-rte": {"seen_in_training": 2, "train_truncated": 300}})
    results = load_results(grid.write(tmp_path), grid.suite)
    assert not [note for note in make_table("main", results).notes if "mini, mini-rte" in note]
    other = results.examples["twin", "mini-rte", "mini-rte"]
    results.examples["twin", "mini-rte", "mini-rte"] = replace(other, train_truncated=other.train_examples)
    cut, seen = make_table("main", results).notes[-2:]
    assert cut.endswith("mini, mini-rte in training 15.0 %; twin, mini-rte in training 100.0 %.")
    assert seen.endswith("mini-rte: 2 of 400.")


def test_transfer_table_without_other_sets_says_so(grid, tmp_path):
    grid.transfer = {}
    assert made(grid, tmp_path).notes[0] == "This suite names no other evaluation sets."


def test_glue_x_score_is_shown_only_for_matching_weights_and_sets(grid, tmp_path):
    grid = Fixed(tasks=("rte",), transfer={"rte": SETS}, encoders=("mini", "other"))
    grid.far = {(method, name): (0.5, 0.5, 0.5) for method in grid.methods for name in SETS}
    suite = replace(grid.suite, models={"mini": "FacebookAI/roberta-large"})
    table = make_table("transfer-sets", load_results(grid.write(tmp_path), suite))
    printed = [[(line[0], line[-1]) for line in block.rows] for block in table.blocks]
    # GLUE-X trains on RTE and evaluates on HANS, but not on SNLI; it does not cover the other encoder.
    assert printed == [[("rte", "–"), ("hans", "73.8"), ("snli", "–")], [("rte", "–"), ("hans", "–"), ("snli", "–")]]
    assert table.headings[-1][0] == "GLUE-X"

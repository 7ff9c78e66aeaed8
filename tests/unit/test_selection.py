"""Grids expand to variants; one is chosen to stand for its method, on the right scores, and the choice is reported."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import Grid
from test_suite import load, message

from steadytune.errors import SteadyTuneError
from steadytune.methods.registry import parse
from steadytune.methods.spelling import spell
from steadytune.rendering.tables import make_table
from steadytune.results.loading import load_results
from steadytune.results.selection import chosen_variants, select, selection_notes
from steadytune.suite.variants import base, expand, point, variants_by_name
from steadytune.tasks.data import split_off

WEAK, STRONG = "hype-n~sigma=1e-05", "hype-n~sigma=1e-04"


@pytest.mark.parametrize(
    ("value", "text"),
    [(2e-5, "2e-05"), (1e-4, "1e-04"), (2.5e-5, "2.5e-05"), (0.1, "0.1"), (0.001, "0.001"), (5000.0, "5000"),
     (0.01234561, "0.01234561"), (2.34567891e-5, "2.34567891e-05"),
     (0.0, "0"), (3, "3"), (True, "true"), ("upper", "upper"), (-1e-4, "-1e-04"), (2e6, "2e+06")],
)  # fmt: skip
def test_setting_values_have_a_short_spelling_that_reads_back(value, text):
    assert spell(value) == text
    if isinstance(value, float):
        assert float(text) == value


def test_grids_expand_to_every_combination_in_order():
    grids = {"hype-n": {"sigma": [1e-5, 1e-4]}, "lnsr": {"weight": [0.1]}}
    assert expand("vanilla", grids, {}) == ["vanilla"]
    assert expand("hype-n", grids, {"lr": [2e-5]}) == ["hype-n~lr=2e-05~sigma=1e-05", "hype-n~lr=2e-05~sigma=1e-04"]
    assert expand("hype-n+lnsr", grids, {}) == [
        "hype-n+lnsr~sigma=1e-05~weight=0.1",
        "hype-n+lnsr~sigma=1e-04~weight=0.1",
    ]
    # A grid applies to its own method: if the first part has the setting too, the second part's is prefixed.
    grids |= {"lnsr": {"sigma": [0.05, 0.5]}}
    assert expand("hype-n+lnsr", grids, {}) == [
        "hype-n+lnsr~lnsr.sigma=0.05~sigma=1e-05",
        "hype-n+lnsr~lnsr.sigma=0.05~sigma=1e-04",
        "hype-n+lnsr~lnsr.sigma=0.5~sigma=1e-05",
        "hype-n+lnsr~lnsr.sigma=0.5~sigma=1e-04",
    ]
    block = {"sigma": [1.0], "lnsr.sigma": [0.1]}
    assert expand("hype-n+lnsr", grids, {}, block) == ["hype-n+lnsr~lnsr.sigma=0.1~sigma=1"]
    assert expand("hype-n~sigma=1e-03", grids, {}) == ["hype-n~sigma=1e-03"]
    assert base("hype-n+lnsr~sigma=1e-05") == "hype-n+lnsr"
    assert point("hype-n~lr=2e-05~sigma=1e-05") == "lr=2e-05, sigma=1e-05"


def test_setting_applies_to_the_first_part_that_has_it_or_the_named_part():
    changes = {"lnsr": {"sigma": 0.05}}
    parts, rest = parse("hype-n+lnsr~lr=2e-05~sigma=0.001~weight=0.3", changes)
    assert [part.settings["sigma"] for part in parts] == [0.001, 0.05]
    assert (parts[1].settings["weight"], rest) == (0.3, {"lr": "2e-05"})
    parts, rest = parse("lnsr+hype-n~hype-n.sigma=0.001~sigma=0.2", changes)
    assert [(part.name, part.settings["sigma"]) for part in parts] == [("lnsr", 0.2), ("hype-n", 0.001)]
    assert rest == {}


@pytest.mark.parametrize(
    ("method", "key", "values", "spelled"),
    [
        ("hype-n", "hidden_dropout", [0.0, None], ["0", "null"]),
        ("lnsr", "layers", [(2,), (1, 2), None], ["2", "1,2", "null"]),
        ("hype-n", "layers", ["upper", (0, 2)], ["upper", "0,2"]),
        ("layer-tune", "count", [1, None], ["1", "null"]),
        ("layer-tune", "layer", [2, "selected"], ["2", "selected"]),
        ("layer-tune", "embeddings", [None, True, False], ["null", "true", "false"]),
    ],
)
def test_null_and_list_values_in_grids_read_back(method, key, values, spelled, tmp_path):
    axis = [list(value) if isinstance(value, tuple) else value for value in values]
    suite = load(tmp_path, methods={method: {"grid": {key: axis}}}, overrides=[],
                 grid=[{"encoders": ["mini"], "tasks": ["mini-rte"], "seeds": 1, "methods": [method]}])  # fmt: skip
    assert [cell.method for cell in suite.cells] == [f"{method}~{key}={text}" for text in spelled]
    assert [suite.spec(cell).parts[0].settings[key] for cell in suite.cells] == values


def test_protocol_grid_accepts_null_steps(tmp_path):
    suite = load(tmp_path, protocol={"epochs": 2, "grid": {"steps": [None, 7]}})
    steps = {cell.method: suite.spec(cell).protocol.steps for cell in suite.cells if cell.method.startswith("vanilla")}
    assert steps == {"vanilla~steps=null": None, "vanilla~steps=7": 7}


def test_suite_crosses_method_grids_with_the_protocol_grid(tmp_path):
    suite = load(tmp_path, methods={"hype-n": {"sigma": 0.01, "grid": {"sigma": [0.001, 0.0001]}}},
                 protocol={"epochs": 2, "grid": {"lr": [2e-5, 3e-5]}})  # fmt: skip
    methods = list(dict.fromkeys(cell.method for cell in suite.cells))
    hype = [f"hype-n~lr={lr}~sigma={sigma}" for lr in ("2e-05", "3e-05") for sigma in ("0.001", "1e-04")]
    assert methods == ["vanilla~lr=2e-05", "vanilla~lr=3e-05", *hype]
    spec = suite.spec(suite.cells[-1])
    assert spec.protocol.learning_rate == 3e-5
    assert spec.parts[0].settings["sigma"] == 1e-4
    assert parse(spec.method)[0][0].settings["sigma"] == 1e-4


def test_named_variant_keeps_its_values_and_gets_the_protocol_grid():
    grids, protocol = {"hype-n": {"sigma": [1e-5, 1e-4], "where": ["input", "both"]}}, {"lr": [2e-5, 3e-5]}
    assert expand("hype-n~sigma=0.01", grids, protocol) == [
        "hype-n~lr=2e-05~sigma=0.01",
        "hype-n~lr=3e-05~sigma=0.01",
    ]
    assert expand("hype-n~sigma=0.01~lr=1e-05", grids, protocol) == ["hype-n~sigma=0.01~lr=1e-05"]


def test_block_grid_replaces_the_method_and_protocol_grids(tmp_path):
    block = {"encoders": ["mini"], "tasks": ["mini-rte"], "seeds": 1}
    suite = load(
        tmp_path,
        protocol={"epochs": 2, "grid": {"lr": [2e-5, 3e-5]}},
        methods={"hype-n": {"grid": {"sigma": [0.001, 0.01]}}},
        grid=[block | {"methods": ["vanilla", "hype-n"]},
              block | {"methods": ["hype-n+r-drop"], "grid": {"sigma": [0.001], "lr": [1e-6]}},
              block | {"methods": ["hype-n~sigma=0.001"]}],
    )  # fmt: skip
    assert suite.named == {
        "vanilla": ("vanilla~lr=2e-05", "vanilla~lr=3e-05"),
        "hype-n": ("hype-n~lr=2e-05~sigma=0.001", "hype-n~lr=2e-05~sigma=0.01",
                   "hype-n~lr=3e-05~sigma=0.001", "hype-n~lr=3e-05~sigma=0.01"),
        "hype-n+r-drop": ("hype-n+r-drop~lr=1e-06~sigma=0.001",),
        "hype-n~sigma=0.001": ("hype-n~lr=2e-05~sigma=0.001", "hype-n~lr=3e-05~sigma=0.001"),
    }  # fmt: skip
    # The last block adds no cells: its variants are points of the first one's grid.
    assert len(suite.cells) == 2 + 4 + 1


def test_plain_name_stands_for_its_grid_but_not_for_other_named_variants():
    variants = ["vanilla", WEAK, STRONG, "hype-n~sigma=0.01", "lnsr~weight=1"]
    named = {"vanilla": ["vanilla"], "hype-n": [WEAK, STRONG], "hype-n~sigma=0.01": ["hype-n~sigma=0.01"],
             WEAK: [WEAK], "lnsr~weight=1": ["lnsr~weight=1"]}  # fmt: skip
    plain = {"vanilla": ["vanilla"], "hype-n": [WEAK, STRONG], "lnsr": ["lnsr~weight=1"]}
    assert variants_by_name(variants, named) == plain
    others = {"hype-n~sigma=0.01": ["hype-n~sigma=0.01"], WEAK: [WEAK], "lnsr~weight=1": ["lnsr~weight=1"]}
    assert variants_by_name(variants, named, every=True) == plain | others
    assert variants_by_name([WEAK, STRONG], {}) == {"hype-n": [WEAK, STRONG]}


def test_invalid_grids_and_selection_without_holdout_are_rejected(tmp_path):
    assert "unknown key 'sigam'" in message(tmp_path, methods={"hype-n": {"grid": {"sigam": [1.0]}}})
    assert "sigma is -1" in message(tmp_path, methods={"hype-n": {"grid": {"sigma": [-1.0]}}})
    assert "`protocol.holdout` above 0" in message(tmp_path, selection="nested")
    assert "`protocol.holdout` above 0" in message(tmp_path, tables=["selection"])


def results(tmp_path, **suite):
    """The weak variant looks better on the reported set, the strong one on held-out data."""
    methods = ("vanilla", WEAK, STRONG)
    reported = {"vanilla": 0.60, WEAK: 0.70, STRONG: 0.66}
    held_out = {"vanilla": 0.60, WEAK: 0.61, STRONG: 0.64}
    cells = [(method, seed) for method in methods for seed in range(3)]
    grid = Grid(
        methods=methods,
        tasks=("mini-rte",),
        values={("mini", method, "mini-rte", seed): reported[method] + 0.01 * seed for method, seed in cells},
        held_out={("mini", method, "mini-rte", seed): held_out[method] for method, seed in cells},
    )
    return load_results(grid.write(tmp_path), replace(grid.suite, encoders=("mini",), **suite))


@pytest.mark.parametrize(
    ("rule", "variant", "mean"), [("published", WEAK, 71.0), ("nested", STRONG, 67.0), ("fixed", WEAK, 71.0)]
)
def test_selection_rule_decides_which_variant_stands_for_its_method(rule, variant, mean, tmp_path):
    chosen = select(results(tmp_path, selection=rule))
    assert chosen.methods == ("vanilla", "hype-n")
    assert chosen.score("mini", "hype-n", "mini-rte").mean == pytest.approx(mean)
    assert chosen_variants(chosen, ("mini", "hype-n", "mini-rte")) == {variant: [0, 1, 2]}
    assert chosen.cell("mini", "hype-n", "mini-rte", 1).method == variant
    assert chosen.score("mini", "vanilla", "mini-rte").mean == pytest.approx(61.0)


def test_nested_selection_ignores_a_seeds_own_held_out_score(tmp_path):
    """Each seed's variant is the one with the higher held-out mean over the other two."""
    held_out = {WEAK: (0.90, 0.60, 0.60), STRONG: (0.65, 0.70, 0.70)}
    reported = {WEAK: (0.95, 0.61, 0.62), STRONG: (0.71, 0.72, 0.73)}
    cells = {variant: [("mini", variant, "mini-rte", seed) for seed in range(3)] for variant in held_out}
    grid = Grid(
        methods=(WEAK, STRONG),
        values={cell: reported[variant][cell[3]] for variant, of in cells.items() for cell in of},
        held_out={cell: held_out[variant][cell[3]] for variant, of in cells.items() for cell in of},
    )
    chosen = select(load_results(grid.write(tmp_path), replace(grid.suite, selection="nested")))
    # Without seed 0: 60 against 70. Without seed 1 or 2: 75 against 67.5.
    assert chosen_variants(chosen, ("mini", "hype-n", "mini-rte")) == {STRONG: [0], WEAK: [1, 2]}
    score = chosen.score("mini", "hype-n", "mini-rte")
    assert score.points == pytest.approx({0: 71, 1: 61, 2: 62})
    assert chosen.cell("mini", "hype-n", "mini-rte", 0).method == STRONG
    assert chosen.method_of("mini", STRONG, "mini-rte", 0) == "hype-n"
    assert chosen.method_of("mini", STRONG, "mini-rte", 0, 1) is None
    assert "1 of 3 seeds" in selection_notes(chosen)[0]


@pytest.mark.parametrize("rule", ["published", "nested"])
def test_selection_notes_omit_tasks_that_have_not_run(rule, tmp_path):
    grid = Grid(methods=(WEAK, STRONG), tasks=("mini-rte", "mini-cola"))
    grid = replace(grid, statuses={cell: "missing" for cell in grid.cells() if cell[2] == "mini-rte"})
    chosen = select(load_results(grid.write(tmp_path), replace(grid.suite, selection=rule)))
    (note,) = selection_notes(chosen)
    assert "hype-n on mini-cola" in note
    assert "mini-rte" not in note


def test_nested_selection_with_one_seed_takes_the_first_variant(tmp_path):
    held_out = {("mini", WEAK, "mini-rte", 0): 0.6, ("mini", STRONG, "mini-rte", 0): 0.9}
    grid = Grid(methods=(WEAK, STRONG), seeds=1, held_out=held_out)
    chosen = select(load_results(grid.write(tmp_path), replace(grid.suite, selection="nested")))
    assert chosen_variants(chosen, ("mini", "hype-n", "mini-rte")) == {WEAK: [0]}


def test_held_out_examples_have_their_own_majority_score(tmp_path):
    grid = Grid(held_out={("mini", "vanilla", "mini-rte", 0): 0.6})
    folder = grid.write(tmp_path)
    frame = pd.read_parquet(folder / "metrics.parquet")
    frame.loc[frame["kind"] == "held_out", "majority"] = 0.4
    results = load_results(folder, grid.suite, frame)
    assert results.held_out["mini", "vanilla", "mini-rte"].majority == pytest.approx(40)
    assert results.scores["mini", "vanilla", "mini-rte", "mini-rte"].majority == pytest.approx(53)


def chosen_of(folder, **runs):
    """Return the variant, weak or strong, chosen on the reported set, given each seed's points or status."""
    scores, statuses = {}, {}
    for method, name in ((WEAK, "weak"), (STRONG, "strong")):
        for seed, end in enumerate(runs[name]):
            cell = ("mini", method, "mini-rte", seed)
            if isinstance(end, str):
                statuses[cell] = end
            else:
                scores[cell] = end / 100
    grid = Grid(methods=(WEAK, STRONG), seeds=4, values=scores, statuses=statuses)
    chosen = select(load_results(grid.write(folder), replace(grid.suite, selection="published")))
    (variant,) = chosen_variants(chosen, ("mini", "hype-n", "mini-rte"))
    return variant


def test_one_lucky_run_among_diverged_ones_does_not_win_the_selection(tmp_path):
    lost = ["diverged"] * 3
    # Diverged runs count as the majority class's 53: (90 + 3 * 53) / 4 = 62.25 against 85.
    assert chosen_of(tmp_path / "lucky", weak=[90, *lost], strong=[85] * 4) == STRONG
    # One diverged run of four does not rule out a setting that is better by more: (3 * 90 + 53) / 4 = 80.75 against 80.
    assert chosen_of(tmp_path / "one", weak=[90, 90, 90, "diverged"], strong=[80] * 4) == WEAK
    # Diverging counts no better than scoring below the majority class: (70 + 3 * 40) / 4 = 47.5 against 50.
    assert chosen_of(tmp_path / "low", weak=[70, *lost], strong=[40, 50, 55, 55]) == STRONG
    assert chosen_of(tmp_path / "none", weak=["diverged"] * 4, strong=[40] * 4) == STRONG


def test_variants_are_compared_on_the_seeds_that_all_have(tmp_path):
    # Seed by seed the strong variant is a point better; the two seeds that it has not run are easy.
    assert chosen_of(tmp_path / "shared", weak=[90, 90, 60, 60], strong=["missing", "out_of_memory", 61, 61]) == STRONG
    # Without a shared seed, only the means of different seeds can be compared: 90 and 61.
    apart = {"weak": [90, 90, "missing", "missing"], "strong": ["missing", "missing", 61, 61]}
    assert chosen_of(tmp_path / "apart", **apart) == WEAK


def test_selection_table_shows_the_gain_from_selection(tmp_path):
    table = make_table("selection", results(tmp_path))
    gains = {line["method"]: line["gain"] for line in table.data}
    # vanilla has nothing to choose from.
    assert gains == {"hype-n": pytest.approx(4.0)}
    published, nested = [note for note in table.notes if "Chosen: hype-n on mini-rte (mini)" in note]
    assert "sigma=1e-05" in published
    assert "sigma=1e-04" in nested


def test_main_table_shows_the_chosen_variant_and_coverage_shows_all(tmp_path):
    table = make_table("main", results(tmp_path, selection="nested"))
    assert [row[0] for row in table.blocks[0].rows] == ["vanilla", "hype-n"]
    assert any(
        "held-out training data" in note and "hype-n on mini-rte (mini): sigma=1e-04" in note for note in table.notes
    )
    coverage = make_table("coverage", results(tmp_path / "again", selection="nested"))
    assert [row[0] for row in coverage.blocks[0].rows] == ["vanilla", WEAK, STRONG]


def test_select_every_lists_a_named_variant_next_to_its_method(tmp_path):
    named = {"vanilla": ["vanilla"], "hype-n": [WEAK, STRONG], WEAK: [WEAK]}
    found = results(tmp_path, selection="published", named=named)
    every, plain = select(found, every=True), select(found)
    assert every.methods == ("vanilla", "hype-n", WEAK)
    assert plain.methods == ("vanilla", "hype-n")
    means = [every.score("mini", method, "mini-rte").mean for method in ("hype-n", WEAK)]
    assert means == pytest.approx([71.0, 71.0])
    assert (every.choices["mini", "hype-n", "mini-rte"], every.choices["mini", WEAK, "mini-rte"]) == (2, 1)


def test_select_without_a_grid_returns_the_same_results(tmp_path):
    grid = Grid()
    loaded = load_results(grid.write(tmp_path), grid.suite)
    assert select(loaded, "published") is loaded


def test_held_out_share_is_stratified_reproducible_and_disjoint():
    import datasets

    data = datasets.Dataset.from_dict({"label": [0] * 60 + [1] * 40, "row": list(range(100))})
    rest, apart = split_off(data, 0.1)
    again, _ = split_off(data, 0.1)
    assert sorted([*rest["row"], *apart["row"]]) == list(range(100))
    assert rest["row"][:] == again["row"][:]
    assert list(np.bincount(apart["label"][:])) == [6, 4]
    with pytest.raises(SteadyTuneError, match="leaves nothing on one side"):
        split_off(data, 0.001)

"""Tables: hand-computed values, nothing hidden, and identical bytes for equal results."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
from synthetic import Grid, judged, layer_study

from steadytune.claims.judged import Verdicts, write_verdicts
from steadytune.errors import SteadyTuneError
from steadytune.rendering import tables, verdicts
from steadytune.rendering.formats import to_csv, to_markdown, to_tex, write_table
from steadytune.rendering.report import write_tables
from steadytune.rendering.table import Block, Entry, Table, number
from steadytune.rendering.tables import TABLES, make_table
from steadytune.rendering.tables.registry import table
from steadytune.rendering.web import to_page
from steadytune.results.costs import total
from steadytune.results.loading import load_results
from steadytune.text import ranges

VARIANT = "hype-n~lr=2e-05"


def scores(method: str, task: str, *values: float, encoder: str = "mini") -> dict:
    """Headline values by cell."""
    return {(encoder, method, task, seed): value for seed, value in enumerate(values)}


@pytest.fixture
def small() -> Grid:
    """Three methods, two tasks, three seeds; one failed cell, one degenerate one (which scores 0.53)."""
    values = scores("vanilla", "mini-rte", 0.60, 0.62, 0.64) | scores("hype-n", "mini-rte", 0.61, 0.62, 0.63)
    values |= scores("lnsr", "mini-rte", 0.70, 0.72) | scores("vanilla", "mini-mrpc", 0.70, 0.70, 0.76)
    values |= scores("hype-n", "mini-mrpc", 0.70, 0.74) | scores("lnsr", "mini-mrpc", 0.71, 0.72, 0.76)
    statuses = {("mini", "lnsr", "mini-rte", 2): "failed", ("mini", "hype-n", "mini-mrpc", 2): "degenerate"}
    methods, tasks = ("vanilla", "hype-n", "lnsr"), ("mini-rte", "mini-mrpc")
    return Grid(methods=methods, tasks=tasks, values=values, statuses=statuses)


def made(grid: Grid, root: Path, name: str = "main", **suite) -> Table:
    """One table of a grid's results."""
    return make_table(name, load_results(grid.write(root), replace(grid.suite, **suite)))


def printed(result: Table, block: int = 0) -> dict[str, list[str]]:
    """The first cell of each row -> the rest as text."""
    lines = (*result.blocks[block].rows, *result.blocks[block].reference)
    return {str(line[0]): [str(value) for value in line[1:]] for line in lines}


def bold(result: Table, block: int = 0) -> set[tuple[str, int]]:
    """(row, column) of what is marked as best."""
    rows = result.blocks[block].rows
    return {(str(row[0]), at) for row in rows for at, value in enumerate(row) if getattr(value, "best", False)}


def test_main_prints_mean_deviation_and_counts(small, tmp_path):
    rows = printed(made(small, tmp_path))
    # Deviations by hand with divisor 2: {60, 62, 64} -> 2, {61, 62, 63} -> 1, {70, 72} -> sqrt 2 (divisor 1),
    # {70, 70, 76} -> sqrt 12, {70, 74, 53} -> sqrt(373/3), {71, 72, 76} -> sqrt 7. Averages: of the means.
    assert rows["vanilla"] == ["62.0 ± 2.0", "72.0 ± 3.5", "67.0"]
    assert rows["hype-n"] == ["62.0 ± 1.0", "65.7 ± 11.2 (2/3)", "63.8"]
    assert rows["lnsr"] == ["71.0 ± 1.4 (2/3)", "73.0 ± 2.6", "72.0"]
    assert rows["majority class"] == ["53.0", "53.0", "53.0"]


def test_main_marks_ties_and_never_incomplete_methods_as_best(small, tmp_path):
    # On mini-rte lnsr lacks a seed, so the equal means of the other two win; its average is left out as well.
    # On mini-mrpc lnsr wins; the degenerate seed of hype-n has a score, so hype-n competes and loses.
    assert bold(made(small, tmp_path)) == {("vanilla", 1), ("hype-n", 1), ("lnsr", 2), ("vanilla", 3)}


def test_single_method_is_not_marked_best(tmp_path):
    assert bold(made(Grid(methods=("vanilla",)), tmp_path)) == set()


def test_notes_name_every_seed_that_is_not_ok(small, tmp_path):
    notes = made(small, tmp_path).notes
    assert "Failed: lnsr on mini-rte (seed 2)." in notes
    assert "Degenerate: hype-n on mini-mrpc (seed 2)." in notes


def failed(root: Path, *cells: tuple[str, str, str, int], **grid) -> str:
    """The note of the main table on failed cells."""
    made_up = Grid(statuses=dict.fromkeys(cells, "failed"), **grid)
    (note,) = [note for note in made(made_up, root).notes if note.startswith("Failed: ")]
    return note


def test_note_groups_runs_by_method(tmp_path):
    """Both methods lack seeds 1 and 2 of all tasks of theirs, of which lnsr has one less."""
    tasks, methods = ("mini-rte", "mini-mrpc", "mini-cola"), ("vanilla", "hype-n", "lnsr", "lora")
    gone = [("mini", m, t, seed) for m in ("hype-n", "lnsr") for t in tasks for seed in (1, 2)]
    gone += [("mini", "lora", task, seed) for task in tasks[:2] for seed in range(3)]
    only = {"mini-cola": ("vanilla", "hype-n", "lora")}
    note = failed(tmp_path, *gone, tasks=tasks, methods=methods, methods_of=only)
    assert note == ("Failed: hype-n and lnsr on every task (seeds 1, 2); lora on mini-rte and mini-mrpc (every seed).")


def test_note_names_encoders_only_if_there_are_several(tmp_path):
    encoders = ("mini", "twin", "third")
    gone = [(encoder, "hype-n", "mini-rte", 0) for encoder in encoders[:2]] + [("third", "vanilla", "mini-rte", 2)]
    note = failed(tmp_path, *gone, encoders=encoders)
    assert note == "Failed: mini and twin: hype-n on mini-rte (seed 0); third: vanilla on mini-rte (seed 2)."


def test_note_says_every_run_if_all_are_concerned(tmp_path):
    grid = Grid()
    assert failed(tmp_path, *grid.cells()) == "Failed: every run."


def test_long_note_names_20_groups_and_counts_the_rest(tmp_path):
    """In 21 tasks another seed of vanilla is missing, so none of them can be named together."""
    tasks = tuple(f"task-{n}" for n in range(21))
    gone = [("mini", "vanilla", task, n) for n, task in enumerate(tasks)]
    note = failed(tmp_path, *gone, tasks=tasks, seeds=21)
    assert note.count("(seed ") == 20
    assert "vanilla on task-19 (seed 19); and 1 more, which the report lists under “Cell by cell”." in note


def test_dagger_note_names_methods_or_says_every_record(tmp_path):
    results = load_results(Grid(tasks=("mini-rte", "mini-cola")).write(tmp_path), Grid().suite)

    def note(old) -> str:
        scores = {
            key: replace(score, stale=frozenset(score.points)) if old(key) else score
            for key, score in results.scores.items()
        }
        return next(n for n in make_table("main", replace(results, scores=scores)).notes if n.startswith("†"))

    assert note(lambda key: key[1] == "hype-n").endswith(": hype-n on every task (every seed).")
    assert note(lambda key: True).endswith(": every record.")


def test_note_names_means_over_other_seeds_than_the_majority(tmp_path):
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), tasks=("mini-rte", "mini-mrpc"), seeds=5)
    assert not [note for note in made(grid, tmp_path).notes if note.startswith("Seeds:")]
    fewer = replace(grid, name="fewer")
    fewer.cells = lambda: [cell for cell in Grid.cells(fewer) if cell[1] == "vanilla" or cell[3] < 3]
    (note,) = (note for note in made(fewer, tmp_path).notes if note.startswith("Seeds:"))
    assert note.startswith("Seeds: 0–2, but 0–4 for vanilla on every task.")


def test_verdict_counts_have_the_same_order_in_caption_and_tally(small, tmp_path):
    folder = small.write(tmp_path)
    found = [judged("first", "not reproduced"), judged("second", "reproduced"), judged("third", "not reproduced")]
    write_verdicts(folder, Verdicts("demo", claims=tuple(found)))
    results = load_results(folder, small.suite)
    assert make_table("claims", results).caption == "3 claims: 1 reproduced, 2 not reproduced."
    assert list(verdicts.tally(results).counts.items()) == [("reproduced", 1), ("not reproduced", 2)]


def test_unknown_status_is_shown_with_its_seed_ranges(tmp_path):
    gone = {("mini", "vanilla", "mini-rte", seed): "vanished" for seed in (0, 2, 3, 4, 6)}
    grid = Grid(seeds=8, statuses=gone)
    assert "Vanished: vanilla on mini-rte (seeds 0, 2–4, 6)." in made(grid, tmp_path).notes
    coverage = make_table("coverage", load_results(tmp_path / "demo", grid.suite))
    assert [str(column) for column in coverage.columns] == ["Method", "Planned", "ok", "vanished"]
    assert printed(coverage) == {"vanilla": ["8", "3", "5"], "hype-n": ["8", "8", "·"]}
    rows = list(csv.DictReader(io.StringIO(to_csv(coverage))))
    assert [(row["encoder"], row["method"], row["planned"], row["ok"], row["vanished"]) for row in rows] == [
        ("mini", "vanilla", "8", "3", "5"), ("mini", "hype-n", "8", "8", "0")]  # fmt: skip


def test_method_without_scores_is_kept_in_every_format(tmp_path):
    grid = Grid(statuses={("mini", "hype-n", "mini-rte", seed): "missing" for seed in range(3)})
    result = made(grid, tmp_path)
    assert printed(result)["hype-n"] == ["no score (0/3)"]
    assert bold(result) == set()
    for path in write_table(result, tmp_path / "main"):
        assert re.search(r"hype-n", path.read_text()), path
        assert "nan" not in path.read_text().lower()
    with (tmp_path / "main.csv").open() as handle:
        row = next(row for row in csv.DictReader(handle) if row["method"] == "hype-n")
    assert (row["n_planned"], row["n_ok"], row["n_scored"], row["mean"], row["std"]) == ("3", "0", "0", "", "")


def test_single_seed_shows_no_deviation(tmp_path):
    grid = Grid(seeds=1, values=scores("vanilla", "mini-rte", 0.6) | scores("hype-n", "mini-rte", 0.7))
    assert printed(made(grid, tmp_path))["vanilla"] == ["60.0"]


def test_average_covers_only_tasks_shared_by_all_methods(tmp_path):
    values = (
        scores("vanilla", "mini-rte", 0.6) | scores("hype-n", "mini-rte", 0.7) | scores("vanilla", "mini-mnli", 0.8)
    )
    tasks, only = ("mini-rte", "mini-mnli"), {"mini-mnli": ("vanilla",)}
    result = made(Grid(seeds=1, tasks=tasks, methods_of=only, values=values), tmp_path)
    assert printed(result)["vanilla"] == ["60.0", "80.0", "60.0"]
    assert printed(result)["hype-n"] == ["70.0", "–", "70.0"]
    assert any("(mini: mini-rte)" in note for note in result.notes)


def test_pretraining_table_shows_the_difference_and_its_error(tmp_path):
    # Differences 20, 22, 27: mean 23, standard deviation sqrt 13, its error sqrt(13 / 3) = 2.08.
    values = scores("vanilla", "mini-rte", 0.7, 0.74, 0.8)
    values |= scores("vanilla", "mini-rte", 0.5, 0.52, 0.53, encoder="mini-random")
    result = made(Grid(encoders=("mini", "mini-random"), methods=("vanilla",), values=values), tmp_path, "pretraining")
    row = printed(result)["mini-rte (accuracy)"]
    assert row == ["53.0", "74.7 ± 5.0", "51.7 ± 1.5", "+23.0", "2.1", "3"]


def test_variability_marks_the_best_layer(tmp_path):
    grid = Grid(layers=3)
    folder = grid.write(tmp_path)
    path = folder / "variability" / "mini" / "mini-rte.json"
    path.write_text(json.dumps(layer_study("mini", "mini-rte", [12.345, 7, 0.125, None], 2)))
    result = make_table("variability", load_results(folder, grid.suite))
    assert printed(result) == {"0": ["12.3"], "1": ["7.00"], "2": ["0.125"], "3": ["–"], "l*": ["2"]}
    assert bold(result) == {("2", 1)}


@pytest.mark.parametrize(("chosen_by", "corrected"), [("nu", False), ("corrected", True)])
def test_layer_note_says_corrected_only_if_chosen_by_corrected_nu(chosen_by, corrected, tmp_path):
    """The embedding output has the least nu but is no candidate; corrected nu may choose yet another layer."""
    grid = Grid(layers=3)
    folder = grid.write(tmp_path)
    content = layer_study("mini", "mini-rte", [1, 7, 3, 4], 3 if corrected else 2)
    content["settings"]["choose_by"] = chosen_by
    (folder / "variability" / "mini" / "mini-rte.json").write_text(json.dumps(content))
    for name in ("variability", "selectors"):
        note = make_table(name, load_results(folder, grid.suite)).notes[0]
        assert ("least ν corrected" in note) == corrected, name
    assert "no candidate" in make_table("variability", load_results(folder, grid.suite)).notes[0]


def test_selectors_table_shows_the_layer_each_selector_chooses(tmp_path):
    grid = Grid(layers=3, tasks=("mini-rte", "mini-cola"))
    folder = grid.write(tmp_path)
    path = folder / "variability" / "mini" / "mini-rte.json"
    path.write_text(json.dumps(layer_study("mini", "mini-rte", [3, 2, 1], 2)))
    results = load_results(folder, grid.suite)
    best = results.variability[1].best_layer
    other = best % 3 + 1
    result = make_table("selectors", results)
    assert printed(result) == {
        "mini-rte": ["2", "2", "–", "–", "–", "–"],
        "mini-cola": ["3", str(best), "60", str(other), str(other), str(other)],
    }
    row = next(row for row in result.data if row["task"] == "mini-cola" and row["layer"] == other)
    assert (row["cka"], row["cka_chooses"], row["nu_chooses"], row["share"]) == (1, True, False, pytest.approx(0.2))


def test_cells_table_lists_every_planned_cell_without_durations(small, tmp_path):
    result = made(small, tmp_path, "cells")
    assert len(result.lines) == 18
    assert ("mini", "lnsr", "mini-rte", "2", "failed", "accuracy", "–") in result.lines
    assert "second" not in to_csv(result).lower()


@pytest.mark.parametrize("name", ["transfer", "pretraining", "variability", "selectors"])
def test_table_without_data_says_what_the_suite_lacks(name, tmp_path):
    grid = Grid()
    shutil.rmtree(grid.write(tmp_path) / "variability")
    result = make_table(name, load_results(tmp_path / "demo", grid.suite))
    assert not result.blocks
    assert result.notes[0].startswith("This suite ")
    assert result.notes[0] in write_table(result, tmp_path / name)[2].read_text()


def test_suite_notes_come_last_below_a_table(tmp_path):
    assert made(Grid(), tmp_path, notes=("Handle with care.",)).notes[-1] == "Handle with care."


def test_tables_are_byte_identical_for_reordered_results(small, tmp_path):
    grid = replace(small, transfer={"mini-rte": ("mini-rte-overlap",)})
    folder = grid.write(tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b" / "demo")
    frame = pd.read_parquet(folder / "metrics.parquet")
    frame.assign(seconds=99.0).sample(frac=1, random_state=1).to_parquet(tmp_path / "b" / "demo" / "metrics.parquet")
    for side in "ab":
        write_tables(load_results(tmp_path / side / "demo", grid.suite), TABLES, tmp_path / side / "tables")
    first = {path.name: path.read_bytes() for path in (tmp_path / "a" / "tables").iterdir()}
    assert len(first) == 4 * len(TABLES)
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "b" / "tables").iterdir()}


@pytest.fixture
def registered():
    """Undo what a test registers."""
    with patch.dict(TABLES):
        yield


@pytest.mark.usefixtures("registered")
def test_new_table_needs_only_one_function(tmp_path):

    @table("seeds")
    def seeds(results):
        return Table("seeds", "Seeds", "How many.", ("Suite", "Seeds"), (Block(((results.name, len(results.seeds)),)),))

    grid = Grid()
    paths = write_tables(load_results(grid.write(tmp_path), grid.suite), ["seeds"], tmp_path / "tables")
    assert [path.name for path in paths] == ["seeds.csv", "seeds.tex", "seeds.md", "seeds.html"]
    assert paths[0].read_text() == "Suite,Seeds\ndemo,3\n"
    assert "| demo | 3 |" in paths[2].read_text()


@pytest.mark.usefixtures("registered")
def test_table_in_a_new_module_is_discovered(monkeypatch, tmp_path):
    (tmp_path / "ours.py").write_text(
        "from steadytune.rendering.tables.registry import table\n"
        "table('ours', reads_predictions=True)(lambda results: None)\n"
    )
    known = set(TABLES)
    monkeypatch.setattr(tables, "__path__", [*tables.__path__, str(tmp_path)])
    try:
        TABLES.import_modules(tables.__name__)
    finally:
        sys.modules.pop("steadytune.rendering.tables.ours", None)
        vars(tables).pop("ours", None)
    assert TABLES.keys() - known == {"ours"}
    assert TABLES["ours"].reads_predictions


def test_unknown_table_error_suggests_the_closest_name(tmp_path):
    with pytest.raises(SteadyTuneError, match=r"suite 'demo': unknown table 'mian' \(did you mean 'main'\?\)"):
        made(Grid(), tmp_path, "mian")


def test_bad_or_missing_metrics_file_is_refused(tmp_path):
    grid = Grid()
    path = grid.write(tmp_path) / "metrics.parquet"
    frame = pd.read_parquet(path)
    frame.drop(columns="headline").to_parquet(path)
    with pytest.raises(SteadyTuneError, match="no column 'headline'"):
        load_results(path.parent, grid.suite)
    pd.concat([frame, frame.iloc[:1]]).to_parquet(path)
    with pytest.raises(SteadyTuneError, match="two headline rows for mini/vanilla/mini-rte/seed-0 on mini-rte"):
        load_results(path.parent, grid.suite)
    path.unlink()
    with pytest.raises(SteadyTuneError, match=r"metrics\.parquet: not found"):
        load_results(path.parent, grid.suite)


AWKWARD = Table(
    "awkward",
    "50 % & more_of #1",
    "A {set} of \\ and ~ and ^ and $.",
    ("Method", ("rte_a", "100 %")),
    (Block(((VARIANT, "−1.0"), ("[x]", "*"), ("a|b", "<1")), title="block_1"),),
    notes=("a ± b × c",),
)


def test_tex_escapes_every_special_character():
    text = to_tex(AWKWARD)
    assert r"hype-n\textasciitilde{}lr=2e-05 & $-$1.0 \\" in text
    assert r"\textbf{50 \% \& more\_of \#1.}" in text
    assert r"A \{set\} of \textbackslash{} and \textasciitilde{} and \textasciicircum{} and \$." in text
    assert "{[}x] & {*} \\\\" in text
    assert r"a\textbar{}b & \textless{}1" in text


@pytest.mark.parametrize("name", TABLES)
def test_tex_is_well_formed(name, small, tmp_path):
    grid = replace(small, methods=("vanilla", VARIANT, "lnsr"), transfer={"mini-rte": ("mini-rte-overlap",)}, seeds=9)
    result = made(grid, tmp_path, name)
    check_tex(to_tex(result), len(result.columns))


def check_tex(text: str, columns: int) -> None:
    """Check that braces and environments nest, that every row has its columns, and that the text is ASCII."""
    assert text.isascii(), sorted(set(filter(lambda character: not character.isascii(), text)))
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        opened.append(name) if kind == "begin" else None
        assert kind == "begin" or opened.pop() == name
    assert opened == []
    assert text.count(r"$") % 2 == 0
    rows = [line for line in text.splitlines() if line.endswith(r"\\") and "\\caption" not in line]
    assert rows
    for row in rows:
        assert "multicolumn" in row or len(re.findall(r"(?<!\\)&", row)) == columns - 1, row


def test_markdown_escapes_markup_characters():
    text = to_markdown(AWKWARD)
    # Otherwise two variants in a row would strike out the text between their tildes.
    assert r"| hype-n\~lr=2e-05 | −1.0 |" in text
    assert r"| a\|b | \<1 |" in text


def test_markdown_keeps_the_space_between_bold_mean_and_deviation():
    best = Entry("61.2", spread="3.0", count="2/3", best=True)
    text = to_markdown(Table("t", "T", "", ("a", "b"), (Block((("x", best), ("y", Entry("60.0", best=True)))),)))
    assert "| x | **61.2** ± 3.0 (2/3) |" in text
    assert "| y | **60.0** |" in text


HOSTILE = "# $(rm -rf) <script>&lt;\n\\end{table}"


def hostile() -> Table:
    """A table whose every text is hostile, as a suite's file or data can make it."""
    rows = (("=1+1", "+3.0"), ("@SUM(A1)", "-x"))
    return Table("t", HOSTILE, HOSTILE, (HOSTILE, HOSTILE), (Block(rows, title=HOSTILE),), notes=(HOSTILE,))


def test_csv_neutralises_spreadsheet_formulas():
    lines = list(csv.reader(io.StringIO(to_csv(hostile()))))
    assert lines[1:] == [["'=1+1", "+3.0"], ["'@SUM(A1)", "'-x"]]
    data = replace(hostile(), data=({"reason": "=cmd()", "value": -1.5, "id": "a-b"},))
    assert to_csv(data).splitlines()[1] == "'=cmd(),-1.5,a-b"


def test_csv_has_the_columns_of_all_rows():
    rows = ({"method": "lost", "seconds_load": 1}, {"method": "sound", "seconds_evaluate": 50, "seconds_load": 2})
    table = Table("t", "T", "", (), (), "", (), data=rows)
    assert to_csv(table).splitlines() == ["method,seconds_load,seconds_evaluate", "lost,1,", "sound,2,50"]


def test_markdown_keeps_hostile_text_on_its_line():
    text = to_markdown(hostile())
    assert len(text.splitlines()) == 9
    assert text.splitlines()[-1].startswith(r"- \# \$(rm -rf) \<script>&amp;lt; ")


def test_tex_escapes_hostile_text():
    text = to_tex(hostile())
    check_tex(text, 2)
    assert text.count(r"\end{") == 2 + 1
    assert r"\# \$(rm -rf)" in text


def test_html_escapes_hostile_text():
    text = to_page(hostile())
    assert "<script" not in text
    assert text.count("&lt;script&gt;&amp;lt;") >= 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.04, "0.0"),
        (-1.25, "−1.3"),
        (1.25, "1.3"),
        (float("nan"), "–"),
        (3.0, "+3.0"),
        (0.0, "0.0"),
        (1e6, "1000000.0"),
    ],
)
def test_number_formats_points_to_one_decimal(value, text):
    assert number(value, sign=text.startswith("+")) == text


def test_number_rounds_alike_despite_float_error():
    # Both are 0.15, of which the sum is 0.15000000000000002 and the literal just below 0.15.
    assert number(0.1 + 0.05) == number(0.15) == "0.2"


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ({1, 0}, "0, 1"), ([2, 0, 1], "0–2"), ([0, 1, 4, 5, 6, 9], "0, 1, 4–6, 9")],
)
def test_ranges_joins_consecutive_numbers(numbers, text):
    assert ranges(numbers) == text


def test_table_and_figure_packages_import_nothing_heavy():
    code = "import sys, steadytune.rendering.tables, steadytune.rendering.figures\n"
    code += "print(*({'torch', 'pandas', 'matplotlib', 'numpy', 'seaborn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_cost_is_relative_to_the_baseline(tmp_path):
    result = made(Grid(), tmp_path, "cost")
    rows = {(line["encoder"], line["method"], line["task"]): line for line in result.data}
    assert rows["mini", "hype-n", "mini-rte"]["flops_ratio"] == 2
    assert rows["mini", "vanilla", "mini-rte"]["seconds_ratio"] == 1
    line = next(row for row in result.blocks[0].rows if row[:2] == ("hype-n", "mini-rte"))
    assert line[2:] == ("3", "25.0", "3.0", "1.00", "2.00", "1.00", "700")


@contextmanager
def changed_record(folder: Path, method: str, seed: int) -> Iterator[dict]:
    """A record of mini-rte to change; it is written back after the block."""
    path = folder / "cells/mini" / method / f"mini-rte/seed-{seed}/record.json"
    record = json.loads(path.read_text())
    yield record
    path.write_text(json.dumps(record))


def test_ratios_of_counted_costs_pair_seeds(tmp_path):
    # Every method costs a fixed multiple of vanilla's at each seed, but methods have other seeds than vanilla.
    grid = Grid(methods=("vanilla", "hype-n", "lnsr"), seeds=4)
    grid.statuses = {("mini", method, "mini-rte", seed): "missing" for method, seed in
                     (("hype-n", 0), ("hype-n", 1), ("lnsr", 0), ("lnsr", 1), ("lnsr", 2), ("vanilla", 3))}  # fmt: skip
    folder = grid.write(tmp_path)
    for method, factor in (("vanilla", 1), ("hype-n", 1.5), ("lnsr", 2)):
        for seed, flops in enumerate((1e9, 2e9, 4e9, 8e9)):
            if ("mini", method, "mini-rte", seed) not in grid.statuses:
                with changed_record(folder, method, seed) as record:
                    record["training"] |= {"flops": factor * flops, "inference_flops": factor * flops / 1000}
    rows = {line["method"]: line for line in make_table("cost", load_results(folder, grid.suite)).data}
    for name in ("flops_ratio", "inference_ratio"):
        assert [rows[method][name] for method in ("vanilla", "hype-n")] == [1, 1.5]
        assert rows["lnsr"][name] == pytest.approx(math.nan, nan_ok=True), "it has no seed in common with vanilla"
    assert rows["hype-n"]["flops"] == 9e9, "the median over its own seeds"


def test_time_ratio_pairs_seeds_run_on_the_same_device_model(tmp_path):
    grid = Grid()
    folder = grid.write(tmp_path)
    ran = {
        "vanilla": [("fast", 10), ("slow", 100), ("slow", 200)],
        "hype-n": [("slow", 90), ("slow", 120), ("slow", 260)],
    }
    for method, seeds in ran.items():
        for seed, (device, seconds) in enumerate(seeds):
            with changed_record(folder, method, seed) as record:
                record["environment"]["device_name"], record["timing"]["train"] = device, seconds
    data = make_table("cost", load_results(folder, grid.suite)).data
    rows = {(line["method"], line["task"]): line for line in data}
    # The mean of 120 / 100 and 260 / 200; seed 0 ran on two different devices.
    assert rows["hype-n", "mini-rte"]["seconds_ratio"] == pytest.approx(1.25)


def test_record_of_a_quarantined_cell_is_not_read(tmp_path):
    grid = Grid(statuses={("mini", "vanilla", "mini-rte", 0): "quarantined"})
    folder = grid.write(tmp_path)
    found = load_results(folder, grid.suite)
    assert (folder / "cells/mini/vanilla/mini-rte/seed-0/record.json").exists()
    assert found.record("mini", "vanilla", "mini-rte", 0) == {}
    assert found.record("mini", "vanilla", "mini-rte", 1)["seed"] == 1


def test_caption_says_planned_seeds_until_all_have_run(tmp_path):
    def caption(name: str, status: str) -> str:
        grid = Grid(statuses={("mini", "vanilla", "mini-rte", 0): status})
        return make_table("main", load_results(grid.write(tmp_path / name), grid.suite)).caption

    assert caption("open", "missing").startswith("Encoder mini, 3 planned seeds each, ")
    assert caption("ended", "failed").startswith("Encoder mini, 3 seeds each, ")


def test_cost_shows_the_number_of_seeds_behind_it(tmp_path):
    statuses = {("mini", "hype-n", "mini-rte", 1): "failed"}
    result = made(Grid(statuses=statuses), tmp_path, "cost")
    counts = {row[:2]: row[2] for row in result.blocks[0].rows}
    assert (counts["hype-n", "mini-rte"], counts["vanilla", "mini-rte"]) == ("2/3", "3")


def test_resources_table_shows_sums_and_unknown_energy(tmp_path):
    grid = Grid(
        statuses={("mini", "vanilla", "mini-rte", 0): "diverged", ("mini", "vanilla", "mini-rte", 1): "missing"}
    )
    result = made(grid, tmp_path, "resources")
    rows = {line[0]: line for line in result.lines}
    # One of the 3 seeds has no record and one no training: 2 x 12.5 s in total; 1e9 FLOPs in 9 s.
    assert rows["vanilla"][1:3] == ("2", "0.01")
    assert rows["all cells"][1] == "5"
    data = {line["method"]: line for line in result.data}
    assert data["vanilla"]["seconds_total"] == 25.0
    assert data["vanilla"]["rate"] == pytest.approx(1e9 / 9)
    assert data["hype-n"]["flops"] == 6e9
    assert data[""]["host_bytes"] == 700 * 2**20
    assert rows["all cells"][8] == "–"
    assert "unknown: no GPU" in result.notes[1]


def test_total_sums_energy_and_derives_utilisation():
    def record(joules, flops, seconds):
        usage = {"joules": joules, "without_joules": None, "peak_flops_per_second": 100.0}
        return {"usage": usage, "timing": {"train": seconds, "total": seconds + 1}, "memory": {"host": 5, "device": 7},
                "training": {"flops": flops}}  # fmt: skip

    found = total([record(10.0, 60.0, 2.0), record(5.0, 30.0, 1.0)])
    assert (found.joules, found.flops, found.rate, found.utilisation) == (15.0, 90.0, 30.0, 0.3)
    assert found.seconds("train", "total") == 8.0

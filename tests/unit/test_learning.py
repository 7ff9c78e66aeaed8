"""Methods that learned nothing: they are detected, reported first, and never set in bold there."""

import math
import re
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from synthetic import Grid
from worlds import values

from steadytune import cli
from steadytune.exports.evidence import Recorded
from steadytune.exports.site import methods_of
from steadytune.rendering.learning import nothing_learned
from steadytune.rendering.report import build_report
from steadytune.rendering.table import Entry
from steadytune.rendering.tables import make_table
from steadytune.results.loading import load_results
from steadytune.results.scores import Score

METHODS, TASKS = ("vanilla", "hype-n", "lnsr"), ("mini-rte", "mini-cola")


def grid(*stuck: tuple[str, str], **settings) -> Grid:
    """A grid whose methods score 70 to 71 points, except at the `stuck` places: 53, as the majority class."""
    scores = {}
    for place, method in enumerate(METHODS):
        for task in TASKS:
            level = 53.0 if (method, task) in stuck else 70.0 + place / 2
            scores |= values(method, task, *[level - 0.1 * seed for seed in range(3)])
    return Grid(methods=METHODS, tasks=TASKS, values=scores, **settings)


def loaded(made: Grid, folder):
    return load_results(made.write(folder), made.suite)


@pytest.mark.parametrize(
    ("metric", "majority", "statuses", "points", "found"),
    [
        ("accuracy", 53.0, "ok ok", (53.0, 52.1), True),
        ("accuracy", 53.0, "ok ok", (53.0, 54.0), False),
        # A degenerate run gives one answer for every example, so its score does not count.
        ("accuracy", 53.0, "degenerate ok", (60.0, 52.0), True),
        # Always answering yes scores an F1 of 81; a model that has learned something may score less.
        ("f1", 81.2, "ok ok", (79.0, 80.0), False),
        ("f1", 81.2, "degenerate degenerate", (81.2, 81.2), True),
        ("matthews", 0.0, "ok ok", (0.0, -1.0), True),
        ("span_f1", math.nan, "ok ok", (0.0, 0.0), False),
        ("accuracy", 53.0, "missing missing", (), False),
    ],
)
def test_at_majority_detects_scores_that_show_no_learning(metric, majority, statuses, points, found):
    ends = dict(enumerate(statuses.split()))
    assert Score(metric, majority, ends, dict(enumerate(points))).at_majority is found


def bold(table) -> set[str]:
    return {str(line[0]) for line in table.lines for value in line if isinstance(value, Entry) and value.best}


def test_no_bold_score_average_or_transfer_if_nothing_was_learned(tmp_path):
    """lnsr learned nothing on CoLA, but has the highest score in transfer from it and the highest average."""
    made = grid(("lnsr", "mini-cola"), transfer={"mini-cola": ("mini-sst2",)})
    made.values |= values("lnsr", "mini-rte", 99, 99, 99)
    made.value = lambda cell, name: 0.9 if (cell[1], name) == ("lnsr", "mini-sst2") else Grid.value(made, cell, name)
    results = loaded(made, tmp_path)
    assert results.stuck == {("mini", "lnsr", "mini-cola")}
    main = {line[0]: line for line in make_table("main", results).lines}
    assert [main["lnsr"][place].best for place in (1, 2, 3)] == [True, False, False]
    assert main["hype-n"][2].best
    assert main["hype-n"][3].best
    for name in ("transfer", "transfer-sets"):
        table = make_table(name, results)
        assert "lnsr" not in bold(table)
        if name == "transfer-sets":
            place = table.columns.index("lnsr")
            assert not any(isinstance(line[place], Entry) and line[place].best for line in table.lines)


def test_nothing_learned_sentence_names_methods_and_tasks(tmp_path):
    assert nothing_learned(loaded(grid(), tmp_path / "none")) == ""
    some = nothing_learned(loaded(grid(("lnsr", "mini-cola"), ("hype-n", "mini-cola")), tmp_path / "some"))
    assert some.startswith("Nothing was learned by hype-n and lnsr on mini-cola: every run gives one answer")
    assert "warm-up" in some
    of_task = grid(*((method, "mini-cola") for method in METHODS), ("lnsr", "mini-rte"))
    found = nothing_learned(loaded(of_task, tmp_path / "task"))
    assert "by any method on mini-cola; lnsr on mini-rte:" in found
    everything = grid(*((method, task) for method in METHODS for task in TASKS))
    assert nothing_learned(loaded(everything, tmp_path / "all")).startswith("Nothing was learned: every run")


def test_runs_that_fit_their_training_set_get_other_advice(tmp_path):
    """lnsr ends at exactly half of its first epoch's training loss on both tasks, hype-n at a little more."""
    results = loaded(grid(*((method, task) for method in ("hype-n", "lnsr") for task in TASKS)), tmp_path)
    for method, end in (("hype-n", 0.351), ("lnsr", 0.35)):
        for path in results.folder.glob(f"cells/mini/{method}/*/*/history.csv"):
            path.write_text(f"epoch,step,train_loss\n1,1,0.7\n2,2,0.8\n3,3,{end}\n")
    first, second = re.split(r"(?<=warm-up\.) ", nothing_learned(results))
    assert first.startswith("Nothing was learned by hype-n on mini-rte and mini-cola: ")
    assert "by lnsr on mini-rte and mini-cola: every run fits its training set" in second
    assert "epochs" not in second
    assert "more training examples" in second
    # One run that does not fit is enough for the usual advice.
    path = next(results.folder.glob("cells/mini/lnsr/mini-rte/*/history.csv"))
    path.write_text("epoch,step,train_loss\n1,1,0.7\n3,3,0.6\n")
    found = nothing_learned(results)
    assert "by hype-n on mini-rte and mini-cola; lnsr on mini-rte: every run gives one answer" in found
    assert "by lnsr on mini-cola: every run fits" in found
    path.unlink()
    assert nothing_learned(results) == found


def test_random_encoder_is_reported_only_if_not_used_as_a_comparison(tmp_path):
    stuck = {}
    for task in TASKS:
        stuck |= values("vanilla", task, 53, 53, 53, encoder="mini-random")
    found = loaded(Grid(encoders=("mini", "mini-random"), tasks=TASKS, values=stuck), tmp_path)
    assert found.stuck == {("mini-random", "vanilla", task) for task in TASKS}
    assert nothing_learned(found) == ""
    alone = replace(found, suite=replace(found.suite, pretraining_pairs=()))
    assert "Nothing was learned by vanilla on" in nothing_learned(alone)


def test_evidence_page_reports_nothing_learned_per_encoder(tmp_path):
    made = grid(("lnsr", "mini-cola"), encoders=("mini", "mini-random"))
    for method in METHODS:
        made.values |= {("mini-random", method, task, seed): 0.9 for task in TASKS for seed in range(3)}
    first, second = methods_of(cast(Recorded, SimpleNamespace(name="demo", results=loaded(made, tmp_path))))
    assert "Nothing was learned by lnsr on mini-cola: every run" in first.table.caption
    assert "Nothing was learned" not in second.table.caption


def test_claims_compare_and_report_state_nothing_learned_first(world, capsys):
    made = grid(("lnsr", "mini-cola"))
    world.build(made)
    for command in (["claims", "demo"], ["compare", "demo", "lnsr", "vanilla"]):
        assert cli.main(command) == 0
        assert capsys.readouterr().out.startswith("Nothing was learned by lnsr on mini-cola:")
    build_report(load_results(world.results, made.suite), world.folder / "report.html")
    section = (world.folder / "report.html").read_text().partition('id="short"')[2]
    assert section.index("Nothing was learned by lnsr on mini-cola") < section.index("<li>")

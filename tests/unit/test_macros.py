"""LaTeX macros for numbers in running text: right values, valid TeX names, no duplicates."""

import re
from dataclasses import replace

import pytest
from synthetic import Grid, judged

from steadytune.claims.judged import Verdicts, write_verdicts
from steadytune.rendering.macros import macro_name, to_macros
from steadytune.results.loading import load_results

VALUES = {("mini", "vanilla", "mini-rte", seed): value for seed, value in enumerate((0.60, 0.62, 0.64))}
VALUES |= {("mini", "vanilla", "mini-mrpc", seed): 0.70 for seed in range(3)}


def macros(grid: Grid, root, **suite) -> dict[str, str]:
    text = to_macros(load_results(grid.write(root), replace(grid.suite, **suite)))
    found = re.findall(r"^\\newcommand\{\\([A-Za-z]+)\}\{(.*)\}$", text, flags=re.MULTILINE)
    assert len(found) == len(text.splitlines()) - 1
    assert len(dict(found)) == len(found)
    return dict(found)


def test_macros_give_scores_averages_and_cell_counts(tmp_path):
    grid = Grid(
        tasks=("mini-rte", "mini-mrpc"), values=VALUES, statuses={("mini", "hype-n", "mini-rte", 1): "diverged"}
    )
    found = macros(grid, tmp_path)
    assert (found["demoVanillaMiniRteMean"], found["demoVanillaMiniRteStd"]) == ("62.0", "2.0")
    assert found["demoHypeNMiniRteSeeds"] == "2"
    # The mean of 62 and 70.
    assert found["demoVanillaAverage"] == "66.0"
    assert (found["demoCellsPlanned"], found["demoCellsOk"], found["demoCellsDiverged"]) == ("12", "11", "1")


def test_average_macro_exists_even_if_methods_share_only_one_task(tmp_path):
    grid = Grid(tasks=("mini-rte", "mini-mrpc"), values=VALUES, methods_of={"mini-mrpc": ("vanilla",)})
    found = macros(grid, tmp_path)
    assert found["demoVanillaAverage"] == found["demoVanillaMiniRteMean"] == "62.0"


def test_missing_score_is_a_dash_and_transfer_sets_have_macros(tmp_path):
    missing = {("mini", "hype-n", "mini-rte", seed): "missing" for seed in range(3)}
    grid = Grid(transfer={"mini-rte": ("mini-rte-overlap",)}, statuses=missing)
    found = macros(grid, tmp_path)
    assert (found["demoHypeNMiniRteMean"], found["demoHypeNMiniRteSeeds"]) == ("--", "0")
    assert re.fullmatch(r"\d\d\.\d", found["demoVanillaMiniRteOnMiniRteOverlapMean"])


def test_macros_name_the_encoder_if_several_and_only_named_variants(tmp_path):
    variants = ("hype-n~sigma=1e-05", "hype-n~sigma=1e-04")
    grid = Grid(encoders=("mini", "bert-large"), methods=("vanilla", *variants))
    named = {"vanilla": ["vanilla"], "hype-n": list(variants), variants[0]: [variants[0]]}
    found = macros(grid, tmp_path, named=named)
    assert "demoBertLargeVanillaMiniRteMean" in found
    assert "demoMiniHypeNSigmaOneEMinusZeroFiveMiniRteMean" in found
    assert "demoMiniHypeNSigmaOneEMinusZeroFourMiniRteMean" not in found
    assert found["demoMiniHypeNMiniRteMean"] == found["demoMiniHypeNSigmaOneEMinusZeroFiveMiniRteMean"]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("paper-hype", "hype-n+r-drop", "rte"), "paperHypeHypeNPlusRDropRte"),
        (("mini", "vanilla", "mnli@5k"), "miniVanillaMnliAtFiveK"),
        (("mini", "hype-n~hidden_dropout=0.1"), "miniHypeNHiddenDropoutZeroPointOne"),
        (("mini", "tilt~tilt=2"), "miniTiltTiltTwo"),
        (("mini", "tilt~tilt=-2"), "miniTiltTiltMinusTwo"),
        (("mini", "tilt~tilt=-2.5e-05"), "miniTiltTiltMinusTwoPointFiveEMinusZeroFive"),
        (("mini", "tilt~at=1,-2"), "miniTiltAtOneMinusTwo"),
    ],
)
def test_macro_name_spells_digits_and_signs_in_letters(words, name):
    assert macro_name(*words) == name


def test_macros_count_claims_by_verdict_and_give_effects(tmp_path):
    grid = Grid()
    folder = grid.write(tmp_path)
    wins = judged("wins", "reproduced", effect=1.25, interval=(0.5, 2.0))
    write_verdicts(folder, Verdicts("demo", claims=(wins, judged("loses-2", "not evaluated"))))
    text = to_macros(load_results(folder, grid.suite))
    for line in (
        r"\newcommand{\demoClaimsJudged}{2}",
        r"\newcommand{\demoClaimsReproduced}{1}",
        r"\newcommand{\demoClaimsNotEvaluated}{1}",
        r"\newcommand{\demoClaimsInconclusive}{0}",
        r"\newcommand{\demoClaimWinsVerdict}{reproduced}",
        r"\newcommand{\demoClaimWinsEffect}{+1.3 {[}0.5, 2.0]}",
        r"\newcommand{\demoClaimLosesTwoEffect}{--}",
    ):
        assert line in text.splitlines()


def test_first_of_two_colliding_macros_wins_and_the_other_is_reported(tmp_path):
    grid = Grid(methods=("vanilla", "hype-n", "hype_n"))
    lines = to_macros(load_results(grid.write(tmp_path), grid.suite)).splitlines()
    assert len([line for line in lines if line.startswith(r"\newcommand{\demoHypeNMiniRteMean}")]) == 1
    said = "'hype_n mini-rte mean' would be \\demoHypeNMiniRteMean, which is 'hype-n mini-rte mean'"
    assert f"% Left out: {said}; rename one of them." in lines

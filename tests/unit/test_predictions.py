"""Slices, calibration and churn of saved predictions, and their tables, against values computed by hand."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from test_record import _without_predictions, sealed_again, written  # noqa: F401 (a fixture)

from steadytune.cli import main
from steadytune.dag.dag import Dag
from steadytune.evaluation.calibration import brier_score, expected_calibration_error
from steadytune.evaluation.outputs import write_predictions
from steadytune.evaluation.predict import Outputs
from steadytune.layout import PREDICTIONS, calibration_path, cell_folder, record_path, results_folder, slices_path
from steadytune.rendering.tables import make_table
from steadytune.results.collect import collect
from steadytune.results.description import describe
from steadytune.results.loading import load_results
from steadytune.suite.loading import load_suite

E, N, C = [0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.1, 0.2, 0.7]
CLOSE = [0.4, 0.35, 0.25]
SUITE = {
    "suite": "demo",
    "title": "Demonstration",
    "encoders": {"mini": {"model": "steadytune/mini"}},
    "grid": [{"encoders": ["mini"], "methods": ["vanilla"], "tasks": ["mnli"], "seeds": 3}],
    "transfer": {"mnli": ["hans"]},
    "tables": ["hans", "advglue", "calibration"],
}
# Heuristic, subcase, gold (0: entailment), and the probabilities of two seeds.
HANS = [
    ("lexical_overlap", "le_passive", 0, E, E),
    ("lexical_overlap", "ln_passive", 1, E, N),
    ("lexical_overlap", "ln_passive", 1, C, C),
    ("constituent", "ce_adverb", 0, CLOSE, N),
    ("constituent", "cn_adverb", 1, E, E),
]
# Seed 0 on two labels: E is (0.8, 0.2), C (0.1, 0.9), CLOSE (0.4, 0.6).
BRIER = (0.08 + 1.28 + 0.02 + 0.72 + 1.28) / 5
OWN = [(0, E, E), (1, N, C), (2, N, C), (2, C, C)]


def test_expected_calibration_error_matches_hand_computed_values():
    # 0.9 lies in (13/15, 14/15], 0.95 and 1.0 above, 0.6 in (8/15, 9/15]: |1 - 0.9|, |2 - 1.95|, |0 - 0.6|.
    top = np.array([0.9, 0.95, 1.0, 0.6])
    gold = np.array([0, 0, 0, 1])
    assert expected_calibration_error(np.stack([top, 1 - top], 1), gold) == pytest.approx((0.1 + 0.05 + 0.6) / 4)
    assert expected_calibration_error(np.stack([top, 1 - top], 1), gold, bins=1) == pytest.approx((3.45 - 3) / 4)
    # Right and wrong within one bin cancel out: accuracy 0.5, mean confidence 0.5.
    assert expected_calibration_error(np.full((2, 2), 0.5), np.array([0, 1])) == 0


def test_confidence_on_a_bin_border_counts_in_the_lower_bin():
    # With two bins 0.5 is in the lower one, apart from 0.7: |1 - 0.5| + |0 - 0.7|; in one bin it would be |1 - 1.2|.
    probabilities = np.array([[0.5, 0.5], [0.7, 0.3]])
    assert expected_calibration_error(probabilities, np.array([0, 1]), bins=2) == pytest.approx(1.2 / 2)


def test_brier_score_matches_hand_computed_values():
    # 0.2^2 + 0.1^2 + 0.1^2 = 0.06 if entailment is gold, 0.8^2 + 0.9^2 + 0.1^2 = 1.46 if neutral is.
    assert brier_score(np.array([E, E]), np.array([0, 1])) == pytest.approx((0.06 + 1.46) / 2)
    assert brier_score(np.eye(3), np.array([1, 2, 0])) == 2


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEADYTUNE_STORE", raising=False)
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE))
    return load_suite(tmp_path / "demo.yaml")


def outputs(gold: list[int], probabilities: list[list[float]], rows: list[int]) -> Outputs:
    return Outputs(np.log(np.array(probabilities)).astype(np.float32), np.array(rows), np.array(gold))


@pytest.fixture
def cells(suite):
    """Two cells with predictions and one that diverged, and HANS in the store."""
    folder = suite.file.store / "datasets/jhu-cogsci/hans/plain_text"
    folder.mkdir(parents=True)
    heuristic, subcase, gold, *_ = map(list, zip(*HANS, strict=True))
    columns = {"premise": ["p"] * 5, "hypothesis": ["h"] * 5, "label": gold, "heuristic": heuristic, "subcase": subcase}
    pq.write_table(pa.table(columns), folder / "validation-00000-of-00001.parquet")
    for cell in suite.cells:
        said = min(cell.seed, 1)
        own, far = [row[1 + said] for row in OWN], [row[3 + said] for row in HANS]
        found = {"mnli": outputs([row[0] for row in OWN], own, [0, 1, 2, 3])}
        # In a different row order from the files.
        found["hans"] = outputs(gold[::-1], far[::-1], [4, 3, 2, 1, 0])
        if cell.seed == 2:
            found = {name: Outputs(item.logits * np.nan, item.rows, item.labels) for name, item in found.items()}
        written(suite, cell)
        write_predictions(cell_folder(suite, cell) / PREDICTIONS, found)
        sealed_again(suite, cell)
    return suite


def analysed(suite) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert main(["predictions", "demo.yaml"]) == 0
    return pd.read_parquet(slices_path(suite)), pd.read_parquet(calibration_path(suite))


def test_slices_have_the_accuracy_of_each_group_and_gold_label(cells):
    slices, _ = analysed(cells)
    assert set(slices["evaluation_set"]) == {"hans"} and set(slices["seed"]) == {0, 1}
    found = {(r.seed, r.slice, r.gold): (r.n, r.accuracy) for r in slices.itertuples()}
    # Summed over the other labels, CLOSE says not entailed (0.6 against 0.4).
    assert found[0, "lexical_overlap", ""] == (3, pytest.approx(2 / 3))
    assert found[0, "lexical_overlap", "entailment"] == (1, 1)
    assert found[0, "lexical_overlap", "not_entailment"] == (2, 0.5)
    assert found[1, "lexical_overlap", "not_entailment"] == (2, 1)
    assert found[0, "ce_adverb", ""] == found[0, "ce_adverb", "entailment"] == (1, 0)
    assert (0, "ce_adverb", "not_entailment") not in found
    assert len(found) == 2 * (3 + 3 + 4 * 2)


def test_slices_follow_the_collapse_rule(cells, tmp_path):
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | {"protocol": {"collapse": "argmax"}}))
    changed = load_suite(tmp_path / "demo.yaml")
    for cell in changed.cells:
        sealed_again(changed, cell)
    slices, calibration = analysed(changed)
    found = {(r.seed, r.slice): r.accuracy for r in slices.itertuples()}
    assert found[0, "ce_adverb"] == 1
    # Calibration still sums probabilities, because an argmax has none.
    brier = calibration.query("measure == 'brier' and evaluation_set == 'hans' and seed == 0")["value"]
    assert brier.tolist() == [pytest.approx(BRIER)]


def test_calibration_and_churn_match_hand_computed_values(cells):
    _, table = analysed(cells)
    found = {(r.evaluation_set, r.measure, r.seed): r.value for r in table.itertuples()}
    assert set(table["seed"]) == {0, 1}
    # Own task, seed 0: 0.06; N with gold neutral 0.24; N with gold contradiction 0.04 + 0.36 + 0.64; C right 0.14.
    assert found["mnli", "brier", 0] == pytest.approx((0.06 + 0.24 + 1.04 + 0.14) / 4)
    # Confidences 0.8 (right), 0.6 (one right, one wrong) and 0.7 (right): three bins.
    assert found["mnli", "ece", 0] == pytest.approx((0.2 + abs(1 - 1.2) + 0.3) / 4)
    assert found["hans", "brier", 0] == pytest.approx(BRIER)
    churns = table[table["measure"] == "churn"]
    assert churns[["seed", "other_seed"]].drop_duplicates().to_numpy().tolist() == [[0, 1]]
    # Own task: neutral became contradiction twice. HANS: one of five; CLOSE and N are both not entailed.
    assert found["mnli", "churn", 0] == 0.5
    shares = dict(zip(churns["evaluation_set"], churns["value"], strict=True))
    assert shares == {"mnli": 0.5, "hans": pytest.approx(0.2)}


def test_cell_with_a_damaged_record_is_left_out(cells):
    path = record_path(cells, cells.cells[0])
    path.write_text(path.read_text()[:50])
    slices, calibration = analysed(cells)
    assert set(slices["seed"]) == set(calibration["seed"]) == {1}
    assert "churn" not in set(calibration["measure"])


def test_no_slices_without_their_column_and_no_calibration_of_regression(suite, tmp_path):
    folder = suite.file.store / "datasets/AI-Secure/adv_glue/adv_mnli"
    folder.mkdir(parents=True)
    pq.write_table(
        pa.table({"premise": ["p"], "hypothesis": ["h"], "label": [0]}), folder / "validation-00000-of-00001.parquet"
    )
    value = SUITE | {"transfer": {"mnli": ["adv-mnli"], "stsb": []}}
    value["grid"] = [*SUITE["grid"], {**SUITE["grid"][0], "tasks": ["stsb"]}]
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(value))
    suite = load_suite(tmp_path / "demo.yaml")
    for cell in suite.cells:
        written(suite, cell)
        scores = Outputs(np.ones((1, 1), np.float32), np.array([0]), np.array([2.5]))
        found = {"stsb": scores} if cell.task == "stsb" else {"adv-mnli": outputs([0], [E], [0])}
        write_predictions(cell_folder(suite, cell) / PREDICTIONS, found)
        sealed_again(suite, cell)
    slices, calibration = analysed(suite)
    assert len(slices) == 0
    assert set(calibration["task"]) == {"mnli"}


def test_evaluation_set_that_is_not_staged_is_an_error(cells, capsys):
    for path in (cells.file.store / "datasets").rglob("*.parquet"):
        path.unlink()
    assert main(["predictions", "demo.yaml"]) == 2
    assert "no split 'validation' of task 'hans'" in capsys.readouterr().err


def tables(suite, name):
    collect(suite)
    return make_table(name, load_results(results_folder(suite), describe(suite)))


def test_slice_table_has_a_block_per_heuristic_and_subcase(cells):
    analysed(cells)
    table = tables(cells, "hans")
    assert [block.title for block in table.blocks] == [
        "trained on mnli, hans by heuristic",
        "trained on mnli, hans by subcase",
    ]
    assert table.columns == ("Slice", "Gold", "n", "vanilla")
    rows = [tuple(map(str, row)) for row in table.blocks[0].rows]
    # The third seed has a record but no finite output.
    assert rows[:2] == [
        ("lexical_overlap", "entailment", "1", "100.0 ± 0.0 (2/3)"),
        ("lexical_overlap", "not entailment", "2", "75.0 ± 35.4 (2/3)"),
    ]
    assert {row["value"] for row in table.data if row["column"] == "subcase"} == {row[1] for row in HANS}
    assert tables(cells, "advglue").notes[0] == "No cell of this suite has predictions on such a set."


def test_calibration_table_has_a_row_per_evaluation_set(cells):
    analysed(cells)
    table = tables(cells, "calibration")
    (block,) = table.blocks
    assert [row[:2] for row in block.rows] == [("mnli", "vanilla"), ("hans", "vanilla")]
    assert str(block.rows[0][4]) == "50.0 (2/3)"
    row = table.data[0]
    assert row["seeds"] == 2 and math.isnan(row["churn_std"])


def test_tables_note_that_predictions_are_missing(suite):
    for name in SUITE["tables"]:
        assert tables(suite, name).notes[0].startswith("No cell of this suite has predictions ")


def test_dag_studies_predictions_only_if_a_table_shows_them(suite, tmp_path, monkeypatch):
    (tmp_path / "config").symlink_to(Path(__file__).parents[2] / "config")
    assert Dag(suite).prediction_studies == [str(slices_path(suite)), str(calibration_path(suite))]
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(SUITE | {"tables": ["main"]}))
    assert Dag(load_suite(tmp_path / "other.yaml")).prediction_studies == []

"""From a kept model to the table: the commands of the inside stage on a tiny suite."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from test_run_cell import SUITE, changed, raising, suite  # noqa: F401 (a fixture)

from steadytune.cells import keeping, run
from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.layers.inside import stage
from steadytune.layers.inside.cka import cka
from steadytune.layout import cell_folder, handover_path, inside_before_path, inside_path, inside_table_path
from steadytune.suite.cell import Cell

METHODS = ["vanilla", "lora", "houlsby", "layer-tune~layer=1"]
INSIDE = {"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["cola"], "seeds": 3, "probes": ["mini-cola", "cola"]}
GRID = {"encoders": ["tiny"], "methods": METHODS, "tasks": ["cola"], "seeds": 2}


@pytest.fixture
def demo(suite, tmp_path):  # noqa: F811
    return looking(tmp_path)


def looking(tmp_path, **changes):
    """The tiny suite with an `inside` block, in which `changes` replace keys."""
    block = INSIDE | {"examples": 24} | changes
    return changed(tmp_path, grid=[GRID], inside=block, protocol=SUITE["protocol"] | {"epochs": 1})


def message(tmp_path, **changes):
    with pytest.raises(SteadyTuneError) as error:
        looking(tmp_path, **changes)
    return str(error.value).partition("demo.yaml: ")[2]


def test_inside_block_selects_existing_cells_of_the_suite(demo):
    assert [str(cell) for cell in demo.inside_cells] == ["tiny/vanilla/cola/seed-0", "tiny/vanilla/cola/seed-1"]
    assert demo.inside_pairs() == [("tiny", "cola")]
    assert "steadytune/mini/cola" in demo.datasets()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"methods": ["vanila"]}, "inside.methods: unknown method 'vanila' (did you mean 'vanilla'?)"),
        ({"probes": ["col"]}, "inside.probes: unknown task 'col' (did you mean 'cola'?)"),
        ({"probes": ["hans"]}, "inside.probes: task 'hans' is for evaluation only"),
        ({"seeds": [5]}, "inside: no cell of the suite has these names and seeds together"),
        ({"examples": 2}, "inside.examples: 2: expected at least 8"),
        ({"probe": []}, "unknown key 'inside.probe' (did you mean 'probes'?)"),
    ],
)
def test_invalid_inside_block_is_refused_with_the_reason(changes, words, demo, tmp_path):
    assert message(tmp_path, **changes) == words


@pytest.mark.parametrize("method", METHODS)
def test_kept_model_gives_the_predictions_of_the_fine_tuned_model(method, demo):
    cell = Cell("tiny", method, "cola", 0)
    train_and_hand_over(demo, cell)
    material = keeping.load_kept(demo, cell, handover_path(demo, cell), "cpu")
    assert not material.encoder.model.training
    assert list(material.evaluations) == ["cola"]
    batcher = material.evaluations["cola"].batcher
    predictions = pd.read_parquet(cell_folder(demo, cell) / "predictions.parquet")
    expected = predictions[predictions["evaluation_set"] == "cola"][["logit_0", "logit_1"]].to_numpy()
    with torch.no_grad():
        for rows, batch in batcher.evaluation():
            assert material.encoder(batch.inputs).logits.numpy() == pytest.approx(expected[rows], abs=1e-5)


def test_weights_are_handed_over_only_on_request_and_change_no_result(demo):
    cell = demo.cells[0]
    run.run_cell(demo, cell)
    assert not handover_path(demo, cell).exists()
    before = (cell_folder(demo, cell) / "predictions.parquet").read_bytes()
    assert main(["finetune", "demo.yaml", str(cell), "--hand-over"]) == 0
    assert handover_path(demo, cell).exists()
    # Retraining without --hand-over deletes the weights, because they belong to the previous record.
    assert main(["finetune", "demo.yaml", str(cell)]) == 0
    assert not handover_path(demo, cell).exists()
    assert main(["finetune", "demo.yaml", str(cell), "--hand-over"]) == 0
    assert (cell_folder(demo, cell) / "predictions.parquet").read_bytes() == before


def train_and_hand_over(demo, cell):
    run.run_cell(demo, cell, weights=handover_path(demo, cell))


def look_inside(demo):
    """Run every command of the stage; return the table."""
    for cell in demo.inside_cells:
        train_and_hand_over(demo, cell)
        assert main(["inside", "demo.yaml", str(cell)]) == 0
    assert main(["inside-before", "demo.yaml", "tiny", "cola"]) == 0
    assert main(["inside-table", "demo.yaml"]) == 0
    return pd.read_parquet(inside_table_path(demo))


def test_inside_commands_produce_the_table(demo):
    table = look_inside(demo)
    cell = demo.inside_cells[0]
    after = json.loads(inside_path(demo, cell).read_text())
    before = json.loads(inside_before_path(demo, "tiny", "cola").read_text())
    assert {len(after[name]) for name in ("token_similarity", "nu", "cka", "parameter_distance")} == {3}
    assert list(after["probes"]) == ["mini-cola"], "no probe of the cell's own task"
    assert after["probes"]["mini-cola"]["metric"] == "matthews"
    assert "cka" not in before
    assert after["cka"][0] > after["cka"][2]
    assert min(after["parameter_distance"][1:]) > 0

    def rows(**values):
        found = table
        for column, value in values.items():
            found = found[found[column] == value]
        return found

    assert rows(method="vanilla", measure="nu", seed=0)["value"].tolist() == after["nu"]
    assert rows(method="before", measure="nu")["value"].tolist() == before["nu"]
    assert rows(method="before")["seed"].isna().all()
    noise = rows(method="vanilla", measure="noise_propagation", seed=1)
    assert list(zip(noise["layer"], noise["to_layer"], strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    assert noise["value"].notna().all()
    probes = rows(measure="probe", probe="mini-cola", metric="matthews")
    assert probes["method"].value_counts().to_dict() == {"vanilla": 6, "before": 3}

    paths = [inside_path(demo, cell).with_suffix(".npz") for cell in demo.inside_cells]
    grams = [np.load(path)["gram"] for path in paths]
    assert grams[0].shape == (3, 24, 24)
    between = rows(measure="cka_between_seeds", seed=0, other_seed=1)["value"].tolist()
    assert between == pytest.approx([cka(one, other) for one, other in zip(*grams, strict=True)])
    frames = [pd.read_parquet(cell_folder(demo, cell) / "predictions.parquet") for cell in demo.inside_cells]
    answers = [frame[frame["evaluation_set"] == "cola"]["prediction"].to_numpy() for frame in frames]
    assert rows(measure="churn")["value"].tolist() == [np.mean(answers[0] != answers[1])]


def test_methods_that_add_modules_or_drop_layers_are_looked_into(demo, tmp_path):
    table = look_inside(looking(tmp_path, methods=METHODS[1:], seeds=1, probes=[]))
    layers = table[table["measure"] == "cka"].groupby("method")["layer"].max()
    assert layers.to_dict() == {"lora": 2, "houlsby": 2, "layer-tune~layer=1": 1}
    moved = table[(table["measure"] == "parameter_distance") & (table["method"] == "lora")]["value"].tolist()
    assert moved[0] == 0
    assert min(moved[1:]) > 0


def test_cell_without_a_model_is_recorded_without_measurements(demo, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run, "fit", raising(torch.OutOfMemoryError("CUDA out of memory")))
        train_and_hand_over(demo, demo.inside_cells[0])
    assert handover_path(demo, demo.inside_cells[0]).stat().st_size < 100
    assert main(["inside", "demo.yaml", str(demo.inside_cells[0])]) == 0
    assert json.loads(inside_path(demo, demo.inside_cells[0]).read_text())["status"] == "out_of_memory"
    train_and_hand_over(demo, demo.inside_cells[1])
    assert main(["inside", "demo.yaml", str(demo.inside_cells[1])]) == 0
    assert main(["inside-before", "demo.yaml", "tiny", "cola"]) == 0
    assert main(["inside-table", "demo.yaml"]) == 0
    table = pd.read_parquet(inside_table_path(demo))
    looked = table[table["measure"] == "looked_into"]
    assert dict(zip(looked["seed"], looked["value"], strict=True)) == {0: 0, 1: 1}
    assert set(table[table["measure"] == "nu"]["seed"].dropna()) == {1}
    assert table["other_seed"].isna().all()


def test_cell_or_pair_outside_the_inside_block_is_refused(demo):
    with pytest.raises(SteadyTuneError, match="'tiny/lora/cola/seed-0' is not among its cells"):
        stage.write_inside(demo, Cell("tiny", "lora", "cola", 0))
    with pytest.raises(SteadyTuneError, match=r"unknown pair 'tiny col' \(did you mean 'tiny cola'"):
        stage.write_inside_before(demo, "tiny", "col")


def test_inside_table_is_refused_without_an_inside_block(suite, capsys):  # noqa: F811
    assert main(["inside-table", "demo.yaml"]) == 2
    assert "demo.yaml: inside: missing" in capsys.readouterr().err
    assert not inside_table_path(suite).exists()

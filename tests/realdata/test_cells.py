"""Whole cells with real data and a real encoder: three methods train and are scored on every transfer set."""

import pandas as pd
import pytest
import yaml
from staged_store import REPOSITORY, STORE

from steadytune.cells.record import read_record
from steadytune.cli import main
from steadytune.layout import cell_folder
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite

SETS = ["snli@60", "sick@60", "scitail-test@60", "hans@60"]
SUITE = {
    "suite": "demo",
    "title": "Demonstration",
    "sources": {"order": ["local"], "local": str(STORE)},
    "encoders": {"minilm": {"model": "sentence-transformers/all-MiniLM-L6-v2"}},
    "protocol": {"epochs": 1, "batch_size": 8, "learning_rate": 5e-5, "max_length": 48, "evaluate_epochs": False},
    "methods": {"hype-n": {"sigma": 0.01}},
    "grid": [
        {"encoders": ["minilm"], "methods": ["vanilla", "hype-n", "lnsr"], "tasks": ["rte@48"], "seeds": 1},
        {"encoders": ["minilm"], "methods": ["vanilla"], "tasks": ["stsb@48"], "seeds": 1},
    ],
    "transfer": {"rte@48": SETS, "stsb@48": []},
}


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cells")
    (folder / "config").symlink_to(REPOSITORY / "config")
    (folder / "demo.yaml").write_text(yaml.safe_dump(SUITE))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("STEADYTUNE_STORE", raising=False)
        assert main(["stage", "demo.yaml"]) == 0
        for method in ("vanilla", "hype-n", "lnsr"):
            assert main(["finetune", "demo.yaml", f"minilm/{method}/rte@48/seed-0"]) == 0
        yield load_suite(folder / "demo.yaml")


def record(suite, method):
    return read_record(cell_folder(suite, Cell("minilm", method, "rte@48", 0)) / "record.json")


def test_each_method_trains_and_is_scored_on_every_set(suite):
    records = [record(suite, method) for method in ("vanilla", "hype-n", "lnsr")]
    for found in records:
        assert found.status in ("ok", "degenerate")
        assert [evaluation.set for evaluation in found.evaluations] == ["rte@48", *SETS]
        assert [evaluation.n for evaluation in found.evaluations] == [277, 60, 60, 60, 60]
        assert found.training.examples == 48
        assert found.training.truncated > 0
        assert {item.pinned_by for item in found.inputs} == {"lock"}
        assert found.training.flops > 1e9
    assert len({found.training.first_order for found in records}) == 1
    assert len({found.training.initial_weights for found in records}) == 1
    assert len({found.fingerprint for found in records}) == 3


def test_each_method_gives_different_logits(suite):
    logits = [
        pd.read_parquet(cell_folder(suite, Cell("minilm", method, "rte@48", 0)) / "predictions.parquet")["logit_0"]
        for method in ("vanilla", "hype-n", "lnsr")
    ]
    assert all(not one.equals(other) for i, one in enumerate(logits) for other in logits[:i])


def test_predictions_cover_every_example_and_match_the_recorded_accuracy(suite):
    table = pd.read_parquet(cell_folder(suite, Cell("minilm", "vanilla", "rte@48", 0)) / "predictions.parquet")
    assert len(table) == 277 + 4 * 60
    own = table[table["evaluation_set"] == "rte@48"]
    accuracy = (own["label"] == own["prediction"]).mean()
    assert accuracy == pytest.approx(record(suite, "vanilla").evaluations[0].metrics["accuracy"])


def test_regression_cell_records_the_pearson_of_its_predictions(suite):
    assert main(["finetune", "demo.yaml", "minilm/vanilla/stsb@48/seed-0"]) == 0
    found = read_record(cell_folder(suite, Cell("minilm", "vanilla", "stsb@48", 0)) / "record.json")
    assert found.status == "ok"
    assert found.evaluations[0].headline == "pearson_spearman"
    assert found.evaluations[0].majority_rate is None
    table = pd.read_parquet(cell_folder(suite, found.cell) / "predictions.parquet")
    assert len(table) == 1500
    assert found.evaluations[0].metrics["pearson"] == pytest.approx(table["label"].corr(table["prediction"]), abs=1e-6)

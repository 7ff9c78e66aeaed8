"""`keep`: which fine-tuned weights are kept next to their records, however the run ended."""

import re
import shutil
from dataclasses import replace

import pytest
import yaml
from test_run_cell import SUITE, suite  # noqa: F401 (a fixture)

from steadytune.cells import keeping, run
from steadytune.cells.record import read_record
from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import cell_folder, model_path, record_path
from steadytune.seals import write_sealed
from steadytune.suite.loading import load_suite


@pytest.fixture
def make(suite, tmp_path):  # noqa: F811
    def make(keep, seeds=3, **changes):
        value = SUITE | {"keep": keep, "transfer": {"cola": []}} | changes
        value["protocol"] = SUITE["protocol"] | {"epochs": 6}
        value["grid"] = [SUITE["grid"][0] | {"seeds": seeds}]
        (tmp_path / "demo.yaml").write_text(yaml.safe_dump(value))
        return load_suite(tmp_path / "demo.yaml")

    return make


def give_score(made, cell, value, status="ok"):
    """Set the development score in a cell's record to `value`."""
    record = read_record(record_path(made, cell))
    own = replace(record.evaluations[0], metrics={"matthews": value, "accuracy": 0.5})
    write_sealed(record_path(made, cell), replace(record, evaluations=[own], status=status))


def kept(made):
    return [cell.seed for cell in made.cells if model_path(made, cell).is_file()]


def test_keep_all_stores_weights_with_hash_and_changes_no_prediction(make):
    made = make("none", seeds=1)
    (cell,) = made.cells
    run.run_cell(made, cell)
    without = read_record(record_path(made, cell))
    assert "model.safetensors" not in without.files
    made = make("all", seeds=1)
    run.run_cell(made, cell)
    record = read_record(record_path(made, cell))
    assert record.files["model.safetensors"] == sha256(model_path(made, cell))
    assert record.files["predictions.parquet"] == without.files["predictions.parquet"]
    assert record.fingerprint == without.fingerprint
    assert record.spec == without.spec
    # With `keep: none`, a rerun deletes the weights of the earlier run, which the new record does not list.
    run.run_cell(make("none", seeds=1), cell)
    assert kept(made) == []


def test_keep_best_keeps_only_the_best_seed_in_any_order(make):
    made = make("best")
    for seed in (1, 2, 0):
        run.run_cell(made, made.cells[seed])
    scores = [read_record(record_path(made, cell)).evaluations[0].metrics["matthews"] for cell in made.cells]
    assert kept(made) == [scores.index(max(scores))]


@pytest.mark.parametrize(
    ("scores", "best"), [((0.1, 0.3, 0.2), 1), ((0.3, 0.3, 0.2), 0), ((None, 0.1, None), 1), ((0.1, None, 0.4), 2)]
)
def test_best_cell_has_the_highest_score_and_first_seed_on_ties(make, scores, best):
    made = make("all")
    run.run_cell(made, made.cells[0])
    for cell, score in zip(made.cells, scores, strict=True):
        if cell.seed:
            shutil.copytree(cell_folder(made, made.cells[0]), cell_folder(made, cell))
            record = read_record(record_path(made, made.cells[0]))
            write_sealed(record_path(made, cell), replace(record, spec=made.spec(cell).to_dict()))
        give_score(made, cell, score)
    assert keeping.best_cell(made, made.cells) == made.cells[best]
    keeping.drop_all_but_best(made, made.cells[1])
    assert kept(made) == [best]


def test_degenerate_or_stale_run_is_never_the_best(make):
    made = make("all", seeds=1)
    (cell,) = made.cells
    run.run_cell(made, cell)
    give_score(made, cell, 0.9, "degenerate")
    assert keeping.best_cell(made, made.cells) is None
    give_score(made, cell, 0.9)
    assert keeping.best_cell(make("all", seeds=1, transfer={"cola": ["mini-cola"]}), [cell]) is None


def test_edited_record_is_never_the_best(make):
    made = make("all", seeds=2)
    for cell, score in zip(made.cells, (0.4, 0.3), strict=True):
        run.run_cell(made, cell)
        give_score(made, cell, score)
    path = record_path(made, made.cells[1])
    edited = re.sub(r'("matthews":\s*)0\.3', r"\g<1>0.9", path.read_text())
    assert edited != path.read_text()
    path.write_text(edited)
    assert keeping.best_cell(made, made.cells) == made.cells[0]
    path.write_text("{}")
    assert keeping.best_cell(made, made.cells) == made.cells[0]


def test_next_cell_removes_weights_left_by_a_killed_run(make, monkeypatch):
    made = make("best")
    with monkeypatch.context() as patch:
        patch.setattr(run, "drop_all_but_best", lambda *_: None)
        for cell in made.cells[:2]:
            run.run_cell(made, cell)
    assert kept(made) == [0, 1]
    run.run_cell(made, made.cells[2])
    assert len(kept(made)) == 1


def test_diverged_cell_keeps_no_weights(make, monkeypatch):
    made = make("all", seeds=1)

    def diverging(*_, **__):
        raise run.Diverged("loss is NaN at step 1")

    monkeypatch.setattr(run, "fit", diverging)
    run.run_cell(made, made.cells[0])
    assert kept(made) == []


def test_unknown_keep_rule_is_refused(make):
    with pytest.raises(SteadyTuneError, match="keep: 'bst'"):
        make("bst")

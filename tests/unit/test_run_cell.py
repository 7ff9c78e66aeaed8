"""One cell from staged inputs to its record: statuses, resuming, and the inputs it rejects."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from steadytune.cells import run
from steadytune.cells.freshness import statuses
from steadytune.cells.recompute import refuted
from steadytune.cells.record import damaged_file, read_record
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.files import write_text
from steadytune.layout import cell_folder, checkpoint_path, variability_path
from steadytune.manifests import write_manifest
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.loading import load_suite
from steadytune.training.loop import fit

WORDS = ["the", "dog", "cat", "sleeps", "runs", "not", "a"]
SUITE = {
    "suite": "demo",
    "title": "Demonstration",
    "encoders": {"tiny": {"model": "a/tiny"}},
    "protocol": {"epochs": 6, "batch_size": 8, "learning_rate": 5e-3, "max_length": 16},
    "grid": [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["cola"], "seeds": 1}],
    "transfer": {"cola": ["mini-cola"]},
}


def write_split(folder, split, size, seed):
    generator = np.random.Generator(np.random.Philox(seed))
    sentences = [" ".join(generator.choice(WORDS, size=generator.integers(2, 6))) for _ in range(size)]
    labels = [int("not" in sentence) for sentence in sentences]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"sentence": sentences, "label": labels}), folder / f"{split}-00000-of-00001.parquet")


def write_encoder(folder):
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **special).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=16, initializer_range=0.2, **sizes)
    BertModel(config).save_pretrained(folder)


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The lock file marks the folder as the project's.
    (tmp_path / "config").mkdir()
    (tmp_path / "config/lock.yaml").write_text("{}")
    for key in ("nyu-mll/glue/cola", "steadytune/mini/cola"):
        folder = tmp_path / "store/datasets" / key
        write_split(folder, "train", 64, 0)
        write_split(folder, "validation", 40, 1)
    write_encoder(tmp_path / "store/models/a/tiny")
    for folder in (*(tmp_path / "store/datasets").glob("*/*/*"), tmp_path / "store/models/a/tiny"):
        names = [path.name for path in folder.iterdir() if path.name != ".cache"]
        write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))
    return changed(tmp_path)


def changed(tmp_path, **keys):
    """The suite with other values for some keys."""
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE | keys))
    return load_suite(tmp_path / "demo.yaml")


def trained(tmp_path, seeds):
    """The suite with several seeds, all of which have run."""
    grid = [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["cola"], "seeds": seeds}]
    several = changed(tmp_path, grid=grid)
    for cell in several.cells:
        run.run_cell(several, cell)
    return several


def outcome(suite):
    (cell,) = suite.cells
    run.run_cell(suite, cell)
    return read_record(cell_folder(suite, cell) / "record.json")


def test_ok_cell_has_a_complete_record(suite):
    record = outcome(suite)
    assert record.status == "ok"
    assert [evaluation.set for evaluation in record.evaluations] == ["cola", "mini-cola"]
    own = record.evaluations[0]
    assert set(own.metrics) == {"matthews", "accuracy"}
    assert own.majority["matthews"] == 0
    assert own.majority["accuracy"] == own.majority_rate
    assert record.training.steps == 48
    # Sentences have two to five of seven words, so some repeat, and the transfer set is the same file.
    train, validation = (
        pd.read_parquet(suite.file.store / f"datasets/nyu-mll/glue/cola/{split}-00000-of-00001.parquet")["sentence"]
        for split in ("train", "validation")
    )
    assert [evaluation.seen_in_training for evaluation in record.evaluations] == [validation.isin(train).sum()] * 2
    assert 0 < own.seen_in_training < 40
    assert {item.key for item in record.inputs} == {"a/tiny", "nyu-mll/glue/cola", "steadytune/mini/cola"}
    assert {"load", "tokenise", "train", "evaluate", "write", "total"} == set(record.timing)
    assert record.memory["host"] > 1e7
    history = pd.read_csv(cell_folder(suite, suite.cells[0]) / "history.csv")
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history["matthews"].iloc[-1] == pytest.approx(own.metrics["matthews"])


def test_record_has_the_hash_of_the_cells_analysis_plan(suite, tmp_path):
    assert outcome(suite).analysis_plan is None
    (tmp_path / "plans").mkdir()
    (tmp_path / "plans/plan.md").write_text("One claim.\n")
    record = outcome(changed(tmp_path, analysis_plan="plans/plan.md", protocol=SUITE["protocol"] | {"epochs": 1}))
    # printf 'One claim.\n' | sha256sum
    assert record.analysis_plan == "400198470fcfaedae7001d6bbbb10e6417bad9462fd591f4cd3d400ae4c3f2ea"


def test_initial_weights_and_order_depend_on_the_task_but_not_the_method(suite, tmp_path):
    grid = SUITE["grid"][0] | {"tasks": ["cola", "mini-cola"], "methods": ["vanilla", "hype-n"]}
    protocol = SUITE["protocol"] | {"epochs": 1}
    suite = changed(tmp_path, grid=[grid], protocol=protocol, transfer={"cola": [], "mini-cola": []})
    found = {}
    for cell in suite.cells:
        run.run_cell(suite, cell)
        record = read_record(cell_folder(suite, cell) / "record.json")
        found[cell.task, cell.method] = record.training.initial_weights, record.training.first_order
    # The two tasks have the same files here: only their names differ.
    for own, other in zip(found["cola", "vanilla"], found["mini-cola", "vanilla"], strict=True):
        assert own != other
    assert found["cola", "vanilla"] == found["cola", "hype-n"]


def test_variability_tuned_cell_requires_and_depends_on_its_measurement(suite, tmp_path):
    suite = changed(tmp_path, grid=[SUITE["grid"][0] | {"methods": ["variability-tune"]}])
    assert suite.variability_pairs() == [("tiny", "cola")]
    with pytest.raises(SteadyTuneError, match=r"variability/tiny/cola.json: not found"):
        outcome(suite)
    found = []
    for layer in (1, 2):
        path = variability_path(suite, "tiny", "cola")
        write_text(path, json.dumps({"best_layer": layer}))
        write_manifest(suite, "variability/tiny/cola", [path], {})
        if found:
            (status,) = statuses(suite)
            assert (status.cause, status.shown) == ("inputs", False)
        found.append(outcome(suite))
    assert [record.training.selected_layer for record in found] == [1, 2]
    assert [record.training.layers for record in found] == [1, 2]
    assert found[0].training.inference_flops < found[1].training.inference_flops
    assert found[0].fingerprint != found[1].fingerprint


def test_held_out_examples_are_scored_and_not_trained_on(suite, tmp_path):
    suite = changed(tmp_path, protocol=SUITE["protocol"] | {"holdout": 0.25, "epochs": 1})
    record = outcome(suite)
    assert record.training.examples == 48
    held_out = record.evaluations[-1]
    assert (held_out.set, held_out.kind, held_out.n) == ("cola", "held_out", 16)
    (cell,) = suite.cells
    predictions = pd.read_parquet(cell_folder(suite, cell) / "predictions.parquet")
    kept = predictions[predictions["evaluation_set"] == HELD_OUT]
    train = pd.read_parquet(suite.file.store / "datasets/nyu-mll/glue/cola/train-00000-of-00001.parquet")
    assert kept["label"].tolist() == train["label"][kept["row"]].tolist()
    assert held_out.metrics["accuracy"] == (kept["prediction"] == kept["label"]).mean()
    assert refuted(record, cell_folder(suite, cell), suite.spec(cell)) == ""
    other = replace(held_out, metrics=held_out.metrics | {"accuracy": 0.9})
    assert "0.9" in refuted(
        replace(record, evaluations=[*record.evaluations[:-1], other]), cell_folder(suite, cell), suite.spec(cell)
    )


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


def test_out_of_memory_in_training_is_recorded_as_a_result(suite, monkeypatch):
    monkeypatch.setattr(run, "fit", raising(torch.OutOfMemoryError("CUDA out of memory\nin two lines")))
    record = outcome(suite)
    assert record.status == "out_of_memory"
    assert "\n" not in record.reason
    assert record.evaluations == []
    folder = cell_folder(suite, suite.cells[0])
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 0
    assert (folder / "history.csv").read_text() == "epoch,step,train_loss,learning_rate\n"


def test_unreadable_inputs_are_an_error_and_leave_no_record(suite, monkeypatch):
    monkeypatch.setattr(run.Material, "load", raising(ValueError("Arrow type map")))
    with pytest.raises(SteadyTuneError, match="ValueError: Arrow type map"):
        run.run_cell(suite, suite.cells[0])
    assert not (cell_folder(suite, suite.cells[0]) / "record.json").exists()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        MemoryError(),
        ImportError("sentencepiece is not installed"),
        ValueError("a bug"),
    ],
)
@pytest.mark.parametrize("place", ["load", "fit"])
def test_machine_faults_and_bugs_leave_no_record(place, error, suite, monkeypatch):
    monkeypatch.setattr(*((run.Material, "load") if place == "load" else (run, "fit")), raising(error))
    with pytest.raises((SteadyTuneError, type(error))):
        outcome(suite)
    assert not (cell_folder(suite, suite.cells[0]) / "record.json").exists()


def test_out_of_memory_in_evaluation_leaves_no_score(suite, monkeypatch):
    predicted = []

    def second_fails(*arguments):
        predicted.append(1)
        return predict(*arguments) if len(predicted) == 1 else raising(torch.OutOfMemoryError("CUDA out of memory"))()

    predict = run.predict
    monkeypatch.setattr(run, "fit", lambda *arguments, **options: fit(*arguments, **options | {"on_epoch": dict}))
    monkeypatch.setattr(run, "predict", second_fails)
    record = outcome(suite)
    assert (record.status, record.evaluations, len(predicted)) == ("out_of_memory", [], 2)
    assert record.training is not None
    assert len(pd.read_parquet(cell_folder(suite, suite.cells[0]) / "predictions.parquet")) == 0


def test_out_of_memory_while_loading_is_recorded_as_a_result(suite, monkeypatch):
    monkeypatch.setattr(run.Material, "load", raising(torch.OutOfMemoryError("CUDA out of memory")))
    assert outcome(suite).status == "out_of_memory"


@pytest.mark.parametrize(("bias", "status"), [(100.0, "degenerate"), (float("nan"), "diverged")])
def test_outputs_decide_whether_a_cell_is_degenerate_or_diverged(bias, status, suite, tmp_path, monkeypatch):
    def spoil(encoder, *arguments, **keywords):
        fitted = fit(encoder, *arguments, **keywords)
        with torch.no_grad():
            encoder.model.classifier.bias[0] = bias
        return fitted

    monkeypatch.setattr(run, "fit", spoil)
    # Otherwise the last epoch's predictions, made inside `fit`, would be the final ones.
    record = outcome(changed(tmp_path, protocol=SUITE["protocol"] | {"evaluate_epochs": False}))
    assert record.status == status
    assert len(record.evaluations) == 2


def test_full_disk_and_corrupted_inputs_raise_and_leave_no_record(suite, monkeypatch):
    monkeypatch.setattr(run, "fit", raising(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        outcome(suite)
    path = suite.file.store / "datasets/nyu-mll/glue/cola/train-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SteadyTuneError, match=r"train-00000-of-00001.parquet: corrupted"):
        outcome(suite)
    assert not (cell_folder(suite, suite.cells[0]) / "record.json").exists()


def test_interrupted_cell_resumes_to_the_same_predictions(suite, monkeypatch):
    whole = outcome(suite)
    predictions = cell_folder(suite, suite.cells[0]) / "predictions.parquet"
    before = predictions.read_bytes()

    def killed(*arguments, on_epoch, **keywords):
        calls = []

        def die():
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return on_epoch()

        return fit(*arguments, on_epoch=die, **keywords)

    monkeypatch.setattr(run, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        outcome(suite)
    assert checkpoint_path(suite, suite.cells[0]).exists()
    monkeypatch.setattr(run, "fit", fit)
    again = outcome(suite)
    assert again.training.resumed
    assert again.evaluations == whole.evaluations
    assert predictions.read_bytes() == before
    assert not checkpoint_path(suite, suite.cells[0]).exists()


def predicting(tmp_path, **changes):
    """The suite with a split of hidden labels, in which one row has a label that must not be read."""
    folder = tmp_path / "store/datasets/nyu-mll/glue/cola"
    sentences = ["the dog sleeps", "not a cat", "the dog sleeps", "a cat runs not"]
    pq.write_table(pa.table({"sentence": sentences, "label": [-1, -1, -1, 1]}), folder / "test-00000-of-00001.parquet")
    names = [path.name for path in folder.glob("*.parquet")]
    write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))
    return changed(tmp_path, **{"predict": {"cola": "test"}} | changes)


def test_hidden_splits_are_predicted_without_changing_scores(suite, tmp_path):
    before = outcome(suite)
    suite = predicting(tmp_path)
    record = outcome(suite)
    (cell,) = suite.cells
    found = pd.read_parquet(cell_folder(suite, cell) / "unlabelled.parquet")
    assert found["split"].tolist() == ["test"] * 4
    assert found["row"].tolist() == [0, 1, 2, 3]
    logits = found[["logit_0", "logit_1"]].to_numpy()
    assert found["prediction"].tolist() == logits.argmax(1).tolist()
    assert logits[0] == pytest.approx(logits[2], abs=1e-6)
    assert "label" not in found
    assert record.evaluations == before.evaluations
    assert record.files["predictions.parquet"] == before.files["predictions.parquet"]
    assert set(record.files) - set(before.files) == {"unlabelled.parquet"}
    assert record.spec == before.spec | {"predict": ["test"]}
    (cell_folder(suite, cell) / "unlabelled.parquet").unlink()
    assert "unlabelled.parquet: missing" in damaged_file(record, cell_folder(suite, cell))


def test_unknown_hidden_split_error_suggests_the_nearest(suite, tmp_path):
    with pytest.raises(SteadyTuneError, match="no split 'tset' of task 'cola' \\(did you mean 'test'"):
        outcome(predicting(tmp_path, predict={"cola": ["tset"]}))


def test_unknown_task_to_predict_is_rejected_with_the_nearest(suite, tmp_path):
    with pytest.raises(SteadyTuneError, match=r"predict: unknown task 'coal' \(did you mean 'cola'"):
        predicting(tmp_path, predict={"coal": "test"})

"""Question answering models: the head of every architecture, every method on it, and whole cells."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from oracles import all_cases
from oracles.case import SEED
from test_encoders import every_layout, head_on, make_config, make_inputs, run
from test_run_cell import write_encoder
from test_spans import write
from transformers import AutoModel, AutoModelForQuestionAnswering, BertConfig, BertForQuestionAnswering

from steadytune.cells import run as running
from steadytune.cells.agreement import compare
from steadytune.cells.record import read_record
from steadytune.encoders.architectures import NO_TOKEN
from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.loading import load_encoder
from steadytune.errors import SteadyTuneError
from steadytune.layout import RECORD, cell_folder, verification_folder
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.objective import Spans
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.streams import Streams
from steadytune.suite.loading import load_suite
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.tasks.table import TASKS
from steadytune.training.loop import fit


def make(layout):
    torch.manual_seed(7)
    return Encoder(AutoModelForQuestionAnswering.from_config(make_config(layout)).eval())


def right_padded(layout):
    """Examples of 9, 6 and 4 tokens, padding on the right: no token is read alone."""
    inputs = make_inputs(layout)
    return {name: value.flip(1) for name, value in inputs.items()} if layout == "xlnet" else inputs


@every_layout
@pytest.mark.parametrize("training", [False, True])
def test_outputs_match_transformers_at_real_tokens(layout, training):
    encoder, inputs = make(layout), right_padded(layout)
    encoder.model.train(training)
    torch.manual_seed(11)
    bare = encoder.model(**inputs)
    logits, real = run(encoder, inputs).logits, inputs["attention_mask"].bool()
    assert logits.shape == (3, 2, 9)
    for side, expected in ((0, bare.start_logits), (1, bare.end_logits)):
        assert torch.equal(logits[:, side][real], expected[real])
    assert (logits.transpose(1, 2)[~real] == NO_TOKEN).all()


@every_layout
def test_outputs_do_not_depend_on_padding(layout):
    encoder, inputs = make(layout), right_padded(layout)
    encoder.model.double()
    alone = encoder({name: value[1:2, :6] for name, value in inputs.items()}).logits
    torch.testing.assert_close(encoder(inputs).logits[1:2, :, :6], alone, rtol=0, atol=1e-12)


@every_layout
def test_span_head_is_one_linear_layer_on_every_token(layout):
    encoder, inputs = make(layout), right_padded(layout)
    assert set(encoder.head_parameters()) == {"qa_outputs.weight", "qa_outputs.bias"}
    assert not any("pooler" in name for name in encoder.encoder_parameters())
    output = encoder(inputs, keep_hidden=True)
    linear = encoder.model.qa_outputs
    scores = output.hidden[-1] @ linear.weight.T + linear.bias
    real = inputs["attention_mask"].bool()
    torch.testing.assert_close(output.logits.transpose(1, 2)[real], scores[real])


@every_layout
def test_encoder_hooks_work_with_the_span_head(layout):
    encoder, inputs = make(layout), right_padded(layout)
    encoder.model.train()
    hidden = run(encoder, inputs, keep_hidden=True, resumable_from=1).hidden
    for one, other in zip(encoder.resume(1, hidden[1].contiguous()), hidden[2:], strict=True):
        assert torch.equal(one, other)
    encoder.model.eval()
    plain = encoder(inputs).logits
    assert not torch.equal(encoder(inputs, on_embeddings=lambda words: words + 0.1).logits, plain)
    assert not torch.equal(encoder(inputs, on_layer_input=lambda layer, x: x + 0.1 * layer).logits, plain)
    expected = head_on(encoder, inputs, encoder(inputs, keep_hidden=True).hidden[2])
    encoder.truncate(2)
    real = inputs["attention_mask"].bool()
    assert torch.equal(encoder(inputs).logits.transpose(1, 2)[real], expected.transpose(1, 2)[real])
    encoder.set_hidden_dropout(0.0)


@every_layout
def test_checkpoint_gets_a_fresh_span_head_and_no_pooler(layout, tmp_path):
    torch.manual_seed(3)
    base = AutoModel.from_config(make_config(layout))
    base.save_pretrained(tmp_path)
    encoders = [load_encoder(tmp_path, 2, seed, head="span") for seed in (0, 0, 1)]
    assert encoders[0].fresh == ("qa_outputs.weight", "qa_outputs.bias")
    heads = [encoder.model.qa_outputs.weight for encoder in encoders]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    loaded = encoders[0].model.state_dict()
    prefix = encoders[0].model.base_model_prefix
    for name, value in base.state_dict().items():
        assert "pooler" in name or torch.equal(loaded[f"{prefix}.{name}"], value)
    # A head that the checkpoint already has is drawn again as well.
    encoders[2].model.save_pretrained(tmp_path)
    assert torch.equal(load_encoder(tmp_path, 2, 0, head="span").model.qa_outputs.weight, heads[0])
    random = load_encoder(tmp_path, 2, 5, "random", head="span")
    assert len(random.fresh) == len(dict(random.model.named_parameters()))


def tiny_model():
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = BertForQuestionAnswering(BertConfig(**sizes, intermediate_size=16, max_position_embeddings=16))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


TINY = tiny_model()
CASES = all_cases()
PROTOCOL = Protocol(epochs=1, batch_size=3, learning_rate=1e-2, warmup=0)


def train(name, folder):
    """Train a method for two steps on six windows of different lengths; return its parameters and mean loss."""
    generator = np.random.Generator(np.random.Philox(3))
    lengths = (5, 7, 4, 6, 5, 9)
    labels = np.array([[0, 0], [3, 5], [1, 1], [2, 4], [0, 0], [6, 8]])
    encoded = Encoded([generator.integers(5, 40, size=size) for size in lengths], None, labels, np.arange(6), 0)
    encoder, streams = Encoder(copy.deepcopy(TINY)), Streams(SEED)
    data = Batcher(encoded, encoder.padding, PROTOCOL.batch_size)
    method = Composition([part.build() for part in registry.parse(name, {name: CASES[name].settings})[0]])
    method.prepare(Setup(encoder, streams, Spans(), data, selected_layer=1))
    fitted = fit(encoder, method, data, PROTOCOL, streams, objective=Spans(), checkpoint=folder / "c.safetensors",
                 fingerprint="f", on_epoch=dict)  # fmt: skip
    return dict(encoder.model.named_parameters()), fitted.history[-1]["train_loss"]


@pytest.mark.parametrize("name", sorted(registry.methods()))
def test_every_method_trains_a_span_head_and_differs_from_vanilla(name, tmp_path):
    parameters, loss = train(name, tmp_path)
    assert np.isfinite(loss)
    assert all(torch.isfinite(value).all() for value in parameters.values())
    assert not torch.equal(parameters["qa_outputs.weight"], TINY.qa_outputs.weight)
    if name != "vanilla":
        plain, _ = train("vanilla", tmp_path)
        assert any(not torch.equal(parameters[key], plain[key]) for key in parameters.keys() & plain.keys())


WORDS = ["the", "dog", "cat", "sleeps", "runs", "not", "a"]
SUITE = {
    "suite": "demo",
    "title": "Demonstration",
    "encoders": {"tiny": {"model": "a/tiny"}},
    "protocol": {"epochs": 12, "batch_size": 8, "learning_rate": 2e-2, "max_length": 12, "doc_stride": 3},
    "grid": [{"encoders": ["tiny"], "methods": ["vanilla"], "tasks": ["xquad-en-parts"], "seeds": 1}],
    "transfer": {"xquad-en-parts": ["mlqa-en@10"]},
}


def questions(articles, seed):
    """Rows whose answer is the word that follows the question's word in the text."""
    generator, rows = np.random.Generator(np.random.Philox(seed)), []
    for article in range(articles):
        words = list(generator.permutation(WORDS)) + list(generator.choice(WORDS, size=article % 5))
        for place in range(3):
            start = sum(len(word) + 1 for word in words[: place + 1])
            rows.append((f"{seed} {article}", " ".join(words), words[place], [(words[place + 1], start)]))
    return rows


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # The lock file marks the folder as the project's.
    (tmp_path / "config").mkdir()
    (tmp_path / "config/lock.yaml").write_text("{}")
    write(tmp_path / "store", TASKS["xquad-en"], "validation", questions(16, 0))
    write(tmp_path / "store", TASKS["mlqa-en"], "validation", questions(6, 1))
    write_encoder(tmp_path / "store/models/a/tiny")
    for folder in (*(tmp_path / "store/datasets").glob("*/*/*"), tmp_path / "store/models/a/tiny"):
        names = [path.name for path in folder.iterdir() if path.name != ".cache"]
        write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))
    return tmp_path


def load(folder, **changes):
    (folder / "demo.yaml").write_text(yaml.safe_dump(SUITE | changes))
    return load_suite(folder / "demo.yaml")


def outcome(suite):
    (cell,) = suite.cells
    running.run_cell(suite, cell)
    return read_record(cell_folder(suite, cell) / "record.json")


def test_span_cell_is_trained_scored_and_reproducible(folder):
    suite = load(folder)
    record = outcome(suite)
    assert record.status == "ok"
    assert [(e.set, e.kind, e.n, e.headline) for e in record.evaluations] == [
        ("xquad-en-parts", "in_domain", 12, "span_f1"),
        ("mlqa-en@10", "transfer", 10, "span_f1"),
    ]
    own = record.evaluations[0]
    assert (own.majority, own.majority_rate) == ({"span_f1": None, "exact_match": None}, None)
    assert record.training.examples == 36
    path = cell_folder(suite, suite.cells[0])
    table = pd.read_parquet(path / "predictions.parquet")
    assert list(table.columns) == ["evaluation_set", "row", "text", "start", "end", "exact_match", "span_f1",
                                   "logit_start", "logit_end"]  # fmt: skip
    assert table["evaluation_set"].value_counts().to_dict() == {"xquad-en-parts": 12, "mlqa-en@10": 10}
    mine = table[table["evaluation_set"] == "xquad-en-parts"]
    for metric in ("exact_match", "span_f1"):
        assert mine[metric].mean() == pytest.approx(own.metrics[metric])
    contexts = [context for _, context, _, _ in questions(16, 0)]
    assert all(contexts[r.row][r.start : r.end] == r.text for r in mine.itertuples())
    history = pd.read_csv(path / "history.csv")
    assert history["span_f1"].iloc[-1] == pytest.approx(own.metrics["span_f1"])
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    before = (path / "predictions.parquet").read_bytes()
    assert outcome(suite).training.first_order == record.training.first_order
    assert (path / "predictions.parquet").read_bytes() == before


def test_verification_compares_answers_and_counts_those_that_flip(folder):
    suite = load(folder, protocol=SUITE["protocol"] | {"epochs": 1})
    outcome(suite)
    (cell,) = suite.cells
    recorded, again = cell_folder(suite, cell), verification_folder(suite, cell)
    running.run_cell(suite, cell, verified=read_record(recorded / RECORD))
    assert compare(recorded, again, []).level == "identical"
    table = pd.read_parquet(again / "predictions.parquet")
    table["logit_end"] += 1.0
    right = table["exact_match"].to_numpy()
    # Ten answers flip, five each way.
    table["exact_match"] = np.where(np.arange(len(table)) < 10, np.arange(len(table)) % 2, right)
    table.to_parquet(again / "predictions.parquet")
    changed = pd.read_parquet(recorded / "predictions.parquet")
    changed["exact_match"] = np.where(np.arange(len(changed)) < 10, 1 - np.arange(len(changed)) % 2, right)
    changed.to_parquet(recorded / "predictions.parquet")
    verdict = compare(recorded, again, [])
    assert verdict.level == "same metric"
    assert verdict.detail.startswith("10 of 12 answers flip, 5 to wrong and 5 to right")


def test_holdout_sets_a_share_of_the_questions_aside(folder):
    record = outcome(load(folder, protocol=SUITE["protocol"] | {"holdout": 0.25, "epochs": 1}))
    assert record.training.examples == 27
    assert [(e.kind, e.n) for e in record.evaluations][-1] == ("held_out", 9)


def test_smaller_stride_makes_more_windows_of_the_same_questions(folder):
    steps = {}
    for stride in (1, 3):
        record = outcome(load(folder, protocol=SUITE["protocol"] | {"doc_stride": stride, "epochs": 1}))
        steps[stride] = record.training.steps
        assert record.training.examples == 36
    assert steps[1] > steps[3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"transfer": {"xquad-en-parts": ["rte"]}},
            "labels: a model of (start, end) says nothing about a set of (entailment, not_entailment)",
        ),
        (
            {"transfer": {"xquad-en-parts": ["stsb"]}},
            "labels: a model of (start, end) says nothing about a set of numbers (regression)",
        ),
        (
            {"grid": [SUITE["grid"][0] | {"tasks": ["rte"]}], "transfer": {"rte": ["mlqa-en"]}},
            "labels: a model of (entailment, not_entailment) says nothing about a set of (start, end)",
        ),
        (
            {"grid": [SUITE["grid"][0] | {"tasks": ["mlqa-en"]}]},
            "grid.0.tasks: task 'mlqa-en' is for evaluation only",
        ),
        (
            {"grid": [SUITE["grid"][0] | {"methods": ["variability-tune"]}]},
            "method 'variability-tune' reads the variability of classes: 'xquad-en-parts' has none",
        ),
        (
            {"inside": SUITE["grid"][0]},
            "inside.probes: 'xquad-en-parts' has spans for answers, and no classes",
        ),
        (
            {"protocol": {"doc_stride": 0}},
            "doc_stride is 0, expected above 0",
        ),
    ],
)  # fmt: skip
def test_settings_that_do_not_apply_to_spans_are_one_line_errors(tmp_path, changes, message):
    with pytest.raises(SteadyTuneError) as error:
        load(tmp_path, **changes)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_question_answering_tasks_have_no_variability(tmp_path):
    suite = load(tmp_path, variability={"encoders": ["tiny"]})
    assert suite.variability_pairs() == []

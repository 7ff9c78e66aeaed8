"""Question answering on real data: XQuAD-en and MLQA-en with a real tokenizer, and a whole cell."""

import csv

import numpy as np
import pandas as pd
import pytest
import yaml
from staged_store import MANIFEST, REPOSITORY, STORE

from steadytune.cells.record import read_record
from steadytune.cli import main
from steadytune.encoders.loading import load_tokenizer
from steadytune.evaluation.answers import each, equals
from steadytune.layout import cell_folder
from steadytune.suite.loading import load_suite
from steadytune.tasks.data import load_split, read_columns
from steadytune.tasks.spans import encode_windows
from steadytune.tasks.table import TASKS

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PARTS = TASKS["xquad-en-parts"]


def rows_of(task):
    """The number of rows of a task's evaluation split, from the manifest."""
    with MANIFEST.open(encoding="utf-8") as handle:
        path = f"datasets/{task.dataset_key}/{task.evaluation}-00000-of-00001.parquet"
        return next(int(row["rows"]) for row in csv.DictReader(handle) if row["path"] == path)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(STORE / "models" / MODEL)


@pytest.mark.parametrize("name", ["xquad-en", "mlqa-en"])
def test_every_question_is_read_and_every_answer_found_in_a_window(name, tokenizer):
    task = TASKS[name]
    data = load_split(task, task.evaluation, STORE)
    assert len(data) == rows_of(task)
    windows = encode_windows(data, tokenizer, 384, 128)
    assert (windows.size, windows.truncated) == (len(data), 0)
    assert windows.lengths.max() <= 384
    assert len(windows) > windows.size, "some text is longer than a window"
    # Every window begins with [CLS] and ends with [SEP].
    assert all(ids[0] == 101 and ids[-1] == 102 for ids in windows.input_ids)
    # The labelled tokens contain the answer, and perhaps the rest of the words that it is part of.
    answered = np.zeros(windows.size, dtype=bool)
    for number, offsets, (first, last) in zip(windows.question, windows.offsets, windows.labels, strict=True):
        if first or last:
            text = windows.questions.contexts[number][offsets[first, 0] : offsets[last, 1]]
            assert windows.questions.answers[number][0].strip() in text
            answered[number] = True
    assert answered.all()


def test_gold_answers_score_an_exact_match():
    data = load_split(TASKS["xquad-en"], "validation", STORE)
    golds = [answers["text"] for answers in data["answers"]]
    assert each(equals, [gold[0] for gold in golds], golds).all()


def test_xquad_parts_share_no_article_or_paragraph():
    train, rest = (load_split(PARTS, split, STORE) for split in (PARTS.train, PARTS.evaluation))
    titles = read_columns(PARTS, PARTS.train, STORE, ["title"])["title"]
    first, second = ({titles[row] for row in part["row"]} for part in (train, rest))
    assert (len(first), len(second)) == (36, 12)
    assert len(train) + len(rest) == len(titles) == 1190
    assert not first & second
    assert not set(train["text_b"]) & set(rest["text_b"])


SUITE = {
    "suite": "demo",
    "title": "Demonstration",
    "sources": {"order": ["local"], "local": str(STORE)},
    "encoders": {"minilm": {"model": MODEL}},
    "protocol": {"epochs": 1, "batch_size": 8, "learning_rate": 1e-4, "max_length": 128, "doc_stride": 96,
                 "evaluate_epochs": False},
    # Train only one layer, because the evaluation split is not cut down.
    "methods": {"layer-tune": {"layer": 1}},
    "grid": [{"encoders": ["minilm"], "methods": ["layer-tune"], "tasks": ["xquad-en-parts@16"], "seeds": 1}],
    "transfer": {"xquad-en-parts@16": ["mlqa-en@20"]},
}  # fmt: skip


def test_span_cell_trains_and_scores_every_question(tmp_path, monkeypatch):
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(SUITE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STEADYTUNE_STORE", raising=False)
    assert main(["stage", "demo.yaml"]) == 0
    assert main(["finetune", "demo.yaml", "minilm/layer-tune/xquad-en-parts@16/seed-0"]) == 0
    suite = load_suite(tmp_path / "demo.yaml")
    folder = cell_folder(suite, suite.cells[0])
    record = read_record(folder / "record.json")
    assert record.status in ("ok", "degenerate")
    assert (record.training.examples, record.training.layers) == (16, 1)
    assert record.training.steps > 2, "long texts make more windows than questions"
    rest = len(load_split(PARTS, PARTS.evaluation, STORE))
    assert [(e.set, e.n) for e in record.evaluations] == [("xquad-en-parts@16", rest), ("mlqa-en@20", 20)]
    table = pd.read_parquet(folder / "predictions.parquet")
    assert len(table) == rest + 20
    assert np.isfinite(table["logit_start"]).mean() > 0.9

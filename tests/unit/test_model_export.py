"""`steadytune model`: transformers and peft open its folders and reproduce the recorded predictions."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from peft import PeftModel
from test_run_cell import SUITE, WORDS, suite  # noqa: F401 (a fixture)
from transformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from steadytune.cells import run
from steadytune.cells.record import read_record
from steadytune.cli import main
from steadytune.exports.model import write_model
from steadytune.files import sha256
from steadytune.layout import cell_folder, model_path, record_path
from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.loading import load_suite

OPEN = ["vanilla", "lora", "bitfit", "layer-tune~layer=1", "hype-n"]


@pytest.fixture
def make(suite, tmp_path):  # noqa: F811
    def make(methods, keep="all", seeds=1, task="cola", **protocol):
        value = SUITE | {"keep": keep, "transfer": {task: []}}
        value["protocol"] = SUITE["protocol"] | {"epochs": 3} | protocol
        value["grid"] = [SUITE["grid"][0] | {"methods": methods, "tasks": [task], "seeds": seeds}]
        (tmp_path / "demo.yaml").write_text(yaml.safe_dump(value))
        made = load_suite(tmp_path / "demo.yaml")
        for cell in made.cells:
            run.run_cell(made, cell)
        return made

    return make


def sentences(made):
    path = made.file.store / "datasets/nyu-mll/glue/cola/validation-00000-of-00001.parquet"
    return pd.read_parquet(path)["sentence"].tolist()


def recorded(made, cell):
    """Recorded probabilities, shape (n, 2)."""
    frame = pd.read_parquet(cell_folder(made, cell) / "predictions.parquet")
    return torch.softmax(torch.tensor(frame[["logit_0", "logit_1"]].to_numpy()), dim=1).numpy()


@pytest.mark.parametrize("method", OPEN)
def test_pipeline_reproduces_the_recorded_predictions(method, make, tmp_path):
    made = make([method])
    (cell,) = made.cells
    write_model(made, str(cell), tmp_path / "out")
    opened = pipeline("text-classification", str(tmp_path / "out"), top_k=None, device="cpu")
    found = [{item["label"]: item["score"] for item in answer} for answer in opened(sentences(made), truncation=True)]
    scores = np.array([[answer["unacceptable"], answer["acceptable"]] for answer in found])
    assert scores == pytest.approx(recorded(made, cell), abs=1e-5)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["id2label"] == {"0": "unacceptable", "1": "acceptable"}
    assert config["num_hidden_layers"] == (1 if "layer=1" in method else 2)
    assert "steadytune" not in (tmp_path / "out/config.json").read_text()
    assert json.loads((tmp_path / "out/tokenizer_config.json").read_text())["model_max_length"] == 16


def stage(key, columns):
    """Stage the same rows as both splits of a data set."""
    folder = Path("store/datasets", key)
    folder.mkdir(parents=True)
    for split in ("train", "validation"):
        pq.write_table(pa.table(columns), folder / f"{split}-00000-of-00001.parquet")
    names = [path.name for path in folder.iterdir()]
    write_receipt(folder, Receipt("local", "a test", None, "lock", measure_all(folder, names)))


def test_pipeline_reproduces_regression_scores_of_sentence_pairs(make, suite, tmp_path):  # noqa: F811
    draw = np.random.Generator(np.random.Philox(3))
    pairs = [[" ".join(draw.choice(WORDS, 4)) for _ in range(32)] for _ in range(2)]
    stage("nyu-mll/glue/stsb", {"sentence1": pairs[0], "sentence2": pairs[1], "label": draw.uniform(0, 5, 32)})
    made = make(["vanilla"], task="stsb")
    (cell,) = made.cells
    write_model(made, str(cell), tmp_path / "out")
    opened = pipeline("text-classification", str(tmp_path / "out"), device="cpu")
    answers = opened([{"text": one, "text_pair": other} for one, other in zip(*pairs, strict=True)], truncation=True)
    assert {answer["label"] for answer in answers} == {"score"}
    frame = pd.read_parquet(cell_folder(made, cell) / "predictions.parquet")
    assert [answer["score"] for answer in answers] == pytest.approx(frame["logit_0"].tolist(), abs=1e-5)


def test_question_answering_export_reproduces_recorded_span_scores(make, suite, tmp_path):  # noqa: F811
    contexts = [f"the {noun} sleeps not" for noun in ("dog", "cat")] * 8
    answers = [{"text": [text.split()[1]], "answer_start": [4]} for text in contexts]
    rows = {"question": ["a dog runs"] * 16, "context": contexts, "answers": answers}
    stage("rajpurkar/squad/plain_text", rows)
    made = make(["vanilla"], task="squad")
    (cell,) = made.cells
    write_model(made, str(cell), tmp_path / "out")
    model = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    frame = pd.read_parquet(cell_folder(made, cell) / "predictions.parquet")
    encoded = tokenizer(rows["question"], contexts, return_tensors="pt")
    with torch.no_grad():
        output = model(**encoded)
    starts, ends = (logits[:, 5:9] for logits in (output.start_logits, output.end_logits))
    # The best span of context tokens, with the end not before the start, as in run_squad.
    sums = (starts[:, :, None] + ends[:, None, :]).masked_fill(~torch.ones(4, 4).triu().bool(), -torch.inf)
    assert sums.amax((1, 2)).tolist() == pytest.approx((frame["logit_start"] + frame["logit_end"]).tolist(), abs=1e-5)


# peft itself uses a name that transformers has deprecated.
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_peft_adapter_reproduces_the_recorded_predictions(make, tmp_path):
    made = make(["lora"])
    (cell,) = made.cells
    write_model(made, str(cell), tmp_path / "out", adapter=True)
    base = AutoModelForSequenceClassification.from_pretrained(made.file.store / "models/a/tiny", num_labels=2)
    opened = PeftModel.from_pretrained(base, tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    with torch.no_grad():
        logits = opened(**tokenizer(sentences(made), padding=True, truncation=True, return_tensors="pt")).logits
    assert logits.softmax(1).numpy() == pytest.approx(recorded(made, cell), abs=1e-5)
    assert not (tmp_path / "out/model.safetensors").exists()


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")
def test_code_on_the_model_card_loads_the_adapter(make, tmp_path):
    made = make(["lora"])
    write_model(made, str(made.cells[0]), tmp_path / "out", adapter=True)
    (code,) = re.findall(r"```python\n(.*?)```", (tmp_path / "out/README.md").read_text(), re.DOTALL)
    names = {}
    exec(code.replace("FOLDER", str(tmp_path / "out")), names)
    assert isinstance(names["model"], PeftModel)


def test_without_kept_weights_the_cell_is_retrained_identically(make, tmp_path, caplog, capfd):
    made = make(["vanilla"])
    (cell,) = made.cells
    write_model(made, str(cell), tmp_path / "kept")
    model_path(made, cell).unlink()
    record = record_path(made, cell).read_bytes()
    with caplog.at_level("INFO"):
        assert main(["model", "demo.yaml", str(cell), "--to", str(tmp_path / "again")]) == 0
    assert "training it again" in caplog.text
    assert "%|" not in capfd.readouterr().err, "progress bars"
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "kept" / name).read_bytes()
    assert "trained again for its weights: identical" in (tmp_path / "again/README.md").read_text()
    assert record_path(made, cell).read_bytes() == record
    assert not model_path(made, cell).exists()


def test_damaged_weights_are_retrained_to_the_same_export(make, tmp_path):
    made = make(["vanilla"])
    (cell,) = made.cells
    write_model(made, str(cell), tmp_path / "kept")
    model_path(made, cell).write_bytes(b"damaged")
    write_model(made, str(cell), tmp_path / "again")
    assert sha256(tmp_path / "again/model.safetensors") == sha256(tmp_path / "kept/model.safetensors")


def test_model_card_has_the_facts_of_the_record(make, tmp_path):
    made = make(["lora"], seeds=3)
    write_model(made, "tiny/lora/cola/seed-1", tmp_path / "out")
    record = read_record(record_path(made, made.cells[1]))
    card = ModelCard.load(tmp_path / "out/README.md")
    (result,) = (found for found in card.data.eval_results if found.metric_type == "matthews")
    assert result.metric_value == record.evaluations[0].metrics["matthews"]
    assert (result.dataset_type, result.dataset_config, result.dataset_split) == ("nyu-mll/glue", "cola", "validation")
    values = [read_record(record_path(made, cell)).evaluations[0].metrics["matthews"] for cell in made.cells]
    assert result.metric_args["mean"] == pytest.approx(np.mean(values))
    assert result.metric_args["seeds"] == [0, 1, 2]
    text = card.text
    assert all(fact in text for fact in (record.fingerprint, record.seal, "rank 8", "learning rate", "0.005"))
    assert sha256(tmp_path / "out/model.safetensors") in text
    assert card.data.pipeline_tag == "text-classification"


def test_export_defaults_to_the_best_seed(make, tmp_path):
    made = make(["vanilla"], seeds=3, keep="best")
    scores = [read_record(record_path(made, cell)).evaluations[0].metrics["matthews"] for cell in made.cells]
    best = scores.index(max(scores))
    write_model(made, None, tmp_path / "out")
    assert f"seed {best} " in (tmp_path / "out/README.md").read_text()
    write_model(made, "tiny/vanilla/cola", tmp_path / "same")
    assert (tmp_path / "same/README.md").read_bytes() == (tmp_path / "out/README.md").read_bytes()


@pytest.mark.parametrize(
    ("methods", "arguments", "words"),
    [
        (["houlsby"], ["tiny/houlsby/cola/seed-0"], ("transformers cannot open", "adapter")),
        (["vanilla"], ["tiny/vanilla/cola/seed-0", "--adapter"], ("vanilla", "no LoRA")),
        (["lora+noisytune"], ["tiny/lora+noisytune/cola/seed-0", "--adapter"], ("not the pretrained",)),
        (["vanilla"], ["tiny/vanila/cola"], ("tiny/vanila/cola", "did you mean 'tiny/vanilla/cola'")),
        (["vanilla"], ["tiny/vanilla/cola/seed-7"], ("seed 7",)),
    ],
)
def test_impossible_export_is_refused_with_the_reason(methods, arguments, words, make, tmp_path, capsys):
    make(methods)
    assert main(["model", "demo.yaml", *arguments, "--to", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert all(word in said for word in words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("method", "arguments"), [("houlsby", []), ("vanilla", ["--adapter"])])
def test_impossible_export_is_refused_before_retraining(method, arguments, make, tmp_path, monkeypatch):
    make([method], keep="none")
    monkeypatch.setattr("steadytune.exports.model.verify_cell", lambda *_: pytest.fail("trained again"))
    assert main(["model", "demo.yaml", f"tiny/{method}/cola/seed-0", *arguments, "--to", str(tmp_path / "out")]) == 2


def test_model_card_reports_a_degenerate_run(make, tmp_path):
    # Steps this small learn nothing, so every answer is the same.
    made = make(["vanilla"], learning_rate=1e-9)
    write_model(made, "tiny/vanilla/cola/seed-0", tmp_path / "out")
    record = read_record(record_path(made, made.cells[0]))
    assert record.status == "degenerate"
    assert f"The run ended degenerate: {record.reason}." in (tmp_path / "out/README.md").read_text()


def test_existing_output_folder_is_left_untouched(make, tmp_path, capsys):
    make(["vanilla"])
    (tmp_path / "out").mkdir()
    assert main(["model", "demo.yaml", "--to", str(tmp_path / "out")]) == 2
    assert "out: exists already" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())

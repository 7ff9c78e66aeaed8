"""From the start of the process to the first training step: a cell against a script as run_glue is written.

    python benchmarks/start.py [--rounds R]

Both read the same staged split and encoder, train one step and end. Needs a store (STEADYTUNE_STORE); without one,
nothing is measured.
"""

import tempfile
import time
from pathlib import Path

from measuring import MODEL, Cost, Row, children_seconds, command, median, write
from staging import environment, python, source_store, sources, stage

# What run_glue does, without its options: imports, load_dataset, tokenisation by map, model, Trainer, one step.
PEER = """
import sys, tempfile
import evaluate
from datasets import load_dataset
from transformers import (AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, Trainer, TrainingArguments,
                          default_data_collator, set_seed)
from transformers.utils import logging
logging.set_verbosity_error()
store, model = sys.argv[1:]
set_seed(1)
folder = f"{store}/datasets/nyu-mll/glue/rte"
with tempfile.TemporaryDirectory() as cache:
    data = load_dataset("parquet", data_files={name: f"{folder}/{name}-00000-of-00001.parquet"
                                               for name in ("train", "validation")}, cache_dir=cache)
    path = f"{store}/models/{model}"
    config = AutoConfig.from_pretrained(path, num_labels=2)
    tokenizer = AutoTokenizer.from_pretrained(path)
    model = AutoModelForSequenceClassification.from_pretrained(path, config=config)
    data = data.map(lambda batch: tokenizer(batch["sentence1"], batch["sentence2"], padding="max_length",
                                            max_length=128, truncation=True), batched=True)
    arguments = TrainingArguments(cache, max_steps=1, per_device_train_batch_size=1, use_cpu=True, report_to="none",
                                  save_strategy="no", disable_tqdm=True)
    Trainer(model, arguments, train_dataset=data["train"], eval_dataset=data["validation"],
            data_collator=default_data_collator, processing_class=tokenizer).train()
"""
# A job's command up to the end of its first step, which ends the process.
OURS = """
import os, sys
from pathlib import Path
from steadytune.offline import go_offline
go_offline()
from steadytune.suite.cell import Cell
from steadytune.suite.loading import load_suite
from steadytune.training import loop
from steadytune.cells import run
step = loop.Step.__call__
def first(*arguments):
    step(*arguments)
    os._exit(0)
loop.Step.__call__ = first
suite = load_suite(Path(sys.argv[1]))
run.run_cell(suite, suite.cells[0])
"""
SUITE = f"""
suite: start
title: Start
encoders: {{minilm: {{model: {MODEL}}}}}
protocol: {{batch_size: 1}}
grid: [{{encoders: [minilm], methods: [vanilla], tasks: [rte], seeds: 1}}]
transfer: {{rte: []}}
"""


def measure(rounds: int) -> list[Row]:
    """The table's row; none without a store."""
    store = source_store()
    if store is None:
        write("start of the process: not measured, STEADYTUNE_STORE names no store")
        return []
    with tempfile.TemporaryDirectory() as folder:
        stage(Path(folder), SUITE, sources(store, MODEL))
        ways = {"ours": (OURS, "suite.yaml"), "peer": (PEER, "store", MODEL)}
        found: dict[str, list[Cost]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (source, *arguments) in ways.items():
                before, start = children_seconds(), time.perf_counter()
                python(["-c", source, *arguments], Path(folder), environment(1))
                found[name].append(Cost(time.perf_counter() - start, children_seconds() - before))
    write("\nstart of the process to the end of the first step, s: wall (processor)")
    for name, costs in found.items():
        write(f"{name:6} {median(costs):6.1f} ({median(costs, 'processor'):.1f})")
    processor = median(found["peer"], "processor") / median(found["ours"], "processor")
    value = median(found["peer"]) / median(found["ours"])
    return [
        Row("start to first step: like run_glue over ours", value, 2, at_least=True, unit="x",
            note=f"processor {processor:.2f}")
    ]  # fmt: skip


if __name__ == "__main__":
    command(__doc__ or "", measure, rounds=3)

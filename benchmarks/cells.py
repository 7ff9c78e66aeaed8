"""Cells per hour: short cells of a small encoder as the DAG runs them, against a tuned Trainer one after another.

    python benchmarks/cells.py [--cells N] [--steps N] [--slots N] [--rounds R]

Ours: processes of `steadytune finetune` side by side, one thread each; on a machine with a GPU they share it by leases.
Peer: a process for each cell, as run_glue but with the tuned settings, one after another with all threads. Both fine-
tune tiny-en (2 layers x 128) on RTE with the same steps, batch size, optimiser and schedule, from the start of the
process to the score on the development set. Needs a store with RTE (STEADYTUNE_STORE).
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from measuring import Row, command, write
from staging import environment, python, source_store, sources, stage

from steadytune.cells.leases import SLOTS_VARIABLE, visible_gpus

MODEL = "steadytune/tiny-en"
STEPS = 60
SUITE = """
suite: cells
title: Cells per hour
encoders: {{tiny: {{model: {model}}}}}
protocol: {{steps: {steps}, learning_rate: 5.0e-4, precision: bf16, evaluate_epochs: false}}
grid: [{{encoders: [tiny], methods: [vanilla], tasks: [rte], seeds: {cells}}}]
transfer: {{rte: []}}
"""
# As run_glue with dynamic padding, batches by length, bf16 and the fused AdamW; prints the accuracy.
PEER = """
import sys, tempfile
import numpy as np, torch
from datasets import load_dataset
from transformers import (AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding,
                          Trainer, TrainingArguments, set_seed)
from transformers.utils import logging
logging.set_verbosity_error()
store, model, steps, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
set_seed(seed)
with tempfile.TemporaryDirectory() as cache:
    data = load_dataset("parquet", data_files={name: f"{store}/datasets/nyu-mll/glue/rte/{name}-00000-of-00001.parquet"
                                               for name in ("train", "validation")}, cache_dir=cache)
    path = f"{store}/models/{model}"
    tokenizer = AutoTokenizer.from_pretrained(path)
    config = AutoConfig.from_pretrained(path, num_labels=2)
    model = AutoModelForSequenceClassification.from_pretrained(path, config=config, dtype=torch.float32)
    data = data.map(lambda batch: tokenizer(batch["sentence1"], batch["sentence2"], max_length=128, truncation=True),
                    batched=True)
    arguments = TrainingArguments(cache, max_steps=steps, per_device_train_batch_size=16, seed=seed, learning_rate=5e-4,
                                  save_strategy="no", disable_tqdm=True, report_to="none", warmup_steps=0.1,
                                  weight_decay=0.1, adam_beta1=0.9, adam_beta2=0.99, adam_epsilon=1e-5,
                                  per_device_eval_batch_size=64, bf16=True, bf16_full_eval=True, use_cpu=not
                                  torch.cuda.is_available(), train_sampling_strategy="group_by_length",
                                  optim="adamw_torch_fused")
    trainer = Trainer(model, arguments, train_dataset=data["train"], eval_dataset=data["validation"],
                      data_collator=DataCollatorWithPadding(tokenizer), processing_class=tokenizer,
                      compute_metrics=lambda found: {"score": float(np.mean(found[0].argmax(1) == found[1]))})
    trainer.train()
    print("score", trainer.evaluate()["eval_score"])
"""


def ours(folder: Path, cells: int, slots: int) -> list[float]:
    """The scores of all cells, `slots` processes at a time."""
    variables = environment(1) | {SLOTS_VARIABLE: str(slots)}

    def run(seed: int) -> float:
        cell = f"tiny/vanilla/rte/seed-{seed}"
        python(["-m", "steadytune", "finetune", "suite.yaml", cell], folder, variables)
        record = json.loads((folder / "results/cells/cells" / cell / "record.json").read_text())
        return record["evaluations"][0]["metrics"]["accuracy"]

    with ThreadPoolExecutor(slots) as pool:
        return list(pool.map(run, range(cells)))


def peer(folder: Path, cells: int, steps: int) -> list[float]:
    """The scores of all cells, one after another."""
    variables = environment(os.cpu_count() or 1)
    found = [python(["-c", PEER, "store", MODEL, str(steps), str(seed)], folder, variables) for seed in range(cells)]
    return [float(output.split()[-1]) for output in found]


def measure(rounds: int, cells: int = 16, steps: int = STEPS, slots: int | None = None) -> list[Row]:
    """The table's row; none without a store."""
    store = source_store()
    if store is None:
        write("cells per hour: not measured, STEADYTUNE_STORE names no store")
        return []
    slots = slots or (4 if visible_gpus() else os.cpu_count() or 1)
    ways: dict[str, Callable[[Path], list[float]]] = {
        "ours": partial(ours, cells=cells, slots=slots),
        "peer": partial(peer, cells=cells, steps=steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                stage(Path(folder), SUITE.format(model=MODEL, steps=steps, cells=cells), sources(store, MODEL))
                start = time.perf_counter()
                scores[name] = way(Path(folder))
                seconds[name].append(time.perf_counter() - start)
    write(f"\n{cells} cells of {MODEL} on RTE, {steps} steps of 16; ours {slots} at a time; {rounds} rounds")
    for name, found in seconds.items():
        spread = statistics.stdev(scores[name]) if cells > 1 else 0.0
        hourly = 3600 * cells / statistics.median(found)
        mean = statistics.mean(scores[name])
        write(f"{name:6} {hourly:6.0f} cells an hour; accuracy {mean:.3f}, {spread:.3f} its deviation between seeds")
    ratios = [theirs / own for own, theirs in zip(seconds["ours"], seconds["peer"], strict=True)]
    target = 6 if visible_gpus() else 1.5
    name = f"{cells} cells of a small encoder: Trainer tuned over ours"
    return [Row(name, statistics.median(ratios), target, at_least=True, unit="x")]


if __name__ == "__main__":
    command(__doc__ or "", measure, cells=16, steps=STEPS, rounds=1, slots=None)

"""Training time of a cell, without its process start, against the tuned transformers.Trainer.

    python benchmarks/training.py [--steps N] [--rounds R] [--threads T] [--tasks rte,mrpc,stsb,cola]
                                  [--precision bf16|fp32]

Examples, steps, batch size, optimiser, schedule and threads are equal; runs take turns, each in its own process. Only
the training itself is timed: models are loaded and texts are tokenised before. Scores are those after one short epoch;
they only have to agree within the spread between seeds.
"""

import statistics
import tempfile
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from measuring import (
    BATCH,
    MAX_LENGTH,
    PRECISIONS,
    SEED,
    TASKS,
    Cost,
    Material,
    Row,
    by_turns,
    command,
    fine_tune,
    median,
    ratio,
    timed,
    write,
)

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.evaluation.predict import predict
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.precision import Precision

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PROTOCOL = Protocol(epochs=1, batch_size=BATCH, learning_rate=1e-4, max_length=MAX_LENGTH)
DEVELOPMENT = 256


def ours(task: str, steps: int, threads: int, precision: str, device: str = "cpu", **sizes: int) -> Cost:
    """Cost of training a cell with this project; sizes: of a random encoder, instead of the store's."""
    material = _material(task, steps, sizes)
    with timed() as cost:
        fine_tune(material, replace(PROTOCOL, threads=threads, precision=precision), device=device)
    return replace(cost(), score=score(material, device))


def _material(task: str, steps: int, sizes: dict[str, int]) -> Material:
    if sizes:
        return Material.drawn(task, steps * BATCH, DEVELOPMENT, **sizes)
    return Material.load(task, steps * BATCH, DEVELOPMENT)


def trainer(task: str, steps: int, threads: int, way: str, device: str = "cpu", **sizes: int) -> Cost:
    """Cost of the same training by transformers.Trainer; way: `plain` as in run_glue, or tuned in `bf16` or `fp32`."""
    from transformers import (
        DataCollatorWithPadding,
        PreTrainedTokenizerFast,
        PrinterCallback,
        Trainer,
        TrainingArguments,
        default_data_collator,
    )
    from transformers.utils import logging

    logging.set_verbosity_error()
    torch.set_num_threads(threads)
    material = _material(task, steps, sizes)
    tuned = way != "plain"
    settings = {"bf16": way == "bf16", "train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"}
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=BATCH, seed=SEED,
            use_cpu=device == "cpu", learning_rate=PROTOCOL.learning_rate, warmup_steps=PROTOCOL.warmup,
            weight_decay=PROTOCOL.weight_decay, adam_beta1=PROTOCOL.beta1, adam_beta2=PROTOCOL.beta2,
            adam_epsilon=PROTOCOL.epsilon, max_grad_norm=PROTOCOL.gradient_clip, report_to="none",
            save_strategy="no", disable_tqdm=True, **(settings if tuned else {}),
        )  # fmt: skip
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=_empty_tokenizer(), pad_token="[PAD]")
        collator = DataCollatorWithPadding(tokenizer) if tuned else default_data_collator
        data = examples(material.train, None if tuned else MAX_LENGTH)
        made = Trainer(material.encoder.model, arguments, data_collator=collator, train_dataset=data)  # pyright: ignore
        made.remove_callback(PrinterCallback)
        with timed() as cost:
            made.train()
    return replace(cost(), score=score(material, device))


def _empty_tokenizer() -> "Tokenizer":
    """The tokenizer that a padding collator needs; the padding's ID is 0, as in the encoder."""
    from tokenizers import Tokenizer, models

    return Tokenizer(models.WordLevel({"[PAD]": 0}, "[PAD]"))


def examples(encoded: Encoded, pad_to: int | None) -> "list[dict]":
    """Encoded texts as a data set for transformers, padded to `pad_to` tokens if given."""
    found = []
    for number, ids in enumerate(encoded.input_ids):
        segments = encoded.token_type_ids[number] if encoded.token_type_ids is not None else 0 * ids
        padding = [0] * max(0, (pad_to or 0) - len(ids))
        label = encoded.labels[number]
        found.append({
            "input_ids": [*ids.tolist(), *padding],
            "attention_mask": [1] * len(ids) + padding,
            "token_type_ids": [*segments.tolist(), *padding],
            "labels": float(label) if label.dtype.kind == "f" else int(label),
        })  # fmt: skip
    return found


def score(material: Material, device: str) -> float:
    """The task's metric on the development examples; NaN if `evaluate` is not installed."""
    if find_spec("evaluate") is None:
        return float("nan")
    encoder = Encoder(material.encoder.model)
    batcher = Batcher(material.development, encoder.padding, 64)
    found = predict(encoder, batcher, Precision("fp32", device)).evaluate(material.task, material.task)
    return found["metrics"][material.task.metric]


def measure(
    steps: int, rounds: int, threads: int, tasks: str = ",".join(TASKS), precision: str = PRECISIONS[0]
) -> list[Row]:
    """The table's row; the details of every task are printed along the way."""
    ratios = {}
    write(f"\ntraining alone: {steps} steps of {BATCH} in {precision}, {threads} threads, {rounds} rounds, ms a step")
    write(f"{'':6} {'Trainer tuned':>18} {'ours':>18}   wall (processor), score")
    for task in tasks.split(","):
        ways = {"tuned": partial(trainer, task, steps, threads, precision)}
        ways |= {"ours": partial(ours, task, steps, threads, precision)}
        costs = by_turns(ways, rounds)
        shown = [
            f"{1e3 * median(runs) / steps:5.0f} ({1e3 * median(runs, 'processor') / steps:.0f})"
            f" {median(runs, 'score'):5.2f}"
            for runs in costs.values()
        ]
        write(f"{task:6} " + " ".join(f"{one:>18}" for one in shown))
        ratios[task] = ratio(costs["tuned"], costs["ours"])
    note = ", ".join(f"{task} {value:.2f}" for task, value in ratios.items())
    mean = statistics.mean(ratios.values())
    return [Row("training alone, mean: tuned Trainer over ours", mean, 1.6, at_least=True, unit="x", note=note)]


if __name__ == "__main__":
    command(__doc__ or "", measure, steps=24, rounds=3, threads=2, tasks=",".join(TASKS), precision=PRECISIONS)

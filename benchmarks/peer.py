"""The peer's whole process: fine-tune by transformers.Trainer as run_glue does, evaluate, print the score.

    python -P benchmarks/peer.py STORE MODEL TASK EXAMPLES STEPS SEED plain|bf16|fp32

plain: run_glue's settings: padded to 128 tokens, fp32. bf16, fp32: tuned, in this precision: padded to a batch's
longest text, batches grouped by length, fused AdamW. EXAMPLES: number of examples, from the start of the training
split; 0 for all. STEPS: 0 for one epoch. The score is accuracy, or the correlation of predictions and labels on CoLA
(Matthews) and STS-B (Pearson).
"""

import sys
import tempfile

import evaluate  # noqa: F401 (run_glue imports it)
import numpy as np
import torch
from datasets import load_dataset
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    default_data_collator,
    set_seed,
)
from transformers.utils import logging

logging.set_verbosity_error()
store, name, task, examples, steps, seed, way = sys.argv[1:]
tuned, labels = way != "plain", 1 if task == "stsb" else 2
set_seed(int(seed))


def metrics(found) -> dict:
    """The score of predictions (n, labels)."""
    values, targets = found
    answers = values[:, 0] if labels == 1 else values.argmax(1)
    if task in ("cola", "stsb"):
        # Constant predictions have no correlation; GLUE's metric then gives 0.
        return {"score": float(np.corrcoef(answers, targets)[0, 1]) if np.ptp(answers) else 0.0}
    return {"score": float(np.mean(answers == targets))}


with tempfile.TemporaryDirectory() as cache:
    folder = f"{store}/datasets/nyu-mll/glue/{task}"
    files = {part: f"{folder}/{part}-00000-of-00001.parquet" for part in ("train", "validation")}
    data = load_dataset("parquet", data_files=files, cache_dir=cache)
    if int(examples):
        data["train"] = data["train"].select(range(int(examples)))
    path = f"{store}/models/{name}"
    tokenizer = AutoTokenizer.from_pretrained(path)
    config = AutoConfig.from_pretrained(path, num_labels=labels)
    model = AutoModelForSequenceClassification.from_pretrained(path, config=config, dtype=torch.float32)
    texts = [column for column in ("sentence", "sentence1", "sentence2") if column in data["train"].column_names]
    padding = {} if tuned else {"padding": "max_length"}
    data = data.map(
        lambda batch: tokenizer(*(batch[text] for text in texts), max_length=128, truncation=True, **padding),
        batched=True,
    )
    settings = {"bf16": way == "bf16", "bf16_full_eval": way == "bf16"}
    settings |= {"train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"}
    arguments = TrainingArguments(
        cache, num_train_epochs=1, max_steps=int(steps) or -1, per_device_train_batch_size=16,
        per_device_eval_batch_size=64, seed=int(seed), learning_rate=1e-4, warmup_steps=0.1, weight_decay=0.1,
        adam_beta1=0.9, adam_beta2=0.99, adam_epsilon=1e-5, save_strategy="no", disable_tqdm=True, report_to="none",
        use_cpu=not torch.cuda.is_available(), **(settings if tuned else {}),
    )  # fmt: skip
    trainer = Trainer(
        model, arguments, train_dataset=data["train"], eval_dataset=data["validation"],
        data_collator=DataCollatorWithPadding(tokenizer) if tuned else default_data_collator,
        processing_class=tokenizer, compute_metrics=metrics,
    )  # fmt: skip
    trainer.train()
    sys.stdout.write(f"score {trainer.evaluate()['eval_score']}\n")

"""The variability stage: an encoder's layers measured on the training split of a task, as a file."""

import json
import math
from dataclasses import asdict

from steadytune.analysis.variability import special_token_ids, variability
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import unknown
from steadytune.files import write_text
from steadytune.layout import dataset_folder, model_folder, variability_path
from steadytune.store.receipt import verify
from steadytune.suite import Suite
from steadytune.tasks.data import encode, load_split
from steadytune.tasks.table import parse_task
from steadytune.training.batching import Batcher
from steadytune.training.determinism import pick_device, set_determinism


def write_variability(suite: Suite, encoder_name: str, task_name: str) -> None:
    """Measure nu of every layer of a suite's encoder, before any fine-tuning, and write it as JSON.

    The file holds `nu` (L + 1 values, the embedding output first), `best_layer` (l*, among 1..L), `classes`, their
    `counts`, the number of `examples` and which `tokens` were averaged.
    """
    if encoder_name not in suite.file.encoders:
        raise unknown("encoder", encoder_name, suite.file.encoders, str(suite.path))
    entry, protocol = suite.file.encoders[encoder_name], suite.base_protocol
    task, size = parse_task(task_name)
    device = pick_device()
    set_determinism(protocol.determinism, protocol.threads, device)
    folder = model_folder(suite.file.store, entry.model)
    verify(folder)
    verify(dataset_folder(suite.file.store, task.dataset_key))
    tokenizer = load_tokenizer(folder)
    # Weights drawn anew have no cell's seed here: one fixed draw.
    encoder = load_encoder(folder, task.num_labels, 0, entry.weights).to(device)
    encoded = encode(
        load_split(task, task.train or task.evaluation, suite.file.store, size), tokenizer, protocol.max_length
    )
    tokens = "mean_without_special"
    batcher = Batcher(encoded, encoder, protocol.evaluation_batch_size)
    result = variability(encoder, batcher, special_token_ids(tokenizer), tokens)
    value = {"encoder": encoder_name, "task": task_name, "tokens": tokens, "examples": len(encoded), **asdict(result)}
    # JSON has no infinity, which is the nu of a layer that does not tell the classes apart.
    value["nu"] = [nu if math.isfinite(nu) else None for nu in result.nu]
    write_text(variability_path(suite, encoder_name, task_name), json.dumps(value, indent=1) + "\n")

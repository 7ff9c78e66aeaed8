"""The variability stage: measure an encoder's layers on a task's training split and write the result to a file."""

import logging
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from steadytune.cells.determinism import pick_device, set_determinism
from steadytune.encoders.batching import Batcher
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.errors import unknown
from steadytune.files import write_json
from steadytune.layers.bands import confidence_bands, corrected_choice
from steadytune.layers.pooling import special_token_ids
from steadytune.layers.resampling import Sample
from steadytune.layers.robustness import imbalance, scarcity
from steadytune.layers.selectors import choose_layers
from steadytune.layers.variability import VariabilityResult, class_indices, variability
from steadytune.layout import dataset_folder, model_folder, variability_path
from steadytune.results.variability import Robustness, Variability
from steadytune.store.receipt import verify
from steadytune.streams import derive
from steadytune.suite.suite import Suite
from steadytune.suite.variability import VariabilitySettings
from steadytune.tasks.data import encode, load_split

log = logging.getLogger(__name__)


def write_variability(suite: Suite, encoder_name: str, task_name: str) -> None:
    """Measure the layers of a suite's encoder before any fine-tuning, and write a `Variability` as JSON.

    The setting `choose_by` decides how `best_layer` is chosen; the robustness experiments always use plain nu.
    """
    if encoder_name not in suite.file.encoders:
        raise unknown("encoder", encoder_name, suite.file.encoders, str(suite.path))
    entry, protocol, settings = suite.file.encoders[encoder_name], suite.protocols.base, suite.file.variability
    task = suite.task(task_name)
    device = pick_device()
    set_determinism(protocol.determinism, protocol.threads, device)
    folder = model_folder(suite.file.store, suite.model(encoder_name, task_name))
    verify(folder)
    verify(dataset_folder(suite.file.store, task.dataset_key))
    tokenizer = load_tokenizer(folder)
    # Random weights are one fixed draw here, because there is no cell whose seed they could use.
    encoder = load_encoder(folder, task.num_labels, 0, entry.weights).to(device)
    data = load_split(task, task.train or task.evaluation, suite.file.store, task.size)
    encoded = encode(data, tokenizer, protocol.max_length)
    _, indices = class_indices(encoded.labels, settings.regression)
    sample = Sample(indices, settings.kept_examples)
    batcher = Batcher(encoded, encoder.padding, protocol.evaluation_batch_size)
    result = variability(encoder, batcher, special_token_ids(tokenizer), settings, sample.add)
    # The protocol's threads for scikit-learn too: sums depend on their number, and too many slow down a busy machine.
    with threadpool_limits(protocol.threads):
        found = studies(sample, result, encoded.labels[sample.rows], settings)
    measured = Variability(
        encoder=encoder_name,
        task=task_name,
        settings=settings.measured(),
        examples=len(encoded),
        **asdict(result),
        **found,
    )
    if settings.choose_by == "corrected" and measured.bands:
        measured = replace(measured, best_layer=corrected_choice(measured.bands, result.nu))
    write_json(variability_path(suite, encoder_name, task_name), measured)


def studies(
    sample: Sample, result: VariabilityResult, labels: np.ndarray, settings: VariabilitySettings
) -> dict[str, Any]:
    """Examine nu's choice on the kept examples: `bands`, `robustness` and `selectors`, each None if not requested.

    labels: labels of the kept examples (n,); scores if the task is a regression.
    """
    found: dict[str, Any] = dict.fromkeys(("bands", "robustness", "selectors"))
    if len(sample.counts) < 2 or sample.counts.max() < 2:
        log.warning("the %d kept examples are no two classes with scatter: nu alone is measured", len(sample))
        return found
    if settings.resamples:
        found["bands"] = confidence_bands(sample, result.nu, sum(result.counts), settings, _generator("bands"))
    if settings.draws:
        # Both start from the same stream, so they draw with the same keys.
        common = {"sample": sample, "best": result.best_layer, "settings": settings, "draws": settings.draws}
        found["robustness"] = Robustness(
            settings.draws,
            imbalance(shares=settings.majority_shares, generator=_generator("draws"), **common),
            scarcity(sizes=settings.sizes, generator=_generator("draws"), **common),
        )
    if settings.selectors:
        seed = derive(0, "variability", "folds") % 2**32
        found["selectors"] = choose_layers(sample.features.float().numpy(), labels, sample.classes, seed)
    return found


def _generator(name: str) -> np.random.Generator:
    """The random stream of one experiment, the same for every encoder and task."""
    return np.random.Generator(np.random.Philox(derive(0, "variability", name)))

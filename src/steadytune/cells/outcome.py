"""The outcome of a cell, and how it is written to disk."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadytune.cells import record as records
from steadytune.cells.environment import environment
from steadytune.cells.material import EvaluationSet, Material
from steadytune.evaluation.outputs import write_history, write_predictions, write_unlabelled
from steadytune.evaluation.predict import Predictions
from steadytune.files import sha256
from steadytune.layout import HISTORY, MODEL, PREDICTIONS, UNLABELLED
from steadytune.streams import Streams, cell_seed
from steadytune.suite.cell import Spec
from steadytune.suite.suite import Suite
from steadytune.training.flop_counter import inference_flops
from steadytune.training.loop import Fit
from steadytune.training.usage import Meter


@dataclass
class Outcome:
    """The outcome of a cell, filled in as far as the cell got."""

    status: records.Status = "ok"
    reason: str | None = None
    training: records.Training | None = None
    model: records.Model | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    predictions: dict[str, Predictions] = field(default_factory=dict)
    """By evaluation set, as `write_predictions` expects them."""
    evaluations: list[records.Evaluation] = field(default_factory=list)
    unlabelled: dict[str, Predictions] = field(default_factory=dict)
    """By split."""


def evaluation(
    name: str, kind: records.EvaluationKind, scores: dict[str, Any], found: EvaluationSet
) -> records.Evaluation:
    """The entry in a record for one evaluation set.

    name: the name of the set.
    scores: as returned by `Predictions.evaluate`.
    found: the set itself.
    """
    rate = scores["majority_rate"]
    return records.Evaluation(
        set=name,
        kind=kind,
        headline=scores["headline"],
        metrics=scores["metrics"],
        majority=scores["majority"],
        n=scores["n"],
        majority_rate=None if math.isnan(rate) else rate,
        truncated=found.batcher.encoded.truncated,
        seen_in_training=found.seen_in_training,
    )


def training(material: Material, fitted: Fit, initial_weights: str, first_order: str) -> records.Training:
    """The entry in a record for the training.

    initial_weights: digest of the trainable weights before the first step.
    first_order: digest of the order of the first epoch's batches.
    """
    parameters = list(material.encoder.model.parameters())
    return records.Training(
        examples=material.train.encoded.size,
        truncated=material.train.encoded.truncated,
        subset_digest=material.subset_digest,
        steps=fitted.steps,
        tokens=fitted.tokens,
        real_tokens=fitted.real_tokens,
        flops=fitted.flops,
        micro_batches=fitted.parts,
        inference_flops=inference_flops(material.encoder, material.train),
        layers=material.encoder.num_layers,
        selected_layer=material.selected_layer,
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        total_parameters=sum(p.numel() for p in parameters),
        initial_weights=initial_weights,
        first_order=first_order,
        resumed=fitted.resumed,
    )


def write(
    folder: Path,
    suite: Suite,
    spec: Spec,
    outcome: Outcome,
    device: str,
    inputs: list[records.Input],
    parent: records.Parent | None,
    mark: str,
    meter: Meter,
) -> None:
    """Write a cell's files to `folder`: predictions and history first, the record last.

    If a cell has a record, it therefore has all of its files.
    """
    with meter.phase("write"):
        write_predictions(folder / PREDICTIONS, outcome.predictions)
        write_history(folder / HISTORY, outcome.history)
        (folder / UNLABELLED).unlink(missing_ok=True)
        if outcome.unlabelled:
            write_unlabelled(folder / UNLABELLED, outcome.unlabelled)
    record = records.Record(
        status=outcome.status,
        reason=outcome.reason,
        spec=spec.to_dict(),
        fingerprint=mark,
        inputs=inputs,
        analysis_plan=suite.analysis_plan,
        parent=parent,
        model=outcome.model,
        streams=Streams.seeds(cell_seed(spec.seed, spec.task)),
        environment=environment(device),
        training=outcome.training,
        evaluations=outcome.evaluations,
        timing=meter.timing(),
        memory=meter.memory(device),
        usage=meter.usage(outcome.training.flops if outcome.training else None),
        files={
            name: sha256(folder / name)
            for name in (PREDICTIONS, HISTORY, UNLABELLED, MODEL)
            if (folder / name).is_file()
        },
    )
    records.write_record(record, folder)

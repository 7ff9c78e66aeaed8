"""One cell from its staged inputs to its record: load, fit, evaluate, write.

A bad outcome that fine-tuning is known for is a result: NaN loss, majority-class collapse and lack of memory end in a
record with their status. Only what is wrong with the inputs or the machine is raised.
"""

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from steadytune import record as records
from steadytune.cell import Cell, Spec, fingerprint
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.flops import forward_flops_per_token
from steadytune.evaluation.outputs import write_history, write_predictions
from steadytune.evaluation.predict import predict
from steadytune.evaluation.transfer import evaluate_transfer
from steadytune.layout import cell_folder, checkpoint_path
from steadytune.methods.base import Composition, Setup
from steadytune.methods.registry import passes
from steadytune.suite import Suite
from steadytune.training.batching import order_digest
from steadytune.training.determinism import pick_device, set_determinism
from steadytune.training.environment import Clock, environment, peak_memory
from steadytune.training.loop import Diverged, Fit, fit
from steadytune.training.material import Material, verified_inputs, weights_digest
from steadytune.training.precision import Precision
from steadytune.training.streams import Streams

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """What a cell has come to: filled as far as it got."""

    status: records.Status = "failed"
    reason: str | None = None
    training: records.Training | None = None
    history: list[dict[str, float]] = field(default_factory=list)
    logits: dict[str, np.ndarray] = field(default_factory=dict)
    """(n, C) by evaluation set."""
    labels: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    """Rows and gold labels, (n,) each, by evaluation set."""
    evaluations: list[records.Evaluation] = field(default_factory=list)


def run_cell(suite: Suite, cell: Cell) -> None:
    """Train and evaluate a cell and write its record, predictions and history.

    Raises:
        SteadyTuneError: inputs that are missing, corrupted or do not fit.
    """
    clock = Clock()
    spec = suite.spec(cell)
    device = pick_device()
    set_determinism(spec.protocol.determinism, spec.protocol.threads, device)
    outcome = Outcome()
    with clock.phase("load"):
        inputs = verified_inputs(spec, suite.file.store)
        mark = fingerprint(spec, {item.key: item.digest for item in inputs})
    checkpoint = checkpoint_path(suite, cell)
    try:
        with clock.phase("load"):
            material = Material.load(spec, suite.file.store, device)
        _train_and_evaluate(spec, material, outcome, clock, checkpoint, mark)
    except Diverged as error:
        outcome.status, outcome.reason = "diverged", str(error)
    except (SteadyTuneError, OSError):
        raise
    except Exception as error:
        outcome.status = "out_of_memory" if _is_out_of_memory(error) else "failed"
        outcome.reason = f"{type(error).__name__}: {error}".splitlines()[0]
        log.exception("the cell ends as %s", outcome.status)
    _write(suite, spec, outcome, device, inputs, mark, clock)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: %s%s", cell, outcome.status, f" ({outcome.reason})" if outcome.reason else "")


def _train_and_evaluate(
    spec: Spec, material: Material, outcome: Outcome, clock: Clock, checkpoint: Path, mark: str
) -> None:
    """Fill `outcome` as far as the cell gets."""
    encoder, task, streams = material.encoder, material.task, Streams(spec.seed, material.device)
    method = Composition([part.build() for part in spec.parts])
    method.prepare(Setup(encoder, streams, material.objective, material.train))
    precision = Precision(spec.protocol.precision, material.device)
    initial_weights = weights_digest(encoder)
    flops = forward_flops_per_token(encoder, material.train)
    own = material.evaluations[spec.task][1]

    def on_epoch() -> dict[str, float]:
        if not spec.protocol.evaluate_epochs:
            return {}
        with clock.phase("evaluate"):
            scores = evaluate_transfer(task, task, predict(encoder, own, precision), own.encoded.labels)
        return {task.metric: scores["metrics"][task.metric]}

    with clock.phase("train"):
        fitted = fit(
            encoder,
            method,
            material.train,
            spec.protocol,
            streams,
            objective=material.objective,
            checkpoint=checkpoint,
            fingerprint=mark,
            on_epoch=on_epoch,
        )
    outcome.history = fitted.history
    outcome.training = _training(spec, material, fitted, initial_weights, flops)
    with clock.phase("evaluate"):
        for name, (target, batcher) in material.evaluations.items():
            logits = predict(encoder, batcher, precision)
            outcome.logits[name], outcome.labels[name] = logits, (batcher.encoded.rows, batcher.encoded.labels)
            scores = evaluate_transfer(task, target, logits, batcher.encoded.labels, spec.protocol.collapse)
            kind = "in_domain" if name == spec.task else "transfer"
            outcome.evaluations.append(_evaluation(name, kind, scores, batcher.encoded.truncated))
        if held_out := material.held_out:
            scores = evaluate_transfer(task, task, predict(encoder, held_out, precision), held_out.encoded.labels)
            outcome.evaluations.append(_evaluation(spec.task, "held_out", scores, held_out.encoded.truncated))
    outcome.status, outcome.reason = _judge(outcome.logits[spec.task])


def _evaluation(name: str, kind: records.EvaluationKind, scores: dict[str, Any], truncated: int) -> records.Evaluation:
    rate = scores["majority_rate"]
    return records.Evaluation(
        set=name,
        kind=kind,
        headline=scores["headline"],
        metrics=scores["metrics"],
        majority=scores["majority_values"],
        n=scores["n_examples"],
        majority_rate=None if math.isnan(rate) else rate,
        truncated=truncated,
    )


def _training(spec: Spec, material: Material, fitted: Fit, initial_weights: str, flops: float) -> records.Training:
    parameters = list(material.encoder.model.parameters())
    forward, backward = passes(spec.parts)
    return records.Training(
        examples=len(material.train.encoded),
        truncated=material.train.encoded.truncated,
        subset_digest=material.subset_digest,
        steps=fitted.steps,
        tokens=fitted.tokens,
        real_tokens=fitted.real_tokens,
        flops=flops * fitted.tokens * (forward + 2 * backward),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        total_parameters=sum(p.numel() for p in parameters),
        initial_weights=initial_weights,
        first_order=order_digest(material.train.order(Streams(spec.seed).order(0))),
        resumed=fitted.resumed,
    )


def _write(
    suite: Suite, spec: Spec, outcome: Outcome, device: str, inputs: list[records.Input], mark: str, clock: Clock
) -> None:
    """Predictions and history first, the record last: where there is a record, the cell is whole."""
    folder = cell_folder(suite, spec.cell)
    write_predictions(folder / records.PREDICTIONS, outcome.logits, outcome.labels)
    write_history(folder / records.HISTORY, outcome.history)
    record = records.Record(
        status=outcome.status,
        reason=outcome.reason,
        spec=spec.to_dict(),
        fingerprint=mark,
        inputs=inputs,
        streams=Streams.seeds(spec.seed),
        environment=environment(device),
        training=outcome.training,
        evaluations=outcome.evaluations,
        timing=clock.timing(),
        memory=peak_memory(device),
    )
    records.write_record(record, folder)


def _judge(logits: np.ndarray) -> tuple[records.Status, str | None]:
    """Status and reason of a trained model by its outputs (n, C) on the development set.

    Degenerate: every example gets the same answer, one class or one number to six digits.
    """
    if not np.isfinite(logits).all():
        return "diverged", "the outputs on the development set are not all finite"
    answers = logits.argmax(axis=1) if logits.shape[1] > 1 else logits[:, 0].round(6)
    if (answers == answers[0]).all():
        return "degenerate", "one answer for every development example"
    return "ok", None


def _is_out_of_memory(error: Exception) -> bool:
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

"""The training loop: a plain loop over epochs and batches, the same for every method, encoder and task."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from steadytune.encoders.batching import Batcher
from steadytune.encoders.encoder import Encoder
from steadytune.methods.base import Composition, Update
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.objective import Objective
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.training.checkpoints import load_checkpoint, save_checkpoint
from steadytune.training.interruption import Interrupted
from steadytune.training.optimisation import build_optimizer, learning_rate, set_learning_rate
from steadytune.training.precision import Precision
from steadytune.training.step import Step
from steadytune.training.usage import Meter
from steadytune.training.words import train_words

log = logging.getLogger(__name__)

# Steps between two checks of the loss: each check makes a GPU wait for the host.
CHECK_EVERY = 50


class Diverged(Exception):
    """The loss is no longer a finite number."""


@dataclass
class Fit:
    """The result of `fit`."""

    steps: int
    tokens: int
    real_tokens: int
    flops: float
    """Forward and backward, all passes: those of the first step per position, times the number of positions."""
    parts: int
    """Parts that a batch was split into at the end, for lack of memory; 1 if it fitted."""
    history: list[dict[str, float]]
    """One entry per epoch: epoch, step, train_loss, learning_rate, and the values that `on_epoch` returned."""
    resumed: bool


def fit(
    encoder: Encoder,
    method: Composition,
    batcher: Batcher,
    protocol: Protocol,
    streams: Streams,
    *,
    objective: Objective,
    checkpoint: Path,
    fingerprint: str,
    on_epoch: Callable[[], dict[str, float]],
    meter: Meter | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Fit:
    """Fine-tune `encoder` in place.

    Args:
        encoder: already prepared by `method`.
        method: the cell's methods.
        batcher: the training split.
        protocol: optimiser, schedule, precision.
        streams: the cell's randomness.
        objective: the task's loss.
        checkpoint: written after every epoch but the last, and when interrupted; training resumes from it if it exists.
        fingerprint: the cell's fingerprint; a checkpoint with another one is ignored.
        on_epoch: called after each epoch, with the encoder in evaluation mode; its values are added to the history.
        meter: the cell's resource use so far; checkpoints include it.
        interrupted: called after each step; if it returns true, training writes a checkpoint and ends.

    Raises:
        Interrupted: `interrupted` returned true.
        Diverged: the loss became NaN or infinite.
        torch.OutOfMemoryError: the device's memory does not hold a step with a single example.
    """
    total = protocol.total_steps(len(batcher))
    # Leave out the word-embedding rows that no example reads; restore them for each evaluation and at the end.
    words = train_words(encoder, method, batcher, protocol, lambda step: learning_rate(protocol, step, total))
    parameters = {name: p for name, p in encoder.model.named_parameters() if p.requires_grad}
    optimizer = build_optimizer(parameters, protocol)
    precision = Precision(protocol.precision, streams.device)
    forward = Forward(encoder, method.hooks(), streams, objective)
    take_step = Step(method, forward, optimizer, precision, protocol.gradient_clip)
    epochs = math.ceil(total / len(batcher))
    start = load_checkpoint(checkpoint, encoder.model, optimizer, method, fingerprint)
    meter = meter or Meter()
    if start:
        meter.resume(start["spent"])
    progress: dict[str, Any] = start or {"epoch": 0, "step": 0, "tokens": 0, "real_tokens": 0, "history": []}
    precision.scale = progress.get("loss_scale", precision.scale)
    precision.good_steps = progress.get("good_steps", 0)
    take_step.parts, take_step.flops = progress.get("parts", 1), progress.get("step_flops")

    if not start:
        encoder.model.train()
        take_step.probe(batcher.largest(), parameters)

    def save(**more: float) -> None:
        state = {"fingerprint": fingerprint, "loss_scale": precision.scale, "good_steps": precision.good_steps}
        state |= {"parts": take_step.parts, "step_flops": take_step.flops, "spent": meter.spent(streams.device)}
        save_checkpoint(checkpoint, encoder.model, optimizer, method, progress | state | more)

    for epoch in range(progress["epoch"], epochs):
        encoder.model.train()
        first = epoch * len(batcher)
        losses = torch.tensor(progress.pop("epoch_loss", 0.0), dtype=torch.float64, device=streams.device)
        for batch in batcher.epoch(streams.order(epoch), skip=progress["step"] - first):
            if progress["step"] == total:
                break
            rate = learning_rate(protocol, progress["step"], total)
            set_learning_rate(optimizer, rate)
            losses += take_step(batch, Update(parameters, progress["step"], rate))
            progress["step"] += 1
            progress["tokens"] += batch.tokens
            progress["real_tokens"] += batch.real_tokens
            if progress["step"] % CHECK_EVERY == 0:
                _check_finite(losses, progress["step"])
            if interrupted():
                save(epoch_loss=losses.item())
                log.info("asked to end at step %d; the same command resumes from its checkpoint", progress["step"])
                raise Interrupted
        _check_finite(losses, progress["step"])
        encoder.model.eval()
        if words:
            words.widen(progress["step"])
        mean = losses.item() / (progress["step"] - first)
        rate = learning_rate(protocol, progress["step"] - 1, total)
        entry = {"epoch": epoch + 1, "step": progress["step"], "train_loss": mean, "learning_rate": rate, **on_epoch()}
        progress["history"].append(entry)
        log.info("%s", ", ".join(f"{key} {value:.5g}" for key, value in entry.items()))
        progress["epoch"] = epoch + 1
        if epoch + 1 < epochs:
            if words:
                words.narrow()
            save()
    return Fit(
        steps=progress["step"],
        tokens=progress["tokens"],
        real_tokens=progress["real_tokens"],
        flops=(take_step.flops or 0.0) * progress["tokens"],
        parts=take_step.parts,
        history=progress["history"],
        resumed=start is not None,
    )


def _check_finite(losses: torch.Tensor, step: int) -> None:
    if not torch.isfinite(losses):
        raise Diverged(f"the training loss was not finite by step {step}")

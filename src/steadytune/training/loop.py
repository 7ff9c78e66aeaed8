"""The training loop: one plain pass through batches, the same for every method, encoder and task."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from steadytune.encoders.encoder import Encoder
from steadytune.methods.base import Composition, Update
from steadytune.protocol import Protocol
from steadytune.training.batching import Batch, Batcher
from steadytune.training.checkpoints import load_checkpoint, save_checkpoint
from steadytune.training.forward import Forward
from steadytune.training.objective import Objective
from steadytune.training.optimisation import build_optimizer, learning_rate, set_learning_rate
from steadytune.training.precision import Precision
from steadytune.training.streams import Streams

log = logging.getLogger(__name__)

# Steps between two looks at the loss: each look makes a GPU wait for the host.
CHECK_EVERY = 50


class Diverged(Exception):
    """The loss is no longer a finite number."""


@dataclass
class Fit:
    """What `fit` did."""

    steps: int
    tokens: int
    real_tokens: int
    history: list[dict[str, float]]
    """One entry an epoch: epoch, step, train_loss, learning_rate, and what `on_epoch` returned."""
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
) -> Fit:
    """Fine-tune `encoder` in place.

    Args:
        encoder: already prepared by `method`.
        method: the cell's methods.
        batcher: the training split.
        protocol: optimiser, schedule, precision.
        streams: the cell's randomness.
        objective: the task's loss.
        checkpoint: written after every epoch but the last; continued from where it is present.
        fingerprint: the cell's; a checkpoint of another one is not continued.
        on_epoch: called after each epoch, with the encoder in evaluation mode; its values join the history.

    Raises:
        Diverged: the loss became NaN or infinite.
        torch.OutOfMemoryError: the device's memory does not hold a step.
    """
    parameters = {name: p for name, p in encoder.model.named_parameters() if p.requires_grad}
    optimizer = build_optimizer(parameters, protocol)
    precision = Precision(protocol.precision, streams.device)
    forward = Forward(encoder, method.methods, streams, objective, precision.backward)
    total = protocol.steps or protocol.epochs * len(batcher)
    epochs = math.ceil(total / len(batcher))
    start = load_checkpoint(checkpoint, encoder.model, optimizer, method, fingerprint)
    progress: dict[str, Any] = start or {"epoch": 0, "step": 0, "tokens": 0, "real_tokens": 0, "history": []}
    precision.scale = progress.get("loss_scale", precision.scale)

    for epoch in range(progress["epoch"], epochs):
        encoder.model.train()
        losses = torch.zeros((), dtype=torch.float64, device=streams.device)
        first = progress["step"]
        for batch in batcher.epoch(streams.order(epoch)):
            if progress["step"] == total:
                break
            rate = learning_rate(protocol, progress["step"], total)
            set_learning_rate(optimizer, rate)
            streams.at_step(progress["step"])
            update = Update(parameters, progress["step"], rate)
            losses += _step(batch, method, forward, optimizer, precision, update, protocol.gradient_clip)
            progress["step"] += 1
            progress["tokens"] += batch.tokens
            progress["real_tokens"] += batch.real_tokens
            if progress["step"] % CHECK_EVERY == 0:
                _check_finite(losses, progress["step"])
        _check_finite(losses, progress["step"])
        encoder.model.eval()
        mean = losses.item() / (progress["step"] - first)
        entry = {"epoch": epoch + 1, "step": progress["step"], "train_loss": mean, "learning_rate": rate, **on_epoch()}
        progress["history"].append(entry)
        log.info("%s", ", ".join(f"{key} {value:.5g}" for key, value in entry.items()))
        progress |= {"epoch": epoch + 1, "fingerprint": fingerprint, "loss_scale": precision.scale}
        if epoch + 1 < epochs:
            save_checkpoint(checkpoint, encoder.model, optimizer, method, progress)
    return Fit(progress["step"], progress["tokens"], progress["real_tokens"], progress["history"], start is not None)


def _step(
    batch: Batch,
    method: Composition,
    forward: Forward,
    optimizer: torch.optim.Optimizer,
    precision: Precision,
    update: Update,
    clip: float,
) -> torch.Tensor:
    """One update of the parameters; the detached loss."""
    with precision.autocast():
        loss = method.loss(forward, batch)
    precision.backward(loss)
    precision.unscale(list(update.parameters.values()))
    method.gradients(update.parameters, forward.streams)
    norm = nn.utils.clip_grad_norm_(update.parameters.values(), clip or math.inf)
    if precision.accept(norm):
        method.step(optimizer, update)
    optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def _check_finite(losses: torch.Tensor, step: int) -> None:
    if not torch.isfinite(losses):
        raise Diverged(f"the training loss was not finite by step {step}")

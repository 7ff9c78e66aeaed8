"""One update of the parameters from one batch, split into as many parts as the device's memory requires."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from steadytune.encoders.batching import Batch
from steadytune.methods.base import Composition, Update
from steadytune.methods.support.forward import Forward
from steadytune.training.flop_counter import flop_counter
from steadytune.training.precision import Precision

log = logging.getLogger(__name__)


@dataclass
class Step:
    """A training step: the loss, its gradients, the method's changes to them, clipping, and the optimiser.

    If memory runs out, this batch and all later ones are split into twice as many parts, whose gradients add up to the
    whole batch's. With a single part, the step does nothing but what the formula requires, not even a multiplication.
    """

    method: Composition
    forward: Forward
    optimizer: torch.optim.Optimizer
    precision: Precision
    clip: float
    """Upper bound on the L2 norm of the gradient; 0 means no bound."""
    parts: int = 1
    flops: float | None = None
    """FLOPs of the first step per position: counted as they happen, so methods need not declare what passes cost."""

    def __call__(self, batch: Batch, update: Update) -> Tensor:
        """Update the parameters; return the detached loss, averaged over the batch.

        Raises:
            torch.OutOfMemoryError: not even one example fits.
        """
        with self._counted(batch):
            loss, accepted = self._gradients(batch, update)
            if accepted:
                self.method.step(self.optimizer, replace(update, again=partial(self._again, batch, update)))
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def probe(self, batch: Batch, parameters: Mapping[str, nn.Parameter]) -> None:
        """Find how many parts memory requires, by computing the gradients of `batch`, without training on it."""
        state = {name: value.clone() for name, value in self.method.state().items()}
        # The memory that the optimiser's two moments will take.
        held = [torch.empty_like(p) for p in parameters.values() for _ in range(2)]
        self._in_parts(batch, 0)
        del held
        self.optimizer.zero_grad(set_to_none=True)
        self.method.restore(state)

    def _gradients(self, batch: Batch, update: Update, *, first: bool = True) -> tuple[Tensor, bool]:
        """Compute the gradients that the step will see; the loss, and whether to take the step (no fp16 overflow)."""
        loss = self._in_parts(batch, update.number, first=first)
        parameters = update.parameters.values()
        self.precision.unscale(list(parameters))
        self.method.gradients(update.parameters, self.forward.streams)
        norm = nn.utils.clip_grad_norm_(parameters, self.clip or math.inf)
        return loss, self.precision.accept(norm)

    def _again(self, batch: Batch, update: Update) -> Tensor:
        """`Update.again`. If the new gradients overflow, they are dropped and the optimiser changes nothing."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, accepted = self._gradients(batch, update, first=False)
        if not accepted:
            self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _in_parts(self, batch: Batch, number: int, *, first: bool = True) -> Tensor:
        """Accumulate the gradients of the batch, in more parts if memory is short; return the loss."""
        while True:
            try:
                return self._accumulate(batch, number, first=first)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.parts >= len(batch.rows):
                    raise
            # Outside the handler, whose traceback keeps the tensors of the failed attempt alive.
            self._halve()

    def _accumulate(self, batch: Batch, number: int, *, first: bool) -> Tensor:
        """Accumulate the gradients of every part; return the loss."""
        self.forward.streams.at_step(number)
        losses = []
        for place, part in enumerate(batch.split(self.parts)):
            self.forward.first_part = first and place == 0
            weight = part.share
            self.forward.backward = partial(self._backward, weight=weight)
            with self.precision.autocast():
                loss = self.method.loss(self.forward, part)
            self.forward.backward(loss)
            losses.append(loss.detach() if weight == 1 else weight * loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, loss: Tensor, weight: float) -> None:
        self.precision.backward(loss if weight == 1 else weight * loss)

    def _halve(self) -> None:
        """Discard the failed attempt, and split batches into twice as many parts."""
        self.optimizer.zero_grad(set_to_none=True)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.parts *= 2
        log.warning("out of memory: batches are cut into %d parts from here on", self.parts)

    @contextmanager
    def _counted(self, batch: Batch) -> Iterator[None]:
        if self.flops is not None:
            yield
            return
        with flop_counter() as counter:
            yield
        self.flops = counter.get_total_flops() / batch.tokens


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the memory of a device or of the machine ran out."""
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

"""One update of the parameters from one batch, in as many parts as the device's memory asks for."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    """The loss, its gradients, the method's changes of them, clipping, and the optimiser.

    Out of memory, a batch is cut into twice as many parts, whose gradients add up to the whole batch's: from then on,
    for every batch. With one part nothing is added to what the formula asks for, not even a multiplication.
    """

    method: Composition
    forward: Forward
    optimizer: torch.optim.Optimizer
    precision: Precision
    clip: float
    """Largest L2 norm of the gradient; 0 is no bound."""
    parts: int = 1
    flops: float | None = None
    """FLOPs of the first step, a position: counted as they happen, so no method has to say what its passes cost."""

    def __call__(self, batch: Batch, update: Update) -> Tensor:
        """Update the parameters; the detached loss, averaged over the batch.

        Raises:
            torch.OutOfMemoryError: not even one example fits.
        """
        # Where memory ends it ends in the first step, which has the longest batch: only that one is made undone.
        state = {name: value.clone() for name, value in self.method.state().items()} if update.number == 0 else {}
        while True:
            try:
                with self._counted(batch):
                    loss = self._gradients(batch, update)
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.parts >= len(batch.rows):
                    raise
            # After the handler, whose traceback keeps the tensors of the failed attempt alive.
            self._halve(state)
        parameters = update.parameters.values()
        self.precision.unscale(list(parameters))
        self.method.gradients(update.parameters, self.forward.streams)
        norm = nn.utils.clip_grad_norm_(parameters, self.clip or math.inf)
        if self.precision.accept(norm):
            self.method.step(self.optimizer, update)
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _gradients(self, batch: Batch, update: Update) -> Tensor:
        """Accumulate the gradients of every part; the loss."""
        self.forward.streams.at_step(update.number)
        losses = []
        for place, part in enumerate(batch.split(self.parts)):
            self.forward.first_part = place == 0
            weight = part.share
            self.forward.backward = partial(self._backward, weight=weight)
            with self.precision.autocast():
                loss = self.method.loss(self.forward, part)
            self.forward.backward(loss)
            losses.append(loss.detach() if weight == 1 else weight * loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, loss: Tensor, weight: float) -> None:
        self.precision.backward(loss if weight == 1 else weight * loss)

    def _halve(self, state: dict[str, Tensor]) -> None:
        """Go back to before the failed attempt, and cut batches into twice as many parts."""
        self.optimizer.zero_grad(set_to_none=True)
        if state:
            self.method.restore(state)
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
    """Whether an error says that memory, a device's or the machine's, did not suffice."""
    # The CPU's allocator raises a plain RuntimeError.
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

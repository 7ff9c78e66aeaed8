"""What a task's outputs are held against: its loss, and the divergence between two outputs for one input.

One for each kind of task; methods are written against the two functions and need not know the kind.
"""

from typing import Protocol

from torch import Tensor
from torch.nn import functional

from steadytune.methods.support.tensors import at_least_single


class Objective(Protocol):
    """The loss of a kind of task. Outputs are (B, C), and labels (B,), but for `Spans`."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The task loss of outputs (B, C), averaged over the batch."""
        ...

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """How far `logits` (B, C) are from `target` (B, C), averaged over the batch; gradients reach both."""
        ...

    def symmetric(self, first: Tensor, second: Tensor) -> Tensor:
        """The divergence both ways: its sum for distributions; for scores, whose divergence has no direction, once."""
        ...


class Classification:
    """Class probabilities: cross-entropy, and the Kullback-Leibler divergence KL(target || logits) an example."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(at_least_single(logits), labels)

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """KL(target || logits), in nats."""
        log_p, log_q = (at_least_single(x).log_softmax(-1) for x in (target, logits))
        return functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)

    def symmetric(self, first: Tensor, second: Tensor) -> Tensor:
        """KL both ways, added."""
        return self.divergence(first, second) + self.divergence(second, first)


class Spans(Classification):
    """Start and end of an answer, each a class among T tokens: the mean of both, averaged over the batch.

    Outputs are (B, 2, T), labels (B, 2). At padding all outputs are one number far below the others: it has no
    probability, and adds nothing to a divergence.
    """

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return super().loss(logits.flatten(0, 1), labels.flatten())

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """KL(target || logits), in nats."""
        return super().divergence(logits.flatten(0, 1), target.flatten(0, 1))


class Regression:
    """One score an example: the mean squared error, for the loss and between two outputs."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error."""
        scores = at_least_single(logits).squeeze(-1)
        return functional.mse_loss(scores, labels.to(scores.dtype))

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean squared difference."""
        return functional.mse_loss(at_least_single(logits), at_least_single(target))

    def symmetric(self, first: Tensor, second: Tensor) -> Tensor:
        """Mean squared difference."""
        return self.divergence(first, second)

"""The objective of a task: its loss, and the divergence between two outputs for the same input.

Each kind of task has one; methods call its functions and need not know the kind.
"""

from typing import Protocol

from torch import Tensor
from torch.nn import functional

from steadytune.methods.support.tensors import at_least_single


class Objective(Protocol):
    """Loss and divergence of a kind of task. Outputs are (B, C) and labels (B,), except for `Spans`."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The task loss of outputs (B, C), averaged over the batch."""
        ...

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """How far `logits` (B, C) are from `target` (B, C), averaged over the batch; gradients reach both."""
        ...

    def symmetric(self, first: Tensor, second: Tensor) -> Tensor:
        """The symmetric divergence: for distributions, both directions added; for scores, one, since they are equal."""
        ...


class Classification:
    """Class probabilities: cross-entropy, and the Kullback-Leibler divergence KL(target || logits) per example."""

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

    Outputs are (B, 2, T), labels (B, 2). At padding, all outputs are one number far below the others, so padding has
    probability 0 and adds nothing to a divergence.
    """

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy."""
        return super().loss(logits.flatten(0, 1), labels.flatten())

    def divergence(self, logits: Tensor, target: Tensor) -> Tensor:
        """KL(target || logits), in nats."""
        return super().divergence(logits.flatten(0, 1), target.flatten(0, 1))


class Regression:
    """One score per example: mean squared error, as the loss and between two outputs."""

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

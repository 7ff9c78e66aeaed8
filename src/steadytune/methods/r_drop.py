"""R-Drop: Regularized Dropout for Neural Networks (arXiv 2106.14448).

Two passes over the same batch differ in their dropout masks, and the loss penalises the difference of their outputs.
With L_k the task loss of pass k and p_k its predicted distributions,

    (L_1 + L_2) / 2 + alpha * (1/B) * sum over examples of ( KL(p_1 || p_2) + KL(p_2 || p_1) ) / 2

For regression, the second term is alpha times the mean squared difference of the two scores.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.methods.base import Hyperparameters, Method, Setup, setting

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.encoders.batching import Batch
    from steadytune.methods.support.forward import Forward


@dataclass(frozen=True, kw_only=True)
class RDropSettings(Hyperparameters):
    """R-Drop's hyper-parameters."""

    alpha: float = setting(1.0, at_least=0)
    """Weight of the divergence; HyPe takes the best of 0.1, 0.5 and 1 (arXiv 2212.08853, Table 15)."""
    form: Literal["paper", "released"] = "paper"
    """`paper`: the paper's loss. `released`: the released BERT code's: L_1 + L_2, the divergence summed over the batch
    instead of averaged, and for regression 2 * alpha times the mean squared difference."""
    hidden_dropout: float | None = setting(None, at_least=0, below=1)
    """Hidden dropout during fine-tuning, which makes the two passes differ; `null` keeps the checkpoint's. Ours."""


class RDrop(Method):
    """The mean task loss of two passes plus their divergence; gradients flow through both."""

    Settings = RDropSettings
    # With alpha 0.5 the released form has the constants of the BERT code: 0.5, and 1 for regression.
    names = {"r-drop": {}, "r-drop-released": {"form": "released", "alpha": 0.5}}
    source = "arXiv 2106.14448"

    @property
    def passes(self) -> tuple[float, float]:
        """Two passes."""
        return 2, 2

    def prepare(self, setup: Setup) -> None:
        """Set the hidden dropout if the settings give one."""
        if self.settings.hidden_dropout is not None:
            setup.encoder.set_hidden_dropout(self.settings.hidden_dropout)

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The task loss of both passes plus the weighted divergence between them."""
        alpha, divergence = self.settings.alpha, forward.objective.divergence
        first, second = forward(batch), forward(batch)
        task = forward.task_loss(first, batch) + forward.task_loss(second, batch)
        # Both directions added: twice their mean, and for scores twice the squared difference.
        apart = divergence(first.logits, second.logits) + divergence(second.logits, first.logits)
        if self.settings.form == "paper":
            return (task + alpha * apart) / 2
        # Turns the mean into the sum over the whole batch: the step weights a part's mean by its share of the batch.
        examples = 1 if batch.labels.is_floating_point() else len((batch.whole or batch).labels) / 2
        return task + alpha * examples * apart

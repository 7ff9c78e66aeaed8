"""FreeLB: Enhanced Adversarial Training for Natural Language Understanding (arXiv 1909.11764).

A perturbation delta of the word embeddings e climbs the task loss over K passes, and the parameters get the mean of the
K gradients. With T_i the number of tokens of example i, d the width, and norms over one example's tokens and width,

    delta_0 = init_magnitude / sqrt(T_i * d) * U(-1, 1)
    loss = (1/K) * sum over k < K of L(f(e + delta_k))
    delta_{k+1} = project( delta_k + adv_lr * g_k / ||g_k|| ),    g_k the gradient of the loss with respect to delta_k

where project scales a delta with a norm above max_norm back to max_norm. Padding is not perturbed, and the K passes of
a step share their dropout masks.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from steadytune.methods.base import Hyperparameters, Method, setting

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadytune.encoders.batching import Batch
    from steadytune.methods.support.forward import Forward


@dataclass(frozen=True, kw_only=True)
class FreeLBSettings(Hyperparameters):
    """FreeLB's hyper-parameters; defaults from the released RoBERTa script for MRPC, used for all tasks (ours)."""

    steps: int = setting(4, at_least=0)
    """K, the number of passes per step; 0 is plain fine-tuning. The released RoBERTa scripts count the K - 1 ascent
    steps between the passes (MRPC: 3); the ALBERT scripts count the passes."""
    init_magnitude: float = setting(0.64, at_least=0)
    """Size of the first perturbation: its norm is about init_magnitude / sqrt(3)."""
    adv_lr: float = setting(0.04, at_least=0)
    """Norm of one ascent step."""
    max_norm: float = setting(0.4, at_least=0)
    """Upper bound on the norm of each example's perturbation after an ascent step; 0 is no bound."""


class FreeLB(Method):
    """The mean task loss along an ascent over the word embeddings, with gradients accumulated pass by pass."""

    Settings = FreeLBSettings
    names = {"freelb": {}}
    source = "arXiv 1909.11764"

    @property
    def passes(self) -> tuple[float, float]:
        """K forward and K backward passes."""
        return max(1, self.settings.steps), max(1, self.settings.steps)

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The mean loss of the K passes, with gradients of the last only: the others are already back-propagated."""
        import torch

        steps = self.settings.steps
        if steps == 0:
            return super().loss(forward, batch)
        masks, delta, mean = forward.dropout_state(), self._start(forward, batch), 0.0
        for _ in range(steps - 1):
            share = self._loss_at(delta.requires_grad_(), forward, batch, masks) / steps
            # As in the training loop, compute gradients outside the forward pass's autocast context.
            with torch.autocast(share.device.type, enabled=False):
                forward.backward(share)
            mean = mean + share.detach()
            delta = self._climb(delta)
        return self._loss_at(delta, forward, batch, masks) / steps + mean

    @staticmethod
    def _loss_at(delta: "Tensor", forward: "Forward", batch: "Batch", masks: "Tensor") -> "Tensor":
        return forward.task_loss(forward(batch, on_embeddings=delta.add, dropout_state=masks), batch)

    def _start(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The initial perturbation (B, T, width of the word embeddings)."""
        table = cast("nn.Embedding", forward.encoder.model.get_input_embeddings()).weight
        real = batch.inputs["attention_mask"][..., None]
        drawn = table.new_empty(*real.shape[:2], table.shape[1]).uniform_(-1, 1, generator=forward.streams.noise)
        entries = (real.sum(1, keepdim=True) * table.shape[1]).to(drawn.dtype)
        return drawn * real * (self.settings.init_magnitude / entries.sqrt())

    def _climb(self, delta: "Tensor") -> "Tensor":
        """Take one normalised step along the gradient of `delta` (B, T, width); its scale (fp16) does not matter."""
        import torch

        assert delta.grad is not None
        # A gradient that vanishes or overflows gives no direction (after an fp16 overflow, the step is not taken).
        direction = torch.nan_to_num(delta.grad / _norm(delta.grad), nan=0.0)
        moved = delta.detach() + self.settings.adv_lr * direction
        return moved * (self.settings.max_norm / _norm(moved)).clamp(max=1) if self.settings.max_norm else moved


def _norm(tensor: "Tensor") -> "Tensor":
    """The Frobenius norm of each example of (B, T, width), as (B, 1, 1)."""
    return tensor.flatten(1).norm(dim=1)[:, None, None]

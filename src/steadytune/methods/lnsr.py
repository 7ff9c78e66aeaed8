"""LNSR: Noise Stability Regularization for Improving BERT Fine-tuning (arXiv 2107.04835; long version 2206.05658).

Noise is added to the representation at one layer, and the change it causes in the layers above is added to the task
loss as a penalty:

    L + weight * sum_r (1/n) sum_tokens || f_{b,r}(x_b + eps) - f_{b,r}(x_b) ||^2,     r = b+1 .. L

with x_b the input of layer b, f_{b,r} the layers from b up to r, and n the number of real tokens in the batch. The
papers' constants could not be established, so every default here is this project's choice (docs/methods.md).
"""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, setting
from steadytune.methods.support.tensors import at_least_single

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.encoders.batching import Batch, Batcher
    from steadytune.methods.support.forward import Forward

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LNSRSettings(Hyperparameters):
    """LNSR's hyper-parameters; all defaults are ours."""

    noise: Literal["gaussian", "in-manifold"] = "gaussian"
    """`gaussian`: N(0, sigma^2) on every entry. `in-manifold`: sigma * z * (x' - x), with z ~ N(0, 1) drawn once per
    example and x' the same token of another example in the batch, so noise is a difference of real representations."""
    sigma: float = setting(0.01, at_least=0)
    """Scale of the noise."""
    weight: float = setting(0.1, at_least=0)
    """Weight of the penalty."""
    layer: int | None = setting(None, at_least=0)
    """Layer b (0-based), whose input is noised; `null` is the middle layer, L // 2."""
    layers: tuple[int, ...] | None = setting(None, at_least=1)
    """Layers r whose output is regularised (1-based: r is the output of the r-th layer); `null` is all above b."""


class LNSR(Method):
    """The task loss plus the layers' squared change under noise.

    Both passes share their dropout masks and the noise of other methods (HyPe).
    """

    Settings = LNSRSettings
    names = {"lnsr": {"noise": "gaussian"}, "lnsr-in-manifold": {"noise": "in-manifold"}}
    source = "arXiv 2107.04835; arXiv 2206.05658"

    @property
    def passes(self) -> tuple[float, float]:
        """Half of the layers run twice, at the default `layer`."""
        return 1.5, 1.5

    def prepare(self, setup: Setup) -> None:
        """Resolve the layers and check them against the encoder's depth."""
        depth = setup.encoder.num_layers
        self.start = depth // 2 if self.settings.layer is None else self.settings.layer
        self.regularised = self.settings.layers or tuple(range(self.start + 1, depth + 1))
        if not (self.start < depth and all(self.start < layer <= depth for layer in self.regularised)):
            raise SteadyTuneError(
                f"method lnsr: layer {self.start} and layers {self.regularised} do not fit an encoder of {depth} "
                f"layers; expected layer below {depth} and layers in layer + 1 .. {depth}"
            )
        if self.settings.noise == "in-manifold":
            _check_pairs(setup.train)

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """Task loss plus penalty; only the layers from b upwards run twice."""
        if self.settings.weight == 0:
            return super().loss(forward, batch)
        # First, because `resume` reruns layers of the latest pass, which has to be the clean one below.
        partner = self._partner(forward, batch)
        output = forward(batch, keep_hidden=True, resumable_from=self.start)
        clean, mask = output.hidden, batch.inputs["attention_mask"]
        # The step weights a part's loss by its share of examples; this divisor makes the parts sum to the token mean.
        tokens = mask.sum() if batch.whole is None else batch.whole.real_tokens * batch.share
        entering = clean[self.start] + self._noise(clean[self.start], mask, partner, forward)
        noised = (entering, *forward.resume(self.start, entering))
        changes = (_squared(noised[layer - self.start], clean[layer], mask) / tokens for layer in self.regularised)
        return forward.task_loss(output, batch) + self.settings.weight * sum(changes)

    def _noise(
        self, hidden: "Tensor", mask: "Tensor", partner: "tuple[Tensor, Tensor] | None", forward: "Forward"
    ) -> "Tensor":
        """Noise in the shape of `hidden` (B, T, d), zero at padding; if in-manifold, at the partner's padding too.

        mask: (B, T), 1 at real tokens.
        """
        generator, real, hidden = forward.streams.noise, mask[..., None], hidden.detach()
        if self.settings.noise == "gaussian":
            return hidden.new_empty(hidden.shape).normal_(0, self.settings.sigma, generator=generator) * real
        # Shifting by one pairs each example with another of the batch (random order, similar lengths).
        others, others_real = hidden.roll(1, 0), real.roll(1, 0)
        if partner is not None:
            others[:1], others_real[:1] = partner[0], partner[1][..., None]
        step = hidden.new_empty(len(hidden), 1, 1).normal_(0, self.settings.sigma, generator=generator)
        return step * (others - hidden) * real * others_real

    def _partner(self, forward: "Forward", batch: "Batch") -> "tuple[Tensor, Tensor] | None":
        """Layer b's input (1, T, d) and the mask (1, T) of the example that the first one of a part is paired with.

        It lies in another part of the batch, so it needs a separate pass. None for a whole batch or Gaussian noise.
        """
        import torch

        if self.settings.noise == "gaussian" or batch.whole is None:
            return None
        before = batch.before()
        with torch.no_grad():
            return forward(before, keep_hidden=True).hidden[self.start], before.inputs["attention_mask"]


def _squared(noised: "Tensor", clean: "Tensor", mask: "Tensor") -> "Tensor":
    """Squared L2 distance between two (B, T, d) states, summed over the real tokens of `mask` (B, T)."""
    return (at_least_single(noised - clean).square().sum(-1) * mask).sum()


def _check_pairs(train: "Batcher") -> None:
    """Raise SteadyTuneError if batches have one example, which has no partner; warn if only one per epoch does."""
    if train.batch_size == 1:
        raise SteadyTuneError("method lnsr: in-manifold noise pairs examples of a batch: batch_size is 1, expected 2")
    if len(train.lengths) % train.batch_size == 1:
        log.warning("a batch of each epoch has a single example, which gets no in-manifold noise")

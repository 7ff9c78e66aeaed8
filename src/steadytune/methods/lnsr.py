"""LNSR: Noise Stability Regularization for Improving BERT Fine-tuning (arXiv 2107.04835; long version 2206.05658).

Noise is added to the representation at one layer, and the change that it causes in the layers above is penalised next
to the task loss:

    L + weight * sum_r (1/n) sum_tokens || f_{b,r}(x_b + eps) - f_{b,r}(x_b) ||^2,     r = b+1 .. L

with x_b the input of layer b, f_{b,r} the layers from b up to r, and n the number of real tokens in the batch. The
constants of the papers are not established; every default here is this project's choice (docs/methods.md).
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
    """N(0, sigma^2) on every entry; or sigma * z * (x' - x), a step of length z ~ N(0, 1) an example towards the same
    token of another example of the batch, which keeps the noise among differences of real representations."""
    sigma: float = setting(0.01, at_least=0)
    """Scale of the noise."""
    weight: float = setting(0.1, at_least=0)
    """Weight of the penalty."""
    layer: int | None = setting(None, at_least=0)
    """Layer b (0-based) whose input is noised; `null` is the middle one, L // 2."""
    layers: tuple[int, ...] | None = setting(None, at_least=1)
    """Layers r (1-based: r is the output of the r-th layer) that are regularised; `null` is every one above b."""


class LNSR(Method):
    """The task loss plus the layers' squared change under noise.

    Both passes have the same dropout masks, and the same noise of other methods (HyPe).
    """

    Settings = LNSRSettings
    names = {"lnsr": {"noise": "gaussian"}, "lnsr-in-manifold": {"noise": "in-manifold"}}
    source = "arXiv 2107.04835; arXiv 2206.05658"

    @property
    def passes(self) -> tuple[float, float]:
        """Half of the layers twice, at the default layer."""
        return 1.5, 1.5

    def prepare(self, setup: Setup) -> None:
        """Resolve and check the layers against the encoder's depth."""
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
        # First, because layers are run again on what the pass right before it leaves.
        partner = self._partner(forward, batch)
        output = forward(batch, keep_hidden=True, resumable_from=self.start)
        clean, mask = output.hidden, batch.inputs["attention_mask"]
        # A part of a batch is weighted by its examples: the parts then add up to the mean over the batch's tokens.
        tokens = mask.sum() if batch.whole is None else batch.whole.real_tokens * batch.share
        entering = clean[self.start] + self._noise(clean[self.start], mask, partner, forward)
        noised = (entering, *forward.resume(self.start, entering))
        changes = (_squared(noised[layer - self.start], clean[layer], mask) / tokens for layer in self.regularised)
        return forward.task_loss(output, batch) + self.settings.weight * sum(changes)

    def _noise(
        self, hidden: "Tensor", mask: "Tensor", partner: "tuple[Tensor, Tensor] | None", forward: "Forward"
    ) -> "Tensor":
        """Noise of the shape of `hidden` (B, T, d); zero where `mask` (B, T) marks padding, of either example."""
        generator, real, hidden = forward.streams.noise, mask[..., None], hidden.detach()
        if self.settings.noise == "gaussian":
            return hidden.new_empty(hidden.shape).normal_(0, self.settings.sigma, generator=generator) * real
        # A shift by one pairs every example with another one (in a random order, of similar length).
        others, others_real = hidden.roll(1, 0), real.roll(1, 0)
        if partner is not None:
            others[:1], others_real[:1] = partner[0], partner[1][..., None]
        step = hidden.new_empty(len(hidden), 1, 1).normal_(0, self.settings.sigma, generator=generator)
        return step * (others - hidden) * real * others_real

    def _partner(self, forward: "Forward", batch: "Batch") -> "tuple[Tensor, Tensor] | None":
        """What enters layer b, (1, T, d), and the mask (1, T), of the example that a part's first one is paired with.

        It lies in another part of the batch, so it takes a pass of its own. None in a whole batch.
        """
        import torch

        if self.settings.noise == "gaussian" or batch.whole is None:
            return None
        before = batch.before()
        with torch.no_grad():
            return forward(before, keep_hidden=True).hidden[self.start], before.inputs["attention_mask"]


def _squared(noised: "Tensor", clean: "Tensor", mask: "Tensor") -> "Tensor":
    """Squared L2 distance (B, T, d) -> scalar: the sum over the real tokens of `mask` (B, T)."""
    return (at_least_single(noised - clean).square().sum(-1) * mask).sum()


def _check_pairs(train: "Batcher") -> None:
    """Refuse batches of one example, which leave it nothing to be paired with; say so where only a last one is."""
    if train.batch_size == 1:
        raise SteadyTuneError("method lnsr: in-manifold noise pairs examples of a batch: batch_size is 1, expected 2")
    if len(train.lengths) % train.batch_size == 1:
        log.warning("a batch of each epoch has a single example, which gets no in-manifold noise")

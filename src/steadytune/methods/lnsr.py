"""LNSR: Noise Stability Regularization for Improving BERT Fine-tuning (arXiv 2107.04835; long version 2206.05658).

Noise is added to the representation at one layer, and the change that it causes in the layers above is penalised next
to the task loss:

    L + weight * sum_r (1/n) sum_tokens || f_{b,r}(x_b + eps) - f_{b,r}(x_b) ||^2,     r = b+1 .. L

with x_b the input of layer b, f_{b,r} the layers from b up to r, and n the number of real tokens in the batch. The
constants of the papers are not established; every default here is this project's choice (docs/methods.md).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, at_least_single, setting

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.training.batching import Batch
    from steadytune.training.forward import Forward


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
    """Layer b (0-based) whose input is noised; None is the middle one, L // 2."""
    layers: tuple[int, ...] | None = setting(None, at_least=1)
    """Layers r (1-based: r is the output of the r-th layer) that are regularised; None is every one above b."""


class LNSR(Method):
    """The task loss plus the layers' squared change under noise, both passes with the same dropout masks."""

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

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """Task loss plus penalty; only the layers from b upwards run twice."""
        if self.settings.weight == 0:
            return super().loss(forward, batch)
        output = forward(batch, keep_hidden=True, resumable_from=self.start)
        clean, mask = output.hidden, batch.inputs["attention_mask"]
        entering = clean[self.start] + self._noise(clean[self.start], mask, forward)
        noised = (entering, *forward.resume(self.start, entering))
        penalty = sum(self._change(noised[layer - self.start], clean[layer], mask) for layer in self.regularised)
        return forward.task_loss(output, batch) + self.settings.weight * penalty

    @staticmethod
    def _change(noised: "Tensor", clean: "Tensor", mask: "Tensor") -> "Tensor":
        """Squared L2 distance (B, T, d) -> scalar: the mean over the real tokens of `mask` (B, T)."""
        return (at_least_single(noised - clean).square().sum(-1) * mask).sum() / mask.sum()

    def _noise(self, hidden: "Tensor", mask: "Tensor", forward: "Forward") -> "Tensor":
        """Noise of the shape of `hidden` (B, T, d); zero where `mask` (B, T) marks padding."""
        generator = forward.streams.noise
        real = mask[..., None]
        if self.settings.noise == "gaussian":
            return hidden.new_empty(hidden.shape).normal_(0, self.settings.sigma, generator=generator) * real
        # A shift by one pairs every example with another one (in a random order, of similar length).
        towards = hidden.detach().roll(1, 0) - hidden.detach()
        step = hidden.new_empty(len(hidden), 1, 1).normal_(0, self.settings.sigma, generator=generator)
        return step * towards * real * real.roll(1, 0)

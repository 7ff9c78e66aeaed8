"""SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through Principled Regularized
Optimization (arXiv 1911.03437).

With D the symmetric divergence (KL both ways added, the squared difference for regression), e the word embeddings and
theta~ a running average of the weights, updated at the start of a step,

    L(f(e)) + weight * D(f(e + delta), f(e)) + proximal_weight * D(f(e; theta), f(e; theta~))
    theta~ <- momentum * theta~ + (1 - momentum) * theta

where delta starts at N(0, sigma^2) and climbs D for K steps of gradient ascent, projected on a ball:

    delta <- clamp( delta + eta * g / max|g|, -epsilon, epsilon ),    g the gradient of D(f(e + delta), f(e)) in delta

with the maximum over the tokens and the width of an example.

The released code has no proximal term. It perturbs the whole embedding output E(x) (words, positions, segments,
LayerNorm, dropout) and feeds the sum in as word embeddings, which are embedded a second time: f(E(x) + delta). Its
ascent and its smoothness term are in docs/methods.md.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from steadytune.methods.base import Hyperparameters, Method, setting
from steadytune.methods.support.tensors import at_least_single

if TYPE_CHECKING:
    from torch import Tensor, nn

    from steadytune.encoders.batching import Batch
    from steadytune.methods.support.forward import Forward
    from steadytune.methods.support.objective import Objective

# The constant inside the released code's surrogate of the divergence.
SURROGATE_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class SMARTSettings(Hyperparameters):
    """SMART's hyper-parameters; the paper's values are remembered, not checked against it (docs/methods.md)."""

    sigma: float = setting(1e-5, at_least=0)
    """Standard deviation of the first perturbation, in units of the word embeddings; paper and released code."""
    eta: float = setting(1e-3, at_least=0)
    """Step size of the ascent, the paper's: the largest entry of an example's perturbation moves by it. In the released
    form: what the gradient is multiplied by (1e-5 there)."""
    epsilon: float = setting(1e-5, above=0)
    """Radius of the ball, the paper's. In the released form: what is added to the maximum that a token's perturbation
    is divided by (1e-6 there)."""
    steps: int = setting(1, at_least=1)
    """K, the steps of the ascent; 1 in paper and released code."""
    weight: float = setting(1.0, at_least=0)
    """Weight of the smoothness term, lambda_s; the paper takes the best of 1, 3 and 5."""
    proximal_weight: float = setting(1.0, at_least=0)
    """Weight of the Bregman proximal term, mu; the paper's. The released code has no such term."""
    momentum: float = setting(0.99, at_least=0, at_most=1)
    """Share of the average that a step keeps, beta: the paper's for its first updates. Constant: ours."""
    form: Literal["paper", "released"] = "paper"
    """What is perturbed, the ascent and the smoothness term: the paper's, or the released code's."""


class SMART(Method):
    """Smoothness around the word embeddings of each example, and outputs that keep near those of averaged weights."""

    Settings = SMARTSettings
    names = {
        "smart": {},
        "smart-released": {"form": "released", "eta": 1e-5, "epsilon": 1e-6, "proximal_weight": 0.0},
    }
    source = "arXiv 1911.03437, Alg. 1"

    @property
    def passes(self) -> tuple[float, float]:
        """Clean, perturbed, averaged weights, and the ascent, which computes no gradients of weights."""
        return 2 + self.settings.steps + bool(self.settings.proximal_weight), 2 + self.settings.steps / 2

    def __init__(self, settings: SMARTSettings) -> None:
        super().__init__(settings)
        self._average: dict[str, Tensor] = {}

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The task loss and the two terms, each computed only where it has a weight."""
        smoothness, proximal = self.settings.weight, self.settings.proximal_weight
        if smoothness == proximal == 0:
            return super().loss(forward, batch)
        masks = forward.dropout_state()
        previous = self._previous(forward, batch) if proximal else None
        output = forward(batch, dropout_state=masks)
        loss = forward.task_loss(output, batch)
        if previous is not None:
            loss = loss + proximal * forward.objective.symmetric(output.logits, previous)
        if smoothness:
            embedded = forward.encoder.embed(batch.inputs) if self.settings.form == "released" else None
            delta = self._perturbation(forward, batch, output.logits.detach(), embedded)
            perturbed = self._perturbed(forward, batch, delta, embedded)
            loss = loss + smoothness * self._change(forward.objective, batch, perturbed, output.logits)
        return loss

    def state(self) -> "dict[str, Tensor]":
        """The averaged weights by the parameters' names."""
        return self._average

    def restore(self, state: "dict[str, Tensor]") -> None:
        """Go on averaging."""
        self._average = state

    def _previous(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The averaged weights' outputs (B, C), with the dropout masks and noise of the pass that follows."""
        import torch

        parameters = dict(forward.encoder.model.named_parameters())
        noise = forward.streams.noise.get_state()
        with torch.no_grad():
            if not self._average:
                self._average = {name: p.detach().clone() for name, p in parameters.items() if p.requires_grad}
            if forward.first_part:
                for name, average in self._average.items():
                    average.lerp_(parameters[name], 1 - self.settings.momentum)
            with _exchanged({name: parameters[name] for name in self._average}, self._average):
                logits = forward(batch).logits
        forward.streams.noise.set_state(noise)
        return logits

    @staticmethod
    def _perturbed(forward: "Forward", batch: "Batch", delta: "Tensor", embedded: "Tensor | None") -> "Tensor":
        """The outputs (B, C) where delta is added to the word embeddings, or to what takes their place."""
        change = delta.add if embedded is None else lambda words: embedded + delta
        return forward(batch, on_embeddings=change).logits

    def _perturbation(self, forward: "Forward", batch: "Batch", clean: "Tensor", embedded: "Tensor | None") -> "Tensor":
        """What the ascent ends at: (B, T, width of the word embeddings), zero on padding."""
        import torch

        table = cast("nn.Embedding", forward.encoder.model.get_input_embeddings()).weight
        real = batch.inputs["attention_mask"][..., None]
        drawn = table.new_empty(*real.shape[:2], table.shape[1])
        delta = drawn.normal_(0, self.settings.sigma, generator=forward.streams.noise) * real
        for _ in range(self.settings.steps):
            fixed = None if embedded is None else embedded.detach()
            logits = self._perturbed(forward, batch, delta.requires_grad_(), fixed)
            height = self._height(forward.objective, batch, logits, clean)
            # As in the loop, gradients are computed outside the region of the forward pass.
            with torch.autocast(height.device.type, enabled=False):
                (gradient,) = torch.autograd.grad(height, delta)
            delta = self._climb(delta.detach(), gradient)
        return delta

    def _height(self, objective: "Objective", batch: "Batch", logits: "Tensor", clean: "Tensor") -> "Tensor":
        """What the ascent climbs, for `logits` and constant `clean` (B, C); summed, so examples do not interact."""
        if self.settings.form == "paper" or batch.labels.is_floating_point():
            return len(batch.labels) * objective.symmetric(logits, clean)
        p, q = (at_least_single(x).softmax(-1) for x in (logits, clean))
        odds = [1 / (x.detach() + SURROGATE_EPSILON) - 1 + SURROGATE_EPSILON for x in (p, q)]
        return 2 * (p * (odds[1].log() - odds[0].log())).sum()

    def _climb(self, delta: "Tensor", gradient: "Tensor") -> "Tensor":
        """One step of the ascent from `delta` (B, T, width)."""
        import torch

        settings = self.settings
        if settings.form == "released":
            moved = delta + settings.eta * torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            return moved / (moved.abs().amax(-1, keepdim=True) + settings.epsilon)
        # An example whose outputs do not move (bf16 may round all change away) has no direction to climb.
        direction = torch.nan_to_num(gradient / gradient.abs().amax((1, 2), keepdim=True), nan=0.0)
        return (delta + settings.eta * direction).clamp(-settings.epsilon, settings.epsilon)

    def _change(self, objective: "Objective", batch: "Batch", perturbed: "Tensor", clean: "Tensor") -> "Tensor":
        """The smoothness term of outputs (B, C)."""
        if self.settings.form == "paper":
            return objective.symmetric(perturbed, clean)
        if batch.labels.is_floating_point():
            # Scores (B, 1) beside scores (B,): the released code takes the mean over all B x B pairs.
            return (at_least_single(perturbed) - at_least_single(clean).T).square().mean()
        return objective.divergence(perturbed, clean.detach()) + objective.divergence(clean, perturbed.detach())


@contextmanager
def _exchanged(parameters: "dict[str, nn.Parameter]", values: "dict[str, Tensor]") -> Iterator[None]:
    """Run with other values of these parameters, and put their own back."""
    import torch

    own = {name: parameter.data for name, parameter in parameters.items()}
    # Autocast keeps the half-precision copies of weights by parameter: those made of other values are none.
    torch.clear_autocast_cache()
    try:
        for name, parameter in parameters.items():
            parameter.data = values[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
        torch.clear_autocast_cache()

"""SMART: Robust and Efficient Fine-Tuning for Pre-trained Natural Language Models through Principled Regularized
Optimization (arXiv 1911.03437).

With D the symmetric divergence (KL both ways, added; for regression the squared difference), e the word embeddings and
theta~ a running average of the weights, updated at the start of each step, the loss is

    L(f(e)) + weight * D(f(e + delta), f(e)) + proximal_weight * D(f(e; theta), f(e; theta~))
    theta~ <- momentum * theta~ + (1 - momentum) * theta

delta is drawn from N(0, sigma^2) and climbs D in K steps of gradient ascent, projected onto a ball:

    delta <- clamp( delta + eta * g / max|g|, -epsilon, epsilon ),    g the gradient of D(f(e + delta), f(e)) in delta

The maximum is over the tokens and the width of one example.

The released code has no proximal term. It perturbs the whole embedding output E(x) (words, positions, segments,
LayerNorm, dropout) and feeds the sum in as word embeddings, so it is embedded a second time: f(E(x) + delta).
docs/methods.md gives its ascent and its smoothness term.
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

# Constant in the released code's surrogate for the divergence.
SURROGATE_EPSILON = 1e-6


@dataclass(frozen=True, kw_only=True)
class SMARTSettings(Hyperparameters):
    """SMART's hyper-parameters; the values could not be checked against the paper itself (docs/methods.md)."""

    sigma: float = setting(1e-5, at_least=0)
    """Standard deviation of the initial perturbation, in units of the word embeddings; as in paper and released
    code."""
    eta: float = setting(1e-3, at_least=0)
    """Step size of the ascent, the paper's: the entry with an example's largest gradient moves by eta. In the released
    form: the factor on the raw gradient (1e-5 there)."""
    epsilon: float = setting(1e-5, above=0)
    """Radius of the ball in the maximum norm, the paper's. In the released form: the constant added to the maximum that
    a token's perturbation is divided by (1e-6 there)."""
    steps: int = setting(1, at_least=1)
    """K, the number of ascent steps; 1 in paper and released code."""
    weight: float = setting(1.0, at_least=0)
    """Weight of the smoothness term, lambda_s; the paper takes the best of 1, 3 and 5."""
    proximal_weight: float = setting(1.0, at_least=0)
    """Weight of the Bregman proximal term, mu; the paper's value. The released code has no such term."""
    momentum: float = setting(0.99, at_least=0, at_most=1)
    """beta, the share of the average kept at each step: the paper's value for its first updates. Keeping it constant is
    ours."""
    form: Literal["paper", "released"] = "paper"
    """Whether the perturbed input, the ascent and the smoothness term are the paper's or the released code's."""


class SMART(Method):
    """Smoothness around each example's word embeddings, and outputs close to those of the averaged weights."""

    Settings = SMARTSettings
    names = {
        "smart": {},
        "smart-released": {"form": "released", "eta": 1e-5, "epsilon": 1e-6, "proximal_weight": 0.0},
    }
    source = "arXiv 1911.03437, Alg. 1"

    @property
    def passes(self) -> tuple[float, float]:
        """Clean, perturbed, averaged-weights and ascent passes.

        An ascent step computes no gradients of weights, so its backward pass counts half.
        """
        return 2 + self.settings.steps + bool(self.settings.proximal_weight), 2 + self.settings.steps / 2

    def __init__(self, settings: SMARTSettings) -> None:
        super().__init__(settings)
        self._average: dict[str, Tensor] = {}

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The task loss plus the smoothness and proximal terms; a term of weight 0 is not computed."""
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
        """The averaged weights, by parameter name."""
        return self._average

    def restore(self, state: "dict[str, Tensor]") -> None:
        """Restore the averaged weights."""
        self._average = state

    def _previous(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """Outputs (B, C) of the averaged weights, with the dropout masks and noise of the clean pass that follows."""
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
        """Outputs (B, C) with delta added to the word embeddings, or to `embedded`, which then replaces them."""
        change = delta.add if embedded is None else lambda words: embedded + delta
        return forward(batch, on_embeddings=change).logits

    def _perturbation(self, forward: "Forward", batch: "Batch", clean: "Tensor", embedded: "Tensor | None") -> "Tensor":
        """The perturbation that the ascent finds: (B, T, width of the word embeddings), zero on padding."""
        import torch

        table = cast("nn.Embedding", forward.encoder.model.get_input_embeddings()).weight
        real = batch.inputs["attention_mask"][..., None]
        drawn = table.new_empty(*real.shape[:2], table.shape[1])
        delta = drawn.normal_(0, self.settings.sigma, generator=forward.streams.noise) * real
        for _ in range(self.settings.steps):
            fixed = None if embedded is None else embedded.detach()
            logits = self._perturbed(forward, batch, delta.requires_grad_(), fixed)
            height = self._height(forward.objective, batch, logits, clean)
            # As in the training loop, compute gradients outside the forward pass's autocast context.
            with torch.autocast(height.device.type, enabled=False):
                (gradient,) = torch.autograd.grad(height, delta)
            delta = self._climb(delta.detach(), gradient)
        return delta

    def _height(self, objective: "Objective", batch: "Batch", logits: "Tensor", clean: "Tensor") -> "Tensor":
        """The ascent's objective for `logits` and constant `clean`, both (B, C); a sum, so examples do not interact."""
        if self.settings.form == "paper" or batch.labels.is_floating_point():
            return len(batch.labels) * objective.symmetric(logits, clean)
        p, q = (at_least_single(x).softmax(-1) for x in (logits, clean))
        odds = [1 / (x.detach() + SURROGATE_EPSILON) - 1 + SURROGATE_EPSILON for x in (p, q)]
        return 2 * (p * (odds[1].log() - odds[0].log())).sum()

    def _climb(self, delta: "Tensor", gradient: "Tensor") -> "Tensor":
        """Take one ascent step from `delta` (B, T, width)."""
        import torch

        settings = self.settings
        if settings.form == "released":
            moved = delta + settings.eta * torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            return moved / (moved.abs().amax(-1, keepdim=True) + settings.epsilon)
        # A gradient of 0 (bf16 may round all change away) gives 0 / 0: such an example does not move.
        direction = torch.nan_to_num(gradient / gradient.abs().amax((1, 2), keepdim=True), nan=0.0)
        return (delta + settings.eta * direction).clamp(-settings.epsilon, settings.epsilon)

    def _change(self, objective: "Objective", batch: "Batch", perturbed: "Tensor", clean: "Tensor") -> "Tensor":
        """The smoothness term between two outputs (B, C)."""
        if self.settings.form == "paper":
            return objective.symmetric(perturbed, clean)
        if batch.labels.is_floating_point():
            # The released code compares shapes (B, 1) and (B,), which gives the mean over all B x B pairs.
            return (at_least_single(perturbed) - at_least_single(clean).T).square().mean()
        return objective.divergence(perturbed, clean.detach()) + objective.divergence(clean, perturbed.detach())


@contextmanager
def _exchanged(parameters: "dict[str, nn.Parameter]", values: "dict[str, Tensor]") -> Iterator[None]:
    """Give the parameters other values inside the `with` block, and restore their own afterwards."""
    import torch

    own = {name: parameter.data for name, parameter in parameters.items()}
    # Autocast caches half-precision copies by parameter: after a change of values they are stale.
    torch.clear_autocast_cache()
    try:
        for name, parameter in parameters.items():
            parameter.data = values[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
        torch.clear_autocast_cache()

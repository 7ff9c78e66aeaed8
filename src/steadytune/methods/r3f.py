"""R3F: Better Fine-Tuning by Reducing Representational Collapse (arXiv 2008.03156).

A second pass sees the word embeddings e with parametric noise z, and the loss penalises the divergence of its output
from the clean pass's:

    L(f(e)) + weight * ( KL(f(e) || f(e + z)) + KL(f(e + z) || f(e)) )

z is drawn from N(0, sigma^2) or U(-sigma, sigma) for every token and step; each pass draws its own dropout masks.
For regression the divergence is the squared difference of the scores, as HyPe ran it (arXiv 2212.08853, App. B).
"""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from steadytune.methods.base import Hyperparameters, Method, setting

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.encoders.batching import Batch
    from steadytune.methods.support.forward import Forward


@dataclass(frozen=True, kw_only=True)
class R3FSettings(Hyperparameters):
    """R3F's hyper-parameters."""

    noise: Literal["normal", "uniform"] = "normal"
    """`normal`: N(0, sigma^2), used by HyPe. `uniform`: U(-sigma, sigma), the released code's default."""
    sigma: float = setting(1e-5, at_least=0)
    """Scale of the noise, in units of the word embeddings; the released code's default, and HyPe's."""
    weight: float = setting(1.0, at_least=0)
    """Weight of the divergence, the released code's default; HyPe takes the best of 0.1, 0.5 and 1."""
    detach_embeddings: bool = False
    """Whether the noised pass sends no gradient to the word embeddings, as in the released code."""
    regularise_regression: bool = True
    """Whether the divergence is added for regression too; the released code does not add it."""


class R3F(Method):
    """The task loss of a clean pass plus its symmetric divergence from a noised one; gradients flow through both.

    If another method of the cell perturbs hidden states, its perturbation replaces the noise; the clean pass is not
    perturbed (HyPe, arXiv 2212.08853, Table 16).
    """

    Settings = R3FSettings
    names = {
        "r3f": {"noise": "normal"},
        "r3f-u": {"noise": "uniform"},
        "r3f-released": {"noise": "uniform", "detach_embeddings": True, "regularise_regression": False},
    }
    source = "arXiv 2008.03156"

    @property
    def passes(self) -> tuple[float, float]:
        """A clean and a noised pass."""
        return 2, 2

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """Task loss of the clean pass plus the weighted divergence."""
        scores = batch.labels.is_floating_point()
        if self.settings.weight == 0 or (scores and not self.settings.regularise_regression):
            return super().loss(forward, batch)
        clean = forward(batch, perturb=False)
        noised = forward(batch, on_embeddings=partial(self._change, forward))
        divergence = forward.objective.symmetric(noised.logits, clean.logits)
        return forward.task_loss(clean, batch) + self.settings.weight * divergence

    def _change(self, forward: "Forward", words: "Tensor") -> "Tensor":
        """The word embeddings (B, T, width) of the noised pass."""
        words = words.detach() if self.settings.detach_embeddings else words
        if forward.perturbed:
            return words
        sigma, noise, generator = self.settings.sigma, words.new_empty(words.shape), forward.streams.noise
        if self.settings.noise == "normal":
            return words + noise.normal_(0, sigma, generator=generator)
        return words + noise.uniform_(-sigma, sigma, generator=generator)

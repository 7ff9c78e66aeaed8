"""NEFTune: Noisy Embeddings Improve Instruction Finetuning (arXiv 2310.05914).

Alg. 1: in every training pass, uniform noise is added to the word embeddings of an example of L tokens and width d:

    e <- e + alpha / sqrt(L * d) * U(-1, 1)

The noise has norm about alpha / sqrt(3) at any length. Evaluation has no noise.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.methods.base import Hyperparameters, Method, setting

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.streams import Streams


@dataclass(frozen=True, kw_only=True)
class NEFTuneSettings(Hyperparameters):
    """NEFTune's hyper-parameters."""

    alpha: float = setting(5.0, at_least=0)
    """Size of the noise; the paper takes the best of 5, 10 and 15."""
    length: Literal["example", "batch"] = "example"
    """What L counts. `example`: the real tokens of each example, with no noise on padding. `batch`: the width of the
    padded batch, as in the common implementation, so the noise depends on how much an example is padded."""


class NEFTune(Method):
    """Uniform noise on the word embeddings."""

    Settings = NEFTuneSettings
    names = {"neftune": {}, "neftune-released": {"length": "batch"}}
    source = "arXiv 2310.05914, Alg. 1"

    def perturb_words(self, words: "Tensor", real: "Tensor", streams: "Streams") -> "Tensor":
        """Return `words` (B, T, d) plus noise."""
        noise = words.new_empty(words.shape).uniform_(-1, 1, generator=streams.noise)
        if self.settings.length == "batch":
            return words + noise * (self.settings.alpha / (words.shape[1] * words.shape[2]) ** 0.5)
        entries = (real.sum(1, keepdim=True) * words.shape[2]).to(words.dtype)
        return words + noise * real * (self.settings.alpha / entries.sqrt())

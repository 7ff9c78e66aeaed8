"""NEFTune (arXiv 2310.05914) as a user's file."""

from dataclasses import dataclass

from steadytune.methods.base import Hyperparameters, Method, setting


@dataclass(frozen=True, kw_only=True)
class Settings(Hyperparameters):
    alpha: float = setting(5.0, at_least=0)
    """Size of the noise."""


class NoisyWords(Method):
    Settings = Settings
    names = {"noisy-words": {}}
    source = "arXiv 2310.05914"
    off = {"alpha": 0.0}

    def perturb_words(self, words, real, streams):
        noise = words.new_empty(words.shape).uniform_(-1, 1, generator=streams.noise)
        return words + noise * real * (self.settings.alpha / (real.sum(1, keepdim=True) * words.shape[2]).sqrt())

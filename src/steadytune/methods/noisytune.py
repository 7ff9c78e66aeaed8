"""NoisyTune: A Little Noise Can Help You Finetune Pretrained Language Models Better (arXiv 2202.12024).

Once, before training, every parameter W of the pretrained encoder is perturbed in proportion to its standard deviation:

    W <- W + U(-lambda/2, lambda/2) * std(W)

with an independent draw for each entry. std is the sample standard deviation over the entries of W (divisor n - 1, as
in torch.std). Training itself is plain fine-tuning.
"""

from dataclasses import dataclass

from steadytune.methods.base import Hyperparameters, Method, Setup, setting


@dataclass(frozen=True, kw_only=True)
class NoisyTuneSettings(Hyperparameters):
    """NoisyTune's hyper-parameters."""

    intensity: float = setting(0.15, at_least=0)
    """lambda, the width of the noise's range in standard deviations of a parameter; HyPe's grid is 0.1, 0.15, 0.2."""
    head: bool = False
    """Whether the new head is perturbed too, as in released code; its initial weights then differ from every other
    method's."""


class NoisyTune(Method):
    """Plain fine-tuning from a perturbed encoder."""

    Settings = NoisyTuneSettings
    names = {"noisytune": {"head": False}, "noisytune-released": {"head": True}}
    source = "arXiv 2202.12024"
    changes_pretrained = True

    def prepare(self, setup: Setup) -> None:
        """Add the noise in the order of the model's parameters; scalars have no deviation and stay unchanged."""
        import torch

        if self.settings.intensity == 0:
            return
        encoder, bound = setup.encoder, self.settings.intensity / 2
        chosen = dict(encoder.model.named_parameters()) if self.settings.head else encoder.encoder_parameters()
        with torch.no_grad():
            for parameter in chosen.values():
                if parameter.numel() > 1:
                    noise = torch.empty_like(parameter).uniform_(-bound, bound, generator=setup.streams.noise)
                    parameter.add_(noise.mul_(parameter.std()))

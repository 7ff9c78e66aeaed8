"""NoisyTune: A Little Noise Can Help You Finetune Pretrained Language Models Better (arXiv 2202.12024).

Once, before training, every parameter W of the pretrained encoder is perturbed in proportion to its own spread:

    W <- W + U(-lambda/2, lambda/2) * std(W)

with independent draws for the entries and std the sample standard deviation over the entries of W (n - 1 below the
sum, as torch.std has it). Training itself is plain.
"""

from dataclasses import dataclass

from steadytune.methods.base import Hyperparameters, Method, Setup, setting


@dataclass(frozen=True, kw_only=True)
class NoisyTuneSettings(Hyperparameters):
    """NoisyTune's hyper-parameters."""

    intensity: float = setting(0.15, at_least=0)
    """lambda, the width of the noise in standard deviations of each parameter; HyPe's grid is 0.1, 0.15, 0.2."""
    head: bool = False
    """Whether the fresh head is perturbed too, as released code does; its first weights are then no other method's."""


class NoisyTune(Method):
    """Plain fine-tuning from a perturbed encoder."""

    Settings = NoisyTuneSettings
    names = {"noisytune": {"head": False}, "noisytune-released": {"head": True}}
    source = "arXiv 2202.12024"
    changes_pretrained = True

    def prepare(self, setup: Setup) -> None:
        """Add the noise, in the order of the model's parameters; single numbers have no spread and stay."""
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

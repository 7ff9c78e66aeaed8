"""LoRA: Low-Rank Adaptation of Large Language Models (arXiv 2106.09685), through the library peft.

Each projection that makes queries or values gets a trained update of low rank beside its frozen weight:

    h = W_0 x + b_0 + (alpha / r) B A x,     A in R^{r x d_in} drawn at random,  B in R^{d_out x r} zero at first

Trained are all A and B, and the head. A(x) sees x after a dropout of its own where that is not 0.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, setting

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class LoRASettings(Hyperparameters):
    """LoRA's hyper-parameters; the values of rank and alpha are ours."""

    rank: int = setting(8, at_least=1)
    """r, the rank of the update."""
    alpha: float = setting(16, above=0)
    """The update is scaled by alpha / r."""
    dropout: float = setting(0.0, at_least=0, below=1)
    """Dropout on what enters A."""
    initial: Literal["uniform", "normal"] = "uniform"
    """A's entries: U(-1/sqrt(d_in), 1/sqrt(d_in)), as released code (loralib) and peft draw them; or N(0, 1/r^2), for
    the paper's "random Gaussian", whose scale it does not give (1/r is peft's)."""


class LoRA(Method):
    """Fine-tuning of low-rank updates of the query and value projections."""

    Settings = LoRASettings
    names = {"lora": {}}
    source = "arXiv 2106.09685, sec. 4.1"
    selects_parameters = True
    freezes_weights = True

    @property
    def passes(self) -> tuple[float, float]:
        """Half of a backward pass: gradients of activations, next to none of weight matrices."""
        return 1, 0.5

    def prepare(self, setup: Setup) -> None:
        """Put peft's layers in the projections' places, freeze the rest of the encoder, and draw A anew."""
        import torch
        from peft import LoraConfig, inject_adapter_in_model

        encoder, settings = setup.encoder, self.settings
        if not encoder.architecture.projections:
            raise SteadyTuneError(
                f"method lora: {encoder.model.config.model_type} has bare parameters for its attention's projections, "
                "which no module can stand for"
            )
        paths = encoder.architecture.projections
        projections = {layer.get_submodule(path) for layer in encoder.layers() for path in paths}
        names = [name for name, module in encoder.model.named_modules() if module in projections]
        config = LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=names,
            # GPT-2's matrices are the other way round.
            fan_in_fan_out=not all(isinstance(module, torch.nn.Linear) for module in projections),
        )
        devices = [encoder.device] if encoder.device.type == "cuda" else []
        # peft draws its first A from the global generators.
        with torch.random.fork_rng(devices=devices):
            inject_adapter_in_model(config, encoder.model)
        for parameter in encoder.head_parameters().values():
            parameter.requires_grad_(True)
        with torch.no_grad():
            for name, parameter in encoder.model.named_parameters():
                if ".lora_A." in name:
                    self._draw(parameter, setup.streams.noise)

    def _draw(self, a: "Tensor", generator: "Generator") -> None:
        """A (r, d_in) in place."""
        if self.settings.initial == "normal":
            a.normal_(0, 1 / self.settings.rank, generator=generator)
        else:
            bound = a.shape[1] ** -0.5
            a.uniform_(-bound, bound, generator=generator)

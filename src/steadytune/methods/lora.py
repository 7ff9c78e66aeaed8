"""LoRA: Low-Rank Adaptation of Large Language Models (arXiv 2106.09685), through the library peft.

Each query and value projection gets a trained low-rank update in addition to its frozen weight:

    h = W_0 x + b_0 + (alpha / r) B A x,     A in R^{r x d_in} drawn at random,  B in R^{d_out x r} zero at first

Only A, B and the head are trained. If `dropout` is not 0, it acts on x before A.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import Hyperparameters, Method, Setup, setting

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class LoRASettings(Hyperparameters):
    """LoRA's hyper-parameters; the defaults of rank and alpha are ours."""

    rank: int = setting(8, at_least=1)
    """r, the rank of the update."""
    alpha: float = setting(16, above=0)
    """The update is scaled by alpha / r."""
    dropout: float = setting(0.0, at_least=0, below=1)
    """Dropout on the input of A."""
    initial: Literal["uniform", "normal"] = "uniform"
    """Distribution of A's entries. `uniform`: U(-1/sqrt(d_in), 1/sqrt(d_in)), as in released code (loralib) and peft.
    `normal`: N(0, 1/r^2), for the paper's "random Gaussian", whose scale it does not give (1/r is peft's)."""


class LoRA(Method):
    """Fine-tuning of low-rank updates of the query and value projections."""

    Settings = LoRASettings
    names = {"lora": {}}
    source = "arXiv 2106.09685, sec. 4.1"
    selects_parameters = True
    freezes_weights = True

    @property
    def passes(self) -> tuple[float, float]:
        """Half a backward pass: gradients of activations, but almost none of weight matrices."""
        return 1, 0.5

    def prepare(self, setup: Setup) -> None:
        """Replace the projections with peft's layers, freeze the rest of the encoder, and redraw A."""
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
            # GPT-2 stores its matrices transposed.
            fan_in_fan_out=not all(isinstance(module, torch.nn.Linear) for module in projections),
        )
        devices = [encoder.device] if encoder.device.type == "cuda" else []
        # peft draws its own A from the global generators, whose state must not change.
        with torch.random.fork_rng(devices=devices):
            inject_adapter_in_model(config, encoder.model)
        for parameter in encoder.head_parameters().values():
            parameter.requires_grad_(True)
        with torch.no_grad():
            for name, parameter in encoder.model.named_parameters():
                if ".lora_A." in name:
                    self._draw(parameter, setup.streams.noise)

    def _draw(self, a: "Tensor", generator: "Generator") -> None:
        """Draw A, of shape (r, d_in), in place."""
        if self.settings.initial == "normal":
            a.normal_(0, 1 / self.settings.rank, generator=generator)
        else:
            bound = a.shape[1] ** -0.5
            a.uniform_(-bound, bound, generator=generator)

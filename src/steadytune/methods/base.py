"""What a method may do: the hooks, the forward pass it is handed, and how several methods compose.

A method overrides the hooks it needs and nothing else in the project knows its name. In a composition `a+b`, `prepare`,
`perturb` and `gradients` of a run before those of b; `loss` and `step` belong to the one method that overrides them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from steadytune.encoders.encoder import Encoder, EncoderOutput
    from steadytune.training.batching import Batch
    from steadytune.training.streams import Streams


@dataclass(frozen=True)
class NoSettings:
    """The settings of a method that has none."""


class Method:
    """Plain fine-tuning: the parent of every method, whose hooks change nothing."""

    Settings: ClassVar[type] = NoSettings
    """A frozen dataclass: hyper-parameters with defaults, documented, checked in `__post_init__` (ValueError)."""
    names: ClassVar[dict[str, dict[str, Any]]] = {}
    """The names it goes by, each with the settings that the name stands for."""
    source: ClassVar[str] = ""
    """Paper and section."""
    passes: ClassVar[tuple[float, float]] = (1, 1)
    """Forward and backward passes a step, counted in whole passes of the encoder."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    def prepare(self, encoder: "Encoder", streams: "Streams") -> None:
        """Change the encoder once before training: switch dropout off, freeze, add or perturb parameters."""

    def perturb(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """What enters layer `layer` (0-based) instead of `hidden` (B, T, d); in training only.

        What it draws comes from `streams.noise`.
        """
        return hidden

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The scalar that is minimised; by default the task loss of one forward pass."""
        return forward.task_loss(forward(batch), batch)

    def gradients(self, parameters: dict[str, "nn.Parameter"]) -> None:
        """Change the gradients in place, before clipping and the optimiser's step."""

    def step(self, optimizer: "Optimizer") -> None:
        """Update the parameters; by default the optimiser does."""
        optimizer.step()


@dataclass
class Forward:
    """The training forward pass of one cell, as handed to `Method.loss`: perturbed by every method of the cell."""

    encoder: "Encoder"
    methods: Sequence[Method]
    streams: "Streams"
    regression: bool

    def __call__(
        self, batch: "Batch", *, keep_hidden: bool = False, resumable_from: int | None = None
    ) -> "EncoderOutput":
        """Run the encoder on a batch; `keep_hidden` and `resumable_from` as in `Encoder`."""
        return self.encoder(
            batch.inputs, on_layer_input=self._perturb(), keep_hidden=keep_hidden, resumable_from=resumable_from
        )

    def resume(self, start: int, hidden: "Tensor") -> tuple["Tensor", ...]:
        """Run layers `start`.. of the last batch again, on `hidden` (B, T, d): their outputs, with the same dropout."""
        return self.encoder.resume(start, hidden, on_layer_input=self._perturb())

    def task_loss(self, output: "EncoderOutput", batch: "Batch") -> "Tensor":
        """Cross-entropy of the labels, or mean squared error for regression, averaged over the batch."""
        from torch.nn import functional

        logits = at_least_single(output.logits)
        if self.regression:
            return functional.mse_loss(logits.squeeze(-1), batch.labels.to(logits.dtype))
        return functional.cross_entropy(logits, batch.labels)

    def _perturb(self) -> Callable[[int, "Tensor"], "Tensor"] | None:
        active = [method for method in self.methods if overrides(type(method), "perturb")]
        if not active:
            return None

        def perturb(layer: int, hidden: "Tensor") -> "Tensor":
            for method in active:
                hidden = method.perturb(layer, hidden, self.streams)
            return hidden

        return perturb


class Composition:
    """The methods of a cell, as the training loop calls them."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods = methods

    def prepare(self, encoder: "Encoder", streams: "Streams") -> None:
        """Every method's, in the order of the name."""
        for method in self.methods:
            method.prepare(encoder, streams)

    def loss(self, forward: Forward, batch: "Batch") -> "Tensor":
        """The owner's."""
        return self._owner("loss").loss(forward, batch)

    def gradients(self, parameters: dict[str, "nn.Parameter"]) -> None:
        """Every method's, in the order of the name."""
        for method in self.methods:
            method.gradients(parameters)

    def step(self, optimizer: "Optimizer") -> None:
        """The owner's."""
        self._owner("step").step(optimizer)

    def _owner(self, hook: str) -> Method:
        overriding = (method for method in self.methods if overrides(type(method), hook))
        return next(overriding, self.methods[0])


def at_least_single(tensor: "Tensor") -> "Tensor":
    """Half-precision values as fp32, in which losses and penalties are summed; others as they are."""
    return tensor.float() if tensor.dtype.itemsize < 4 else tensor


def overrides(cls: type[Method], hook: str) -> bool:
    """Whether a method has a hook of its own."""
    return getattr(cls, hook) is not getattr(Method, hook)

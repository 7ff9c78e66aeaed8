"""A method on a tiny encoder, which the checks of methods and the tests train and inspect."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from steadytune.encoders.batching import Batch, Batcher, order_digest
from steadytune.methods import registry
from steadytune.methods.base import Composition, Method, Setup, Update, overrides
from steadytune.methods.support.forward import Forward
from steadytune.methods.support.objective import Classification
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded
from steadytune.training.loop import Fit, fit
from steadytune.training.optimisation import build_optimizer
from steadytune.training.precision import Precision
from steadytune.training.step import Step
from steadytune.trials.tiny import tiny_encoder

PERTURBING = ("perturb_words", "perturb", "perturb_attention")
RETURNING = (*PERTURBING, "loss", "state", "unread_words")
"""The hooks whose return value the training loop uses."""
LEARNING_RATE = 1e-4
"""High enough for a few steps to have an effect, low enough for methods that bound it: RecAdam by 1 / gamma = 2e-4."""


class _Streams(Streams):
    """Streams that remember the current step."""

    step: int | str = "prepare"

    def at_step(self, step: Any) -> None:
        self.step = step
        super().at_step(step)


class Trial:
    """A method prepared on a tiny encoder; an epoch is three steps on twelve examples."""

    def __init__(
        self,
        name: str,
        settings: dict[str, Any] | None = None,
        *,
        layout: str = "bert",
        double: bool = False,
        also: tuple[Method, ...] = (),
        longest: int = 9,
        epochs: int = 2,
        default_seed: int | None = None,
        **changes: Any,
    ) -> None:
        """settings: override the method's. also: methods to add to it. default_seed: of torch's default generator
        in `prepare`. changes: overrides of the configuration.
        """
        draw = np.random.Generator(np.random.Philox(3))
        ids = [draw.integers(6, 50, size) for size in draw.integers(5, longest + 1, 12)]
        self.encoder = tiny_encoder(layout, num_labels=3, **changes)
        if double:
            self.encoder.model.double()
        self.data = Batcher(Encoded(ids, None, np.arange(12) % 3, np.arange(12), 0), self.encoder.padding, 4)
        parts, _ = registry.parse(name, {name: settings or {}})
        self.streams = _Streams(5)
        self.method = Composition([*(_watched(part.build()) for part in parts), *also])
        self.first_passes: dict[int | str, Tensor] = {}
        self.encoder.model.register_forward_pre_hook(self._remember)
        self.epochs = epochs
        steps = epochs * len(self.data)
        selected = 2 if any(each.reads_selection for each in self.method.methods) else None
        setup = Setup(self.encoder, self.streams, Classification(), self.data, selected_layer=selected, steps=steps)
        if default_seed is not None:
            torch.manual_seed(default_seed)
        self.method.prepare(setup)
        self.head = {key: p.detach().clone() for key, p in self.encoder.head_parameters().items()}
        self.order = order_digest(self.data.order(self.streams.order(0)))

    def fit(self, folder: Path, on_epoch: Callable[[], dict[str, float]] = dict, **protocol: Any) -> Fit:
        """Train, resuming from a checkpoint in `folder` if there is one."""
        settings = Protocol(**{"epochs": self.epochs, "batch_size": 4, "learning_rate": LEARNING_RATE} | protocol)
        return fit(self.encoder, self.method, self.data, settings, self.streams, objective=Classification(),
                   checkpoint=folder / "checkpoint.safetensors", fingerprint="trial", on_epoch=on_epoch)  # fmt: skip

    def stepper(self, parts: int = 1) -> Callable[[int], Tensor]:
        """Return a function that takes a step's number, makes that step on the longest batch and returns the loss."""
        parameters = {name: p for name, p in self.encoder.model.named_parameters() if p.requires_grad}
        forward = Forward(self.encoder, self.method.hooks(), self.streams, Classification())
        optimizer = build_optimizer(parameters, Protocol())
        step = Step(self.method, forward, optimizer, Precision("fp32", "cpu"), clip=0.0, parts=parts, flops=0.0)
        batch = self.data.largest()
        self.encoder.model.train()
        return lambda number: step(batch, Update(parameters, number, 0.0))

    def weights(self) -> dict[str, Tensor]:
        """Every parameter by name."""
        return {name: p.detach() for name, p in self.encoder.model.named_parameters()}

    def _remember(self, model: torch.nn.Module, _: Any) -> None:
        if model.training:
            self.first_passes.setdefault(self.streams.step, torch.get_rng_state())


def _watched(method: Method) -> Method:
    """Make a method's hooks raise if they return a value the loop cannot use, which would fail far from its file."""
    for hook in RETURNING:
        if overrides(type(method), hook):
            setattr(method, hook, _returning(hook, getattr(method, hook)))
    return method


def _returning(name: str, hook: Callable) -> Callable:
    def call(*arguments: Any) -> Any:
        found = hook(*arguments)
        if expected := _expected(name, found, arguments):
            code = inspect.unwrap(hook).__code__
            where = f"{Path(code.co_filename).name} line {code.co_firstlineno}"
            raise TypeError(f"{where}: {code.co_name} returned {_in_words(found)}, expected {expected}")
        return found

    return call


def _expected(name: str, found: Any, arguments: tuple[Any, ...]) -> str | None:
    """What a hook should have returned instead of `found`; None if `found` is valid."""
    tensor = isinstance(found, Tensor)
    if name in PERTURBING:
        shape = arguments[name != "perturb_words"].shape
        return None if tensor and found.shape == shape else f"a tensor of shape {tuple(shape)}"
    if name == "loss":
        return None if tensor and found.ndim == 0 and found.requires_grad else "a scalar that gradients come from"
    if name == "state":
        held = isinstance(found, dict) and all(isinstance(value, Tensor) for value in found.values())
        return None if held else "tensors by name"
    return None if isinstance(found, int | float) else "a number"


def _in_words(found: Any) -> str:
    if isinstance(found, Tensor):
        kind = f"a tensor of shape {tuple(found.shape)}" if found.ndim else "a scalar"
        return kind if found.requires_grad else f"{kind} without gradient"
    if isinstance(found, dict):
        return f"a mapping to {sorted({type(value).__name__ for value in found.values()})[0]}"
    return "None" if found is None else f"a {type(found).__name__}"


class Shift(Method):
    """Shifts the input of layer 0 in every second pass over a part, so that passes differ without dropout.

    A method may also run examples next to its part, which it need not do for the whole batch: those passes do not
    count.
    """

    def prepare(self, setup: Setup) -> None:
        """Observe which examples each pass is over."""
        setup.encoder.model.register_forward_pre_hook(self._see, with_kwargs=True)

    def begin(self, part: Batch) -> None:
        """Start counting the passes over a part."""
        self._examples, self._passes = part.inputs["input_ids"], 0

    def perturb(self, layer: int, hidden: Tensor, streams: Streams) -> Tensor:
        """Shift by a fixed vector."""
        if layer or not self._counts:
            return hidden
        self._passes += 1
        shift = torch.linspace(-1, 1, hidden.shape[-1], dtype=hidden.dtype)
        return hidden + (self._passes % 2 == 0) * shift

    def _see(self, model: torch.nn.Module, _: Any, inputs: dict[str, Any]) -> None:
        self._counts = torch.equal(inputs["input_ids"], self._examples)


class Watch(Method):
    """Keeps a copy of the gradients that methods see."""

    def gradients(self, parameters: Any, streams: Streams) -> None:
        """Copy the gradients."""
        self.found = {name: p.grad.clone() for name, p in parameters.items() if p.grad is not None}


class SameNoise(TorchDispatchMode):
    """Gives every example of a part, and so of the whole batch, the noise of the first example.

    Otherwise a method that draws noise layer by layer gives an example different noise in a part than in the whole
    batch, which is not a fault of the method.
    """

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.generator = generator
        self.draws = 0
        """Number of draws so far in a part."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation; if it drew noise, repeat the first row."""
        # Do not compare generators: Python sees a different wrapper of the same generator in every call.
        drawing = (kwargs or {}).get("generator") is not None
        if drawing:
            self.generator.manual_seed(self.draws)
            self.draws += 1
        found = func(*args, **(kwargs or {}))
        if drawing and found.ndim > 1:
            found.copy_(found[:1].clone().expand_as(found))
        return found

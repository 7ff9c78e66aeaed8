"""Hooks on one forward pass, layer by layer: they expose, change and record the layers' inputs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from steadytune.encoders.architectures import Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedModel

LayerInput = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Call:
    """A layer's arguments other than its hidden state, and the random state when it was called."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    random_state: Tensor


@dataclass
class Recording:
    """What `resume` needs from the last forward pass: the calls of layers start..L-1."""

    start: int
    shape: torch.Size = field(default_factory=torch.Size)
    calls: list[Call] = field(default_factory=list)
    extra_arguments: tuple[Any, ...] = ()

    def replay(self, architecture: Architecture, model: "PreTrainedModel", layer: int, hidden: Tensor) -> Tensor:
        """Run a layer on another input (batch, tokens, width), with all else as in the recorded pass.

        The layer starts from the recorded random state; the caller's is restored afterwards.
        """
        call = self.calls[layer - self.start]
        native = architecture.native(hidden)
        generator = generator_of(hidden.device)
        outer = generator.get_state()
        generator.set_state(call.random_state)
        try:
            output = hidden_of(architecture.layers(model)[layer](native, *call.arguments, **call.keywords))
            extra = architecture.after_first_layer(model)
            if layer == 0 and extra is not None:
                output = extra(native, output, *self.extra_arguments)
        finally:
            generator.set_state(outer)
        return architecture.batch_first(output)


class Pass:
    """Hooks on the layers during one forward pass."""

    def __init__(
        self,
        architecture: Architecture,
        model: "PreTrainedModel",
        on_layer_input: LayerInput | None,
        on_attention_output: LayerInput | None,
        keep_hidden: bool,
        resumable_from: int | None,
    ) -> None:
        self.hidden: list[Tensor] = []
        self.recording = None if resumable_from is None else Recording(resumable_from)
        self._architecture = architecture
        self._layers = architecture.layers(model)
        self._extra = architecture.after_first_layer(model)
        self._on_layer_input = on_layer_input
        self._on_attention_output = on_attention_output
        self._keep_hidden = keep_hidden
        self._entered = 0
        self._first_input: Tensor | None = None
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> "Pass":
        if not (self._on_layer_input or self._on_attention_output or self._keep_hidden or self.recording):
            return self
        last = self._extra if self._extra is not None and len(self._layers) == 1 else self._layers[-1]
        modules = dict.fromkeys(self._layers)  # ALBERT: one hook for a repeated module
        for module in modules:
            self._handles.append(module.register_forward_pre_hook(self._enter_layer, with_kwargs=True))
            if self._on_attention_output is not None:
                block = module.get_submodule(self._architecture.attention_block)
                self._handles.append(block.register_forward_hook(self._leave_attention))
        if self._extra is not None:
            self._handles.append(self._extra.register_forward_pre_hook(self._enter_extra))
        if self._keep_hidden:
            self._handles.append(last.register_forward_hook(self._leave))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _enter_layer(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        layer = self._entered
        self._entered += 1
        hidden = self._architecture.batch_first(args[0])
        if self._keep_hidden:
            self.hidden.append(hidden)
        if self._on_layer_input is not None:
            hidden = self._on_layer_input(layer, hidden)
        # The layer continues from the kept tensor, so that gradients with respect to it exist.
        native = self._architecture.native(hidden)
        if layer == 0:
            self._first_input = native
        if self.recording is not None and layer >= self.recording.start:
            self.recording.shape = hidden.shape
            self.recording.calls.append(Call(args[1:], kwargs, generator_of(hidden.device).get_state()))
        return (native, *args[1:]), kwargs

    def _leave_attention(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        assert self._on_attention_output is not None
        return change_attention(self._architecture, self._on_attention_output, self._entered - 1, output)

    def _enter_extra(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.recording is not None:
            self.recording.extra_arguments = args[2:]
        # The convolution reads the input of layer 0 again: the changed one, because it is part of that layer.
        return (self._first_input, *args[1:])

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if self._entered < len(self._layers):
            return None
        hidden = self._architecture.batch_first(hidden_of(output))
        self.hidden.append(hidden)
        if not self._architecture.sequence_first:
            return None
        return (self._architecture.native(hidden), *output[1:])


def hidden_of(output: Any) -> Tensor:
    """The hidden state in a layer's output, which is the state alone or a tuple that begins with it."""
    return output if isinstance(output, Tensor) else output[0]


def change_attention(architecture: Architecture, change: LayerInput, layer: int, output: Any) -> Any:
    """Apply `change` to the hidden state in a self-attention block's output."""
    hidden = architecture.native(change(layer, architecture.batch_first(hidden_of(output))))
    return hidden if isinstance(output, Tensor) else (hidden, *output[1:])


@contextmanager
def changed_output(module: nn.Module, change: Callable[[Any], Any] | None) -> Iterator[None]:
    """Apply `change` to the output of `module` inside the `with` block; do nothing if `change` is None."""
    if change is None:
        yield
        return
    handle = module.register_forward_hook(lambda _module, _inputs, output: change(output))
    try:
        yield
    finally:
        handle.remove()


def generator_of(device: torch.device) -> torch.Generator:
    """The generator that dropout on `device` draws from."""
    if device.type == "cuda":
        return torch.cuda.default_generators[device.index or 0]
    return torch.default_generator

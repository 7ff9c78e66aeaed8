"""The interface of a method: its hooks, and how several methods compose.

A method overrides the hooks it needs; nothing else in the project refers to it by name. In a composition `a+b`, the
hooks `perturb...` and `gradients` of `a` run before those of `b`. So does `prepare`, among methods that change the
encoder in the same way (`Composition.prepare`). `loss` and `step` belong to the one method that overrides them.
"""

import math
import operator
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

from steadytune.methods.support.hooks import Hooks

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from steadytune.encoders.batching import Batch, Batcher
    from steadytune.encoders.encoder import Encoder
    from steadytune.methods.support.forward import Forward
    from steadytune.methods.support.objective import Objective
    from steadytune.methods.support.prefix import FrozenPrefix
    from steadytune.streams import Streams


def setting(
    default: Any,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """Declare a field of a method's settings; `Hyperparameters` checks its bounds, `steadytune methods` lists them."""
    words = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    bounds = {word: bound for word, bound in words.items() if bound is not None}
    return field(default=default, metadata={"bounds": bounds})


HOLDS = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "below": operator.lt}


def bounds_of(declared: Field) -> str:
    """A field's bounds in words, such as `at least 0, below 1`; empty if it has none."""
    return ", ".join(f"{word} {bound:g}" for word, bound in declared.metadata.get("bounds", {}).items())


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Base class of every method's hyper-parameters; a method without any uses it directly.

    Raises:
        ValueError: a float is not finite, or a number or tuple element is out of bounds. None is always in bounds.
    """

    def __post_init__(self) -> None:
        for declared in fields(self):
            value = getattr(self, declared.name)
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{declared.name} is {value}, expected a finite number")
            for word, bound in declared.metadata.get("bounds", {}).items():
                numbers = value if isinstance(value, tuple) else (value,)
                if not all(number is None or HOLDS[word](number, bound) for number in numbers):
                    raise ValueError(f"{declared.name} is {value}, expected {bounds_of(declared)}")


@dataclass(frozen=True)
class Setup:
    """What `Method.prepare` receives: the cell before its first training step."""

    encoder: "Encoder"
    streams: "Streams"
    """Draw from `streams.noise`. It is reseeded at every training step, so draws here do not affect later ones."""
    objective: "Objective"
    train: "Batcher"
    selected_layer: int | None = None
    """l*, 1 to L: the layer selected by the variability stage; None unless a method of the cell reads it."""
    autocast: Callable[[], AbstractContextManager] = nullcontext
    """Autocast context at the cell's precision, for a forward pass whose result replaces that of a training pass."""
    steps: int = 1
    """Number of optimiser steps in the whole training, for a setting that changes during training."""


def _no_batch() -> "Tensor":
    raise RuntimeError("gradients can be computed again only during a training step")


@dataclass(frozen=True)
class Update:
    """What `Method.step` receives for one update of the parameters."""

    parameters: "dict[str, nn.Parameter]"
    """The trainable parameters by name, with clipped gradients."""
    number: int
    """Number of the step, 0-based, counted over the whole training."""
    learning_rate: float
    """The scheduled learning rate of this step."""
    again: "Callable[[], Tensor]" = _no_batch
    """Recompute the batch's gradients into `grad` at the parameters' current values, with the same dropout and noise;
    return the loss. For a method whose step needs gradients at more than one point."""


class Method:
    """Base class of every method. Its hooks change nothing, so it is plain fine-tuning."""

    Settings: ClassVar[type[Hyperparameters]] = Hyperparameters
    """Class of the hyper-parameters: fields with defaults and bounds, each with a docstring."""
    names: ClassVar[dict[str, dict[str, Any]]] = {}
    """The method's names, each with the settings it implies."""
    source: ClassVar[str] = ""
    """Paper and section."""
    off: ClassVar[dict[str, Any] | None] = None
    """Settings at which it equals plain fine-tuning bit for bit, for `steadytune check-method`; None if it has none."""
    changes_pretrained: ClassVar[bool] = False
    """Whether `prepare` changes the pretrained values: it then runs before others, which freeze, cache or copy them."""
    selects_parameters: ClassVar[bool] = False
    """Whether it chooses which parameters are trained: two such methods cannot be combined."""
    freezes_weights: ClassVar[bool] = False
    """Whether it freezes the encoder's weight matrices."""
    needs_weights: ClassVar[bool] = False
    """Whether it acts on the training of the encoder's weight matrices, so makes no sense if they are frozen."""

    prefix: "FrozenPrefix | None" = None
    """Cached output of frozen lower layers; if `prepare` sets it, training passes start from it."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def passes(self) -> tuple[float, float]:
        """Forward and backward passes per step, in units of one full pass of the encoder."""
        return 1, 1

    @property
    def reads_selection(self) -> bool:
        """Whether `prepare` reads `Setup.selected_layer`; the workflow then measures the layers before the cell."""
        return False

    @property
    def moves_every_word(self) -> bool:
        """Whether it changes or reads word embeddings without a gradient: those of words not in the training split.

        If no method of a cell does, training uses a smaller table without these words (`training/words.py`).
        """
        return overrides(type(self), "gradients") or overrides(type(self), "step")

    def narrow_words(self, name: str, rows: "Tensor") -> None:
        """Adapt to a smaller table of words: parameter `name` is trained without the rows that no example reads.

        Called at most once, before training; override it in a method that keeps copies of parameters. rows: the indices
        of the rows that remain.
        """

    def unread_words(self, kept: float, update: "Update", decay: float) -> float:
        """Return a word embedding after a step, as a multiple of its initial value, for a word that no example reads.

        kept: the multiple before the step. decay: the table's weight decay. By default the embedding only decays.
        """
        return kept * (1 - update.learning_rate * decay)

    def prepare(self, setup: Setup) -> None:
        """Change the encoder once before training: switch dropout off, freeze, add or perturb parameters."""

    def perturb_words(self, words: "Tensor", real: "Tensor", streams: "Streams") -> "Tensor":
        """Replace the word embeddings `words` (B, T, width) before positions are added; in training only.

        real: (B, T, 1), 1 at tokens and 0 at padding. Draw from `streams.noise`.
        """
        return words

    def perturb(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """Replace `hidden` (B, T, d), the input of layer `layer` (0-based); in training only.

        Draw from `streams.noise`.
        """
        return hidden

    def perturb_attention(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """Replace `hidden` (B, T, d), the output of layer `layer`'s self-attention block; in training only."""
        return hidden

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The scalar to minimise; by default the task loss of one forward pass."""
        return forward.task_loss(forward(batch), batch)

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Change the gradients in place, before clipping and the optimiser's step; a `grad` may be None."""

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """Update the parameters; by default, step the optimiser."""
        optimizer.step()

    def state(self) -> dict[str, "Tensor"]:
        """Tensors to save in every checkpoint: the state that `prepare` cannot rebuild after an interruption."""
        return {}

    def restore(self, state: dict[str, "Tensor"]) -> None:
        """Restore what `state` returned; called after `prepare`."""


class Composition:
    """The methods of a cell as one, for the training loop."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods = methods

    def prepare(self, setup: Setup) -> None:
        """Prepare methods that change pretrained values, then those that choose layers and parameters, then the rest.

        A method that adds parameters, or runs layers in advance, thus sees the values that training starts from, and a
        method that looks up layers sees those that remain. Within each group, methods run in the order of the name.
        """
        for method in sorted(self.methods, key=lambda m: (not m.changes_pretrained, not m.selects_parameters)):
            method.prepare(setup)

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The loss of the method that owns it."""
        return self._owner("loss").loss(forward, batch)

    def hooks(self) -> Hooks:
        """Collect every method's forward-pass hooks; call it after `prepare`."""
        changes = {
            hook: [getattr(method, hook) for method in self.methods if overrides(type(method), hook)]
            for hook in ("perturb_words", "perturb", "perturb_attention")
        }
        prefix = next((method.prefix for method in self.methods if method.prefix is not None), None)
        return Hooks(**changes, prefix=prefix)

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Let every method change the gradients, in the order of the name."""
        for method in self.methods:
            method.gradients(parameters, streams)

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """Let the method that owns the step update the parameters."""
        self._owner("step").step(optimizer, update)

    def state(self) -> dict[str, "Tensor"]:
        """Every method's state, with its position in the name as a key prefix."""
        return {f"{place}.{key}": value for place, m in enumerate(self.methods) for key, value in m.state().items()}

    def restore(self, state: dict[str, "Tensor"]) -> None:
        """Restore every method's own state."""
        for place, method in enumerate(self.methods):
            prefix = f"{place}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if own or method.state():
                method.restore(own)

    def _owner(self, hook: str) -> Method:
        overriding = (method for method in self.methods if overrides(type(method), hook))
        return next(overriding, self.methods[0])


def overrides(cls: type[Method], hook: str) -> bool:
    """Whether a method class overrides a hook."""
    return getattr(cls, hook) is not getattr(Method, hook)

"""What a method may do: its hooks, and how several methods compose.

A method overrides the hooks it needs and nothing else in the project knows its name. In a composition `a+b`, the hooks
`perturb...` and `gradients` of a run before those of b, and so does `prepare` among methods that change the encoder in
the same way (`Composition.prepare`); `loss` and `step` belong to the one method that overrides them.
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
    """A field of a method's settings with bounds, which `Hyperparameters` checks and `steadytune methods` lists."""
    words = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    bounds = {word: bound for word, bound in words.items() if bound is not None}
    return field(default=default, metadata={"bounds": bounds})


HOLDS = {"at least": operator.ge, "above": operator.gt, "at most": operator.le, "below": operator.lt}


def bounds_of(declared: Field) -> str:
    """A field's bounds in words: `at least 0, below 1`; empty without any."""
    return ", ".join(f"{word} {bound:g}" for word, bound in declared.metadata.get("bounds", {}).items())


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """The hyper-parameters of a method: the parent of each method's own, and the settings of one that has none.

    Raises:
        ValueError: a number, or one of a tuple's, out of its bounds; None is in bounds.
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
    """What a method prepares from: the cell before its first step."""

    encoder: "Encoder"
    streams: "Streams"
    """Draw from `streams.noise`; what it gives here is no step's draw."""
    objective: "Objective"
    train: "Batcher"
    selected_layer: int | None = None
    """l*, 1 to L: the layer that the variability stage selects, where a method of the cell reads it."""
    autocast: Callable[[], AbstractContextManager] = nullcontext
    """The region of a forward pass at the cell's precision, for one whose result stands in for a training pass's."""
    steps: int = 1
    """Optimiser steps of the whole training, for a setting that changes over it."""


def _no_batch() -> "Tensor":
    raise RuntimeError("gradients can be computed again only during a training step")


@dataclass(frozen=True)
class Update:
    """One update of the parameters, as `Method.step` sees it."""

    parameters: "dict[str, nn.Parameter]"
    """The trainable parameters by name, gradients clipped."""
    number: int
    """0-based, counted over the whole training."""
    learning_rate: float
    """This step's, as the schedule says."""
    again: "Callable[[], Tensor]" = _no_batch
    """Computes the batch's gradients again, at the parameters' present values and with the same dropout and noise, into
    `grad`; the loss. For a method whose step needs gradients at more than one point."""


class Method:
    """Plain fine-tuning: the parent of every method, whose hooks change nothing."""

    Settings: ClassVar[type[Hyperparameters]] = Hyperparameters
    """Hyper-parameters with defaults and bounds, each with a docstring."""
    names: ClassVar[dict[str, dict[str, Any]]] = {}
    """The names it goes by, each with the settings that the name stands for."""
    source: ClassVar[str] = ""
    """Paper and section."""
    off: ClassVar[dict[str, Any] | None] = None
    """Settings at which it is plain fine-tuning to the last bit, for `steadytune check-method`; None if it has none."""
    changes_pretrained: ClassVar[bool] = False
    """Whether `prepare` changes the pretrained values, which other methods build on: freeze, cache, keep a copy of."""
    selects_parameters: ClassVar[bool] = False
    """Whether it chooses which parameters are trained: two such methods contradict each other."""
    freezes_weights: ClassVar[bool] = False
    """Whether it keeps the encoder's weight matrices as they are."""
    needs_weights: ClassVar[bool] = False
    """Whether it acts on the training of the encoder's weight matrices, and means nothing where they are frozen."""

    prefix: "FrozenPrefix | None" = None
    """The cached output of frozen lower layers, set by `prepare`: training passes then start from it."""

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @property
    def passes(self) -> tuple[float, float]:
        """Forward and backward passes per step, counted in whole passes of the encoder."""
        return 1, 1

    @property
    def reads_selection(self) -> bool:
        """Whether `prepare` reads `Setup.selected_layer`: the workflow then measures the layers before the cell."""
        return False

    @property
    def moves_every_word(self) -> bool:
        """Whether it moves, or looks at, word embeddings that have no gradient: those of words not trained on.

        Where no method of a cell does, the table of words is trained without them (`training/words.py`).
        """
        return overrides(type(self), "gradients") or overrides(type(self), "step")

    def narrow_words(self, name: str, rows: "Tensor") -> None:
        """Called once before training if the table of words `name` is trained without the rows that no example reads.

        rows: what is left of it. For a method that keeps values beside the parameters.
        """

    def unread_words(self, kept: float, update: "Update", decay: float) -> float:
        """What a step leaves of a word embedding that no example reads, as a multiple of its first value.

        kept: the same before the step. decay: the table's weight decay. By default the word only decays.
        """
        return kept * (1 - update.learning_rate * decay)

    def prepare(self, setup: Setup) -> None:
        """Change the encoder once before training: switch dropout off, freeze, add or perturb parameters."""

    def perturb_words(self, words: "Tensor", real: "Tensor", streams: "Streams") -> "Tensor":
        """What positions are added to instead of the word embeddings `words` (B, T, width); in training only.

        real: (B, T, 1), 1 at tokens and 0 at padding. What it draws comes from `streams.noise`.
        """
        return words

    def perturb(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """What enters layer `layer` (0-based) instead of `hidden` (B, T, d); in training only.

        What it draws comes from `streams.noise`.
        """
        return hidden

    def perturb_attention(self, layer: int, hidden: "Tensor", streams: "Streams") -> "Tensor":
        """What leaves the self-attention block of layer `layer` instead of `hidden` (B, T, d); in training only."""
        return hidden

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The scalar that is minimised; by default the task loss of one forward pass."""
        return forward.task_loss(forward(batch), batch)

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Change the gradients in place, before clipping and the optimiser's step; one without a gradient has None."""

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """Update the parameters; by default the optimiser does."""
        optimizer.step()

    def state(self) -> dict[str, "Tensor"]:
        """What must survive an interruption besides what `prepare` makes again: it goes into every checkpoint."""
        return {}

    def restore(self, state: dict[str, "Tensor"]) -> None:
        """Take up the state that `state` gave; called after `prepare`."""


class Composition:
    """The methods of a cell, as the training loop calls them."""

    def __init__(self, methods: Sequence[Method]) -> None:
        self.methods = methods

    def prepare(self, setup: Setup) -> None:
        """Every method's: those that change pretrained values, then those that choose layers and parameters, the rest.

        So a method that adds parameters, or runs layers ahead, finds the values that training starts from, and one that
        looks for its layers finds those that are left. Within each of the three the name's order counts.
        """
        for method in sorted(self.methods, key=lambda m: (not m.changes_pretrained, not m.selects_parameters)):
            method.prepare(setup)

    def loss(self, forward: "Forward", batch: "Batch") -> "Tensor":
        """The owner's."""
        return self._owner("loss").loss(forward, batch)

    def hooks(self) -> Hooks:
        """What every method does in a forward pass, once `prepare` has run."""
        changes = {
            hook: [getattr(method, hook) for method in self.methods if overrides(type(method), hook)]
            for hook in ("perturb_words", "perturb", "perturb_attention")
        }
        prefix = next((method.prefix for method in self.methods if method.prefix is not None), None)
        return Hooks(**changes, prefix=prefix)

    def gradients(self, parameters: dict[str, "nn.Parameter"], streams: "Streams") -> None:
        """Every method's, in the order of the name."""
        for method in self.methods:
            method.gradients(parameters, streams)

    def step(self, optimizer: "Optimizer", update: Update) -> None:
        """The owner's."""
        self._owner("step").step(optimizer, update)

    def state(self) -> dict[str, "Tensor"]:
        """Every method's, by its place in the name."""
        return {f"{place}.{key}": value for place, m in enumerate(self.methods) for key, value in m.state().items()}

    def restore(self, state: dict[str, "Tensor"]) -> None:
        """Hand every method its own again."""
        for place, method in enumerate(self.methods):
            prefix = f"{place}."
            own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
            if own or method.state():
                method.restore(own)

    def _owner(self, hook: str) -> Method:
        overriding = (method for method in self.methods if overrides(type(method), hook))
        return next(overriding, self.methods[0])


def overrides(cls: type[Method], hook: str) -> bool:
    """Whether a method has a hook of its own."""
    return getattr(cls, hook) is not getattr(Method, hook)

"""The forward-pass hooks of a cell's methods, collected for `methods/support/forward.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.methods.support.prefix import FrozenPrefix
    from steadytune.streams import Streams

Change: TypeAlias = "Callable[[int, Tensor, Streams], Tensor]"
"""A hook: (layer, its hidden state (B, T, d), streams) -> the changed hidden state."""


@dataclass(frozen=True)
class Hooks:
    """The hooks of all methods of a cell, in the order of the cell's method name."""

    perturb_words: Sequence["Callable[[Tensor, Tensor, Streams], Tensor]"] = ()
    """Change the word embeddings (B, T, width), given a mask of the real tokens (B, T, 1)."""
    perturb: Sequence[Change] = ()
    """Change the input of each layer."""
    perturb_attention: Sequence[Change] = ()
    """Change the output of each layer's self-attention block."""
    prefix: "FrozenPrefix | None" = None
    """Cached output of frozen lower layers, from which training passes start."""

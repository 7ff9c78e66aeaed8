"""What the methods of a cell do in a forward pass, gathered for `methods/support/forward.py`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

    from steadytune.methods.support.prefix import FrozenPrefix
    from steadytune.streams import Streams

Change: TypeAlias = "Callable[[int, Tensor, Streams], Tensor]"
"""What a hook makes of the hidden state (B, T, d) at a layer."""


@dataclass(frozen=True)
class Hooks:
    """The hooks of all methods of a cell, in the order of its name."""

    perturb_words: Sequence["Callable[[Tensor, Tensor, Streams], Tensor]"] = ()
    """Act on the word embeddings (B, T, width), told which tokens are real (B, T, 1)."""
    perturb: Sequence[Change] = ()
    """Act on what enters each layer."""
    perturb_attention: Sequence[Change] = ()
    """Act on what leaves each layer's self-attention block."""
    prefix: "FrozenPrefix | None" = None
    """The cached output of frozen lower layers, which training passes start from."""

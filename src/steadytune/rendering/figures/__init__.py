"""The figures, one module a subject; `registry` finds them by name."""

from steadytune.rendering.figures import (
    cost,
    curves,
    inside,
    layers,
    registry,
    robustness,
    scores,
    sizes,
    transfer,
)
from steadytune.rendering.figures.registry import FIGURES, draw, figure
from steadytune.rendering.papers import figures as papers

__all__ = [
    "FIGURES",
    "cost",
    "curves",
    "draw",
    "figure",
    "inside",
    "layers",
    "papers",
    "registry",
    "robustness",
    "scores",
    "sizes",
    "transfer",
]

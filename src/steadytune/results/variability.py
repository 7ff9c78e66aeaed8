"""The variability stage's measurements, as it writes them and as tables, figures and claims read them.

They are by layer, from hidden[0] (the embedding output) to hidden[L]. JSON has no NaN or infinity: either is null in
the file, and NaN when read.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from steadytune.files import read_json
from steadytune.layout import variability_path
from steadytune.schema import check

Number = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
Layers = tuple[Number, ...]
"""A number for each of the L + 1 hidden states."""


@dataclass(frozen=True)
class Bands:
    """How certain nu is. An infinite upper end means that the layer may not separate the classes at all."""

    corrected: Layers
    """nu corrected for its bias with few examples; infinite if the layer separates classes no better than chance."""
    low: Layers
    """Lower end of the 95 % confidence interval."""
    high: Layers
    share: Layers
    """Share of the resamples that select the layer as l*; 0 for the embedding output, which is not a candidate."""
    examples: int
    resamples: int


@dataclass(frozen=True)
class Draws:
    """nu and l* over random draws of one size and one class imbalance.

    A draw in which no layer separates the classes has no l*: it does not agree, and has no distance.
    """

    examples: int
    share: Number
    """The most frequent class's share of the examples."""
    agreement: Number
    """Share of the draws whose l* equals that of all data."""
    distance: Number
    """Mean of |l* - l* of all data| over the draws; NaN if none has an l*."""
    nu: Layers
    """Median over the draws."""
    nu_low: Layers
    """Lower quartile."""
    nu_high: Layers


@dataclass(frozen=True)
class Robustness:
    """Whether the choice of a layer survives class imbalance and scarce data."""

    draws: int
    imbalance: tuple[Draws, ...]
    scarcity: tuple[Draws, ...]


@dataclass(frozen=True)
class Choice:
    """Another selector's scores of the layers, larger is better, and its choice."""

    scores: Layers
    """NaN if the selector has no score for a layer."""
    layer: int | None
    """The layer it selects, 1 to L."""


@dataclass(frozen=True, kw_only=True)
class Variability:
    """Hidden-state variability of one encoder on one task."""

    encoder: str
    task: str
    settings: dict[str, Any]
    examples: int
    nu: Layers
    best_layer: int
    """l*, 1 to L."""
    classes: tuple[Number, ...]
    counts: tuple[int, ...]
    """Examples of each class."""
    bands: Bands | None = None
    robustness: Robustness | None = None
    selectors: dict[str, Choice] | None = None

    @property
    def imbalance(self) -> tuple[Draws, ...]:
        """The draws at each class imbalance; empty if there are none."""
        return self.robustness.imbalance if self.robustness else ()

    @property
    def scarcity(self) -> tuple[Draws, ...]:
        """The draws of each size; empty if there are none."""
        return self.robustness.scarcity if self.robustness else ()


def read_variability(path: Path) -> Variability:
    """The measurement that one run of the variability stage wrote.

    Raises:
        SteadyTuneError: no such file, not JSON, or not a variability measurement.
    """
    return check(Variability, read_json(path), path)


def load_variability(folder: Path, encoders: Sequence[str], tasks: Sequence[str]) -> Iterator[Variability]:
    """Every measurement under a suite's results, in the suite's order."""
    for encoder in encoders:
        for task in tasks:
            path = variability_path(folder, encoder, task)
            if path.is_file():
                yield read_variability(path)

"""What the variability stage left, as tables and figures read it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from steadytune.layout import variability_path
from steadytune.schema import read_json


@dataclass(frozen=True)
class Bands:
    """nu without its bias, its 95 % interval, NaN where it has no end, and each layer's share of l*, by layer 0..L."""

    corrected: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    share: tuple[float, ...]


@dataclass(frozen=True)
class Draws:
    """Draws of a few examples: how many, the most frequent class's share, and their l* beside that of all data."""

    examples: int
    share: float
    agreement: float
    distance: float


@dataclass(frozen=True)
class Choice:
    """Another selector's score of every layer 0..L, NaN where it has none, and the layer that it chooses."""

    scores: tuple[float, ...]
    layer: int | None


@dataclass(frozen=True)
class Variability:
    """Hidden-state variability of one encoder on one task: nu of hidden[0..L], its arg-min l*, and how sure that is."""

    encoder: str
    task: str
    nu: tuple[float, ...]
    best_layer: int
    bands: Bands | None = None
    imbalance: tuple[Draws, ...] = ()
    scarcity: tuple[Draws, ...] = ()
    selectors: dict[str, Choice] = field(default_factory=dict)


def load_variability(folder: Path, encoders: Sequence[str], tasks: Sequence[str]) -> list[Variability]:
    """Every `variability/<encoder>/<task>.json` under a suite's results, in the suite's order."""
    found = []
    for encoder in encoders:
        for task in tasks:
            path = variability_path(folder, encoder, task)
            if path.is_file():
                found.append(_read(read_json(path), encoder, task))
    return found


def _read(content: dict[str, Any], encoder: str, task: str) -> Variability:
    bands, robustness = content.get("bands"), content.get("robustness") or {}
    selectors = content.get("selectors") or {}
    return Variability(
        encoder=encoder,
        task=task,
        nu=_numbers(content["nu"]),
        best_layer=int(content["best_layer"]),
        bands=Bands(*(_numbers(bands[name]) for name in ("corrected", "low", "high", "share"))) if bands else None,
        imbalance=_draws(robustness.get("imbalance", ())),
        scarcity=_draws(robustness.get("scarcity", ())),
        selectors={name: Choice(_numbers(found["scores"]), found["layer"]) for name, found in selectors.items()},
    )


def _draws(points: Iterable[dict[str, Any]]) -> tuple[Draws, ...]:
    return tuple(
        Draws(int(point["examples"]), *_numbers(point[name] for name in ("share", "agreement", "distance")))
        for point in points
    )


def _numbers(values: Iterable[float | None]) -> tuple[float, ...]:
    """JSON's null, for what is infinite or undefined, is NaN."""
    return tuple(math.nan if value is None else float(value) for value in values)

"""Grids of hyper-parameters: a method with a grid becomes variants, one a point, named by their values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.methods.registry import key_in_name, part_names
from steadytune.methods.spelling import spell

Axes = Mapping[str, Sequence[Any]]
MOST_CELLS = 1_000_000
"""That a suite may have: more than any cluster trains, and few enough to be listed."""
SHORT_NAMES = {"lr": "learning_rate"}
"""Short names of protocol settings in a variant's name: `hype-n~lr=2e-05`."""


def expand(method: str, grids: Mapping[str, Axes], protocol: Axes, block: Axes | None = None) -> list[str]:
    """The variants of a method: `hype-n~lr=2e-05~sigma=1e-04`, keys in alphabetical order, values in the grid's.

    Args:
        method: a method's or a composition's name; a variant's keeps its own values, and has no grid of its method.
        grids: axes by method name; a composition has those of its parts, each for its own part.
        protocol: axes that every method has.
        block: the same, in place of whatever has their name in the others.
    """
    name, *pairs = method.split("~")
    axes: dict[str, Sequence[Any]] = dict(protocol)
    for part in () if pairs else part_names(name):
        axes |= {key_in_name(name, part, key): values for key, values in grids.get(part, {}).items()}
    axes |= block or {}
    given = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    axes = {key: values for key, values in axes.items() if key not in given}
    if not axes:
        return [method]
    if (points := prod(map(len, axes.values()))) > MOST_CELLS:
        raise SteadyTuneError(f"{method}: its grid has {points} points, expected at most {MOST_CELLS}")
    return [
        "~".join([name, *(f"{key}={value}" for key, value in sorted({**given, **values}.items()))])
        for values in _points(axes)
    ]


def stand_for(
    variants: Iterable[str], named: Mapping[str, Sequence[str]], *, every: bool = False
) -> dict[str, list[str]]:
    """Name -> the variants that it stands for, among which one is selected.

    A plain method stands for the variants of its grid, and not for those that a suite names one by one, unless it has
    no others.

    Args:
        variants: all that there are.
        named: what each name in a suite's grid spans.
        every: whether the names of variants (`hype-n~sigma=1e-05`) stand for what they span, too.
    """
    found: dict[str, list[str]] = {}
    for variant in variants:
        method = base(variant)
        if variant in named.get(method, (variant,)):
            found.setdefault(method, []).append(variant)
    if every:
        found |= {name: list(spanned) for name, spanned in named.items() if "~" in name}
    return found


def _points(axes: Axes) -> Iterator[dict[str, str]]:
    """Every combination of the axes' values, as spelled in names; the last key in the alphabet changes fastest."""
    keys = sorted(axes)
    for values in product(*(axes[key] for key in keys)):
        yield dict(zip(keys, map(spell, values), strict=True))


def base(variant: str) -> str:
    """The method that a variant is of."""
    return variant.partition("~")[0]


def point(variant: str) -> str:
    """What tells a variant from the others of its method, as printed: `lr=2e-05, sigma=1e-04`; empty without a grid."""
    return variant.partition("~")[2].replace("~", ", ")

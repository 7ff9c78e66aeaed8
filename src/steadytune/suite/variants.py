"""Grids of hyper-parameters: a method with a grid becomes one variant per grid point, named by its values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.methods.registry import key_in_name, part_names
from steadytune.methods.spelling import spell

Axes = Mapping[str, Sequence[Any]]
MOST_CELLS = 1_000_000
"""Maximum number of cells of a suite: more than any cluster trains, but few enough to list."""
SHORT_NAMES = {"lr": "learning_rate"}
"""Short names of protocol settings in a variant's name: `hype-n~lr=2e-05`."""


def expand(method: str, grids: Mapping[str, Axes], protocol: Axes, block: Axes | None = None) -> list[str]:
    """The variants of a method, such as `hype-n~lr=2e-05~sigma=1e-04`: keys are sorted, values keep the grid's order.

    Args:
        method: name of a method, composition or variant; a variant keeps its own values and ignores its method's grid.
        grids: axes by method name; a composition has the axes of each of its parts.
        protocol: axes that every method has.
        block: axes that every method of the block has; they replace the other axes of the same name.

    Raises:
        SteadyTuneError: the grid has more points than a suite may have cells.
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


def variants_by_name(
    variants: Iterable[str], named: Mapping[str, Sequence[str]], *, every: bool = False
) -> dict[str, list[str]]:
    """Name -> the variants that it represents, one of which is selected.

    A plain method represents the variants of its grid. If the suite's grid does not name the plain method, it
    represents the variants that the grid names one by one.

    Args:
        variants: all variants.
        named: the variants that each name in a suite's grid spans.
        every: whether to include variants named in the grid (`hype-n~sigma=1e-05`), each with the variants it spans.
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
    """Every combination of the axes' values, spelled as in names; the alphabetically last key changes fastest."""
    keys = sorted(axes)
    for values in product(*(axes[key] for key in keys)):
        yield dict(zip(keys, map(spell, values), strict=True))


def base(variant: str) -> str:
    """The method of a variant."""
    return variant.partition("~")[0]


def point(variant: str) -> str:
    """A variant's values as printed: `lr=2e-05, sigma=1e-04`; empty for a plain method."""
    return variant.partition("~")[2].replace("~", ", ")

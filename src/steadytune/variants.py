"""Grids of hyper-parameters: a method with a grid becomes variants, one a point, named by their values."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

Axes = Mapping[str, Sequence[Any]]


def expand(method: str, grids: Mapping[str, Axes], protocol: Axes) -> list[str]:
    """The variants of a method: `hype-n~lr=2e-05~sigma=1e-04`, keys in alphabetical order, values in the grid's.

    Args:
        method: a method's or a composition's name; a variant's keeps its own values, and has no grid of its method.
        grids: axes by method name; a composition has those of its parts.
        protocol: axes that every method has.
    """
    name, *pairs = method.split("~")
    axes: dict[str, Sequence[Any]] = dict(protocol)
    for part in () if pairs else name.split("+"):
        axes |= grids.get(part, {})
    given = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    axes = {key: values for key, values in axes.items() if key not in given}
    if not axes:
        return [method]
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


def spell(value: Any) -> str:
    """A value as it stands in a variant's name, all its digits, without a character that a path could not have.

    Small and large numbers have an exponent of two digits: 1e-04, 2.5e-05.
    """
    if not isinstance(value, float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
        return f"{mantissa}e{int(exponent):+03d}"
    return repr(value).removesuffix(".0")

"""Grids of hyper-parameters: a method with a grid becomes variants, one a point, named by their values."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

Axes = Mapping[str, Sequence[Any]]


def expand(method: str, grids: Mapping[str, Axes], protocol: Axes) -> list[str]:
    """The variants of a method: `hype-n~lr=2e-05~sigma=1e-04`, keys in alphabetical order, values in the grid's.

    Args:
        method: a method's or a composition's name; one that is a variant already stands for itself alone.
        grids: axes by method name; a composition has those of its parts.
        protocol: axes that every method has.
    """
    axes = dict(protocol)
    for part in method.split("+"):
        axes |= grids.get(part, {})
    if "~" in method or not axes:
        return [method]
    keys = sorted(axes)
    return [
        method + "".join(f"~{key}={spell(value)}" for key, value in zip(keys, point, strict=True))
        for point in product(*(axes[key] for key in keys))
    ]


def base(variant: str) -> str:
    """The method that a variant is of."""
    return variant.partition("~")[0]


def point(variant: str) -> str:
    """What tells a variant from the others of its method, as printed: `lr=2e-05, sigma=1e-04`; empty without a grid."""
    return variant.partition("~")[2].replace("~", ", ")


def spell(value: Any) -> str:
    """A value as it stands in a variant's name, short and without a character that a path could not have.

    Small and large numbers have an exponent of two digits: 1e-04, 2.5e-05.
    """
    if isinstance(value, float) and value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{value:e}".partition("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)

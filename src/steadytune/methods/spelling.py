"""Convert setting values to and from their spelling in a variant's name."""

import re
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

NOT_IN_PATHS = re.compile(r"[/{}]")
"""Characters that a value in a variant's name must not contain: path separators and Snakemake's wildcard braces."""


def spell(value: Any) -> str:
    """Spell a value for a variant's name, with all its digits; text stays unchanged.

    Small and large numbers have a two-digit exponent: 1e-04, 2.5e-05. None is `null`; a list is `1,2`.
    """
    if isinstance(value, list | tuple):
        return ",".join(map(spell, value))
    if value is None or isinstance(value, bool):
        return {None: "null", False: "false", True: "true"}[value]
    if not isinstance(value, float):
        return str(value)
    if value and not 1e-3 <= abs(value) < 1e6:
        mantissa, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
        return f"{mantissa}e{int(exponent):+03d}"
    return repr(value).removesuffix(".0")


def read(text: str, kind: Any) -> Any:
    """Convert `text` in a variant's name to a value that pydantic accepts for `kind`, the setting's annotation.

    pydantic parses numbers and booleans from text; only None and lists of integers are converted here.
    """
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if text == "null" and NoneType in kinds:
        return None
    if any(get_origin(each) is tuple for each in kinds) and re.fullmatch(r"-?\d+(,-?\d+)*", text):
        return text.split(",")
    return text

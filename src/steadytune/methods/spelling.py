"""Values of settings as words in a variant's name, and back."""

import re
from decimal import Decimal
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

NOT_IN_PATHS = re.compile(r"[/{}]")
"""What parts a path, and what Snakemake takes for a wildcard: a value in a variant's name has none of them."""


def spell(value: Any) -> str:
    """A value as it stands in a variant's name, all its digits; a text as it is.

    Small and large numbers have an exponent of two digits: 1e-04, 2.5e-05. None is `null`; a list is `1,2`.
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
    """`text` in a variant's name as a value that pydantic takes for a `kind`, the annotation of the setting.

    Numbers and truth values it reads from text; what has no text of its own there is None and a list of numbers.
    """
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    if text == "null" and NoneType in kinds:
        return None
    if any(get_origin(each) is tuple for each in kinds) and re.fullmatch(r"-?\d+(,-?\d+)*", text):
        return text.split(",")
    return text

"""The methods as text for the terminal."""

import ast
import inspect
import textwrap
from dataclasses import fields, is_dataclass
from itertools import pairwise

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import bounds_of
from steadytune.methods.registry import methods, parse, passes
from steadytune.methods.spelling import spell


def describe_methods() -> str:
    """Every method: name, source, passes per step, methods it cannot be combined with, and settings."""
    lines = []
    for name, (cls, named) in methods().items():
        forward, backward = passes(parse(name)[0])
        lines.append(f"{name}: {cls.source}")
        lines.append(f"    passes per step: {forward:g} forward, {backward:g} backward")
        refused = [other for other in methods() if other != name and not composes(name, other)]
        if refused:
            lines.append(f"    not with {', '.join(refused)}")
        for field in fields(cls.Settings):
            bounds = bounds_of(field)
            value = named.get(field.name, field.default)
            lines.append(f"    {field.name} = {spell(value)}{f' ({bounds})' if bounds else ''}")
            lines += textwrap.wrap(
                field_docs(cls.Settings).get(field.name, ""), 112, initial_indent=" " * 8, subsequent_indent=" " * 8
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def composes(first: str, second: str) -> bool:
    """Whether two methods can be combined."""
    try:
        parse(f"{first}+{second}")
    except SteadyTuneError:
        return False
    return True


def field_docs(settings: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, on one line; an inherited field keeps its parent's."""
    found = {}
    for parent in reversed([cls for cls in settings.__mro__ if is_dataclass(cls)]):
        (cls,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        assert isinstance(cls, ast.ClassDef)
        for declared, text in pairwise(cls.body):
            if isinstance(declared, ast.AnnAssign) and isinstance(declared.target, ast.Name):
                match text:
                    case ast.Expr(value=ast.Constant(value=str(words))):
                        found[declared.target.id] = " ".join(words.split())
    return found

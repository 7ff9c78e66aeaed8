"""The methods as text for the terminal."""

import ast
import inspect
import textwrap
from dataclasses import fields
from itertools import pairwise

from steadytune.errors import SteadyTuneError
from steadytune.methods.base import bounds_of
from steadytune.methods.registry import methods, parse, passes


def describe_methods() -> str:
    """Every method: name, source, passes a step, what it does not compose with, and its settings."""
    lines = []
    for name, (cls, named) in methods().items():
        forward, backward = passes(parse(name)[0])
        lines.append(f"{name}: {cls.source}")
        lines.append(f"    {forward:g} forward and {backward:g} backward passes a step")
        refused = [other for other in methods() if other != name and not composes(name, other)]
        if refused:
            lines.append(f"    not with {', '.join(refused)}")
        for field in fields(cls.Settings):
            bounds = bounds_of(field)
            value = named.get(field.name, field.default)
            lines.append(f"    {field.name} = {'null' if value is None else value}{f' ({bounds})' if bounds else ''}")
            lines += textwrap.wrap(
                field_docs(cls.Settings).get(field.name, ""), 112, initial_indent=" " * 8, subsequent_indent=" " * 8
            )
        lines.append("")
    return "\n".join(lines).rstrip()


def composes(first: str, second: str) -> bool:
    """Whether two methods may stand in one composition."""
    try:
        parse(f"{first}+{second}")
    except SteadyTuneError:
        return False
    return True


def field_docs(settings: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, on one line."""
    (cls,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(cls, ast.ClassDef)
    found = {}
    for declared, text in pairwise(cls.body):
        if isinstance(declared, ast.AnnAssign) and isinstance(declared.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[declared.target.id] = " ".join(words.split())
    return found

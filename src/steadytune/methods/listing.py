"""The methods as text for the terminal."""

import textwrap
from dataclasses import fields

from steadytune.methods.base import bounds_of
from steadytune.methods.registry import composes, field_docs, methods, parse, passes


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

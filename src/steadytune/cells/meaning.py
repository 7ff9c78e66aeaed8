"""The meaning of Python source, as text that is the same on every version of Python: for digests of code."""

import ast
from collections.abc import Iterable

# Fields that later versions of Python added, or that follow from a node's position.
LEFT_OUT = ("ctx", "kind", "type_comment", "type_ignores", "type_params")


def meaning(source: str) -> str:
    """Python source as its syntax tree, without comments, docstrings and layout.

    `ast.unparse` and `ast.dump` are unsuitable: the former's text and the latter's fields change between versions.
    """
    return _node(ast.parse(source))


def _node(value: object) -> str:
    if isinstance(value, ast.JoinedStr):
        # Python 3.12 adds empty pieces to the format specifications of f-strings.
        pieces = [entry for entry in value.values if not (isinstance(entry, ast.Constant) and entry.value == "")]
        return f"JoinedStr({','.join(map(_node, pieces))})"
    if isinstance(value, ast.AST):
        fields = ((name, getattr(value, name, None)) for name in value._fields if name not in LEFT_OUT)
        # Leave out empty fields, so that a version that adds an optional field changes nothing.
        inner = ",".join(f"{name}={_node(entry)}" for name, entry in fields if entry not in (None, []))
        return f"{type(value).__name__}({inner})"
    if isinstance(value, list):
        # A body that is only a docstring does nothing, like `pass`.
        return f"[{','.join(map(_node, _without_strings(value))) or 'Pass()'}]"
    return f"{type(value).__name__}:{value!r}"


def _without_strings(entries: Iterable[object]) -> Iterable[object]:
    """The entries without bare strings, which are docstrings, including those under dataclass fields."""
    for entry in entries:
        if not (
            isinstance(entry, ast.Expr) and isinstance(entry.value, ast.Constant) and isinstance(entry.value.value, str)
        ):
            yield entry

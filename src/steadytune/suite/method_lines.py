"""The line of a file of methods that an error is about, for errors that only importing the file reveals."""

import ast
import re
import traceback
from pathlib import Path

ABOUT = re.compile(r"method '?(?P<method>[^':]+)'?(: (?P<setting>\w+)(:| is ))?")
"""How the registry's messages begin: the method, and the setting if it is about one."""


def assigned(cls: ast.ClassDef, name: str) -> ast.expr | None:
    """What a class assigns to an attribute; None if nothing."""
    for line in cls.body:
        match line:
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return value
            case ast.AnnAssign(target=ast.Name(id=found), value=value) if found == name:
                return value
    return None


def line_of(error: BaseException, path: Path, said: str) -> int | None:
    """The number of the line in the file of methods at `path` that an error is about; None if that is unknown.

    said: the error's message without the file's name.
    """
    if isinstance(error.__context__, Exception):
        frames = traceback.extract_tb(error.__context__.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path.absolute())]
        if lines:
            return lines[-1]
    about = ABOUT.match(said)
    if about is None:
        return None
    tree = ast.parse(path.read_bytes())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    # If two classes share the name, the error is about the later one.
    for cls in reversed(classes):
        names = assigned(cls, "names")
        for key, value in _entries(names):
            if key.value == about["method"]:
                return _line_of_setting(about["setting"], value, cls, classes) or key.lineno
    return None


def _line_of_setting(
    name: str | None, given: ast.expr, method: ast.ClassDef, classes: list[ast.ClassDef]
) -> int | None:
    """The line that gives a setting its value: in the method's `names`, or else in its class of settings."""
    for key, _ in _entries(given):
        if key.value == name:
            return key.lineno
    settings = assigned(method, "Settings")
    for cls in classes:
        for line in cls.body if isinstance(settings, ast.Name) and cls.name == settings.id else ():
            match line:
                case ast.AnnAssign(target=ast.Name(id=found)) if found == name:
                    return line.lineno
    return None


def _entries(node: ast.expr | None) -> list[tuple[ast.Constant, ast.expr]]:
    """The entries of a mapping that is written out."""
    pairs = zip(node.keys, node.values, strict=True) if isinstance(node, ast.Dict) else ()
    return [(key, value) for key, value in pairs if isinstance(key, ast.Constant)]

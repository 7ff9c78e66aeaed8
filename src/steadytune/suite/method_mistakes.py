"""Mistakes in a user's file of methods, found in its source: all of them at once, before it is imported."""

import ast
import builtins
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeGuard

from steadytune.errors import nearest
from steadytune.methods import base
from steadytune.methods.base import Hyperparameters, Method
from steadytune.suite.method_lines import assigned

Problem = tuple[int, str]
"""A line number, and what is wrong there."""

# Names that every module or class has without an assignment.
GIVEN = {*dir(builtins), *(name for name in vars(ast) if name.startswith("__")), "__class__", "__qualname__"}
IMPORTS = {"F": "from torch.nn import functional as F", "math": "import math",
           "nn": "from torch import nn", "np": "import numpy as np", "numpy": "import numpy", "random": "import random",
           "torch": "import torch"}  # fmt: skip
"""What defines the names that methods use most often."""
HOOKS: dict[str, Callable] = {name: hook for name, hook in vars(Method).items() if inspect.isfunction(hook)}
DATACLASS = "@dataclass(frozen=True, kw_only=True)"


def mistakes(text: str) -> list[Problem]:
    """The mistakes in the source of a file of methods, in line order."""
    return sorted(set(_problems(text)))


def _problems(text: str) -> Iterator[Problem]:
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        yield error.lineno or 1, f"SyntaxError: {error.msg}"
        return
    yield from _imports(tree)
    yield from _names(tree)
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    for cls in classes.values():
        # Inheritance between classes of the file is not followed.
        match [name for parent in cls.bases if (name := _name(parent))]:
            case ["Hyperparameters"]:
                yield from _settings_problems(cls)
            case ["Method"]:
                yield from _MethodClass(cls, classes).problems()


def _imports(tree: ast.Module) -> Iterator[Problem]:
    """Report names imported from `methods.base` that it does not define."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == base.__name__:
            for name in (alias.name for alias in node.names):
                if name != "*" and not hasattr(base, name):
                    yield node.lineno, f"{base.__name__} has no '{name}'{nearest(name, vars(base))}"


def _names(tree: ast.Module) -> Iterator[Problem]:
    """Report names that are read but defined nowhere in the file; skipped if the file has an `import *`."""
    nodes = list(ast.walk(tree))
    bound: set[str] = set(GIVEN)
    for node in nodes:
        match node:
            case ast.alias(name="*"):
                return
            case ast.alias(name=name, asname=asname):
                bound.add(asname or name.partition(".")[0])
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.arg(arg=name):
                bound.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound |= {name, *(made.name for made in getattr(node, "type_params", ()))}
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
    # A hook that lacks an argument is reported as a whole.
    lacking = {id(node) for hook in nodes if isinstance(hook, ast.FunctionDef) and (expected := _expected(hook))
               for node in ast.walk(hook) if isinstance(node, ast.Name) and node.id in expected}  # fmt: skip
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in bound and id(node) not in lacking:
            yield node.lineno, f"'{node.id}' is not defined{_cure(node.id, bound)}"


def _cure(name: str, bound: set[str]) -> str:
    """How to define a name; empty if there is no idea."""
    if name in IMPORTS:
        # Every cluster job reads the registry, and these take seconds to import.
        heavy = "torch" in IMPORTS[name] or "numpy" in IMPORTS[name]
        return f": write `{IMPORTS[name]}`{' inside the function' if heavy else ' at the top'}"
    return f": import it from {base.__name__}" if hasattr(base, name) else nearest(name, bound)


def _expected(function: ast.FunctionDef) -> list[str] | None:
    """The arguments that a hook is called with, if it cannot take them; else None."""
    given = function.args
    if function.name not in HOOKS or function.decorator_list:
        return None
    expected = list(inspect.signature(HOOKS[function.name]).parameters)
    taken = [*given.posonlyargs, *given.args]
    most = len(taken) if given.vararg is None else len(expected)
    fits = len(taken) - len(given.defaults) <= len(expected) <= most
    return None if fits and None not in given.kw_defaults else expected


def _settings_problems(cls: ast.ClassDef) -> Iterator[Problem]:
    """Check that settings are a frozen dataclass with defaults."""
    frozen = any(
        isinstance(made, ast.Call) and _name(made.func) == "dataclass" and
        any(key.arg == "frozen" and getattr(key.value, "value", False) is True for key in made.keywords)
        for made in cls.decorator_list
    )  # fmt: skip
    if not frozen:
        yield cls.lineno, f"class {cls.name}: expected {DATACLASS} above it"
    for line in cls.body:
        match line:
            case ast.AnnAssign(target=ast.Name(id=name), value=None):
                yield line.lineno, f"{cls.name}.{name}: expected a default"
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield line.lineno, f"{cls.name}.{name}: expected a type, such as `{name}: float = 0.1`"


@dataclass(frozen=True)
class _MethodClass:
    """A direct subclass of `Method` in the file."""

    cls: ast.ClassDef
    classes: dict[str, ast.ClassDef]
    """All classes of the file by name."""

    def problems(self) -> Iterator[Problem]:
        yield from self._kind_of_settings()
        for name in ("names", "off"):
            yield from self._mapping(name)
        for function in self.cls.body:
            if isinstance(function, ast.FunctionDef):
                yield from self._hook(function)
        yield from self._attributes()
        yield from self._unread()

    def _assigned(self, name: str) -> ast.expr | None:
        return assigned(self.cls, name)

    def _kind_of_settings(self) -> Iterator[Problem]:
        """Check that the settings class inherits from `Hyperparameters`, which checks bounds."""
        match self._assigned("Settings"):
            case ast.Name(id=name) if name in self.classes and not self.classes[name].bases:
                yield self.classes[name].lineno, f"class {name}: expected class {name}({Hyperparameters.__name__})"
            case ast.Name(id=name) as node if name in vars(builtins) and name not in self.classes:
                yield (
                    node.lineno,
                    f"{self.cls.name}.Settings: {name}: expected a subclass of {Hyperparameters.__name__}",
                )

    def _settings(self) -> ast.ClassDef | None:
        """The settings class; None if there is none, or if the file does not define all of it."""
        named = self._assigned("Settings")
        found = self.classes.get(named.id) if isinstance(named, ast.Name) else None
        return found if found and [_name(parent) for parent in found.bases] == [Hyperparameters.__name__] else None

    def _fields(self) -> dict[str, int] | None:
        """The line of each setting by name; empty if there are no settings, None if the file does not define them."""
        found = self._settings()
        if found is None:
            return {} if self._assigned("Settings") is None else None
        targets = (line.target for line in found.body if isinstance(line, ast.AnnAssign))
        return {target.id: target.lineno for target in targets if isinstance(target, ast.Name)}

    def _mapping(self, name: str) -> Iterator[Problem]:
        """Check that `names` and `off` are mappings that use existing settings only."""
        value, known = self._assigned(name), self._fields()
        if isinstance(value, ast.Constant | ast.List | ast.Tuple | ast.Set) and getattr(value, "value", 0) is not None:
            example = '{"my-method": {}}' if name == "names" else '{"strength": 0.0}'
            yield value.lineno, f"{self.cls.name}.{name}: {ast.unparse(value)}: expected a mapping, such as {example}"
        if isinstance(value, ast.Dict) and known is not None:
            settings = [value] if name == "off" else [each for each in value.values if isinstance(each, ast.Dict)]
            for key in (key for each in settings for key in each.keys if isinstance(key, ast.Constant)):
                if key.value not in known:
                    said = f"unknown setting '{key.value}'{nearest(str(key.value), known)}"
                    yield key.lineno, f"{self.cls.name}.{name}: {said}"

    def _hook(self, function: ast.FunctionDef) -> Iterator[Problem]:
        """Check that a hook takes the arguments it is called with, and that no unused method is a misspelt hook."""
        name = function.name
        if expected := _expected(function):
            taken = ", ".join(arg.arg for arg in (*function.args.posonlyargs, *function.args.args))
            yield function.lineno, f"{self.cls.name}: def {name}({taken}): expected ({', '.join(expected)})"
        elif not hasattr(Method, name) and name not in self._read() and (hint := nearest(name, HOOKS, cutoff=0.8)):
            yield function.lineno, f"{self.cls.name}: nothing calls '{name}'{hint}"

    def _read(self) -> set[str]:
        return {node.attr for node in ast.walk(self.cls) if isinstance(node, ast.Attribute)}

    def _attributes(self) -> Iterator[Problem]:
        """Check that every attribute read from `self` and from its settings exists."""
        nodes = list(ast.walk(self.cls))
        of_self = [node for node in nodes if _of_self(node)]
        # `self.number += 1` reads the attribute first, so it does not define it.
        added = {id(node.target) for node in nodes if isinstance(node, ast.AugAssign)}
        bound = {*dir(Method), "settings"}
        bound |= {node.attr for node in of_self if isinstance(node.ctx, ast.Store) and id(node) not in added}
        for line in self.cls.body:
            bound |= {line.name} if isinstance(line, ast.FunctionDef | ast.ClassDef) else set()
            bound |= {node.id for node in ast.walk(line) if isinstance(node, ast.Name)} if _assigns(line) else set()
        for node in of_self:
            if node.attr not in bound:
                yield node.lineno, f"{self.cls.name}: self.{node.attr} is never set: set it in `prepare`"
        known = self._fields()
        for node in nodes:
            match node:
                case ast.Attribute(value=ast.Attribute(value=ast.Name(id="self"), attr="settings"), attr=name):
                    if known is not None and name not in known:
                        yield node.lineno, f"{self.cls.name}: self.settings has no '{name}'{nearest(name, known)}"

    def _unread(self) -> Iterator[Problem]:
        """Check that the file reads every setting, unless it passes the whole settings object on."""
        nodes = [node for cls in self.classes.values() for node in ast.walk(cls)]
        read = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        looked_into = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        if any(_is_settings(node) and id(node) not in looked_into for node in nodes):
            return
        if found := self._settings():
            for name, line in (self._fields() or {}).items():
                if name not in read:
                    yield line, f"{found.name}.{name}: nothing reads it"


def _is_settings(node: ast.AST) -> bool:
    """Whether a node refers to a method's settings object."""
    return isinstance(node, ast.Attribute | ast.Name) and _name(node) == "settings" and isinstance(node.ctx, ast.Load)


def _of_self(node: ast.AST) -> TypeGuard[ast.Attribute]:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _assigns(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign | ast.AnnAssign)


def _name(node: ast.expr) -> str:
    """The last part of a dotted name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""

"""Find every method, in this package and outside it, and parse names of methods, variants and compositions.

Nothing here imports torch, so the Snakefile and `steadytune plan` validate methods in milliseconds.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from steadytune.errors import SteadyTuneError, short, suggestion, unknown
from steadytune.methods.announced import check_announced
from steadytune.methods.base import Method, overrides
from steadytune.methods.spelling import NOT_IN_PATHS, read
from steadytune.methods.support import outside

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""Pattern of a method's name, which appears in paths and next to the operators `+`, `~` and `=`."""


@dataclass(frozen=True)
class Part:
    """One method of a composition: its name and all its settings, defaults included."""

    name: str
    settings: dict[str, Any]

    def build(self) -> Method:
        """Instantiate the method."""
        cls, _ = methods()[self.name]
        return cls(cls.Settings(**self.settings))

    @cached_property
    def reads_selection(self) -> bool:
        """Whether the method reads l*, the layer that the variability stage selects."""
        return self.build().reads_selection


@cache
def methods() -> dict[str, tuple[type[Method], dict[str, Any]]]:
    """Every method, sorted by name: name -> (class, settings that the name implies)."""
    import steadytune.methods as package

    infos = [info for info in pkgutil.iter_modules(package.__path__) if not info.ispkg]
    found: dict[str, tuple[type[Method], dict[str, Any]]] = {}
    for module in [importlib.import_module(f"{package.__name__}.{info.name}") for info in infos]:
        found |= named_in(module)
    check_announced()
    for module in outside.modules():
        for name, (cls, settings) in named_in(module).items():
            if name in found or not NAME.fullmatch(name):
                taken = "a method has this name already; expected another"
                wrong = taken if name in found else "expected lower-case letters, digits and single hyphens"
                raise SteadyTuneError(f"{module.__file__}: method '{name}': {wrong}")
            found[name] = cls, settings
            try:
                _check_defaults(name, cls)
                _checked(name, cls, settings)
            except SteadyTuneError as error:
                raise SteadyTuneError(f"{module.__file__}: {error}") from None
    return dict(sorted(found.items()))


def named_in(module: ModuleType) -> dict[str, tuple[type[Method], dict[str, Any]]]:
    """The methods that a module defines, in the format of `methods`.

    Raises:
        SteadyTuneError: two classes have the same method name.
    """
    found: dict[str, tuple[type[Method], dict[str, Any]]] = {}
    # Each class once: a module may hold it under several names.
    for cls in dict.fromkeys(value for value in vars(module).values() if isinstance(value, type)):
        if issubclass(cls, Method) and cls.__module__ == module.__name__:
            # Only the class's own `names`: a subclass without them must not register its parent's.
            for name, settings in vars(cls).get("names", {}).items():
                if name in found:
                    twice = f"{found[name][0].__name__}, {cls.__name__}"
                    raise SteadyTuneError(f"{module.__file__}: method '{name}' is defined twice ({twice})")
                found[name] = cls, settings
    return found


def add(path: Path, where: str = "") -> list[str]:
    """Add the methods of a Python file outside the package; return their names.

    where: the place in a suite file that names this file.

    Raises:
        SteadyTuneError: one line with the file and what is wrong in it.
    """
    module = outside.load_file(path, where)
    methods.cache_clear()
    names = sorted(named_in(module))
    if not names:
        raise SteadyTuneError(f"{path}: no subclass of Method with `names`")
    methods()  # Checks their settings too.
    return names


def parse(name: str, changes: dict[str, dict[str, Any]] | None = None) -> tuple[tuple[Part, ...], dict[str, Any]]:
    """Read a method's name: `hype-n`, `hype-n+r-drop`, `hype-n~sigma=1e-04`, `hype-n+lnsr~lnsr.sigma=0.05`.

    Args:
        name: method names joined by `+`; optionally `@task`, where the cell starts (`suite/start.py`); then the values
            that differ, as `~key=value`, which belongs to the first part with such a setting, or `~part.key=value`.
        changes: settings by method name that replace the defaults (a suite's `methods:`).

    Returns:
        The parts in the order of the name, and the `~` values that are no part's setting, so the protocol's.

    Raises:
        SteadyTuneError: an unknown method or setting, a value out of bounds, or an invalid composition.
    """
    names, pairs = part_names(name), name.split("~")[1:]
    for part in names:
        if part not in methods():
            raise unknown("method", part, methods())
    variant = _variant(name, names, pairs)
    parts = []
    for part in names:
        kinds = _kinds(part)
        own = {key: read(value, kinds.get(key)) for key, value in variant.pop(part, {}).items()}
        parts.append(Part(part, resolve(part, {**methods()[part][1], **(changes or {}).get(part, {}), **own})))
    _check_composition(name, parts)
    return tuple(parts), variant.get(None, {})


def part_names(method: str) -> list[str]:
    """The methods that a name combines: `hype-n+lnsr@mnli~sigma=0.01` -> `hype-n`, `lnsr`."""
    return method.partition("~")[0].partition("@")[0].split("+")


def composition(method: str) -> str:
    """A method's name without `@task` and `~` values: `hype-n+lnsr`."""
    return "+".join(part_names(method))


def owner(composition: str, key: str) -> str | None:
    """The part of `a+b` that a bare `~key=value` belongs to: the first with such a setting; None if no part has one."""
    return next((part for part in part_names(composition) if key in _kinds(part)), None)


def key_in_name(composition: str, part: str, key: str) -> str:
    """How a name spells setting `key` of `part`: `key`, or `part.key` if the bare key would be an earlier part's."""
    return key if owner(composition, key) in (part, None) else f"{part}.{key}"


def passes(parts: tuple[Part, ...]) -> tuple[float, float]:
    """Forward and backward passes per step of a composition: its parts' maximum, since one part owns the loss."""
    each = [part.build().passes for part in parts]
    return max(forward for forward, _ in each), max(backward for _, backward in each)


def resolve(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """All settings of method `name`, defaults included, after checking types, bounds and unknown keys."""
    return _checked(name, methods()[name][0], settings)


def _checked(name: str, cls: type[Method], settings: dict[str, Any]) -> dict[str, Any]:
    """As `resolve`, for the method's class."""
    from steadytune.schema import check_settings

    known = [field.name for field in fields(cls.Settings)]
    for key in settings:
        if key not in known:
            raise SteadyTuneError(f"method {name}: unknown setting '{key}'{suggestion(key, known)}")
    checked = check_settings(cls.Settings, settings, f"method {name}")
    return {key: getattr(checked, key) for key in known}


def _check_defaults(name: str, cls: type[Method]) -> None:
    """Check the defaults of a method's settings against their annotations, which Python does not enforce."""
    defaults = {field.name: field.default for field in fields(cls.Settings) if field.default is not MISSING}
    for key, value in _checked(name, cls, defaults).items():
        if isinstance(defaults.get(key), str) and not isinstance(value, str):
            raise SteadyTuneError(f"method {name}: {key}: {short(defaults[key])}: expected {short(value)}")


def _kinds(part: str) -> dict[str, Any]:
    """The settings of a method, each with its annotation; empty if there is no such method."""
    cls, _ = methods().get(part, (Method, {}))
    return {field.name: field.type for field in fields(cls.Settings)}


def _variant(name: str, names: list[str], pairs: list[str]) -> dict[str | None, dict[str, str]]:
    """The `~` values in a name by the part they belong to; the protocol's are under None."""
    found: dict[str | None, dict[str, str]] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise SteadyTuneError(f"method '{name}': '~{pair}' is not of the form ~key=value")
        if NOT_IN_PATHS.search(value):
            raise SteadyTuneError(f"method '{name}': '{value}': expected a value without '/', '{{' and '}}'")
        part, dot, setting = key.rpartition(".")
        of = part if dot else owner("+".join(names), key)
        if dot and part not in names:
            raise unknown("part", part, names, f"method '{name}': '~{pair}'")
        if setting in found.setdefault(of, {}):
            raise SteadyTuneError(f"method '{name}': '{setting}' is set twice")
        found[of][setting] = value
    return found


def _check_composition(name: str, parts: list[Part]) -> None:
    """Raise SteadyTuneError if a method occurs twice, two own the same hook, or their traits contradict each other."""
    classes = [methods()[part.name][0] for part in parts]
    if len(set(classes)) < len(classes):
        raise SteadyTuneError(f"method '{name}': the composition has the same method twice")

    def having(trait: Callable[[type[Method]], bool]) -> list[str]:
        return [part.name for part, cls in zip(parts, classes, strict=True) if trait(cls)]

    for owners, what in (
        (having(lambda cls: overrides(cls, "loss")), "own the loss"),
        (having(lambda cls: overrides(cls, "step")), "own the optimiser's step"),
        (having(lambda cls: cls.selects_parameters), "choose what is trained"),
    ):
        if len(owners) > 1:
            raise SteadyTuneError(f"method '{name}': {' and '.join(owners)} both {what}; keep one of them")
    freezing, needing = having(lambda cls: cls.freezes_weights), having(lambda cls: cls.needs_weights)
    if freezing and needing:
        raise SteadyTuneError(
            f"method '{name}': {needing[0]} acts on the training of the encoder's weights, which {freezing[0]} freezes"
        )

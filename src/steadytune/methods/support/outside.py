"""Methods from outside the package: Python files that a suite names, and modules that installed packages announce."""

import hashlib
import importlib.util
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from steadytune.errors import SteadyTuneError

GROUP = "steadytune.methods"
"""The entry point group; each entry names a module."""

_files: dict[str, ModuleType] = {}


def load_file(path: Path, where: str = "") -> ModuleType:
    """Import a file of methods; another call reuses the module unless the file has changed.

    where: the place in a suite file that names this file.

    Raises:
        SteadyTuneError: the file does not exist or cannot be imported.
    """
    prefix = f"{where}: " if where else ""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SteadyTuneError(f"{prefix}{path}: {error.strerror}; expected a Python file with a method") from None
    name = f"steadytune_outside_{hashlib.sha256(str(path.resolve()).encode() + content).hexdigest()[:16]}"
    if name not in _files:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise SteadyTuneError(f"{prefix}{path}: expected a Python file, `*.py`")
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look up their module here.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise SteadyTuneError(f"{prefix}{path}: {type(error).__name__}: {error}") from None
        for known, other in list(_files.items()):
            if other.__file__ == module.__file__:
                del _files[known]
        _files[name] = module
    return _files[name]


def modules() -> list[ModuleType]:
    """The modules of loaded files and of entry points."""
    announced = [point.load() for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)]
    return [*_files.values(), *(module for module in announced if isinstance(module, ModuleType))]

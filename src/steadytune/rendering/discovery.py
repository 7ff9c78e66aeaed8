"""How tables and figures are found: by looking through their packages, as methods are."""

import importlib
import pkgutil


def import_modules(package: str) -> None:
    """Import every module of a package, so that its decorators register what it has."""
    for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{found.name}")

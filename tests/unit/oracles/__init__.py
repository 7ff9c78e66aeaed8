"""One module per family of methods, each with `CASES`: what the methods' formulas give, written out plainly.

A case computes with numpy or naive torch on dictionaries of float64 tensors. It shares only the random draws with the
package, such as the seeds of the named streams, so that both sides draw the same noise.
"""

import importlib
import pkgutil


def all_cases() -> dict:
    """Every case by its label: a method's name, or name/variation for further cases of the method."""
    found = {}
    for info in pkgutil.iter_modules(__path__):
        cases = getattr(importlib.import_module(f"{__name__}.{info.name}"), "CASES", {})
        assert not found.keys() & cases.keys(), f"{info.name}: a case of this label stands in two modules"
        found |= cases
    return found

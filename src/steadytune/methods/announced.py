"""Check the methods that installed packages announce, and name broken ones, which would stop every command."""

from collections.abc import Iterator
from importlib.metadata import entry_points
from types import ModuleType

from steadytune.errors import SteadyTuneError
from steadytune.methods.support.outside import GROUP


def check_announced() -> None:
    """Import the module that each entry point names.

    Raises:
        SteadyTuneError: one line per entry point that cannot be imported or is no module, with its package and error.
    """
    if problems := list(_problems()):
        raise SteadyTuneError("\n".join(problems))


def _problems() -> Iterator[str]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        package = f" of the installed package '{point.dist.name}'" if point.dist else ""
        where = f"entry point '{point.name} = {point.value}' in {GROUP}{package}"
        try:
            loaded = point.load()
        except Exception as error:
            yield f"{where}: {type(error).__name__}: {' '.join(str(error).split())}; repair or uninstall it"
            continue
        if not isinstance(loaded, ModuleType):
            yield f"{where}: expected the name of a module"

"""Loading a user's file of methods, whose source is checked before it is imported."""

from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import nearest_file, read_text
from steadytune.methods import base, registry
from steadytune.suite.method_lines import line_of
from steadytune.suite.method_mistakes import mistakes


def add_methods(path: Path, where: str = "") -> list[str]:
    """Register the methods of a Python file and return their names. The package's own files are registered already.

    where: the place in a suite's file that names it.

    Raises:
        SteadyTuneError: one line per mistake found in the source, or else the first that importing reveals.
    """
    prefix = f"{where}: " if where else ""
    if not path.exists():
        raise SteadyTuneError(f"{prefix}{path}: no such file{nearest_file(path)}: expected a Python file with a method")
    if path.is_file() and (found := mistakes(read_text(path))):
        raise SteadyTuneError("\n".join(f"{prefix}{path}: line {line}: {said}" for line, said in found))
    if own := _of_package(path):
        return own
    try:
        return registry.add(path, where)
    except SteadyTuneError as error:
        raise SteadyTuneError(_located(error, path, prefix)) from None
    except SystemExit:
        # SystemExit would end the command, perhaps with exit status 0.
        said = 'importing it exits Python: put code that runs by itself under `if __name__ == "__main__":`'
        raise SteadyTuneError(f"{prefix}{path}: {said}") from None


def _located(error: SteadyTuneError, path: Path, prefix: str) -> str:
    """An error's message with the file's path as the user gave it, and the line if it is known."""
    said = str(error).removeprefix(prefix)
    for shown in (f"{path.absolute()}: ", f"{path}: "):
        if said.startswith(shown):
            said = said.removeprefix(shown)
            line = line_of(error, path, said)
            return f"{prefix}{path}: {f'line {line}: ' if line else ''}{said}"
    return str(error)


def _of_package(path: Path) -> list[str]:
    """The registered methods defined in this file, if it is one of the package's."""
    if path.resolve().parent != Path(base.__file__).resolve().parent:
        return []
    module = f"{base.__package__}.{path.stem}"
    return [name for name, (cls, _) in registry.methods().items() if cls.__module__ == module]

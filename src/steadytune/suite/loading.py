"""Find, read and check a suite's file."""

from collections.abc import Iterator
from pathlib import Path

from steadytune.errors import unknown
from steadytune.layout import project_file
from steadytune.methods import registry
from steadytune.schema import check, read_yaml
from steadytune.suite.checks import check_names, check_settings
from steadytune.suite.file import SuiteFile
from steadytune.suite.suite import Suite

DEFAULT_SUITE = Path("config/mini.yaml")


def load_suite(path: Path, results: Path | None = None) -> Suite:
    """Read and check a suite's file.

    Args:
        path: of the file.
        results: where its results lie; `results/<suite>` by default.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value, what was expected and the nearest valid name.
    """
    file = check(SuiteFile, read_yaml(path), path)
    for place, source in enumerate(file.methods_from):
        registry.add(path.parent / source, f"{path}: methods_from.{place}")
    suite = Suite(file, path, results)
    check_settings(suite)
    for cell in suite.cells:
        suite.spec(cell)
    check_names(suite)
    return suite


def find_suite(name: str) -> Path:
    """The file of a suite given by path (`config/mini.yaml`) or by name (`mini`).

    A name stands for a file in the current folder, or else for one of the project's.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    if (own := Path(f"{name}.yaml")).is_file():
        return own
    known = {file.stem: file for file in _suite_files()}
    if name not in known:
        raise unknown("suite", name, known, "config/")
    return known[name]


def _suite_files() -> Iterator[Path]:
    return (path for path in sorted(project_file(Path("config")).glob("*.yaml")) if path.name != "lock.yaml")

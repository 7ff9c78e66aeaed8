"""Find, read and check a suite's file."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from steadytune.errors import SteadyTuneError, problems_of, raise_all, unknown
from steadytune.layout import project_file
from steadytune.safe_yaml import read_yaml
from steadytune.schema import check_all
from steadytune.suite.cell_checks import cell_problems
from steadytune.suite.checks import setting_problems
from steadytune.suite.file import SuiteFile
from steadytune.suite.method_files import add_methods
from steadytune.suite.suite import Suite

DEFAULT_SUITE = Path("config/mini.yaml")


def load_suite(path: Path, results: Path | None = None) -> Suite:
    """Read and check a suite's file.

    Args:
        path: the suite's file.
        results: folder of its results; `results/<suite>` by default.

    Raises:
        SteadyTuneError: one line per mistake: the file, the key, the value, what was expected and the nearest valid
            name. Mistakes of form come first, then those of `suite_problems`.
    """
    suite = read_suite(path, results)
    raise_all(suite_problems(suite))
    return suite


def suite_problems(suite: Suite) -> list[str]:
    """One line per mistake in single settings; if there are none, in their combinations, then in the resolved cells."""
    try:
        return (
            setting_problems(suite)
            or problems_of(partial(suite.spec, cell) for cell in suite.cells)
            or cell_problems(suite)
        )
    except SteadyTuneError as error:
        # The grid has too many cells.
        return str(error).splitlines()


def read_suite(path: Path, results: Path | None = None) -> Suite:
    """Read a suite's file and the methods it brings, and check their form.

    Raises:
        SteadyTuneError: one line per mistake.
    """
    file = read_suite_file(path)
    named = {f"{path}: methods_from.{place}": path.parent / source for place, source in enumerate(file.methods_from)}
    raise_all(problems_of(partial(add_methods, source, where) for where, source in named.items()))
    return Suite(file, path, results)


def read_suite_file(path: Path) -> SuiteFile:
    """Read a suite's file alone, and check its form.

    Raises:
        SteadyTuneError: one line per mistake.
    """
    return check_all(SuiteFile, read_yaml(path, for_snakemake=True), path)


def find_suite(name: str) -> Path:
    """The file of a suite given by path (`config/mini.yaml`) or by name (`mini`).

    A name is looked up in the current folder, then among the project's suites.
    """
    path = Path(name)
    if path.suffix in {".yaml", ".yml"}:
        return path
    if (own := Path(f"{name}.yaml")).is_file():
        return own
    here = {file.stem: file for file in sorted(Path().glob("[!.]*.yaml")) if not file.name.endswith(".lock.yaml")}
    known = here | {file.stem: file for file in _suite_files()}
    if name not in known:
        raise unknown("suite", name, known, "this folder and config/" if here else "config/")
    return known[name]


def _suite_files() -> Iterator[Path]:
    return (path for path in sorted(project_file(Path("config")).glob("*.yaml")) if path.name != "lock.yaml")

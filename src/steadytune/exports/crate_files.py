"""The files in an RO-Crate of a suite, and their paths in it."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.exports.content import check_finished
from steadytune.layout import (
    LOCK,
    all_tables_path,
    analysis_folder,
    claims_path,
    figures_folder,
    history_path,
    inside_before_path,
    inside_folder,
    inside_path,
    inside_table_path,
    looks_path,
    macros_path,
    manifests_folder,
    metrics_path,
    predictions_path,
    project_file,
    project_folder,
    record_path,
    report_path,
    tables_folder,
    variability_folder,
    variability_path,
)
from steadytune.rendering.figures import versions
from steadytune.rendering.sections import report_paths
from steadytune.results.description import describe
from steadytune.suite.file import is_file_name
from steadytune.suite.own import lock_path
from steadytune.suite.suite import Suite

CITATION = Path("CITATION.cff")
SETTINGS = (LOCK, Path("requirements.lock"), Path("environment.yml"))
"""Project files that a run depends on besides the suite's own; missing ones are skipped."""

FILES = (metrics_path, inside_table_path, macros_path, all_tables_path, looks_path)
FOLDERS = (tables_folder, figures_folder, analysis_folder, variability_folder, inside_folder, manifests_folder)
"""Folders of a suite's results to export; logs, checkpoints and weights are left out."""


def suite_files(suite: Suite) -> Iterator[Path]:
    """Every file in the suite's crate, the suite's own first.

    Raises:
        SteadyTuneError: a cell has no record, or there is no report.
    """
    check_finished(suite)
    report = report_path(suite)
    if not report.is_file():
        raise SteadyTuneError(f"{report}: not found; only a finished suite can be exported")
    candidates = [*inputs_of(suite), *report_paths(suite), *(path(suite) for path in FILES)]
    found = [path for folder in FOLDERS for path in sorted(folder(suite).rglob("*"))]
    candidates += [path for path in found if _is_named(path, suite)]
    candidates += [path(suite, cell) for cell in suite.cells for path in (record_path, predictions_path, history_path)]
    return (path for path in dict.fromkeys(candidates) if path.is_file())


def inputs_of(suite: Suite) -> list[Path]:
    """The suite's inputs: its own files, then the project's."""
    about = (Path("LICENSE"), CITATION) if is_projects(suite) else ()
    return [*_own_files(suite), *map(project_file, (*SETTINGS, *about))]


def _own_files(suite: Suite) -> list[Path]:
    """The suite's file, the lock of its own data, and every file that it names: methods, claims, its analysis plan."""
    plan = suite.file.analysis_plan
    named = [*suite.file.methods_from, *filter(is_file_name, suite.file.claims), *([plan] if plan else [])]
    return [suite.path, lock_path(suite.path), *(suite.path.parent / name for name in named)]


def is_projects(suite: Suite) -> bool:
    """Whether the suite is part of the project, and so has the project's authors and licence."""
    return suite.path.resolve().is_relative_to(project_folder().resolve())


def _is_named(path: Path, suite: Suite) -> bool:
    """Whether the current suite still asks for a file; leftovers of removed stages are not exported."""
    if path.parent == analysis_folder(suite):
        return path.suffix == ".parquet" or (path == claims_path(suite) and suite.has_verdicts)
    if path.parent == tables_folder(suite):
        return path.stem in suite.file.tables
    if path.parent == figures_folder(suite):
        return path.stem in versions(suite.file.figures, describe(suite))
    if path.is_relative_to(variability_folder(suite)):
        return path in {variability_path(suite, *pair) for pair in suite.variability_pairs()}
    if path.is_relative_to(inside_folder(suite)):
        studies = [inside_before_path(suite, *pair) for pair in suite.inside_pairs()]
        studies += [inside_path(suite, cell) for cell in suite.inside_cells]
        return path.with_suffix(".json") in studies
    return True


def places_of(suite: Suite, files: list[Path]) -> dict[Path, str]:
    """The path of every file in the crate; no two are the same."""
    own, found, taken = set(_own_files(suite)), {}, set()
    for path in files:
        place = first = Path(_place_of_own(path, suite) if path in own else _place(path))
        number = count(2)
        while place in taken:
            place = first.with_stem(f"{first.stem}-{next(number)}")
        taken.add(place)
        found[path] = place.as_posix()
    return found


def _place_of_own(path: Path, suite: Suite) -> str:
    """Path of a suite's own file: in `config/`, relative to the suite file's folder, or else as in the project."""
    own, folder, project = (each.resolve() for each in (path, suite.path.parent, project_folder()))
    if own.is_relative_to(folder):
        return f"config/{own.relative_to(folder).as_posix()}"
    return own.relative_to(project).as_posix() if own.is_relative_to(project) else f"config/{path.name}"


def _place(path: Path) -> str:
    """Path of any other file: as in the project."""
    project = project_folder()
    return (path.relative_to(project) if path.is_relative_to(project) else path).as_posix()

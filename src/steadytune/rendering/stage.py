"""The render stage: writes a suite's tables, macros, figures, report or notebook to its results folder."""

from steadytune.files import write_text
from steadytune.layout import (
    all_tables_path,
    figures_folder,
    macros_path,
    notebook_path,
    report_path,
    results_folder,
    tables_folder,
)
from steadytune.rendering.figures import versions
from steadytune.rendering.latex import to_document
from steadytune.rendering.macros import to_macros
from steadytune.rendering.report import build_notebook, build_report, write_figures, write_tables
from steadytune.results.description import describe
from steadytune.results.loading import load_results
from steadytune.suite.suite import Suite


def render(suite: Suite, what: str, processes: int = 1) -> None:
    """Write `what`: `tables`, `figures` (with this many processes), `report` or `notebook`.

    The report reuses the figures that are already written.
    """
    if what == "notebook":
        build_notebook(suite.path, notebook_path(suite))
        return
    results = load_results(results_folder(suite), describe(suite))
    if what == "report":
        build_report(results, report_path(suite), figures_folder(suite))
    elif what == "tables":
        write_tables(results, suite.file.tables, tables_folder(suite))
        write_text(all_tables_path(suite), to_document(suite.file.tables))
        write_text(macros_path(suite), to_macros(results))
    else:
        write_figures(results, versions(suite.file.figures, results.suite), figures_folder(suite), processes)

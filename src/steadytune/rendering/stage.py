"""The render stage: a suite's tables, figures or report into its results folder."""

from typing import Any

from steadytune.layout import results_folder
from steadytune.rendering.report import build_report, write_figures, write_tables
from steadytune.rendering.results import load_results
from steadytune.suite import DEFAULT_SUITE, Suite


def render(suite: Suite, what: str) -> None:
    """Write what is asked for: `tables`, `figures` or `report`."""
    folder, described = results_folder(suite), describe(suite)
    if what == "report":
        build_report(folder, described, folder / "report.html")
    elif what == "tables":
        write_tables(load_results(folder, described), suite.file.tables, folder / "tables")
    else:
        write_figures(load_results(folder, described), suite.file.figures, folder / "figures")


def describe(suite: Suite) -> dict[str, Any]:
    """A suite as `load_results` takes it: names in the order of its file, and what to compare with what."""
    file = suite.file
    return {
        "name": suite.name,
        "title": file.title,
        "description": file.description,
        "notes": list(file.notes),
        "encoders": list(dict.fromkeys(cell.encoder for cell in suite.cells)),
        "methods": list(dict.fromkeys(cell.method for cell in suite.cells)),
        "tasks": list(dict.fromkeys(cell.task for cell in suite.cells)),
        "comparisons": [
            {"pretrained": name, "random": other}
            for name, entry in file.encoders.items()
            for other, drawn in file.encoders.items()
            if entry.weights == "pretrained" and drawn.weights == "random" and entry.model == drawn.model
        ],
        "selection": file.selection,
        "tables": list(file.tables),
        "figures": list(file.figures),
        "configfile": None if suite.path == DEFAULT_SUITE else str(suite.path),
    }

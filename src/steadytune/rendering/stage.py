"""The render stage: a suite's tables (and numbers for running text), figures or report into its results folder."""

from typing import Any

from steadytune.files import write_text
from steadytune.layout import results_folder
from steadytune.rendering.latex import to_document
from steadytune.rendering.macros import to_macros
from steadytune.rendering.report import build_report, write_figures, write_tables
from steadytune.rendering.results import load_results
from steadytune.suite import DEFAULT_SUITE, Suite


def render(suite: Suite, what: str) -> None:
    """Write what is asked for: `tables`, `figures` or `report`."""
    folder, described = results_folder(suite), describe(suite)
    if what == "report":
        build_report(folder, described, folder / "report.html")
    elif what == "tables":
        results = load_results(folder, described)
        write_tables(results, suite.file.tables, folder / "tables")
        write_text(folder / "tables.tex", to_document(suite.file.tables))
        write_text(folder / "macros.tex", to_macros(results))
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
        "named": {name: list(variants) for name, variants in suite.named.items()},
        "tasks": list(dict.fromkeys(cell.task for cell in suite.cells)),
        "measured_tasks": list(dict.fromkeys(task for _, task in suite.layer_studies())),
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

"""The results of a suite: what of its file they go by, and all of them, also where nothing has run."""

from typing import Any

from steadytune.layout import metrics_path, results_folder
from steadytune.results.loading import load_results
from steadytune.results.model import Results
from steadytune.suite.loading import DEFAULT_SUITE
from steadytune.suite.suite import Suite


def load_or_empty(suite: Suite) -> Results:
    """A suite's results; those of a suite of which nothing has run are empty."""
    if metrics_path(suite).exists():
        return load_results(results_folder(suite), describe(suite))
    return empty_results(suite)


def empty_results(suite: Suite) -> Results:
    """The results of a suite of which nothing has run."""
    return Results(results_folder(suite), describe(suite), {}, {}, {}, (), (), (), ())


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

"""The files of a suite that Snakemake makes, as rules name them; this module knows nothing of jobs or digests."""

import re
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from steadytune.claims.files import CLAIMS
from steadytune.claims.published import PUBLISHED
from steadytune.layout import (
    Kind,
    all_tables_path,
    calibration_path,
    claims_path,
    figures_folder,
    handover_path,
    history_path,
    inside_before_path,
    inside_path,
    inside_table_path,
    logs_folder,
    macros_path,
    metrics_path,
    predictions_path,
    project_file,
    record_path,
    results_folder,
    slices_path,
    staged_folder,
    tables_folder,
    variability_path,
)
from steadytune.rendering import formats, style
from steadytune.rendering.figures import versions
from steadytune.rendering.sections import report_paths
from steadytune.rendering.tables import TABLES
from steadytune.results.description import describe
from steadytune.store.receipt import RECEIPT
from steadytune.suite.file import is_file_name
from steadytune.suite.suite import Suite


class Targets:
    """Paths as strings, which Snakemake expects; the list is empty for anything that a suite does not ask for."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.folder = str(results_folder(suite))
        self.logs = str(logs_folder(suite))

    def receipt(self, kind: Kind, key: str) -> str:
        """The receipt of a data set or an encoder, which exists if it is staged."""
        return str(staged_folder(self.suite.file.store, kind, key) / RECEIPT)

    @cached_property
    def records(self) -> list[str]:
        """The record of every cell."""
        return [str(record_path(self.suite, cell)) for cell in self.suite.cells]

    @cached_property
    def variability_outputs(self) -> list[str]:
        """Every measurement of an encoder's layers."""
        return [str(variability_path(self.suite, *pair)) for pair in self.suite.variability_pairs()]

    @property
    def variability_output(self) -> str:
        """A measurement of an encoder's layers, with wildcards."""
        return str(variability_path(self.suite, "{encoder}", "{task}"))

    def cell_outputs(self, cell: str = "{encoder}/{method}/{task}/seed-{seed}") -> dict[str, str]:
        """The files of a cell, by name; with wildcards by default."""
        paths = {"record": record_path, "predictions": predictions_path, "history": history_path}
        return {name: str(path(self.suite, cell)) for name, path in paths.items()}

    @property
    def handover(self) -> str:
        """The fine-tuned weights that other jobs read, with one wildcard for the cell."""
        return str(handover_path(self.suite, "{cell}"))

    @property
    def handover_pattern(self) -> str:
        """A pattern for cells whose fine-tuned weights other jobs read: measurements inside them, and other cells."""
        cells = dict.fromkeys([*self.suite.inside_cells, *self.suite.parents])
        return "|".join(re.escape(str(cell)) for cell in cells) or "(?!)"

    def inside_outputs(self, cell: str = "{cell}") -> list[str]:
        """The measurements inside a cell's fine-tuned encoder; with a wildcard by default."""
        path = inside_path(self.suite, cell)
        return [str(path), str(path.with_suffix(".npz"))]

    @property
    def inside_before(self) -> str:
        """The measurements inside an encoder before fine-tuning, with wildcards."""
        return str(inside_before_path(self.suite, "{encoder}", "{task}"))

    @property
    def inside_before_studies(self) -> list[str]:
        """Every measurement inside an encoder before fine-tuning."""
        return [str(inside_before_path(self.suite, *pair)) for pair in self.suite.inside_pairs()]

    @property
    def inside_studies(self) -> list[str]:
        """Every measurement inside an encoder, after and before fine-tuning, and the measured cells' predictions."""
        cells = self.suite.inside_cells
        after = [path for cell in cells for path in self.inside_outputs(str(cell))]
        return [*after, *self.inside_before_studies, *(str(predictions_path(self.suite, cell)) for cell in cells)]

    @property
    def inside_table_path(self) -> str:
        """The table of the measurements inside encoders."""
        return str(inside_table_path(self.suite))

    @property
    def inside_table(self) -> list[str]:
        """The table of the measurements inside encoders, if the suite asks for it."""
        return [self.inside_table_path] if self.suite.inside_cells else []

    @property
    def metrics(self) -> str:
        """The long table of all metrics."""
        return str(metrics_path(self.suite))

    @property
    def prediction_paths(self) -> list[str]:
        """The tables that are computed from single predictions."""
        return [str(slices_path(self.suite)), str(calibration_path(self.suite))]

    @property
    def prediction_studies(self) -> list[str]:
        """The tables that are computed from single predictions, if a table of the suite shows them."""
        return self.prediction_paths if any(TABLES[name].reads_predictions for name in self.suite.file.tables) else []

    @property
    def claims_path(self) -> str:
        """The file of the verdicts."""
        return str(claims_path(self.suite))

    @property
    def claims(self) -> list[str]:
        """The file of the verdicts, if the suite names claims or has methods to compare."""
        return [self.claims_path] if self.suite.has_verdicts else []

    @property
    def claim_files(self) -> list[str]:
        """The files that the verdicts are about: the claims and the numbers printed in papers."""
        shared = [
            path
            for folder, ending in ((CLAIMS, "yaml"), (PUBLISHED, "csv"))
            for path in sorted(project_file(folder).glob(f"*.{ending}"))
        ]
        beside = [self.suite.path.parent / name for name in self.suite.file.claims if is_file_name(name)]
        return [str(path) for path in (*shared, *beside)]

    @property
    def tables(self) -> list[str]:
        """Every table in every format."""
        return self._rendered(tables_folder, self.suite.file.tables, formats.FORMATS)

    @cached_property
    def shown_tables(self) -> list[str]:
        """The tables that Snakemake's own report shows."""
        return [path for path in self.tables if path.endswith(".html")]

    @property
    def latex(self) -> list[str]:
        """What a LaTeX text includes: macros for its numbers, and every table in one document."""
        return [str(path(self.suite)) for path in (macros_path, all_tables_path)]

    @cached_property
    def figures(self) -> list[str]:
        """Every figure in every format."""
        return self._rendered(figures_folder, versions(self.suite.file.figures, describe(self.suite)), style.FORMATS)

    @cached_property
    def shown_figures(self) -> list[str]:
        """The figures that the report shows, and Snakemake's own report too."""
        return [path for path in self.figures if path.endswith(".svg")]

    @property
    def report(self) -> list[str]:
        """The page, and the list of the cells if it is too long for the page."""
        return [str(path) for path in report_paths(self.suite)]

    def _rendered(self, folder: Callable[[Suite], Path], names: Iterable[str], suffixes: Iterable[str]) -> list[str]:
        return [str(folder(self.suite) / f"{name}{suffix}") for name in names for suffix in suffixes]

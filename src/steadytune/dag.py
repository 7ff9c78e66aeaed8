"""What the Snakefile asks: targets, the inputs of a job, and the digests that make one run again."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

from steadytune.analysis.claims import CLAIMS
from steadytune.cell import Cell, canonical_digest
from steadytune.errors import SteadyTuneError
from steadytune.layout import (
    LOCK,
    RECEIPT,
    calibration_path,
    cell_folder,
    claims_path,
    dataset_folder,
    inside_before_path,
    inside_path,
    inside_table_path,
    metrics_path,
    model_folder,
    model_path,
    record_path,
    results_folder,
    slices_path,
    variability_path,
)
from steadytune.published import PUBLISHED
from steadytune.record import HISTORY, MODEL, PREDICTIONS, RECORD
from steadytune.rendering.predictions import TABLES_OF_PREDICTIONS
from steadytune.schema import read_yaml
from steadytune.store.lock import Kind, entry_digest, generated_corpus, load_lock
from steadytune.suite import DEFAULT_SUITE, Suite, load_suite
from steadytune.tasks.table import parse_task

TABLE_FORMATS = ("csv", "tex", "md", "html")
FIGURE_FORMATS = ("pdf", "svg", "png")

LAYER_PROTOCOL = ("max_length", "evaluation_batch_size", "determinism", "threads")
"""What a measurement of layers takes of the suite's protocol."""


class Dag:
    """A suite as the Snakefile sees it. Paths are strings, as Snakemake wants them."""

    def __init__(self, suite: Suite) -> None:
        self.suite = suite
        self.file = str(suite.path)
        self.folder = str(results_folder(suite))
        self.store = str(suite.file.store)
        self.lock = load_lock(LOCK)
        self._receipts: dict[tuple[str, ...], list[str]] = {}

    @classmethod
    def load(cls, configfiles: Sequence[str], config: Mapping[str, Any]) -> "Dag":
        """The suite of `--configfile`, by default the mini suite.

        Raises:
            SteadyTuneError: more than one file, or `--config` values, which no record could account for.
        """
        if len(configfiles) > 1:
            raise SteadyTuneError(f"--configfile: expected one suite, got {', '.join(map(str, configfiles))}")
        if config and not configfiles:
            raise SteadyTuneError(
                f"--config {next(iter(config))}=…: a suite's settings stand in its file; use --configfile"
            )
        path = Path(configfiles[0] if configfiles else DEFAULT_SUITE).absolute()
        # One spelling however Snakemake was called, on a cluster's nodes too, because the path is a job's parameter.
        return cls(load_suite(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))

    @cached_property
    def records(self) -> list[str]:
        """The record of every cell."""
        return [str(record_path(self.suite, cell)) for cell in self.suite.cells]

    @cached_property
    def layer_studies(self) -> list[str]:
        """Every measurement of an encoder's layers."""
        return [str(variability_path(self.suite, *pair)) for pair in self.suite.layer_studies()]

    @property
    def tables(self) -> list[str]:
        """Every table in every format."""
        return [f"{self.folder}/tables/{name}.{suffix}" for name in self.suite.file.tables for suffix in TABLE_FORMATS]

    @property
    def latex(self) -> list[str]:
        """What running text needs: its numbers, and every table in one document."""
        return [f"{self.folder}/{name}.tex" for name in ("macros", "tables")]

    @property
    def figures(self) -> list[str]:
        """Every figure in every format."""
        names = self.suite.file.figures
        return [f"{self.folder}/figures/{name}.{suffix}" for name in names for suffix in FIGURE_FORMATS]

    @property
    def metrics(self) -> str:
        """The long table."""
        return str(metrics_path(self.suite))

    @property
    def prediction_studies(self) -> list[str]:
        """What is computed from single predictions, where a table of the suite shows it."""
        wanted = not set(TABLES_OF_PREDICTIONS).isdisjoint(self.suite.file.tables)
        return [str(path(self.suite)) for path in (slices_path, calibration_path)] if wanted else []

    @property
    def claims(self) -> list[str]:
        """The verdicts, where the suite names claims."""
        return [str(claims_path(self.suite))] if self.suite.claims else []

    @property
    def claim_files(self) -> list[str]:
        """What the verdicts are about: the claims' files and the printed numbers."""
        return [
            str(path)
            for folder, ending in ((CLAIMS, "yaml"), (PUBLISHED, "csv"))
            for path in sorted(folder.glob(f"*.{ending}"))
        ]

    @property
    def report(self) -> str:
        """The page."""
        return f"{self.folder}/report.html"

    def cell_outputs(self, cell: str = "{encoder}/{method}/{task}/seed-{seed}") -> dict[str, str]:
        """The files of a cell by name, with wildcards."""
        names = {"record": RECORD, "predictions": PREDICTIONS, "history": HISTORY}
        return {name: f"{self.folder}/cells/{cell}/{file}" for name, file in names.items()}

    @property
    def kept_model(self) -> str:
        """The fine-tuned weights of a cell that is looked into, with one wildcard for the cell."""
        return f"{self.folder}/cells/{{cell}}/{MODEL}"

    @property
    def inside_pattern(self) -> str:
        """Matches the cells whose fine-tuned encoder is looked into, and nothing where there is none."""
        return "|".join(re.escape(str(cell)) for cell in self.suite.inside_cells) or "(?!)"

    @property
    def inside_table(self) -> list[str]:
        """The table of what is measured inside, where the suite asks for it."""
        return [str(inside_table_path(self.suite))] if self.suite.inside_cells else []

    @property
    def inside_studies(self) -> list[str]:
        """Every measurement inside an encoder, after fine-tuning and before, and the predictions of those cells."""
        cells = self.suite.inside_cells
        after = [
            str(inside_path(self.suite, cell).with_suffix(suffix)) for cell in cells for suffix in (".json", ".npz")
        ]
        before = [str(inside_before_path(self.suite, *pair)) for pair in self.suite.inside_pairs()]
        return [*after, *before, *(str(cell_folder(self.suite, cell) / PREDICTIONS) for cell in cells)]

    def inside_inputs(self, wildcards: Any) -> list[str]:
        """What a measurement inside a fine-tuned encoder reads."""
        cell = _cell(wildcards)
        spec, output = _said(lambda: self.suite.spec(cell)), inside_path(self.suite, cell)
        kept = [str(model_path(self.suite, cell)), str(record_path(self.suite, cell))]
        return kept + self._needed(self._inside_receipts(spec.model, spec.task), output)

    def inside_before_inputs(self, wildcards: Any) -> list[str]:
        """What a measurement inside an encoder before fine-tuning reads."""
        if (wildcards.encoder, wildcards.task) not in self.suite.inside_pairs():
            raise WorkflowError(f"{self.file}: inside: no cell of '{wildcards.encoder}' on '{wildcards.task}'")
        model = self.suite.model(wildcards.encoder, wildcards.task)
        output = inside_before_path(self.suite, wildcards.encoder, wildcards.task)
        return self._needed(self._inside_receipts(model, wildcards.task), output)

    @property
    def inside_digest(self) -> str:
        """The digest of how cells are looked into."""
        file, block = self.suite.file, self.suite.file.inside
        if block is None:
            return ""
        encoders = {name: file.encoders[name].model_dump(mode="json") for name in block.encoders}
        asked = block.model_dump(mode="json", include={"probes", "examples"})
        return canonical_digest({"encoders": encoders, "protocol": self._layer_protocol(), "asked": asked})

    def _inside_receipts(self, model: str, task: str) -> list[str]:
        """The encoder, the task and the tasks of the probes."""
        return self._receipts_of(model, task, *(self.suite.file.inside.probes if self.suite.file.inside else ()))

    @property
    def pretrained_pattern(self) -> str:
        """Matches the keys of those encoders that the project trains itself, and nothing where there is none."""
        keys = [key for key in self.suite.models() if self._pretraining(key) is not None]
        return "|".join(map(re.escape, keys)) or "(?!)"

    def pretraining_inputs(self, wildcards: Any) -> list[str]:
        """The staged text that an encoder is pretrained on; none where it is a file outside the store."""
        corpus = generated_corpus(self._pretraining_settings(wildcards.key))
        return [self.receipt("datasets", corpus)] if corpus else []

    def pretraining_digest(self, wildcards: Any) -> str:
        """The digest of an encoder's pretraining settings: changed settings train it again."""
        return canonical_digest(self._pretraining_settings(wildcards.key))

    def pretraining_threads(self, wildcards: Any) -> int:
        """Part of the settings, as a cell's."""
        return self._pretraining_settings(wildcards.key)["threads"]

    @property
    def suite_digest(self) -> str:
        """The digest of the suite's file: other cells, titles or tables make other pages."""
        return canonical_digest(self.suite.file.model_dump(mode="json"))

    def _pretraining(self, key: str) -> Path | None:
        return self.lock.pretraining(key)

    def _pretraining_settings(self, key: str) -> dict[str, Any]:
        path = self._pretraining(key)
        assert path is not None, "the rule's pattern admits pretrained encoders only"
        return _said(lambda: read_yaml(path))

    def receipt(self, kind: Kind, key: str) -> str:
        """The file that says that a data set or an encoder is staged."""
        folder = dataset_folder if kind == "datasets" else model_folder
        return str(folder(self.suite.file.store, key) / RECEIPT)

    def pin(self, kind: Kind, key: str) -> str:
        """The digest of an entry of the lock: a changed pin stages again."""
        return _said(lambda: entry_digest(self.lock, kind, key))

    def cell_inputs(self, wildcards: Any) -> list[str]:
        """What a cell reads; a cell outside the grid stops here with the nearest name."""
        spec = _said(lambda: self.suite.spec(_cell(wildcards)))
        receipts = self._receipts_of(spec.model, spec.task, *spec.transfer)
        studies = [str(variability_path(self.suite, spec.encoder, spec.task))] if spec.reads_selection else []
        return self._needed([*receipts, *studies], record_path(self.suite, spec.cell))

    def _receipts_of(self, model: str, *tasks: str) -> list[str]:
        """Those of an encoder and of the data sets of tasks."""
        if (model, *tasks) not in self._receipts:
            keys = sorted({parse_task(name)[0].dataset_key for name in tasks})
            found = [self.receipt("models", model), *(self.receipt("datasets", key) for key in keys)]
            self._receipts[model, *tasks] = found
        return self._receipts[model, *tasks]

    def cell_digest(self, wildcards: Any) -> str:
        """The digest of a cell's settings: changed settings train again."""
        return _said(lambda: self.suite.spec(_cell(wildcards)).digest())

    @staticmethod
    def cell_name(wildcards: Any) -> str:
        """A cell as the command line takes it."""
        return str(_cell(wildcards))

    @staticmethod
    def keep_option(wildcards: Any, output: Any) -> str:
        """The option that keeps a cell's model, where the rule's output has one.

        Snakemake leaves a parameter that follows from the output out of what makes a job run again, so that no finished
        cell is trained anew because its model is no longer asked for.
        """
        return "--keep-model" if "model" in output.keys() else ""  # noqa: SIM118 (not a mapping)

    def cell_threads(self, wildcards: Any) -> int:
        """A cell's threads are part of its settings, not of the machine."""
        return _said(lambda: self.suite.spec(_cell(wildcards)).protocol.threads)

    def layer_inputs(self, wildcards: Any) -> list[str]:
        """What a measurement of layers reads."""
        if wildcards.encoder not in self.suite.file.encoders:
            raise WorkflowError(f"{self.file}: no encoder '{wildcards.encoder}'")
        model = self.suite.model(wildcards.encoder, wildcards.task)
        task, _ = _said(lambda: parse_task(wildcards.task))
        receipts = [self.receipt("models", model), self.receipt("datasets", task.dataset_key)]
        return self._needed(receipts, variability_path(self.suite, wildcards.encoder, wildcards.task))

    def layer_digest(self, wildcards: Any) -> str:
        """The digest of all that a measurement of layers goes by: changed settings measure again."""
        model = self.suite.model(wildcards.encoder, wildcards.task)
        encoder = {"model": model, "weights": self.suite.file.encoders[wildcards.encoder].weights}
        settings = self.suite.file.variability.measured()
        return canonical_digest({"encoder": encoder, "protocol": self._layer_protocol(), "settings": settings})

    def _layer_protocol(self) -> dict[str, Any]:
        """What of the suite's protocol a measurement before fine-tuning goes by."""
        return {name: getattr(self.suite.base_protocol, name) for name in LAYER_PROTOCOL}

    @staticmethod
    def _needed(receipts: list[str], output: Path) -> list[str]:
        """The receipts that a job asks for: where its output is there, those that are there too.

        An input that was cleared away after a cell was finished would otherwise be staged for the next cell that needs
        it, and every finished cell trained again because its input is new. (`ancient` is no way out: Snakemake 9.27
        then leaves out jobs with missing output when the job that makes their input runs again.)
        """
        return [receipt for receipt in receipts if Path(receipt).exists()] if output.exists() else receipts


def _cell(wildcards: Any) -> Cell:
    """The cell of a path that has one wildcard for each part of it, or one for all."""
    if "cell" in wildcards.keys():  # noqa: SIM118 (not a mapping)
        return Cell.parse(wildcards.cell)
    return Cell(wildcards.encoder, wildcards.method, wildcards.task, int(wildcards.seed))


def _said(function: Callable[[], Any]) -> Any:
    """Bad input as Snakemake's own kind of error, which it prints in one line."""
    try:
        return function()
    except SteadyTuneError as error:
        raise WorkflowError(str(error)) from None

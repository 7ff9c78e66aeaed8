"""What the Snakefile needs: targets, the inputs of each job, and digests that make a job run again when they change."""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from snakemake.exceptions import WorkflowError

from steadytune.dag.checks import check_outputs
from steadytune.dag.targets import Targets
from steadytune.errors import SteadyTuneError
from steadytune.layout import (
    Kind,
    handover_path,
    inside_before_path,
    inside_path,
    project_file,
    record_path,
    variability_path,
)
from steadytune.safe_yaml import read_yaml
from steadytune.store.inventory import check_lock
from steadytune.store.lock import entry_digest, generated_corpus, suite_lock
from steadytune.suite import digests
from steadytune.suite.cell import Cell, canonical_digest
from steadytune.suite.loading import DEFAULT_SUITE, find_suite, load_suite
from steadytune.suite.suite import Suite


def quoted(path: str) -> str:
    """Quote a path for a Snakemake shell command: for the shell, and with braces doubled so they are not wildcards."""
    return shlex.quote(path).replace("{", "{{").replace("}", "}}")


def _job_parameter(path: Path) -> Path:
    """A suite's path, spelled the same however Snakemake was called, because another spelling would rerun every job.

    It is relative if the file is below the working folder, even if the path goes through a link (as `$HOME` may).
    """
    here = Path.cwd()
    above = next((folder for folder in path.parents if folder.exists() and folder.samefile(here)), None)
    return path.relative_to(above) if above else path


P = ParamSpec("P")
T = TypeVar("T")


def _workflow_errors(function: Callable[P, T]) -> Callable[P, T]:
    """Convert input errors to Snakemake's own kind of error, which it prints in one line."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except SteadyTuneError as error:
            raise WorkflowError(str(error)) from None

    return wrapped


class Dag(Targets):
    """A suite as the Snakefile sees it."""

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.file = str(suite.path)
        # For commands that are formatted before Snakemake fills in wildcards.
        self.quoted_file = quoted(self.file)
        self.lock = suite_lock(suite)
        self._receipts: dict[tuple[str, ...], list[str]] = {}

    @classmethod
    def load(cls, configfiles: Sequence[str], stated: Mapping[str, Any]) -> "Dag":
        """Load the suite of `--configfile` or of `--config suite=…`; by default, the mini suite.

        Args:
            configfiles: the files given on the command line.
            stated: the values given by `--config`, or by another workflow that uses this one as a module.

        Raises:
            SteadyTuneError: there is more than one file, there are other `--config` values (which no record would
                show), or the suite or the lock is invalid.
        """
        if len(configfiles) > 1:
            raise SteadyTuneError(f"--configfile: expected one suite, got {', '.join(map(str, configfiles))}")
        if others := [key for key in stated if configfiles or key != "suite"]:
            expected = "no --config with --configfile" if configfiles else "`suite` alone"
            raise SteadyTuneError(f"--config {others[0]}=…: expected {expected}: a suite's settings are in its file")
        suite = find_suite(str(stated["suite"])) if stated else project_file(DEFAULT_SUITE)
        dag = cls(load_suite(_job_parameter(Path(configfiles[0] if configfiles else suite).absolute())))
        check_lock(dag.suite, dag.lock)
        check_outputs(dag.suite)
        return dag

    def suite_parameter(self, _: Any) -> str:
        """The suite's file as a rule parameter; a function, because Snakemake reads braces in strings as wildcards."""
        return self.file

    @property
    def suite_digest(self) -> str:
        """The digest of the suite's file; if it changes, results are collected, judged and rendered again."""
        return digests.suite_digest(self.suite)

    @_workflow_errors
    def pin(self, kind: Kind, key: str) -> str:
        """The digest of an entry of the lock; if it changes, the entry is staged again."""
        return entry_digest(self.lock, kind, key)

    @property
    def pretrained_pattern(self) -> str:
        """A pattern for the keys of encoders that the project pretrains itself; matches nothing if there are none."""
        keys = [key for key in self.suite.models() if self.lock.pretraining(key) is not None]
        return "|".join(map(re.escape, keys)) or "(?!)"

    def pretraining_inputs(self, wildcards: Any) -> list[str]:
        """The receipt of the text that an encoder is pretrained on; empty if the text is a file outside the store."""
        corpus = generated_corpus(self._pretraining_settings(wildcards))
        return [self.receipt("datasets", corpus)] if corpus else []

    def pretraining_digest(self, wildcards: Any) -> str:
        """The digest of an encoder's pretraining settings; if they change, it is pretrained again."""
        return canonical_digest(self._pretraining_settings(wildcards))

    def pretraining_config(self, wildcards: Any) -> Path:
        """The file of an encoder's pretraining settings."""
        path = self.lock.pretraining(wildcards.key)
        assert path is not None, "the rule's pattern admits pretrained encoders only"
        return path

    def pretraining_threads(self, wildcards: Any) -> int:
        """The number of threads for pretraining, which is part of its settings, as for a cell."""
        return self._pretraining_settings(wildcards)["threads"]

    @_workflow_errors
    def _pretraining_settings(self, wildcards: Any) -> dict[str, Any]:
        return read_yaml(self.pretraining_config(wildcards))

    @_workflow_errors
    def variability_inputs(self, wildcards: Any) -> list[str]:
        """The inputs of a measurement of layers."""
        if wildcards.encoder not in self.suite.file.encoders:
            raise WorkflowError(f"{self.file}: no encoder '{wildcards.encoder}'")
        model = self.suite.model(wildcards.encoder, wildcards.task)
        task = self.suite.task(wildcards.task)
        receipts = [self.receipt("models", model), self.receipt("datasets", task.dataset_key)]
        return self._needed(receipts, variability_path(self.suite, wildcards.encoder, wildcards.task))

    def variability_digest(self, wildcards: Any) -> str:
        """The digest of the settings of a measurement of layers; if they change, it is made again."""
        return digests.variability_digest(self.suite, wildcards.encoder, wildcards.task)

    @_workflow_errors
    def cell_inputs(self, wildcards: Any) -> list[str]:
        """The inputs of a cell; a cell outside the grid raises an error with the nearest name."""
        spec = self.suite.spec(_cell(wildcards))
        receipts = self._receipts_of(spec.model, spec.task, *spec.transfer)
        others = [variability_path(self.suite, spec.encoder, spec.task)] if spec.reads_selection else []
        # Not the parent's record: retraining the parent for one new cell must not rerun the other cells.
        others += [handover_path(self.suite, spec.start)] if spec.start else []
        return self._needed([*receipts, *map(str, others)], record_path(self.suite, spec.cell))

    @_workflow_errors
    def cell_digest(self, wildcards: Any) -> str:
        """The digest of the settings of a cell and of its parent, if any; if they change, the cell is trained again."""
        cell = _cell(wildcards)
        digest, start = self.suite.digest(cell), self.suite.spec(cell).start
        return canonical_digest([digest, self.suite.digest(start)]) if start else digest

    @staticmethod
    def cell_name(wildcards: Any) -> str:
        """The name of a cell, as the command line takes it."""
        return str(_cell(wildcards))

    @staticmethod
    def handover_option(wildcards: Any, output: Any) -> str:
        """The option to write a cell's weights for other jobs, if they are among the rule's outputs.

        Snakemake does not rerun a job because a parameter that is derived from its output changed. So a finished cell
        is not trained again when its weights are no longer needed.
        """
        return "--hand-over" if "model" in output.keys() else ""  # noqa: SIM118 (not a mapping)

    @_workflow_errors
    def cell_threads(self, wildcards: Any) -> int:
        """The number of threads for a cell: a setting of its protocol, independent of the machine."""
        return self.suite.spec(_cell(wildcards)).protocol.threads

    @_workflow_errors
    def inside_inputs(self, wildcards: Any) -> list[str]:
        """The inputs of a measurement inside a fine-tuned encoder."""
        cell = _cell(wildcards)
        spec, output = self.suite.spec(cell), inside_path(self.suite, cell)
        kept = [str(handover_path(self.suite, cell)), str(record_path(self.suite, cell))]
        return kept + self._needed(self._inside_receipts(spec.model, spec.task), output)

    def inside_before_inputs(self, wildcards: Any) -> list[str]:
        """The inputs of a measurement inside an encoder before fine-tuning."""
        if (wildcards.encoder, wildcards.task) not in self.suite.inside_pairs():
            raise WorkflowError(f"{self.file}: inside: no cell of '{wildcards.encoder}' on '{wildcards.task}'")
        model = self.suite.model(wildcards.encoder, wildcards.task)
        output = inside_before_path(self.suite, wildcards.encoder, wildcards.task)
        return self._needed(self._inside_receipts(model, wildcards.task), output)

    @property
    def inside_digest(self) -> str:
        """The digest of the settings of measurements inside encoders; if they change, these are made again."""
        return digests.inside_digest(self.suite)

    def _inside_receipts(self, model: str, task: str) -> list[str]:
        """The receipts of the encoder, the task and the other tasks that a measurement inside an encoder reads."""
        return self._receipts_of(model, task, *(self.suite.file.inside.reads if self.suite.file.inside else ()))

    def _receipts_of(self, model: str, *tasks: str) -> list[str]:
        """The receipts of an encoder and of the data sets of some tasks."""
        if (model, *tasks) not in self._receipts:
            keys = sorted({self.suite.task(name).dataset_key for name in tasks})
            found = [self.receipt("models", model), *(self.receipt("datasets", key) for key in keys)]
            self._receipts[model, *tasks] = found
        return self._receipts[model, *tasks]

    @staticmethod
    def _needed(receipts: list[str], output: Path) -> list[str]:
        """The receipts that a job needs; if its output exists, only the receipts that exist too.

        Otherwise, if someone deletes an input after a cell has finished, staging it for another cell would give it a
        new date, and every finished cell would train again. (`ancient` does not help: with it, Snakemake 9.27 skips
        jobs with missing output when the job that makes their input runs again.)
        """
        return [receipt for receipt in receipts if Path(receipt).exists()] if output.exists() else receipts


def _cell(wildcards: Any) -> Cell:
    """The cell that a path's wildcards name: one wildcard for each part, or one for the whole cell."""
    if "cell" in wildcards.keys():  # noqa: SIM118 (not a mapping)
        return Cell.parse(wildcards.cell)
    return Cell(wildcards.encoder, wildcards.method, wildcards.task, int(wildcards.seed))

"""Run one cell from its staged inputs to its record: load, fit, evaluate, write.

The bad outcomes that fine-tuning is known for are results: a NaN loss, majority-class collapse, and a device whose
memory does not hold a single example all end in a record with their status. Any other error is raised and fails the
job: a missing package, too little host memory or a CUDA fault is a problem of the machine, and another may succeed.
"""

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from steadytune.cells import record as records
from steadytune.cells.determinism import pick_device, set_determinism
from steadytune.cells.inputs import cell_fingerprint, selected_layer
from steadytune.cells.keeping import drop_all_but_best, keep, keep_beside
from steadytune.cells.material import Material, verified_inputs, weights_digest
from steadytune.cells.memory import keep_freed_memory
from steadytune.cells.outcome import Outcome, evaluation, training, write
from steadytune.encoders.batching import order_digest
from steadytune.errors import SteadyTuneError
from steadytune.evaluation.outputs import HELD_OUT
from steadytune.evaluation.predict import Predictions, predict
from steadytune.files import sha256
from steadytune.layout import MODEL, RECORD, cell_folder, checkpoint_path, handover_path, verification_folder
from steadytune.methods.base import Composition, Setup
from steadytune.streams import Streams, cell_seed
from steadytune.suite.cell import Cell, Spec
from steadytune.suite.suite import Suite
from steadytune.training.interruption import termination
from steadytune.training.loop import Diverged, fit
from steadytune.training.precision import Precision
from steadytune.training.step import is_out_of_memory
from steadytune.training.usage import Meter

log = logging.getLogger(__name__)


def run_cell(
    suite: Suite,
    cell: Cell,
    meter: Meter | None = None,
    *,
    weights: Path | None = None,
    verified: records.Record | None = None,
) -> None:
    """Train and evaluate a cell and write its record, predictions and history.

    meter: a running meter, started before the imports.
    weights: also write the fine-tuned weights there, or a file without tensors if training did not finish.
    verified: an existing record to reproduce. Output then goes to the cell's verification folder, and a method that
        reads l* (the layer that the variability stage selects) gets the recorded one.

    Raises:
        SteadyTuneError: inputs are missing, corrupted, outdated or unsuitable.
        Exception: any other error that is not a known outcome of training.
    """
    meter = meter or Meter()
    spec = suite.spec(cell)
    device = pick_device()
    set_determinism(spec.protocol.determinism, spec.protocol.threads, device)
    keep_freed_memory()
    meter.watch(device)
    outcome = Outcome()
    with meter.phase("load"):
        inputs = verified_inputs(suite, spec)
        layer = verified.training.selected_layer if verified and verified.training else selected_layer(suite, spec)
        parent, start = _find_parent(suite, spec, verified=verified is not None)
        digests = {item.key: item.digest for item in inputs}
        mark = cell_fingerprint(spec, digests, layer, parent.fingerprint if parent else None)
    folder = verification_folder(suite, cell) if verified else cell_folder(suite, cell)
    checkpoint, material = (folder / "checkpoint.safetensors" if verified else checkpoint_path(suite, cell)), None
    try:
        if parent and parent.status not in records.TRAINED:
            outcome.status, outcome.reason = parent.status, f"starts from {parent.cell}, which ended {parent.status}"
        else:
            with meter.phase("load"), _input_errors(cell):
                material = Material.load(spec, suite.file.store, device, layer, meter, start)
            _train_and_evaluate(spec, material, outcome, meter, checkpoint, mark)
    except Diverged as error:
        outcome.status, outcome.reason = "diverged", str(error)
    except torch.OutOfMemoryError as error:
        outcome.status, outcome.reason = "out_of_memory", f"{type(error).__name__}: {error}".splitlines()[0]
        # Discard the scores of sets that were evaluated before the error: tables would include them.
        outcome.evaluations, outcome.predictions, outcome.unlabelled = [], {}, {}
        log.warning("the cell ends as out_of_memory", exc_info=True)
    trained = material.encoder if material and outcome.training else None
    if weights:
        keep(trained, weights)
    if not verified:
        keep_beside(suite, cell, trained if outcome.status in records.TRAINED else None)
    write(folder, suite, spec, outcome, device, inputs, parent, mark, meter)
    if not verified and suite.file.keep == "best":
        drop_all_but_best(suite, cell)
    checkpoint.unlink(missing_ok=True)
    log.info("%s: %s%s", cell, outcome.status, f" ({outcome.reason})" if outcome.reason else "")


def _find_parent(suite: Suite, spec: Spec, *, verified: bool) -> tuple[records.Parent | None, Path | None]:
    """The cell that a cell starts from, and the file of its weights; for verification, those of the parent's rerun.

    Raises:
        SteadyTuneError: the parent has no record, or its weights were not handed over.
    """
    if spec.start is None:
        return None, None
    folder = verification_folder(suite, spec.start) if verified else cell_folder(suite, spec.start)
    path = folder / MODEL if verified else handover_path(suite, spec.start)
    if not (folder / RECORD).is_file() or not path.is_file():
        command = shlex.join(["steadytune", "finetune", str(suite.path), str(spec.start), "--hand-over"])
        raise SteadyTuneError(f"{spec.cell}: no weights of its parent, {spec.start}: run `{command}` first")
    record = records.read_record(folder / RECORD)
    parent = records.Parent(
        cell=str(spec.start), status=record.status, fingerprint=record.fingerprint, weights=sha256(path)
    )
    return parent, path


@contextmanager
def _input_errors(cell: Cell) -> Iterator[None]:
    """While a cell's inputs are read, report any failure but lack of memory as bad input, not as a result."""
    try:
        yield
    except (SteadyTuneError, OSError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise SteadyTuneError(f"{cell}: its inputs cannot be read: {type(error).__name__}: {error}") from error


def _train_and_evaluate(
    spec: Spec, material: Material, outcome: Outcome, meter: Meter, checkpoint: Path, mark: str
) -> None:
    """Fill `outcome` as far as the cell gets."""
    encoder, task = material.encoder, material.task
    kind = encoder.model.config.model_type
    outcome.model = records.Model(model_type=kind, attention=encoder.attention, notes=encoder.notes)
    streams = Streams(cell_seed(spec.seed, spec.task), material.device)
    method = Composition([part.build() for part in spec.parts])
    if spec.protocol.precision == "fp16" and not encoder.architecture.fp16:
        raise SteadyTuneError(f"precision: fp16: {kind}'s attention overflows in it: expected bf16 or fp32")
    precision = Precision(spec.protocol.precision, material.device)
    setup = Setup(
        encoder,
        streams,
        material.objective,
        material.train,
        material.selected_layer,
        autocast=precision.autocast,
        steps=spec.protocol.total_steps(len(material.train)),
    )
    with meter.phase("train"):
        method.prepare(setup)
    initial_weights = weights_digest(encoder)
    own = material.evaluations[spec.task].batcher
    after_epoch: dict[str, Predictions] = {}

    def on_epoch() -> dict[str, float]:
        if not spec.protocol.evaluate_epochs:
            return {}
        with meter.phase("evaluate"):
            after_epoch[spec.task] = predict(encoder, own, precision)
            scores = after_epoch[spec.task].evaluate(task, task)
        return {task.metric: scores["metrics"][task.metric]}

    with meter.phase("train"), termination() as interrupted:
        fitted = fit(
            encoder,
            method,
            material.train,
            spec.protocol,
            streams,
            objective=material.objective,
            checkpoint=checkpoint,
            fingerprint=mark,
            meter=meter,
            on_epoch=on_epoch,
            interrupted=interrupted,
        )
    outcome.history = fitted.history
    first_order = order_digest(material.train.order(streams.order(0)))
    outcome.training = training(material, fitted, initial_weights, first_order)
    with meter.phase("evaluate"):
        for name, found in material.evaluations.items():
            # Training ends with the last epoch, so the predictions made after it are those of the final model.
            outcome.predictions[name] = after_epoch.get(name) or predict(encoder, found.batcher, precision)
            scores = outcome.predictions[name].evaluate(task, found.task, spec.protocol.collapse)
            kind = "in_domain" if name == spec.task else "transfer"
            outcome.evaluations.append(evaluation(name, kind, scores, found))
        for name, batcher in material.unlabelled.items():
            outcome.unlabelled[name] = predict(encoder, batcher, precision)
        if held_out := material.held_out:
            outcome.predictions[HELD_OUT] = predict(encoder, held_out.batcher, precision)
            scores = outcome.predictions[HELD_OUT].evaluate(task, task)
            outcome.evaluations.append(evaluation(spec.task, "held_out", scores, held_out))
    outcome.status, outcome.reason = outcome.predictions[spec.task].judge()

"""Write a cell's fine-tuned weights, keep those that the suite asks for next to the record, and load them again."""

import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors.torch import load_model, save_file, save_model

from steadytune.cells.inputs import selected_layer
from steadytune.cells.material import Material
from steadytune.cells.record import read_record
from steadytune.encoders.encoder import Encoder
from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_path, plain, safetensors_errors
from steadytune.layout import model_path, record_path
from steadytune.methods.base import Composition, Setup
from steadytune.streams import Streams, cell_seed
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.suite.variants import base


def keep(encoder: Encoder | None, path: Path) -> None:
    """Write the model's state (float32, shared tensors stored once) to `path`, a `.safetensors` file, atomically.

    Without an encoder (training did not finish), write a file without tensors, because the workflow waits for the file.
    """
    with atomic_path(path) as temporary, safetensors_errors(path):
        if encoder is None:
            save_file({}, temporary)
        else:
            save_model(encoder.model, str(temporary))


def keep_beside(suite: Suite, cell: Cell, encoder: Encoder | None) -> None:
    """Write a cell's weights next to its record if it has any and the suite keeps them; otherwise remove older ones."""
    path = model_path(suite, cell)
    if encoder is None or suite.file.keep == "none":
        path.unlink(missing_ok=True)
    else:
        keep(encoder, path)


def drop_all_but_best(suite: Suite, cell: Cell) -> None:
    """Remove the weights of every recorded cell of `cell`'s encoder, method and task, except those of the best.

    Each cell calls this after writing its record. The cell that finishes last sees all records, so the best weights
    remain in whatever order cells run, even concurrently. A cell that is killed before this call is run again.
    """
    alike = [other for other in suite.cells if _group(other) == _group(cell)]
    best = best_cell(suite, alike)
    for other in alike:
        if other != best and record_path(suite, other).is_file():
            model_path(suite, other).unlink(missing_ok=True)


def best_cell(suite: Suite, cells: Iterable[Cell]) -> Cell | None:
    """The cell with the highest development score among those that ended ok with the suite's current settings.

    On a tie, the first of them; None if there is no such cell.
    """
    scores = {}
    for cell in cells:
        with suppress(SteadyTuneError):
            record = read_record(record_path(suite, cell))
            if record.status == "ok" and record.spec == suite.spec(cell).to_dict():
                scores[cell] = development_score(plain(record))
    return max(scores, key=lambda cell: scores[cell], default=None)


def development_score(record: dict[str, Any]) -> float:
    """The headline metric on held-out training data if any, else on the task's evaluation split; -inf if undefined."""
    by_kind = {found["kind"]: found["metrics"][found["headline"]] for found in record["evaluations"]}
    value = by_kind.get("held_out", by_kind.get("in_domain"))
    return -math.inf if value is None else value


def _group(cell: Cell) -> tuple[str, str, str]:
    return cell.encoder, base(cell.method), cell.task


def load_kept(suite: Suite, cell: Cell, path: Path, device: str) -> Material:
    """A cell's data and its fine-tuned encoder, in evaluation mode, with the weights in `path`; no transfer sets."""
    material = prepared(suite, cell, device)
    load_model(material.encoder.model, path, device=device)
    return material


def prepared(suite: Suite, cell: Cell, device: str) -> Material:
    """A cell's data and its encoder after its methods' `prepare`, in evaluation mode; no transfer sets.

    The encoder has the layers and modules of the fine-tuned one, which may be fewer or more than the pretrained one's.
    """
    spec = suite.spec(cell).without_transfer()
    material = Material.load(spec, suite.file.store, device, selected_layer(suite, spec))
    streams = Streams(cell_seed(spec.seed, spec.task), device)
    method = Composition([part.build() for part in spec.parts])
    method.prepare(Setup(material.encoder, streams, material.objective, material.train, material.selected_layer))
    material.encoder.model.eval()
    return material

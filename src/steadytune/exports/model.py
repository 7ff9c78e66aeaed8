"""A fine-tuned model as a folder that transformers or peft opens: weights, configuration, tokenizer, model card."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model
from transformers.utils.logging import disable_progress_bar

from steadytune.cells.agreement import TOLERANCE
from steadytune.cells.determinism import pick_device, set_determinism
from steadytune.cells.keeping import best_cell, prepared
from steadytune.cells.material import Material
from steadytune.cells.record import TRAINED, Record, read_record
from steadytune.cells.verify import verify_cell, verifying
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.loading import load_tokenizer
from steadytune.errors import SteadyTuneError, nearest
from steadytune.exports.lora import check_lora, merge_lora, write_lora
from steadytune.exports.model_card import CARD, base_of, cell_card
from steadytune.files import atomic_folder, sha256, write_text
from steadytune.layout import MODEL, cells_folder, model_folder, model_path, record_path, verification_folder
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite
from steadytune.tasks.table import Task

log = logging.getLogger(__name__)


def write_model(suite: Suite, name: str | None, target: Path, *, adapter: bool = False) -> None:
    """Write a cell's fine-tuned model to a new folder.

    If its weights were not kept, or the file is damaged, the cell is trained again and compared with its record.

    Args:
        suite: the suite.
        name: the cell; `ENCODER/METHOD/TASK` for the best of its seeds; None for the best cell of a suite of one task.
        target: the folder.
        adapter: write only LoRA's matrices and the head, as peft does, instead of merging them.

    Raises:
        SteadyTuneError: no such cell or record, a model that transformers cannot open or opens with other outputs, or a
            retrained model that differs from the record.
    """
    cell = choose_cell(suite, name)
    record, spec = _record(suite, cell), suite.spec(cell)
    # A progress bar for one or two files is noise in a job's log.
    disable_progress_bar()
    with atomic_folder(target) as folder:
        # Run the checks that need no weights before training the cell again, which may take hours.
        folder.mkdir()
        device = pick_device()
        set_determinism(spec.protocol.determinism, spec.protocol.threads, device)
        material = prepared(suite, cell, device)
        encoder = material.encoder
        _check_modules(cell, encoder)
        if adapter:
            check_lora(encoder, spec)
        with _weights(suite, cell, record) as (path, origin):
            load_model(encoder.model, path, device=device)
        if adapter:
            base = base_of(suite, record)
            write_lora(folder, encoder, spec, str(base.resolve() if isinstance(base, Path) else base))
        else:
            expected = _logits(encoder, material)
            merge_lora(encoder)
            _write(folder, encoder, material.task)
            _check_opens(cell, folder, encoder, expected, material)
        tokenizer = load_tokenizer(model_folder(suite.file.store, spec.model))
        # Make `truncation=True` cut at the length used in training.
        tokenizer.model_max_length = spec.protocol.max_length
        tokenizer.save_pretrained(folder)
        weights = sha256(next(folder.glob("*.safetensors")))
        write_text(folder / CARD, cell_card(suite, record, origin, weights, adapter=adapter))
    log.info("%s: written to %s. %s", cell, target, origin)


def choose_cell(suite: Suite, name: str | None) -> Cell:
    """Return the cell that a name refers to; see `write_model`."""
    if name and len(name.strip("/").split("/")) == 4:
        cell = Cell.parse(name)
        suite.spec(cell)
        return cell
    prefixes = sorted({cell.group for cell in suite.cells})
    if name and name.strip("/") not in prefixes:
        raise SteadyTuneError(
            f"cell '{name}': expected ENCODER/METHOD/TASK/seed-N, or ENCODER/METHOD/TASK for the best of its seeds"
            f"{nearest(name.strip('/'), prefixes)}"
        )
    tasks = sorted({cell.task for cell in suite.cells})
    if not name and len(tasks) > 1:
        raise SteadyTuneError(f"model: the suite has {len(tasks)} tasks ({', '.join(tasks)}): name a cell")
    alike = [cell for cell in suite.cells if not name or cell.group == name.strip("/")]
    best = best_cell(suite, alike)
    if best is None:
        some = next((cell for cell in alike if record_path(suite, cell).is_file()), None)
        hint = f"name one that ended otherwise, as {some}" if some else "`steadytune run` trains them"
        raise SteadyTuneError(f"model: no cell of {name or suite.name} has ended ok; {hint}")
    return best


def _record(suite: Suite, cell: Cell) -> Record:
    path = record_path(suite, cell)
    if not path.is_file():
        raise SteadyTuneError(f"{path}: no such record; the cell has not been trained: `steadytune run` does that")
    record = read_record(path)
    if record.status not in TRAINED:
        raise SteadyTuneError(f"{path}: the cell ended {record.status}: it has no usable weights")
    if record.spec != suite.spec(cell).to_dict():
        raise SteadyTuneError(f"{path}: other settings than the suite's; `steadytune run` trains the cell again")
    return record


@contextmanager
def _weights(suite: Suite, cell: Cell, record: Record) -> Iterator[tuple[Path, str]]:
    """Yield the path of a cell's weights and a sentence on their origin."""
    kept = model_path(suite, cell)
    if kept.is_file() and sha256(kept) == record.files.get(MODEL):
        yield kept, "These are the weights that the cell kept."
        return
    log.info("%s: its weights were not kept; training it again", cell)
    again = verification_folder(suite, cell) / MODEL
    with verifying(suite, cell):
        try:
            verdict = verify_cell(suite, cell, cells_folder(suite), again)
            if verdict.level == "different":
                raise SteadyTuneError(f"{verdict}; nothing is written, because the model differs from the record's")
            yield again, f"The cell was trained again for its weights: {verdict.level} ({verdict.detail})."
        finally:
            again.unlink(missing_ok=True)


def _check_modules(cell: Cell, encoder: Encoder) -> None:
    """Refuse a model with parameters that its transformers class lacks, except LoRA's."""
    with torch.device("meta"):
        plain = type(encoder.model)(encoder.model.config)
    known = {name for name, _ in plain.named_parameters()}
    names = (name.replace(".base_layer", "") for name, _ in encoder.model.named_parameters() if ".lora_" not in name)
    if added := sorted(set(names) - known):
        raise SteadyTuneError(
            f"{cell}: transformers cannot open this model: {type(encoder.model).__name__} has no place for "
            f"{len(added)} parameters that the method adds, such as {added[0]}"
        )


def _write(folder: Path, encoder: Encoder, task: Task) -> None:
    """Write `config.json` and `model.safetensors`."""
    model: Any = encoder.model
    names = task.labels or ("score",)
    if not task.span:
        model.config.id2label = dict(enumerate(names))
        model.config.label2id = {label: i for i, label in enumerate(names)}
        model.config.problem_type = "regression" if task.regression else "single_label_classification"
    # Do not pass on the attention implementation used in training: users of the folder choose their own.
    model.set_attn_implementation("eager" if not model._supports_sdpa else "sdpa")
    model.save_pretrained(folder)


def _check_opens(cell: Cell, folder: Path, encoder: Encoder, expected: torch.Tensor, material: Material) -> None:
    """Open the folder as a user would, and compare the outputs on one batch."""
    opened = type(encoder.model).from_pretrained(str(folder), local_files_only=True, dtype=torch.float32)
    found = _logits(Encoder(opened.eval()).to(material.device), material)
    if not torch.allclose(found, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max())):
        gap = float((found - expected).abs().max())
        raise SteadyTuneError(
            f"{cell}: opened with transformers, this model has other outputs (by {gap:.2g}): its method changes what a "
            "forward pass does beyond the weights"
        )


def _logits(encoder: Encoder, material: Material) -> torch.Tensor:
    """Outputs on a batch of the evaluation split."""
    _, batch = next(iter(next(iter(material.evaluations.values())).batcher.evaluation()))
    with torch.inference_mode():
        return encoder(batch.inputs).logits.float().cpu()

"""A cell's inputs: its staged folders, the layer that was selected for it, and the fingerprint that covers both.

The training process and `steadytune status` share this code, so a record is fresh exactly if training its cell again
would give the same fingerprint.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from steadytune.cells.fingerprint import fingerprint, fingerprint_by_seed
from steadytune.errors import SteadyTuneError
from steadytune.files import read_json
from steadytune.layout import Kind, staged_folder, variability_path
from steadytune.manifests import damage
from steadytune.suite.cell import Spec
from steadytune.suite.suite import Suite


def input_folders(spec: Spec, store: Path) -> dict[tuple[Kind, str], Path]:
    """The staged folders that a cell reads, by kind and key: its encoder first, then its data sets."""
    datasets = sorted({task.dataset_key for task in spec.tasks.values()})
    entries: list[tuple[Kind, str]] = [("models", spec.model), *(("datasets", key) for key in datasets)]
    return {(kind, key): staged_folder(store, kind, key) for kind, key in entries}


def selected_layer(suite: Suite, spec: Spec) -> int | None:
    """The layer l* that the variability stage selected for a cell's encoder and task; None if no method reads it.

    Raises:
        SteadyTuneError: the stage has not run, or its file has changed since.
    """
    if not spec.reads_selection:
        return None
    path = variability_path(suite, spec.encoder, spec.task)
    if not path.is_file():
        raise SteadyTuneError(f"{path}: not found; the workflow's variability stage makes it before the cell")
    if damaged := damage(suite, f"variability/{spec.encoder}/{spec.task}", [path]):
        raise SteadyTuneError(f"{damaged}; `steadytune run {suite.argument}` makes it again")
    return int(read_json(path)["best_layer"])


def cell_fingerprint(spec: Spec, digests: Mapping[str, str], layer: int | None, parent: str | None = None) -> str:
    """The fingerprint of a cell.

    Args:
        spec: the cell.
        digests: the digests of its inputs, by key.
        layer: its selected layer, if it has one.
        parent: the fingerprint of the cell that it starts from, if any.
    """
    return fingerprint(spec, _read(digests, layer) | ({"parent": parent} if parent else {}))


def cell_fingerprint_by_seed(spec: Spec, digests: Mapping[str, str], layer: int | None) -> Callable[[int], str]:
    """`cell_fingerprint` by seed, of cells without a parent that differ from `spec` only in their seed."""
    return fingerprint_by_seed(spec, _read(digests, layer))


def _read(digests: Mapping[str, str], layer: int | None) -> dict[str, str]:
    return {**digests, **({"selected layer": str(layer)} if layer else {})}

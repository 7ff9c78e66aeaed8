"""A cell's fine-tuned model, kept as a file for what is measured inside it, and read again."""

from pathlib import Path

from safetensors.torch import load_model, save_file, save_model

from steadytune.cells.inputs import selected_layer
from steadytune.cells.material import Material
from steadytune.encoders.encoder import Encoder
from steadytune.files import atomic_path, safetensors_errors
from steadytune.layout import model_path
from steadytune.methods.base import Composition, Setup
from steadytune.streams import Streams, cell_seed
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite


def keep(encoder: Encoder | None, path: Path) -> None:
    """Write the model's state (float32, tensors that are shared once) to `path`, a `.safetensors` file, atomically.

    Without an encoder, for a cell that came to no end, the file is there and empty: the workflow waits for it.
    """
    with atomic_path(path) as temporary, safetensors_errors(path):
        if encoder is None:
            save_file({}, temporary)
        else:
            save_model(encoder.model, str(temporary))


def load_kept(suite: Suite, cell: Cell, device: str) -> Material:
    """A cell's data and its fine-tuned encoder, in evaluation mode; transfer sets are left out.

    The encoder is built as training built it, methods' `prepare` included, for the layers that they drop and the
    modules that they add; then every weight is read.
    """
    spec = suite.spec(cell).without_transfer()
    material = Material.load(spec, suite.file.store, device, selected_layer(suite, spec))
    streams = Streams(cell_seed(spec.seed, spec.task), device)
    method = Composition([part.build() for part in spec.parts])
    method.prepare(Setup(material.encoder, streams, material.objective, material.train, material.selected_layer))
    load_model(material.encoder.model, model_path(suite, cell), device=device)
    material.encoder.model.eval()
    return material

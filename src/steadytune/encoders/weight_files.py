"""Check an encoder folder's weight files: only safetensors files in that folder are accepted.

Does not import torch, because staging runs these checks too.
"""

import re
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import read_json

INDEX = "model.safetensors.index.json"
CONVERSION = (
    'python -c "import safetensors.torch as s, transformers.modeling_utils as m; '
    "w = m.load_state_dict('pytorch_model.bin', weights_only=True); "
    "s.save_file({k: v.clone() for k, v in w.items()}, 'model.safetensors', {'format': 'pt'})\""
)


def check_weight_files(folder: Path) -> None:
    """Raise SteadyTuneError unless the weights are safetensors files in `folder`, and the index names no other files.

    transformers loads whatever the index names, even a pickle, which can run code, or a file elsewhere.

    Raises:
        SteadyTuneError: one line with the file and the name.
    """
    if (folder / "model.safetensors").is_file():
        return
    if (folder / INDEX).is_file():
        _check_index(folder)
        return
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.ckpt") for path in folder.glob(pattern))
    if pickles:
        raise SteadyTuneError(
            f"{folder}: only pickle weights ({', '.join(pickles)}), which are not read because a pickle can run code; "
            f"expected model.safetensors. If you trust them, convert them once: {CONVERSION}"
        )
    raise SteadyTuneError(f"{folder}: no weights; expected model.safetensors")


def _check_index(folder: Path) -> None:
    path = folder / INDEX
    value = read_json(path)
    shards = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(shards, dict) or not shards or not isinstance(value.get("metadata"), dict):
        raise SteadyTuneError(f"{path}: expected a weight_map from parameters to files, and metadata")
    for name in dict.fromkeys(map(str, shards.values())):
        if not re.fullmatch(r"\w[\w.-]*\.safetensors", name):
            raise SteadyTuneError(f"{path}: weight_map names {name[:80]!r}: expected a .safetensors file of the folder")
        if not (folder / name).is_file():
            raise SteadyTuneError(f"{path}: weight_map names {name}: not in the folder")

"""JSON files that contain a digest of their own content, which reveals edits, flipped bits and truncation."""

import hashlib
import json
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError
from steadytune.files import plain, read_json, write_json

SEAL = "seal"


def seal_of(value: dict[str, Any]) -> str:
    """The SHA-256 of a JSON object without its seal; the order of the keys does not matter."""
    content = {key: entry for key, entry in value.items() if key != SEAL}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def write_sealed(path: Path, value: Any) -> None:
    """Seal an object (a dataclass, or a mapping with text keys) and write it to `path` atomically, keys sorted."""
    content = plain(value)
    write_json(path, content | {SEAL: seal_of(content)}, sort_keys=True)


def read_sealed(path: Path) -> dict[str, Any]:
    """The object in a sealed file.

    Raises:
        SteadyTuneError: no such file, not JSON, or the seal does not match; one line.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.get(SEAL) != seal_of(value):
        raise SteadyTuneError(f"{path}: damaged: its content is not what its seal says")
    return value

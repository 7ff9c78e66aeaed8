"""Manifests: the hash of every result file that one job made, and digests of what the job made them from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import Of, manifest_path, results_folder
from steadytune.seals import read_sealed, write_sealed


@dataclass(frozen=True)
class Manifest:
    """The content of a product's manifest; empty if there is none."""

    files: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each file, by its path below the results folder."""
    made_from: Mapping[str, str] = field(default_factory=dict)
    """Digests of what the files were made from, by name."""


def write_manifest(of: Of, product: str, files: Iterable[Path], made_from: Mapping[str, str]) -> None:
    """Hash a product's files and write its manifest, as the last step of its job."""
    root = results_folder(of)
    hashes = {file.relative_to(root).as_posix(): sha256(file) for file in files}
    write_sealed(manifest_path(of, product), {"files": hashes, "made_from": dict(made_from)})


def read_manifest(of: Of, product: str) -> Manifest:
    """The manifest of a product.

    Raises:
        SteadyTuneError: there is no manifest, or it is damaged.
    """
    path = manifest_path(of, product)
    found = read_sealed(path)
    try:
        return Manifest(dict(found["files"]), dict(found["made_from"]))
    except (KeyError, TypeError, ValueError):
        raise SteadyTuneError(f"{path}: no manifest") from None


def find_manifest(of: Of, product: str) -> Manifest:
    """The manifest of a product, or an empty one if it is missing or damaged."""
    try:
        return read_manifest(of, product)
    except SteadyTuneError:
        return Manifest()


def damage(of: Of, product: str, files: Sequence[Path]) -> str:
    """The first of a product's files that is not what its job wrote, and why; empty if all are intact."""
    root = results_folder(of)
    try:
        hashes = read_manifest(of, product).files
    except SteadyTuneError as error:
        return f"{files[0]}: no readable manifest ({error})"
    for file in files:
        if not file.is_file():
            return f"{file}: missing"
        if sha256(file) != hashes.get(file.relative_to(root).as_posix()):
            return f"{file}: damaged: not what was written"
    return ""

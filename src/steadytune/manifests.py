"""Manifests: the hash of every file that one job made of a suite's results, and digests of what it made them from."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import Of, manifest_path, results_folder
from steadytune.seals import read_sealed, write_sealed


def write_manifest(of: Of, product: str, files: Iterable[Path], made_from: Mapping[str, str]) -> None:
    """Write the manifest of a product, as its files lie there: the last thing that its job does."""
    root = results_folder(of)
    hashes = {file.relative_to(root).as_posix(): sha256(file) for file in files}
    write_sealed(manifest_path(of, product), {"files": hashes, "made_from": dict(made_from)})


def read_manifest(of: Of, product: str) -> tuple[dict[str, str], dict[str, str]]:
    """The hashes of a product's files, by path below the results, and the digests of what it was made from.

    Raises:
        SteadyTuneError: no such manifest, or a damaged one.
    """
    path = manifest_path(of, product)
    found = read_sealed(path)
    try:
        return dict(found["files"]), dict(found["made_from"])
    except (KeyError, TypeError, ValueError):
        raise SteadyTuneError(f"{path}: no manifest") from None


def made_files(of: Of, product: str) -> list[Path]:
    """The files that a product's job wrote, as its manifest has them; none if nothing tells."""
    try:
        return [results_folder(of) / name for name in read_manifest(of, product)[0]]
    except SteadyTuneError:
        return []


def damage(of: Of, product: str, files: Sequence[Path]) -> str:
    """Which of a product's files is not what its job wrote, and how; empty if all are."""
    root = results_folder(of)
    try:
        hashes, _ = read_manifest(of, product)
    except SteadyTuneError as error:
        return f"{files[0]}: nothing says what it was made from ({error})"
    for file in files:
        if not file.is_file():
            return f"{file}: missing"
        if sha256(file) != hashes.get(file.relative_to(root).as_posix()):
            return f"{file}: damaged: not what was written"
    return ""

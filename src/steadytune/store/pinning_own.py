"""Pinning a suite's own tasks and encoders in the lock beside its file, and telling when they have changed since."""

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError, unknown
from steadytune.files import write_text
from steadytune.schema import check, read_yaml
from steadytune.store.own import OwnData, hash_path
from steadytune.store.pinning import to_yaml
from steadytune.store.pins import ALLOWED_SUFFIXES
from steadytune.store.receipt import RECEIPT, measure
from steadytune.suite.file import EncoderEntry, SuiteFile
from steadytune.suite.own import OwnFile, OwnLock, lock_path, read_own_lock

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite

logger = logging.getLogger(__name__)

PICKLES = ("*.bin", "*.pt", "*.ckpt")
HEAD = "# What the suite's own tasks and encoders were when they were first read. Commit it together with the suite.\n"


def pin_new(path: Path) -> None:
    """Read and pin every own task and encoder of the suite at `path` that the lock beside it does not have.

    Raises:
        SteadyTuneError: everything that is wrong with the files of all of them.
    """
    file = check(SuiteFile, read_yaml(path), path)
    lock = read_own_lock(path)
    new = [name for name in file.tasks if name not in lock.tasks]
    _write(path, file, lock, [*new, *(n for n, e in file.encoders.items() if e.own and n not in lock.encoders)])


def accept(path: Path, name: str) -> None:
    """Pin an own task or encoder as it is now.

    Raises:
        SteadyTuneError: the suite has none of this name, or something is wrong with its files.
    """
    file = check(SuiteFile, read_yaml(path), path)
    known = [*file.tasks, *(key for key, entry in file.encoders.items() if entry.own)]
    if name not in known:
        raise unknown("own task or encoder", name, known, str(path))
    _write(path, file, read_own_lock(path), [name])


def check_unchanged(suite: "Suite") -> None:
    """Hold the files of own tasks and encoders against the lock.

    Raises:
        SteadyTuneError: a line for each that has changed, with both hashes and the command that accepts the change.
    """
    folder, problems = suite.path.resolve().parent, []
    found: dict[str, list[tuple[Path, str | None]]] = {}
    for name, entry in suite.file.tasks.items():
        splits = suite.own_lock.tasks[name].splits
        paths = {"train": entry.train, "evaluation": entry.evaluation}
        found[name] = [(folder / path, splits[split].file_sha256) for split, path in paths.items() if path]  # pyright: ignore
    for name, entry in suite.file.encoders.items():
        if entry.own:
            own = folder / Path(entry.model).expanduser()
            found[name] = [(own / file, pin.sha256) for file, pin in suite.own_lock.encoders[name].items()]
    for name, files in found.items():
        for file, pinned in files:
            there = hash_path(file) if file.exists() else "no file"
            if there != pinned:
                command = f"steadytune pin {shlex.quote(str(suite.path))} --accept {name}"
                problems.append(f"{suite.path}: {name}: {file} changed: {pinned} is pinned, {there} is there; "
                                f"`{command}` accepts it")  # fmt: skip
    if problems:
        raise SteadyTuneError("\n".join(problems))


def _write(path: Path, file: SuiteFile, lock: OwnLock, names: list[str]) -> None:
    if not names:
        return
    folder, problems = path.resolve().parent, []
    value: dict[str, Any] = lock.model_dump(mode="json", exclude_none=True)
    for name in names:
        try:
            if name in file.tasks:
                data = OwnData(f"{path}: tasks.{name}", file.tasks[name], folder)
                pin = data.pin()
                value["tasks"][name] = pin.model_dump(mode="json", exclude_none=True)
                logger.info("%s: pinned: %s", name, "; ".join(
                    [f"{split} {found.rows:,} rows" for split, found in pin.splits.items()]
                    + ([f"labels in order: {', '.join(pin.labels)}"] if pin.labels else [])
                ))  # fmt: skip
            else:
                files = _encoder_files(f"{path}: encoders.{name}", file.encoders[name], folder)
                value["encoders"][name] = {key: found.model_dump() for key, found in files.items()}
                logger.info("%s: pinned: %d files", name, len(files))
        except SteadyTuneError as error:
            problems.append(str(error))
    if problems:
        raise SteadyTuneError("\n".join(problems))
    write_text(lock_path(path), HEAD + to_yaml(value))


def _encoder_files(where: str, entry: EncoderEntry, suite_folder: Path) -> dict[str, OwnFile]:
    """Hashes of the files of an encoder's folder that are data alone, once it is sure that it can be used."""
    folder = suite_folder / Path(entry.model).expanduser()
    if not (folder / "config.json").is_file():
        raise SteadyTuneError(f"{where}: {folder}: no config.json: expected a folder as save_pretrained writes it")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config["model_type"]
    except (ValueError, KeyError, TypeError):
        raise SteadyTuneError(f"{where}: {folder / 'config.json'}: not a configuration with a model_type") from None
    from steadytune.encoders.architectures import find_architecture

    find_architecture(kind, f"{where}: {folder / 'config.json'}", "sentence")
    names = [file.name for file in sorted(folder.iterdir()) if file.is_file() and file.suffix in ALLOWED_SUFFIXES]
    names = [name for name in names if not name.startswith(".") and name != RECEIPT]
    if not any(name.endswith(".safetensors") for name in names):
        pickles = sorted(file.name for pattern in PICKLES for file in folder.glob(pattern))
        convert = (
            f'python -c "from transformers import AutoModel as M; '
            f'M.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})"'
        )
        cure = f"its weights are pickles ({', '.join(pickles)}), which are not read; convert them: {convert}"
        raise SteadyTuneError(f"{where}: {folder}: {cure if pickles else 'no weights: expected model.safetensors'}")
    found = {name: measure(folder / name) for name in names}
    return {name: OwnFile(sha256=file.sha256, bytes=file.bytes) for name, file in found.items()}

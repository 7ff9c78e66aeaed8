"""Pin a suite's own tasks and encoders in the lock next to its file."""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from steadytune.errors import SteadyTuneError, raise_all, unknown
from steadytune.files import nearest_file, write_text
from steadytune.layout import Kind, store_lock_path
from steadytune.locks import hold
from steadytune.places import beside
from steadytune.staged import ALLOWED_SUFFIXES, RECEIPT
from steadytune.store.inventory import name_problems
from steadytune.store.own import OwnData
from steadytune.store.own_encoders import check_encoder
from steadytune.store.own_folders import read_from, shown_files
from steadytune.store.own_places import find_places
from steadytune.store.pinning import to_yaml
from steadytune.store.receipt import measure_all
from steadytune.store.repository import Repository
from steadytune.store.staging import downloads_of
from steadytune.suite.file import EncoderEntry, SuiteFile
from steadytune.suite.loading import read_suite, read_suite_file
from steadytune.suite.own import EncoderPin, OwnFile, OwnLock, TaskPin, lock_path, model_key, read_own_lock
from steadytune.suite.suite import Suite
from steadytune.text import listed

logger = logging.getLogger(__name__)

HEAD = "# What the suite's own tasks and encoders were when they were first read. Commit it together with the suite.\n"
MODELS: Kind = "models"
Pins = dict[tuple[str, str], TaskPin | EncoderPin]
"""Pins by kind (`tasks` or `encoders`) and name."""


def pin_new(path: Path, check: Callable[..., list[str]] = name_problems) -> None:
    """Read and pin every own task and encoder of the suite at `path` that is not yet in the lock next to it.

    check: the problems of a suite, as `name_problems`. It sees the new pins before they are written.

    Raises:
        SteadyTuneError: everything that is wrong with their files, and with the suite's names and settings; then
            nothing is written.
    """
    suite = read_suite(path)
    file, lock = suite.file, suite.own_lock
    new = [("tasks", name) for name in file.tasks if name not in lock.tasks]
    new += [("encoders", name) for name, entry in file.encoders.items() if entry.own and name not in lock.encoders]
    if not new:
        return
    pins, facts, problems = _read(path, file, new)
    if problems:
        raise_all([*check(suite, pinned=False), *problems])
    suite = Suite(file, path)
    suite.own_lock = OwnLock.model_validate(_added(lock, pins))
    raise_all(check(suite, pinned=True))
    _write(path, pins, facts)


def accept(path: Path, name: str) -> None:
    """Pin an own task or encoder as it is now.

    Raises:
        SteadyTuneError: the suite has no own task or encoder of this name, or something is wrong with its files.
    """
    file = read_suite_file(path)
    known = [("tasks", key) for key in file.tasks]
    known += [("encoders", key) for key, entry in file.encoders.items() if entry.own]
    named = [(kind, key) for kind, key in known if key == name]
    if not named:
        raise unknown("own task or encoder", name, [key for _, key in known], str(path))
    pins, facts, problems = _read(path, file, named)
    raise_all(problems)
    _write(path, pins, facts)


def _read(path: Path, file: SuiteFile, names: list[tuple[str, str]]) -> tuple[Pins, list[str], list[str]]:
    """Read own tasks and encoders, given by kind and name: their pins, facts about them, and their problems."""
    pins, facts, problems = Pins(), [], []
    for kind, name in names:
        where = f"{path}: {kind}.{name}"
        try:
            if kind == "tasks":
                pin, said = _pin_task(where, name, file, path.parent)
            elif file.encoders[name].hub:
                pin, said = _pin_hub_encoder(where, name, file)
            else:
                pin, said = _pin_own_folder(where, beside(path.parent, file.encoders[name].model, f"{where}.model"))
            facts.append(f"{name}: pinned: {said}")
            pins[kind, name] = pin
        except SteadyTuneError as error:
            problems.append(str(error))
    return pins, facts, problems


def _write(path: Path, pins: Pins, facts: Sequence[str]) -> None:
    """Add pins to the lock next to the suite at `path`, and log what is known about them."""
    # Lock the suite's file and read its lock again: another process may have pinned something else in the meantime.
    with hold(path):
        write_text(lock_path(path), HEAD + to_yaml(_added(read_own_lock(path), pins)))
    for said in facts:
        logger.info("%s", said)


def _added(lock: OwnLock, pins: Pins) -> dict[str, Any]:
    """The content of a lock with further pins."""
    value = _plain(lock)
    for (kind, name), pin in pins.items():
        value.setdefault(kind, {})[name] = _plain(pin)
    return value


def _plain(model: OwnLock | TaskPin | EncoderPin) -> dict[str, Any]:
    return model.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def _pin_task(where: str, name: str, file: SuiteFile, folder: Path) -> tuple[TaskPin, str]:
    """A pin of the task's current data, and what users should know about the data."""
    entry = file.tasks[name]
    with find_places(where, entry, folder, file.store, file.sources.unpinned_limit) as places:
        data = OwnData(where, entry, places)
        pin = data.pin()
        parts = {split: shown_files([*at.hub]) or read_from(at.paths[0], split) for split, at in places.items()}
    facts = [f"{split} {found.rows:,} rows" for split, found in pin.splits.items()]
    if len({found.rows_sha256 for found in pin.splits.values()}) < len(pin.splits):
        facts.append("both splits have the same rows, so that scores will say nothing about new texts")
    facts += [f"{split} from {part}" for split, part in parts.items() if part]
    # With their numbers and in quotes, because names may contain commas and spaces.
    labels = ", ".join(f"{place} {label!r}" for place, label in enumerate(pin.labels))
    facts += [f"labels in order: {labels}"] if labels else []
    facts += [f"no training example has {listed(named)}"] if (named := data.untrained()) else []
    return pin, "; ".join(facts)


def _pin_own_folder(where: str, folder: Path) -> tuple[EncoderPin, str]:
    """As `_pin_folder`, for a folder that the suite names."""
    if not folder.is_dir():
        said = "a file, expected the folder around it" if folder.exists() else f"no such folder{nearest_file(folder)}"
        raise SteadyTuneError(f"{where}: {folder}: {said}")
    return _pin_folder(where, folder)


def _pin_folder(where: str, folder: Path, hub: EncoderEntry | None = None) -> tuple[EncoderPin, str]:
    """Check that an encoder can be used; pin the files in its folder that contain only data, and describe it."""
    names = sorted(file.name for file in folder.glob("*") if file.is_file() and _is_data(file.name))
    report = check_encoder(folder, names)
    place = f"{hub.hub} on the hub" if hub else folder
    raise_all(f"{where}: {place}: {problem}" for problem in report.problems)
    found = measure_all(folder, names)
    pin = EncoderPin(
        hub=hub.hub if hub else None,
        revision=hub.revision if hub else None,
        max_length=report.max_length,
        files={file: OwnFile(sha256=measured.sha256, bytes=measured.bytes) for file, measured in found.items()},
    )
    return pin, report.facts


def _pin_hub_encoder(where: str, name: str, suite: SuiteFile) -> tuple[EncoderPin, str]:
    """Download an encoder to where staging finds it, and pin it."""
    entry, store = suite.encoders[name], suite.store
    assert entry.hub
    repository = Repository(where, MODELS, entry.hub, entry.revision, suite.sources.unpinned_limit)
    wanted = [file for file in repository.files() if "/" not in file and _is_data(file)]
    if not any(file.endswith(".safetensors") for file in wanted):
        has = shown_files(sorted(repository.files()))
        raise SteadyTuneError(
            f"{where}: {entry.hub} on the hub: no weights in safetensors; it has {has}: convert them with "
            f"`AutoModel.from_pretrained({entry.hub!r}).save_pretrained(FOLDER)` and name the folder with `model`"
        )
    downloads = store / ".downloads" / f"hub-{entry.hub.replace('/', '--')}"
    # Two suites may use the same encoder, and each moves the download away.
    with hold(store_lock_path(store, f"hub/{entry.hub}"), message=f"{where}: waiting for another suite's {entry.hub}"):
        for file in wanted:
            repository.get(file, downloads)
        pin, facts = _pin_folder(where, downloads / str(entry.revision), entry)
        target = downloads_of(store, MODELS, model_key(name, pin))
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            shutil.rmtree(downloads)
        else:
            downloads.rename(target)
    return pin, facts


def _is_data(name: str) -> bool:
    return Path(name).suffix in ALLOWED_SUFFIXES and not name.startswith(".") and name != RECEIPT

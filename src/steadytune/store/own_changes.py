"""Whether a suite's own tasks and encoders are still what its lock pins: their files, and how they are read."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steadytune.errors import raise_all
from steadytune.places import beside
from steadytune.store.own_folders import hash_path
from steadytune.suite.own import EVALUATION, TRAIN, EncoderPin, OwnTask, TaskPin
from steadytune.suite.suite import Suite


def check_unchanged(suite: Suite) -> None:
    """Check that own tasks and encoders match the suite's lock.

    Raises:
        SteadyTuneError: the lines of `changes`.
    """
    raise_all(changes(suite))


def changes(suite: Suite) -> Iterator[str]:
    """One line per file or key that differs from its pin, with both values and what to do.

    Tasks and encoders without a pin, because they have not been staged yet, count as unchanged.
    """
    for name, entry in suite.file.tasks.items():
        if pin := suite.own_lock.tasks.get(name):
            yield from (_accepted(suite.path, name, change) for change in _changed_keys(pin.read, entry.reading()))
            if entry.hub is None:
                yield from _changed_splits(suite, name, entry, pin)
    for name, entry in suite.file.encoders.items():
        if entry.own and (pin := suite.own_lock.encoders.get(name)):
            pinned, now = {"hub": pin.hub, "revision": pin.revision}, {"hub": entry.hub, "revision": entry.revision}
            yield from (_accepted(suite.path, name, change) for change in _changed_keys(pinned, now))
            if entry.hub is None:
                folder = beside(suite.path.parent, entry.model, f"{suite.path}: encoders.{name}.model")
                yield from _changed_folder(suite.path, name, folder, pin)


def _changed_splits(suite: Suite, name: str, entry: OwnTask, pin: TaskPin) -> Iterator[str]:
    for split, path in {TRAIN: entry.train, EVALUATION: entry.evaluation}.items():
        if path:
            pinned = pin.splits.get(split)  # pyright: ignore[reportArgumentType]
            place = beside(suite.path.parent, path, f"{suite.path}: tasks.{name}.{split}")
            yield from _changed_file(suite.path, name, place, pinned.file_sha256 if pinned else None)


def _changed_folder(suite: Path, name: str, folder: Path, pin: EncoderPin) -> Iterator[str]:
    if not folder.is_dir():
        yield f"{suite}: {name}: {folder} is missing: put back the folder with {', '.join(pin.files)}"
        return
    for file, pinned in pin.files.items():
        yield from _changed_file(suite, name, folder / file, pinned.sha256)


def _changed_keys(pinned: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*pinned, *now)):
        before, after = pinned.get(key), now.get(key)
        if before is None and after is not None:
            yield f"{key}: the suite named none when its data were pinned, and now names {after!r}"
        elif before is not None and after is None:
            yield f"{key}: {before!r} is pinned, and the suite names none now"
        elif before != after:
            yield f"{key}: {before!r} is pinned, {after!r} is in the suite"


def _changed_file(suite: Path, name: str, path: Path, pinned: str | None) -> Iterator[str]:
    if not path.exists():
        yield f"{suite}: {name}: {path} is missing: put back the file with the SHA-256 {pinned}"
    elif (found := hash_path(path)) != pinned:
        yield _accepted(suite, name, f"{path} changed: {pinned} is pinned, {found} is there")


def _accepted(suite: Path, name: str, change: str) -> str:
    return f"{suite}: {name}: {change}; `steadytune pin {shlex.quote(str(suite))} --accept {name}` accepts it"

"""Whether a suite's own tasks and encoders are still what its lock pins: their files, and how they are read."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from steadytune.errors import raise_all
from steadytune.places import beside
from steadytune.store.own_folders import hash_path
from steadytune.suite.suite import Suite


def check_unchanged(suite: Suite) -> None:
    """Compare own tasks and encoders with the lock.

    Raises:
        SteadyTuneError: the lines of `changes`.
    """
    raise_all(changes(suite))


def changes(suite: Suite) -> Iterator[str]:
    """A line for each file or key that is not what the lock pins, with both values and what to do.

    What has no pin yet, since nothing has been staged, has not changed.
    """
    tasks, encoders = suite.own_lock.tasks, suite.own_lock.encoders
    for name, entry in suite.file.tasks.items():
        if pin := tasks.get(name):
            yield from (_accepted(suite.path, name, said) for said in _changed_keys(pin.read, entry.reading()))
            if entry.hub is None:
                for split, path in {"train": entry.train, "evaluation": entry.evaluation}.items():
                    there = pin.splits.get(split)  # pyright: ignore[reportArgumentType]
                    if path:
                        place = beside(suite.path.parent, path, f"{suite.path}: tasks.{name}.{split}")
                        yield from _changed_file(suite.path, name, place, there.file_sha256 if there else None)
    for name, entry in suite.file.encoders.items():
        if entry.own and (pin := encoders.get(name)):
            known, now = {"hub": pin.hub, "revision": pin.revision}, {"hub": entry.hub, "revision": entry.revision}
            yield from (_accepted(suite.path, name, said) for said in _changed_keys(known, now))
            if entry.hub is None:
                folder = beside(suite.path.parent, entry.model, f"{suite.path}: encoders.{name}.model")
                for file, there in pin.files.items():
                    yield from _changed_file(suite.path, name, folder / file, there.sha256)


def _changed_keys(pinned: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*pinned, *now)):
        if pinned.get(key) != now.get(key):
            yield f"{key}: {pinned.get(key)!r} is pinned, {now.get(key)!r} is in the suite"


def _changed_file(suite: Path, name: str, path: Path, pinned: str | None) -> Iterator[str]:
    if not path.exists():
        yield f"{suite}: {name}: {path} is not there; put the file with the SHA-256 {pinned} back"
    elif (there := hash_path(path)) != pinned:
        yield _accepted(suite, name, f"{path} changed: {pinned} is pinned, {there} is there")


def _accepted(suite: Path, name: str, change: str) -> str:
    return f"{suite}: {name}: {change}; `steadytune pin {shlex.quote(str(suite))} --accept {name}` accepts it"

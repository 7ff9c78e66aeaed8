"""Cache results of reading files while the files' size, times and inode stay the same.

Reading and hashing 10,000 cells takes far longer than a `stat` of each file. Writing to a file changes its ctime even
if its modification time is set back. Only `status --deep` finds a bit that flipped on the disk itself.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from steadytune.files import write_text


class FileCache:
    """Cached results by name, in a file that may be deleted at any time."""

    def __init__(self, path: Path, *, forget: bool = False) -> None:
        """`forget`: start empty."""
        self.path = path
        self._changed = forget
        self._found: dict[str, Any] = {} if forget else _read(path)

    def find(self, name: str, paths: Sequence[Path], compute: Callable[[], str] | None, code: str = "") -> str | None:
        """The result of `compute`, cached while `paths` are unchanged; None if it is not cached and `compute` is None.

        `code`: a digest of the code that `compute` runs, if a change of it could change the result.
        """
        signature = " ".join([*map(_signature, paths), *filter(None, [code])])
        known = self._found.get(name)
        if isinstance(known, list) and len(known) == 2 and known[0] == signature and isinstance(known[1], str):
            return known[1]
        if compute is None:
            return None
        found = compute()
        self._found[name] = [signature, found]
        self._changed = True
        return found

    def save(self) -> None:
        """Write the cache to its file if it has changed; do nothing if the folder is not writable."""
        if self._changed:
            with suppress(OSError):
                write_text(self.path, json.dumps(self._found, separators=(",", ":")))
            self._changed = False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _signature(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "-"
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"

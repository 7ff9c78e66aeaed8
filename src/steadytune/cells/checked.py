"""What was found out about files, remembered for as long as their size, times and inode stay the same.

Reading and hashing 10,000 cells takes many times as long as asking the file system about them. A file that is written
to gets another change time (ctime), whatever modification time it is given; only `status --deep` finds a bit that the
disk itself has flipped.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from steadytune.files import write_text


class Checked:
    """Findings by name, in a file that may be deleted at any time."""

    def __init__(self, path: Path, *, forget: bool = False) -> None:
        """`forget`: start without what the file remembers."""
        self.path = path
        self._changed = forget
        self._found: dict[str, Any] = {} if forget else _read(path)

    def find(self, name: str, paths: Sequence[Path], compute: Callable[[], str] | None, code: str = "") -> str | None:
        """What `compute` says of `paths`, at once if it has said so of the same files before.

        None if it has not and there is no `compute`. `code`: a digest of what `compute` runs, if other code would say
        something else of the same files.
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
        """Write what is new; a folder that cannot be written to is left as it is."""
        if self._changed:
            with suppress(OSError):
                write_text(self.path, json.dumps(self._found, separators=(",", ":")))
            self._changed = False


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _signature(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "-"
    return f"{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"

"""Records of tens of thousands of cells in memory: what they have in common is held once."""

import json
import sys
from typing import Any

COMMON = ("environment", "inputs", "memory", "usage")
"""Parts of a record that many cells share."""


class Lean:
    """Reads JSON records; equal parts of several are the same object, so that nobody may change them."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def read(self, text: str) -> dict[str, Any]:
        """A record.

        Raises:
            ValueError: no JSON.
        """
        record = json.loads(text, object_pairs_hook=_with_shared_keys)
        for holder, key in [*((record, key) for key in COMMON), *((record.get("spec"), key) for key in ("protocol",))]:
            if isinstance(holder, dict) and key in holder:
                holder[key] = self._parts.setdefault(str(holder[key]), holder[key])
        return record


def _with_shared_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # json makes a new text of every key in every file: half of what a record takes.
    return {sys.intern(key): value for key, value in pairs}

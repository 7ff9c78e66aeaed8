"""Records of tens of thousands of cells in memory: what they have in common is held once."""

import json
from typing import Any

from pydantic_core import from_json

COMMON = ("environment", "inputs", "memory", "usage")
"""Parts of a record that many cells share."""


class Lean:
    """Reads JSON records; equal parts of several are the same object, so that nobody may change them."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def read(self, text: str | bytes) -> dict[str, Any]:
        """A record.

        Raises:
            ValueError: no JSON.
        """
        try:
            # Half the time of json, which also makes a new text of every key in every file: half of a record's memory.
            record = from_json(text, cache_strings="all")
        except ValueError:
            # json reads half a surrogate pair too, as it stands in the name of a file that is not UTF-8.
            record = json.loads(text)
        for holder, key in [*((record, key) for key in COMMON), *((record.get("spec"), key) for key in ("protocol",))]:
            if isinstance(holder, dict) and key in holder:
                holder[key] = self._parts.setdefault(str(holder[key]), holder[key])
        return record

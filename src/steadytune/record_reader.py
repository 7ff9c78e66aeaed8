"""Read the records of tens of thousands of cells: parts that are equal share one object, which saves memory."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

COMMON = ("environment", "inputs", "memory", "usage")
"""Parts of a record that are equal in many cells."""


class RecordReader:
    """Reads JSON records; since equal parts are the same object, callers must not change them."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def read(self, text: str | bytes) -> dict[str, Any]:
        """A record.

        Raises:
            ValueError: not JSON.
        """
        try:
            # Twice as fast as json, which also makes a new string of every key: half of a record's memory.
            record = from_json(text, cache_strings="all")
        except ValueError:
            # Unlike from_json, json accepts lone surrogates, which stand in file names that are not UTF-8.
            record = _loads(text)
        self._share(record, COMMON)
        self._share(record.get("spec"), ("protocol",))
        return record

    def _share(self, value: Any, keys: Iterable[str]) -> None:
        """Replace entries of a mapping with equal ones that were read before."""
        if isinstance(value, dict):
            for key in value.keys() & keys:
                value[key] = self._parts.setdefault(str(value[key]), value[key])


def _loads(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None

"""Read the records of tens of thousands of cells; equal parts share one object, to save memory."""

import json
from collections.abc import Iterable
from typing import Any

from pydantic_core import from_json

COMMON = ("environment", "inputs", "memory", "usage")
"""Parts of a record that are equal in many cells."""


class RecordReader:
    """A reader of JSON records. Equal parts are the same object, so callers must not change them."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def read(self, text: str | bytes) -> dict[str, Any]:
        """Parse a record.

        Raises:
            ValueError: not JSON, or nested too deeply.
        """
        try:
            # Twice as fast as json, which also creates a new string for every key: half of a record's memory.
            record = from_json(text, cache_strings="all")
        except ValueError:
            # Unlike from_json, json accepts lone surrogates, which occur in file names that are not UTF-8.
            record = _loads(text)
        self._share(record, COMMON)
        self._share(record.get("spec"), ("protocol",))
        return record

    def _share(self, value: Any, keys: Iterable[str]) -> None:
        """Replace entries of a mapping with equal objects that were read before."""
        if isinstance(value, dict):
            for key in value.keys() & keys:
                value[key] = self._parts.setdefault(str(value[key]), value[key])


def _loads(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None

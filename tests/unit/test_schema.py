"""Value checks: their type adapters are cached."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from steadytune import schema


@dataclass(frozen=True)
class Point:
    """A value of which many are read."""

    x: int


def test_type_adapter_is_built_once_per_type(monkeypatch):
    """Building one takes many times as long as a check, and a suite has thousands of records."""
    made = []
    monkeypatch.setattr(schema, "TypeAdapter", lambda kind: made.append(kind) or TypeAdapter(kind))
    assert [schema.check(Point, {"x": x}, Path("a.json")) for x in (1, 2, 3)] == [Point(1), Point(2), Point(3)]
    assert made == [Point]

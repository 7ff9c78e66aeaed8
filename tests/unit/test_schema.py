"""Checks of values: how often what checks them is made."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from steadytune import schema


@dataclass(frozen=True)
class Point:
    """Something to read many of."""

    x: int


def test_what_checks_a_kind_is_made_once(monkeypatch):
    """It takes many times as long as a check, and a suite has thousands of records."""
    made = []
    monkeypatch.setattr(schema, "TypeAdapter", lambda kind: made.append(kind) or TypeAdapter(kind))
    assert [schema.check(Point, {"x": x}, Path("a.json")) for x in (1, 2, 3)] == [Point(1), Point(2), Point(3)]
    assert made == [Point]

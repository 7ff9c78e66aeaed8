"""Records read for thousands of cells at once."""

import json

from steadytune.lean import Lean

RECORD = {
    "environment": {"python": "3", "threads": 1},
    "inputs": [{"key": "a", "digest": "b"}],
    "spec": {"seed": 0, "protocol": {"epochs": 3}},
    "timing": {"total": 1.5},
    "usage": None,
}


def test_equal_parts_are_held_once_and_others_apart():
    lean = Lean()
    first = lean.read(json.dumps(RECORD))
    second = lean.read(json.dumps(RECORD))
    other = lean.read(json.dumps(RECORD | {"environment": {"python": "3", "threads": 2}}))
    assert first == second == RECORD and other["environment"]["threads"] == 2
    assert first["environment"] is second["environment"] and first["spec"]["protocol"] is second["spec"]["protocol"]
    assert first["timing"] is not second["timing"]


def test_true_is_not_one():
    lean = Lean()
    read = [lean.read(json.dumps({"usage": {"a": value}}))["usage"]["a"] for value in (1, True, 1.0)]
    assert [type(value) for value in read] == [int, bool, float]

"""Reading the records of thousands of cells at once."""

import json

import pytest

from steadytune.record_reader import RecordReader

RECORD = {
    "environment": {"python": "3", "threads": 1},
    "inputs": [{"key": "a", "digest": "b"}],
    "spec": {"seed": 0, "protocol": {"epochs": 3}},
    "timing": {"total": 1.5},
    "usage": None,
}


def test_equal_parts_are_stored_once():
    reader = RecordReader()
    first = reader.read(json.dumps(RECORD))
    second = reader.read(json.dumps(RECORD))
    other = reader.read(json.dumps(RECORD | {"environment": {"python": "3", "threads": 2}}))
    assert first == second == RECORD and other["environment"]["threads"] == 2
    assert first["environment"] is second["environment"] and first["spec"]["protocol"] is second["spec"]["protocol"]
    assert first["timing"] is not second["timing"]


def test_equal_values_of_different_types_stay_distinct():
    reader = RecordReader()
    read = [reader.read(json.dumps({"usage": {"a": value}}))["usage"]["a"] for value in (1, True, 1.0)]
    assert [type(value) for value in read] == [int, bool, float]


def test_records_share_their_keys():
    reader = RecordReader()
    first, second = (reader.read(json.dumps(RECORD)) for _ in range(2))
    assert all(one is other for one, other in zip(first["timing"], second["timing"], strict=True))


def test_numbers_and_strings_are_parsed_as_by_json():
    value = {"float": [0.1, 1e-300, -0.0, 5e-324], "int": 2**130, "half": "\udce9", "text": "\x00é\u2028"}
    for part in (value, {key: entry for key, entry in value.items() if key != "half"}):
        assert repr(RecordReader().read(json.dumps(part))) == repr(json.loads(json.dumps(part)))


def test_record_that_is_nested_too_deeply_is_a_value_error():
    with pytest.raises(ValueError, match="nested"):
        RecordReader().read(b"[" * 200_000)

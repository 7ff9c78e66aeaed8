"""YAML and JSON files read into checked models, with one line for whatever is wrong in them."""

import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from steadytune.errors import SteadyTuneError, nearest

T = TypeVar("T")


class Checked(BaseModel):
    """A frozen model that forbids unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key given twice is an error and not the last one's word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping of keys that differ."""
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """The value of a YAML file.

    Raises:
        SteadyTuneError: no such file, or not YAML (with line and column).
    """
    try:
        return yaml.load(_text(path), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SteadyTuneError(f"{path}: not valid YAML{place}: {error.problem}") from None


def read_json(path: Path) -> Any:
    """The value of a JSON file; a truncated one raises SteadyTuneError."""
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise SteadyTuneError(f"{path}: not valid JSON (truncated?): {error}") from None


def check(kind: type[T], value: Any, path: Path) -> T:
    """`value` as a `kind` (a pydantic model or a dataclass).

    Raises:
        SteadyTuneError: the first thing wrong: file, key, value, what was expected, the nearest valid name.
    """
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise SteadyTuneError(f"{path}: {explain(error, kind)}") from None


def explain(error: ValidationError, kind: Any) -> str:
    """The first problem of a validation error in one line."""
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"])) or "the file"
    match first["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            return f"unknown key '{key}'{nearest(str(first['loc'][-1]), _known_keys(kind))}"
        case "missing" | "missing_argument":
            return f"key '{key}' is missing"
        case "value_error" if not first["loc"]:
            # Of several values together: the message says all.
            return first["msg"].removeprefix("Value error, ")
        case _:
            expected = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            return f"{key}: {_short(first['input'])}: expected {expected}"


def _known_keys(kind: Any) -> Iterable[str]:
    """Every key at any depth of a model: near enough for a hint."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            yield name
            yield from _known_keys(field.annotation)
    elif is_dataclass(kind):
        yield from (field.name for field in fields(kind))
    else:
        for part in getattr(kind, "__args__", ()):
            yield from _known_keys(part)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SteadyTuneError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise SteadyTuneError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None

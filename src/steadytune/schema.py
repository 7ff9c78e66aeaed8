"""Validate values from files against models, with a one-line message for each problem."""

import builtins
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from steadytune.errors import SteadyTuneError, nearest, raise_all, short, suggestion

T = TypeVar("T")
MOST_SHOWN = 20
"""Maximum number of problems that are reported for a file."""
SECRET = "secret"
"""Messages for this type of problem hide the value, because it may contain a password."""
A_MAPPING = "a mapping of keys to values"
EXPECTED = {
    "tuple_type": "a list",
    "list_type": "a list",
    "too_short": "{min_length} or more",
    "too_long": "{max_length} or fewer",
    "dict_type": A_MAPPING,
    "model_type": A_MAPPING,
    "model_attributes_type": A_MAPPING,
    "dataclass_type": A_MAPPING,
    "invalid_key": "a word",
    "path_type": "a path",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_too_long": "{max_length} characters or fewer",
    "string_too_short": "{min_length} characters or more",
    "greater_than_equal": "at least {ge:g}",
    "greater_than": "above {gt:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "below {lt:g}",
    "string_pattern_mismatch": "text of the form {pattern}",
}
"""What was expected, by pydantic's type of problem: its own messages use Python's names or whole sentences."""


def matching(pattern: str, expected: str) -> AfterValidator:
    """A validator of text that has to match a regular expression as a whole."""

    def check_text(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(expected)
        return value

    return AfterValidator(check_text)


Sha256 = Annotated[str, matching("[0-9a-f]{64}", "64 lower-case hex digits")]
Repo = Annotated[str, matching(r"\w[\w.-]*/\w[\w.-]*", "<owner>/<name>")]


class StrictModel(BaseModel):
    """A pydantic model that is frozen and forbids unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def check(kind: type[T], value: Any, path: Path) -> T:
    """Validate `value` as a `kind` (a pydantic model or a dataclass).

    Raises:
        SteadyTuneError: the first problem: file, key, value, what was expected and the nearest valid name.
    """
    try:
        return adapter(kind).validate_python(value)
    except ValidationError as error:
        raise SteadyTuneError(f"{path}: {explain(error, kind, value)}") from None


def check_all(kind: type[T], value: Any, path: Path) -> T:
    """As `check`, but report several problems at once, for files that people write.

    Raises:
        SteadyTuneError: one line per problem, up to `MOST_SHOWN`.
    """
    try:
        return adapter(kind).validate_python(value)
    except ValidationError as error:
        lines = [f"{path}: {line}" for line in _explain_all(error, kind, value)]
        shown, more = lines[:MOST_SHOWN], len(lines) - MOST_SHOWN
        raise SteadyTuneError("\n".join([*shown, *([f"… and {more} more problems"] if more > 0 else [])])) from None


def _explain_all(error: ValidationError, kind: Any, value: Any) -> list[str]:
    """One line per problem; entries of a list with the same mistake share a line."""
    lines: dict[tuple[str, str], str] = {}
    alike: Counter[tuple[str, str]] = Counter()
    places: list[str] = []
    for problem in error.errors():
        place = _below(_key(problem["loc"], value), str(problem["loc"][-1]) if "missing" in problem["type"] else "")
        # If a value may be of several kinds, pydantic reports a problem for each kind; the first is enough.
        if any(known == place or known.startswith(f"{place}.") for known in places):
            continue
        places.append(place)
        line = _explain(problem, kind, value)
        above, _, entry = place.rpartition(".")
        mistake = (above, line.partition(": expected ")[2]) if entry.isdecimal() else (place, "")
        lines.setdefault(mistake, line)
        alike[mistake] += 1
    others = {mistake: f" (and {count - 1} more)" if count > 1 else "" for mistake, count in alike.items()}
    return [line + others[mistake] for mistake, line in lines.items()]


def check_settings(kind: type[T], settings: Mapping[str, Any], where: str) -> T:
    """Validate settings by name as a `kind`, a dataclass.

    Raises:
        SteadyTuneError: one line per problem, starting with `where`; a bad annotation, if `kind` is a user's own class.
    """
    try:
        found: Any = adapter(kind).validate_python(settings)
    except PydanticUserError:
        raise SteadyTuneError(f"{where}: {_bad_annotation(kind)}") from None
    except ValidationError as error:
        raise SteadyTuneError("\n".join(f"{where}: {line}" for line in _explain_all(error, kind, settings))) from None
    # Pydantic accepts true as the number 1.
    raise_all(
        f"{where}: {key}: {short(value)}: expected a number"
        for key, value in settings.items()
        if isinstance(value, bool) and not isinstance(getattr(found, key), bool)
    )
    return found


def _bad_annotation(kind: type) -> str:
    """Name the first field of a dataclass whose type is not defined or cannot come from a file."""
    try:
        hints = get_type_hints(kind)
    except NameError as error:
        key = next(field.name for field in fields(kind) if str(error.name) in str(field.type))
        return f"{key}: type '{error.name}' is not defined{nearest(str(error.name), vars(builtins))}"
    for key, hint in hints.items():
        try:
            TypeAdapter(hint)
        except PydanticUserError:
            said = getattr(hint, "__name__", hint)
            return f"{key}: type {said}: expected one of numbers, texts, true and false, or lists of them"
    return f"{kind.__name__}: expected types that a file's values can have"


@cache
def adapter(kind: type[T]) -> TypeAdapter[T]:
    """Cached TypeAdapter: building one is far slower than validating a value."""
    return TypeAdapter(kind)


def explain(error: ValidationError, kind: Any, value: Any) -> str:
    """The first problem of validating `value` as a `kind`, in one line: key, value, what was expected."""
    return _explain(error.errors()[0], kind, value)


def _explain(problem: Mapping[str, Any], kind: Any, value: Any) -> str:
    key, got, context = _key(problem["loc"], value), problem["input"], problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            *place, name = problem["loc"]
            return f"unknown key '{key}'{suggestion(str(name), _known_keys(kind, place))}"
        case "missing" | "missing_argument":
            return f"key '{_below(key, str(problem['loc'][-1]))}' is missing"
        case "union_tag_not_found":
            return f"key '{_below(key, *_quoted(context['discriminator']))}' is missing"
        case "union_tag_invalid":
            key, got = _below(key, *_quoted(context["discriminator"])), context["tag"]
            expected = _one_of(context["expected_tags"], got)
        case "literal_error":
            expected = _one_of(context["expected"], got)
        case known if known in EXPECTED:
            expected = EXPECTED[known].format(**context)
        case _:
            expected = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            expected = expected.partition(", unable to parse")[0]
    if problem["type"] == "value_error" and not key:
        # A problem of several values together: the message is complete.
        return expected
    if problem["type"] == SECRET or (problem["type"] == "value_error" and isinstance(got, Mapping)):
        return f"{key}: expected {expected}"
    return f"{key or 'the file'}: {short(got)}: expected {expected}"


def _key(loc: Sequence[int | str], value: Any) -> str:
    """The path to a problem's value in the file, such as `claims.0.margin`.

    pydantic's path also names the type it tried, `claims.0.difference.margin`, and keys that the file abbreviates.
    """
    key = ""
    for part in loc:
        entries: Any = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if isinstance(entries, Mapping) and part in entries:
            key, value = _below(key, str(part)), entries[part]
    return key


def _below(key: str, name: str) -> str:
    return ".".join(filter(None, (key, name)))


def _known_keys(kind: Any, place: Sequence[int | str]) -> set[str]:
    """The keys that the mapping at `place` in a value of `kind` may have."""
    kinds = list(_mappings(kind))
    for part in place:
        # A field leads to the kinds below it. pydantic's tags only select among the kinds, and list indices and keys
        # that a user chose change nothing.
        tagged = [each for each in kinds if any(part in get_args(hint) for hint in _hints(each).values())]
        below = [kind for each in kinds for kind in _mappings(_hints(each).get(str(part)))]
        kinds = below or tagged or kinds
    return {name for each in kinds for name in _hints(each)}


def _mappings(hint: Any) -> Iterator[type]:
    """The models and dataclasses in a type, including those inside optional types and lists."""
    if isinstance(hint, type) and (issubclass(hint, BaseModel) or is_dataclass(hint)):
        yield hint
    for part in get_args(hint):
        yield from _mappings(part)


def _hints(kind: type) -> dict[str, Any]:
    """The types of the fields of a model or a dataclass, by name."""
    if issubclass(kind, BaseModel):
        return {name: field.annotation for name, field in kind.model_fields.items()}
    return {field.name: field.type for field in fields(kind)}


def _one_of(names: str, got: Any) -> str:
    return f"{names}{nearest(str(got), _quoted(names))}"


def _quoted(names: str) -> list[str]:
    """The names in pydantic's `'fp32', 'bf16' or 'fp16'`."""
    return re.findall(r"'([^']*)'", names)

"""Read untrusted YAML files safely, with one-line errors for malformed ones."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from steadytune.errors import SteadyTuneError
from steadytune.files import nearest_file, read_text

MOST_VALUES = 200_000
"""Maximum number of values in a YAML file: enough for a lock of thousands of files."""
MOST_BYTES = 20_000_000
MOST_LEVELS = 100
"""Maximum nesting depth: libyaml's loader crashes on many thousands of levels."""
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
"""Characters that break a line of LaTeX, a spreadsheet, or a path."""


CANNOT_BEGIN = re.compile("found character .*that cannot start any token")
SECOND_COLON = "mapping values are not allowed in this context"
"""Messages for a tab between values, and for a value that needs quotation marks."""
KEY_INSIDE = re.compile(r"expected ',' or '[]}]', but got '\?'")
"""PyYAML's message for a question mark in a plain value inside braces or brackets."""


# libyaml's loader, which PyYAML's wheels include, is ten times as fast. Every cluster job reads the suite again.
_Safe: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Safe):
    """A safe loader that refuses duplicate keys, instead of keeping the last, and integers too long to print."""

    def construct_number(self, node: yaml.ScalarNode) -> int:
        """Read a whole number; refuse one that Python cannot print, because it reads hex digits without a limit."""
        number = self.construct_yaml_int(node)
        try:
            str(number)
        except ValueError:
            said = f"a number of {number.bit_length():,} bits"
            raise yaml.constructor.ConstructorError(None, None, said, node.start_mark) from None
        return number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Read a mapping; refuse duplicate keys."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key that is neither a text nor a number", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key '{key}'", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_number)


def read_yaml(path: Path, *, for_snakemake: bool = False) -> Any:
    """The value of a YAML file.

    for_snakemake: also refuse what only PyYAML refuses, such as a tab after a colon: Snakemake reads suites with it,
        and its message names neither file nor line.

    Raises:
        SteadyTuneError: no such file, not YAML (with line and column), nested too deeply, with control characters, or
            with aliases that repeat each other ("billion laughs").
    """
    if path.suffix in {".yaml", ".yml"} and path.is_file() and path.stat().st_size > MOST_BYTES:
        raise SteadyTuneError(f"{path}: more than {MOST_BYTES:,} bytes, which no suite, claims or lock file needs")
    if not path.exists():
        raise SteadyTuneError(f"{path}: no such file{nearest_file(path)}")
    loader = _Loader("")
    try:
        text = read_text(path)
        _check_levels(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_nodes(node, {})
        for _ in yaml.parse(text, Loader=yaml.SafeLoader) if for_snakemake else ():
            pass
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise SteadyTuneError(f"{path}: not valid YAML{place}: {_spelled(error, text)}") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # A character that YAML forbids, or an impossible date or number.
        raise SteadyTuneError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except (AttributeError, LookupError, TypeError):
        # PyYAML raises these for `!!bool x` or `!!int ''`.
        raise SteadyTuneError(f"{path}: not valid YAML: a value that its tag cannot have") from None
    finally:
        loader.dispose()


def _spelled(error: yaml.MarkedYAMLError, text: str) -> str:
    """The error's message, with a fix for common mistakes that YAML's own messages do not explain."""
    mark, said = error.problem_mark, str(error.problem)
    line = text.removeprefix("\ufeff").splitlines()[mark.line : mark.line + 1] if mark else []
    character = line[0][mark.column : mark.column + 1] if mark and line else ""
    if CANNOT_BEGIN.fullmatch(said) and character == "\t":
        return "a tab, expected blanks"
    if KEY_INSIDE.fullmatch(said):
        return "'?' inside {} or []: expected quotation marks around the text with it"
    if CANNOT_BEGIN.fullmatch(said) and character:
        return f"'{character}' cannot begin a value: expected quotation marks around the value"
    if said == SECOND_COLON:
        return f"{said}: expected quotation marks around a value with ': ', or another indentation"
    return said


def _check_levels(text: str) -> None:
    level = 0
    for event in yaml.parse(text, Loader=_Safe):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS:
            raise yaml.constructor.ConstructorError(None, None, "nested too deeply", event.start_mark)


def _check_nodes(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Number of values in a node, with its aliases expanded; 0 in `sizes` marks a node that is being counted."""
    if id(node) in sizes:
        if not sizes[id(node)]:
            raise yaml.constructor.ConstructorError(None, None, "an alias that contains itself", node.start_mark)
        return sizes[id(node)]
    sizes[id(node)] = 0
    if isinstance(node, yaml.ScalarNode):
        if CONTROL.search(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a control character", node.start_mark)
        size = 1
    else:
        entries = [entry for pair in node.value for entry in (pair if isinstance(pair, tuple) else (pair,))]
        size = 1 + sum(_check_nodes(entry, sizes) for entry in entries)
    if size > MOST_VALUES:
        raise yaml.constructor.ConstructorError(None, None, f"more than {MOST_VALUES} values", node.start_mark)
    sizes[id(node)] = size
    return size

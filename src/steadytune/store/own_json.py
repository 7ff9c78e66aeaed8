"""Read the columns of a user's JSON: an object on each line, or the articles of SQuAD 1.1."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from steadytune.errors import nearest

Columns = dict[str, list[Any]]


def read_jsonl(path: Path, wanted: Sequence[str], encoding: str) -> Columns:
    """Read the columns of a file with an object on each line.

    Raises:
        ValueError: a line is not an object, or lacks a wanted key that others have: absent does not mean null.
    """
    rows: list[tuple[int, dict[str, Any]]] = []
    with path.open(encoding=encoding) as handle:
        for number, line in enumerate(handle, start=1):
            if line.strip():
                rows.append((number, _object(number, line, first=not rows)))
    names = dict.fromkeys(name for _, row in rows for name in row)
    for number, row in rows:
        for name in wanted:
            if name in names and name not in row:
                raise ValueError(
                    f"line {number}: no key '{name}'{nearest(name, [key for key in row if key not in wanted])}: "
                    "write null where there is no value"
                )
    return {name: [row.get(name) for _, row in rows] for name in names}


def _object(number: int, line: str, first: bool) -> dict[str, Any]:
    if first and line.lstrip().startswith("["):
        raise ValueError(f"line {number}: a JSON array, expected an object on each line, as `jq -c '.[]'` writes them")
    try:
        row = json.loads(line.rstrip("\n"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        # The error's own text counts lines from this one.
        raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(row, dict):
        raise ValueError(f"line {number}: expected an object of columns and values")
    return row


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' is there twice")
    return found


def read_squad(path: Path, encoding: str) -> Columns:
    """Read the questions, contexts and answers of a file in the format of SQuAD 1.1.

    Raises:
        ValueError: the file has another structure.
    """
    found = json.loads(path.read_text(encoding=encoding))
    try:
        return _questions(found)
    except KeyError as error:
        said = f"no key {error}"
    except (TypeError, AttributeError):
        said = "another structure"
    raise ValueError(
        f"{said}: expected the shape of SQuAD 1.1, `data` of articles with `paragraphs` of a `context` and `qas` of a "
        "`question` and `answers`, each a `text` and an `answer_start`"
    )


def _questions(found: Any) -> Columns:
    columns: Columns = {"question": [], "context": [], "answers": []}
    for article in found["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question["answers"]
                columns["question"].append(question["question"])
                columns["context"].append(paragraph["context"])
                columns["answers"].append({
                    "text": [answer["text"] for answer in answers],
                    "answer_start": [answer["answer_start"] for answer in answers],
                })  # fmt: skip
    return columns

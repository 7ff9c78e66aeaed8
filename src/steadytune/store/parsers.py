"""Parsers that read data sets' original files into rows with the hub's columns and label numbers.

They need only the standard library, because the lock is checked wherever the Snakefile is read. No format here has
quoting; a quotation mark is a character of a sentence. (Read with quoting, SciTail's training set loses 499 of its
23,596 rows.)
"""

import gzip
import io
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from steadytune.errors import SteadyTuneError, nearest

Row = dict[str, Any]
Lines = Iterable[str]
Parser = Callable[[Lines, str], Iterator[Row]]

DAMAGED_ARCHIVE = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)
_THREE_WAY = {"entailment": 0, "neutral": 1, "contradiction": 2}
_SICK_SPLITS = {"train": "TRAIN", "validation": "TRIAL", "test": "TEST"}


def parse_file(name: str, path: Path, member: str | None, split: str) -> list[Row]:
    """Read the rows of one split with the parser `name`, from a file or from a member of a zip archive.

    Raises:
        SteadyTuneError: not an archive, no such member, no rows, or a line in another format (with its number).
    """
    with open_text(path, member) as handle:
        lines = _Numbered(handle)
        try:
            rows = list(PARSERS[name](lines, split))
        except UnicodeDecodeError:
            raise
        except (KeyError, ValueError, TypeError, RecursionError) as error:
            raise SteadyTuneError(f"line {lines.number}: not in the format of '{name}': {error!r}") from None
    if not rows:
        raise SteadyTuneError(f"no rows of split '{split}' in the format of '{name}'")
    return rows


@contextmanager
def open_text(path: Path, member: str | None = None) -> Iterator[IO[str]]:
    """Open a UTF-8 text, unpacking it if it is gzip or a member of a zip archive.

    Raises:
        SteadyTuneError: not such an archive, a damaged one, no such member, or text that is not UTF-8.
    """
    try:
        with _open_bytes(path, member) as handle, _text(handle) as text:
            yield text
    except DAMAGED_ARCHIVE as error:
        raise SteadyTuneError(f"{path}: not a whole archive: {error}") from None
    except UnicodeDecodeError as error:
        raise SteadyTuneError(f"{path}: byte 0x{error.object[error.start]:02x} is not UTF-8") from None


@contextmanager
def _open_bytes(path: Path, member: str | None) -> Iterator[Any]:
    """Open a file or a member of a zip archive, unpacked."""
    if member is None:
        with gzip.open(path) if _is_gzip(path) else path.open("rb") as handle:
            yield handle
        return
    with zipfile.ZipFile(path) as archive:
        if member not in archive.namelist():
            raise SteadyTuneError(f"{path}: no {member} in the archive{nearest(member, archive.namelist())}")
        try:
            handle = archive.open(member)
        except (RuntimeError, NotImplementedError) as error:
            # The member has a password, or a compression that Python does not support.
            raise SteadyTuneError(f"{path}: {member} cannot be unpacked: {error}") from None
        with handle:
            yield handle


def _is_gzip(path: Path) -> bool:
    # By its first bytes, because not every URL ends in .gz.
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def _text(handle: Any) -> io.TextIOWrapper:
    # With or without a byte order mark, and with the line endings of Python's text mode, as in the hub's copies.
    return io.TextIOWrapper(handle, encoding="utf-8-sig")


class _Numbered:
    """Lines without their line endings, and the number of the last one read."""

    def __init__(self, lines: Lines) -> None:
        self.lines = iter(lines)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        self.number += 1
        return line.rstrip("\n")


def read_tsv(lines: Lines) -> Iterator[dict[str, str]]:
    """The lines of a table with a header, each as column -> field; a short line lacks its last columns."""
    rows = iter(lines)
    header = next(rows, "").rstrip("\n").split("\t")
    for line in rows:
        yield dict(zip(header, line.rstrip("\n").split("\t"), strict=False))


def read_jsonl(lines: Lines) -> Iterator[Row]:
    """The objects in JSON lines, without empty lines."""
    return (json.loads(line) for line in lines if line.strip())


def _pair(row: Mapping[str, Any], label: int) -> Row:
    """A premise and a hypothesis as the SNLI family names them."""
    return {"premise": row["sentence1"], "hypothesis": row["sentence2"], "label": label}


def _snli(lines: Lines, split: str) -> Iterator[Row]:
    """`snli_1.0_*.txt`; the label is -1 if the annotators had no majority."""
    for row in read_tsv(lines):
        yield _pair(row, (_THREE_WAY | {"-": -1})[row["gold_label"]])


def _hans(lines: Lines, split: str) -> Iterator[Row]:
    """`heuristics_evaluation_set.txt`."""
    for row in read_tsv(lines):
        label = {"entailment": 0, "non-entailment": 1}[row["gold_label"]]
        yield _pair(row, label) | {name: row[name] for name in ("heuristic", "subcase", "template")}


def _sick(lines: Lines, split: str) -> Iterator[Row]:
    """`SICK.txt`, which holds all splits."""
    for row in read_tsv(lines):
        if row["SemEval_set"] == _SICK_SPLITS[split]:
            yield {
                "id": row["pair_ID"],
                "sentence_A": row["sentence_A"],
                "sentence_B": row["sentence_B"],
                "label": _THREE_WAY[row["entailment_label"].lower()],
                "relatedness_score": float(row["relatedness_score"]),
            }


def _scitail(lines: Lines, split: str) -> Iterator[Row]:
    """`tsv_format/scitail_1.0_*.tsv`, without a header."""
    for line in lines:
        premise, hypothesis, label = line.split("\t")
        if label not in ("entails", "neutral"):
            raise ValueError(f"label {label!r}")
        yield {"premise": premise, "hypothesis": hypothesis, "label": label}


def _anli(lines: Lines, split: str) -> Iterator[Row]:
    """`R1/dev.jsonl` and the like."""
    for row in read_jsonl(lines):
        yield {
            "uid": row["uid"],
            "premise": row["context"],
            "hypothesis": row["hypothesis"],
            "label": {"e": 0, "n": 1, "c": 2}[row["label"]],
            "reason": row.get("reason", ""),
        }


def _cb(lines: Lines, split: str) -> Iterator[Row]:
    """SuperGLUE's `CB/*.jsonl`; contradiction is class 1 there, as on the hub."""
    for row in read_jsonl(lines):
        label = {"entailment": 0, "contradiction": 1, "neutral": 2}[row["label"]]
        yield {"premise": row["premise"], "hypothesis": row["hypothesis"], "idx": row["idx"], "label": label}


def _breaking_nli(lines: Lines, split: str) -> Iterator[Row]:
    """`dataset.jsonl`."""
    for row in read_jsonl(lines):
        yield _pair(row, _THREE_WAY[row["gold_label"]]) | {"category": row["category"]}


def _squad(lines: Lines, split: str) -> Iterator[Row]:
    """A JSON file in the schema of SQuAD 1.1."""
    for article in json.loads("\n".join(lines))["data"]:
        for paragraph in article["paragraphs"]:
            for question in paragraph["qas"]:
                answers = question["answers"]
                yield _question(
                    question["id"],
                    article.get("title", ""),
                    paragraph["context"],
                    question["question"],
                    [(answer["text"], answer["answer_start"]) for answer in answers],
                )


def _mrqa(lines: Lines, split: str) -> Iterator[Row]:
    """MRQA's JSON lines, the first of which is a header; each detected span of an answer counts as an answer."""
    title = ""
    for paragraph in read_jsonl(lines):
        if "header" in paragraph:
            title = paragraph["header"]["dataset"]
            continue
        context = paragraph["context"]
        for question in paragraph["qas"]:
            # Spans include both ends.
            spans = [span for answer in question["detected_answers"] for span in answer["char_spans"]]
            answers = [(context[first : last + 1], first) for first, last in spans]
            yield _question(question["qid"], title, context, question["question"], answers)


def _question(key: str, title: str, context: str, question: str, answers: list[tuple[str, int]]) -> Row:
    """A row in SQuAD's columns; answers are pairs of text and index of the first character."""
    return {
        "id": key,
        "title": title,
        "context": context,
        "question": question,
        "answers": {"text": [text for text, _ in answers], "answer_start": [start for _, start in answers]},
    }


PARSERS: dict[str, Parser] = {
    "anli": _anli,
    "breaking-nli": _breaking_nli,
    "cb": _cb,
    "hans": _hans,
    "mrqa": _mrqa,
    "scitail": _scitail,
    "sick": _sick,
    "snli": _snli,
    "squad": _squad,
}
"""The parsers, by their names in the lock."""

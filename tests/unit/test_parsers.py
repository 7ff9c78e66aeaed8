"""Parsers of published formats, each tested on a few lines in its authors' format."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import pytest

from steadytune.errors import SteadyTuneError
from steadytune.store.parsers import PARSERS, open_text, parse_file
from steadytune.tasks.table import TASKS

SNLI_HEADER = (
    "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
    "\tsentence1\tsentence2\tcaptionID\tpairID\tlabel1\tlabel2\tlabel3\tlabel4\tlabel5"
)
HANS_HEADER = (
    "gold_label\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
    "\tsentence1\tsentence2\tpairID\theuristic\tsubcase\ttemplate"
)
SICK_HEADER = (
    "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\tentailment_AB\tentailment_BA"
    "\tsentence_A_original\tsentence_B_original\tsentence_A_dataset\tsentence_B_dataset\tSemEval_set"
)
CONTEXT = "The 42 of 42."
SQUAD = {
    "data": [
        {
            "title": "Numbers",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {"id": "a", "question": "How many?", "answers": [{"text": "42", "answer_start": 4}]},
                        {"id": "b", "question": "None?", "answers": []},
                    ],
                }
            ],
        }
    ]
}
MRQA = [
    {"header": {"dataset": "DROP", "split": "dev"}},
    {
        "context": CONTEXT,
        "qas": [
            {
                "qid": "a",
                "question": "How many?",
                "answers": ["42", "forty-two"],
                "detected_answers": [{"text": "42", "char_spans": [[4, 5], [10, 11]]}],
            }
        ],
    },
]


def json_lines(*rows: dict) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(header: str, *rows: dict[str, str]) -> str:
    """A tab-separated table with the given fields; all others are dashes."""
    columns = header.split("\t")
    return "\n".join([header, *("\t".join(row.get(name, "-") for name in columns) for row in rows)]) + "\n"


def pair(label: str, **more: str) -> dict[str, str]:
    return {"sentence1": 'He said "no', "sentence2": "He spoke.", "gold_label": label, **more}


QUOTED = {"premise": 'He said "no', "hypothesis": "He spoke."}
ANSWER = {"context": CONTEXT, "question": "How many?"}

CASES = {
    "snli": (
        table(SNLI_HEADER, *(pair(label) for label in ("entailment", "neutral", "contradiction", "-"))),
        [QUOTED | {"label": label} for label in (0, 1, 2, -1)],
    ),
    "hans": (
        table(
            HANS_HEADER,
            pair("non-entailment", heuristic="lexical_overlap", subcase="ln_passive", template="temp8"),
            pair("entailment", heuristic="constituent", subcase="ce_adverb", template="temp60"),
        ),
        [
            QUOTED | {"label": 1, "heuristic": "lexical_overlap", "subcase": "ln_passive", "template": "temp8"},
            QUOTED | {"label": 0, "heuristic": "constituent", "subcase": "ce_adverb", "template": "temp60"},
        ],
    ),
    "scitail": (
        'A "fish swims.\tFish move.\tentails\nA.\tB.\tneutral\n',
        [
            {"premise": 'A "fish swims.', "hypothesis": "Fish move.", "label": "entails"},
            {"premise": "A.", "hypothesis": "B.", "label": "neutral"},
        ],
    ),
    "anli": (
        json_lines(
            {"uid": "1", "context": "A.", "hypothesis": "B.", "label": "c", "model_label": "e", "reason": "so"},
            {"uid": "2", "context": "A.", "hypothesis": "B.", "label": "n"},
            {"uid": "3", "context": "A.", "hypothesis": "B.", "label": "e", "reason": ""},
        ),
        [
            {"uid": uid, "premise": "A.", "hypothesis": "B.", "label": label, "reason": reason}
            for uid, label, reason in (("1", 2, "so"), ("2", 1, ""), ("3", 0, ""))
        ],
    ),
    "cb": (
        json_lines(
            *(
                {"premise": "A.", "hypothesis": "B.", "label": label, "idx": i}
                for i, label in enumerate(("contradiction", "neutral", "entailment"))
            )
        ),
        [{"premise": "A.", "hypothesis": "B.", "idx": i, "label": label} for i, label in enumerate((1, 2, 0))],
    ),
    "breaking-nli": (
        json_lines(
            pair("contradiction", category="colors", pairID="1"),
            pair("neutral", category="rooms"),
        ),
        [QUOTED | {"label": 2, "category": "colors"}, QUOTED | {"label": 1, "category": "rooms"}],
    ),
    "squad": (
        json.dumps(SQUAD),
        [
            {"id": "a", "title": "Numbers", **ANSWER, "answers": {"text": ["42"], "answer_start": [4]}},
            {
                "id": "b", "title": "Numbers", "context": CONTEXT, "question": "None?",
                "answers": {"text": [], "answer_start": []},
            },
        ],
    ),
    "mrqa": (
        json_lines(*MRQA),
        [{"id": "a", "title": "DROP", **ANSWER, "answers": {"text": ["42", "42"], "answer_start": [4, 10]}}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_parser_gives_the_hubs_columns_and_label_numbers(name: str, tmp_path: Path) -> None:
    text, rows = CASES[name]
    path = tmp_path / "raw"
    path.write_text(text, encoding="utf-8")
    assert parse_file(name, path, None, "validation") == rows


def test_sick_selects_lines_by_their_split(tmp_path: Path) -> None:
    path = tmp_path / "SICK.txt"
    sentences = {"sentence_A": "A.", "sentence_B": "B.", "relatedness_score": "4.7"}
    rows = [
        {"pair_ID": str(i), **sentences, "entailment_label": label, "SemEval_set": split}
        for i, (label, split) in enumerate((("NEUTRAL", "TRAIN"), ("ENTAILMENT", "TRIAL"), ("CONTRADICTION", "TEST")))
    ]
    path.write_text(table(SICK_HEADER, *rows))
    for i, (split, label) in enumerate((("train", 1), ("validation", 0), ("test", 2))):
        assert parse_file("sick", path, None, split) == [
            {"id": str(i), "sentence_A": "A.", "sentence_B": "B.", "label": label, "relatedness_score": 4.7}
        ]


def test_every_parser_has_a_case() -> None:
    assert {*CASES, "sick"} == PARSERS.keys()


def test_label_numbers_match_the_task_tables_label_names() -> None:
    """Each parser's rows above have the labels of its task, by name."""
    words = {
        "snli": ("snli", "entailment", "neutral", "contradiction"),
        "hans": ("hans", "not_entailment", "entailment"),
        "scitail": ("scitail", "entailment", "not_entailment"),
        "anli-r1": ("anli", "contradiction", "neutral", "entailment"),
        "cb": ("cb", "contradiction", "neutral", "entailment"),
        "breaking-nli": ("breaking-nli", "contradiction", "neutral"),
    }
    for name, (parser, *expected) in words.items():
        task = TASKS[name]
        rows = [row for row in CASES[parser][1] if row["label"] != -1]
        assert [task.labels[task.values.index(row["label"])] for row in rows] == expected


def test_gzip_is_detected_by_content_and_refused_if_truncated(tmp_path: Path) -> None:
    path = tmp_path / "MRQA2019"
    path.write_bytes(gzip.compress(json_lines(*MRQA).encode()))
    assert parse_file("mrqa", path, None, "validation") == CASES["mrqa"][1]
    path.write_bytes(gzip.compress(json_lines(*MRQA).encode())[:-20])
    with pytest.raises(SteadyTuneError, match="not a whole archive"):
        parse_file("mrqa", path, None, "validation")


def damaged_gzip() -> bytes:
    content = bytearray(gzip.compress(json_lines(*MRQA).encode()))
    content[20:40] = b"\xff" * 20
    return bytes(content)


def zipped(compression: int | None = None, flags: int = 0) -> bytes:
    """A zip archive of `a.txt` whose headers give another compression or other flags."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "text " * 100)
    content = bytearray(buffer.getvalue())
    for header, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(header) + place
        content[start] |= flags
        content[start + 2] = content[start + 2] if compression is None else compression
    return bytes(content)


def spoiled_zip() -> bytes:
    content = bytearray(zipped())
    content[36:40] = b"\xff" * 4
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "member", "said"),
    [
        (damaged_gzip(), None, "not a whole archive"),
        (spoiled_zip(), "a.txt", "not a whole archive"),
        (zipped(flags=1), "a.txt", "cannot be unpacked"),
        (zipped(compression=97), "a.txt", "cannot be unpacked"),
        (zipped(), "b.txt", "no b.txt in the archive (did you mean 'a.txt'?)"),
        ("Zürich\ta\tentails\n".encode("latin-1"), None, "byte 0xfc is not UTF-8"),
    ],
)
def test_damaged_file_error_is_one_line_with_its_path(
    tmp_path: Path, content: bytes, member: str | None, said: str
) -> None:
    path = tmp_path / "raw"
    path.write_bytes(content)
    with pytest.raises(SteadyTuneError) as caught:
        parse_file("scitail", path, member, "validation")
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and said in message and "\n" not in message


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("snli", table(SNLI_HEADER, pair("entailment"), pair("hidden")), 3),
        ("snli", "gold_label\tsentence1\nentailment\tA.\n", 2),
        ("hans", "", 0),
        ("anli", '{"uid": "1"}\n', 1),
        ("anli", "no json\n", 1),
        ("scitail", "a\tb\tentails\nonly two\tcolumns\n", 2),
        ("scitail", "a\tb\tcontradicts\n", 1),
        ("squad", '{"data": [{}]}', 1),
        ("squad", "[" * 100_000, 1),
        ("sick", table(SICK_HEADER, {"SemEval_set": "TRIAL", "entailment_label": "NEUTRAL"}), 2),
    ],
)
def test_malformed_line_error_gives_its_number_and_format(tmp_path: Path, name: str, text: str, line: int) -> None:
    path = tmp_path / "raw"
    path.write_text(text)
    with pytest.raises(SteadyTuneError) as caught:
        parse_file(name, path, None, "validation")
    said = str(caught.value)
    assert said.startswith(f"line {line}: not in the format" if line else "no rows") and f"'{name}'" in said


def test_open_text_drops_the_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    path.write_bytes(b"\xef\xbb\xbfQuality\tid\n")
    with open_text(path) as text:
        assert text.read() == "Quality\tid\n"

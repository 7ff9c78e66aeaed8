"""The classic GLUE folder (`RTE/train.tsv`, `MRPC/msr_paraphrase_train.txt`, …) as rows in the hub's columns.

Its tables have no quoting: a quotation mark is a character of a sentence. A file is refused if its number of rows is
not GLUE's, because truncated and older copies are in circulation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.store.parsers import Row, open_text, read_tsv

DEV_IDS = "https://dl.fbaipublicfiles.com/glue/data/mrpc_dev_ids.tsv"


@dataclass(frozen=True)
class Layout:
    """The files of a task in the classic GLUE folder.

    Attributes:
        folder: the task's folder.
        files: file name and number of rows, by split.
        text: text columns: the column in the file, by the column in the store.
        label: the label's column in the file.
        labels: the labels as the file spells them, in the order of the class index; empty if the label is a score.
        header: the column names, if the file has no header.
        drop_broken: leave out lines without a label, as the hub's copy does.
    """

    folder: str
    files: Mapping[str, tuple[str, int]]
    text: Mapping[str, str]
    label: str = "label"
    labels: tuple[str, ...] = ("0", "1")
    header: tuple[str, ...] = ()
    drop_broken: bool = False


_SENTENCES = {"sentence1": "sentence1", "sentence2": "sentence2"}
_TWO_WAY = ("entailment", "not_entailment")
_MRPC_TEXT = {"sentence1": "#1 String", "sentence2": "#2 String"}


def _splits(train: int, dev: int) -> dict[str, tuple[str, int]]:
    return {"train": ("train.tsv", train), "validation": ("dev.tsv", dev)}


LAYOUTS = {
    "cola": Layout(
        "CoLA", _splits(8551, 1043), {"sentence": "sentence"}, header=("source", "label", "judgement", "sentence")
    ),
    "sst2": Layout("SST-2", _splits(67349, 872), {"sentence": "sentence"}),
    "mrpc": Layout("MRPC", _splits(3668, 408), _MRPC_TEXT, "Quality"),
    "stsb": Layout("STS-B", _splits(5749, 1500), _SENTENCES, "score", ()),
    "qqp": Layout(
        "QQP",
        _splits(363846, 40430),
        {"question1": "question1", "question2": "question2"},
        "is_duplicate",
        drop_broken=True,
    ),
    "mnli": Layout(
        "MNLI",
        {
            "train": ("train.tsv", 392702),
            "validation_matched": ("dev_matched.tsv", 9815),
            "validation_mismatched": ("dev_mismatched.tsv", 9832),
        },
        {"premise": "sentence1", "hypothesis": "sentence2"},
        "gold_label",
        ("entailment", "neutral", "contradiction"),
    ),
    "qnli": Layout("QNLI", _splits(104743, 5463), {"question": "question", "sentence": "sentence"}, labels=_TWO_WAY),
    "rte": Layout("RTE", _splits(2490, 277), _SENTENCES, labels=_TWO_WAY),
    "wnli": Layout("WNLI", _splits(635, 71), _SENTENCES),
}
"""The layout of each task, by its configuration of `nyu-mll/glue`."""

MRPC_WHOLE = "msr_paraphrase_train.txt"
MRPC_TEST = ("msr_paraphrase_test.txt", 1725)


def row_counts(config: str) -> dict[str, int]:
    """GLUE's number of rows in every split that `read_splits` can return; it may return none for `test`."""
    counts = {split: rows for split, (_, rows) in LAYOUTS[config].files.items()}
    return counts | {"test": MRPC_TEST[1]} if config == "mrpc" else counts


def read_splits(root: Path, config: str) -> dict[str, list[Row]]:
    """Read the splits of a task that has a folder in `root`.

    Raises:
        SteadyTuneError: a file is missing, has another format, or does not have GLUE's number of rows.
    """
    layout = LAYOUTS[config]
    folder = root / layout.folder
    if config == "mrpc":
        return _read_mrpc(folder, layout)
    return {split: _read(folder / name, layout, expected) for split, (name, expected) in layout.files.items()}


def _read(path: Path, layout: Layout, expected: int) -> list[Row]:
    return _counted(path, [row for _, row in _rows(path, layout)], expected)


def _rows(path: Path, layout: Layout) -> Iterator[tuple[Mapping[str, str], Row]]:
    """Each line of a file as its fields and as a row for the store; `idx` also counts the lines left out."""
    if not path.is_file():
        raise SteadyTuneError(f"{path}: not there")
    with open_text(path) as handle:
        lines = [line for line in handle if line.strip("\n")]
    table = ["\t".join(layout.header), *lines] if layout.header else lines
    for number, fields in enumerate(read_tsv(table)):
        if layout.drop_broken and not fields.get(layout.label):
            continue
        try:
            row: Row = {column: fields[name] for column, name in layout.text.items()}
            row["label"] = _label(fields[layout.label], layout)
        except (KeyError, ValueError) as error:
            line = number + (1 if layout.header else 2)
            said = f"no column {error}" if isinstance(error, KeyError) else error
            raise SteadyTuneError(f"{path}: line {line}: not as GLUE has it: {said}") from None
        yield fields, row | {"idx": number}


def _label(text: str, layout: Layout) -> int | float:
    """A label as a class index or a score.

    Raises:
        ValueError: the label is neither.
    """
    if not layout.labels:
        return float(text)
    if text not in layout.labels:
        raise ValueError(f"label {text!r}, expected one of {', '.join(layout.labels)}")
    return layout.labels.index(text)


def _counted(path: Path, rows: list[Row], expected: int) -> list[Row]:
    if len(rows) != expected:
        raise SteadyTuneError(f"{path}: {len(rows)} rows where GLUE has {expected}: is the file whole, and of GLUE?")
    return rows


def _read_mrpc(folder: Path, layout: Layout) -> dict[str, list[Row]]:
    """Read MRPC, whose training file GLUE divides into train and dev by a list of ids.

    Without the original training file or the list, read the files that GLUE's download script has already split. The
    test file is read too if there is one.
    """
    whole, ids = folder / MRPC_WHOLE, folder / "dev_ids.tsv"
    if whole.is_file() and ids.is_file():
        with open_text(ids) as handle:
            dev = {tuple(line.split()) for line in handle}
        rows = list(_rows(whole, layout))
        kept = {
            split: [
                row for fields, row in rows if ((fields.get("#1 ID"), fields.get("#2 ID")) in dev) == (split != "train")
            ]
            for split in layout.files
        }
        splits = {split: _counted(whole, kept[split], expected) for split, (_, expected) in layout.files.items()}
    elif all((folder / name).is_file() for name, _ in layout.files.values()):
        splits = {split: _read(folder / name, layout, expected) for split, (name, expected) in layout.files.items()}
    else:
        raise SteadyTuneError(f"{ids}: not there; MRPC has no dev split of its own: GLUE's is the list at {DEV_IDS}")
    name, expected = MRPC_TEST
    if (folder / name).is_file():
        splits["test"] = _read(folder / name, layout, expected)
    return splits

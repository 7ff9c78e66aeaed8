"""Importing the classic GLUE folder, written here line by line in GLUE's layout, into the store."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from locks import lock_of

from steadytune.errors import SteadyTuneError
from steadytune.store import classic_glue
from steadytune.store.classic_glue import LAYOUTS, MRPC_WHOLE, read_splits
from steadytune.store.imports import Imports
from steadytune.store.receipt import hash_rows, read_receipt
from steadytune.store.staging import stage
from steadytune.suite.file import Sources
from steadytune.tasks.data import load_split
from steadytune.tasks.table import TASKS

Small = Callable[..., None]


def write(path: Path, lines: Sequence[str], header: str = "", mark: bool = False) -> None:
    """Write a table, with a byte order mark if `mark`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in ([header, *lines] if header else lines))
    path.write_bytes((b"\xef\xbb\xbf" if mark else b"") + text.encode())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Small:
    """A function that lets a task have fewer rows than in GLUE."""

    def shrink(config: str, **rows: int) -> None:
        layout = LAYOUTS[config]
        files = {split: (name, rows[split]) for split, (name, _) in layout.files.items()}
        monkeypatch.setitem(LAYOUTS, config, replace(layout, files=files))

    return shrink


def test_expected_row_counts_are_those_of_glue() -> None:
    counts = {config: tuple(rows for _, rows in layout.files.values()) for config, layout in LAYOUTS.items()}
    # Wang et al. 2018, as the hub's copy has them.
    assert counts == {
        "cola": (8551, 1043), "sst2": (67349, 872), "mrpc": (3668, 408), "stsb": (5749, 1500),
        "qqp": (363846, 40430), "mnli": (392702, 9815, 9832), "qnli": (104743, 5463), "rte": (2490, 277),
        "wnli": (635, 71),
    }  # fmt: skip


def test_quotation_marks_are_ordinary_characters(tmp_path: Path, small: Small) -> None:
    small("rte", train=3, validation=1)
    header = "index\tsentence1\tsentence2\tlabel"
    lines = ['0\t"A.\tB\tentailment', '1\tA "b" c\tB"\tnot_entailment', "2\tA\tB\tentailment"]
    write(tmp_path / "RTE/train.tsv", lines, header)
    write(tmp_path / "RTE/dev.tsv", ["0\tC\tD\tnot_entailment"], header)
    assert read_splits(tmp_path, "rte") == {
        "train": [
            {"sentence1": '"A.', "sentence2": "B", "label": 0, "idx": 0},
            {"sentence1": 'A "b" c', "sentence2": 'B"', "label": 1, "idx": 1},
            {"sentence1": "A", "sentence2": "B", "label": 0, "idx": 2},
        ],
        "validation": [{"sentence1": "C", "sentence2": "D", "label": 1, "idx": 0}],
    }


@pytest.mark.parametrize(
    ("config", "folder", "header", "line", "row"),
    [
        ("cola", "CoLA", "", "gj04\t0\t*\tThey drank the pub.", {"sentence": "They drank the pub.", "label": 0}),
        ("sst2", "SST-2", "sentence\tlabel", "it 's good \t1", {"sentence": "it 's good ", "label": 1}),
        (
            "stsb", "STS-B",
            "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
            "0\tmain-captions\tMSRvid\t2012test\t0001\tnone\tnone\tA plane.\tAn air plane.\t3.800",
            {"sentence1": "A plane.", "sentence2": "An air plane.", "label": 3.8},
        ),
        (
            "qnli", "QNLI", "index\tquestion\tsentence\tlabel", "0\tWho?\tHe.\tnot_entailment",
            {"question": "Who?", "sentence": "He.", "label": 1},
        ),
        # Here class 1 is entailment; in the other sets class 0 is.
        (
            "wnli", "WNLI", "index\tsentence1\tsentence2\tlabel", "0\tA\tB\t1",
            {"sentence1": "A", "sentence2": "B", "label": 1},
        ),
        (
            "qqp", "QQP", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "7\t1\t2\tWhy?\tWhy not?\t0",
            {"question1": "Why?", "question2": "Why not?", "label": 0},
        ),
    ],
)  # fmt: skip
def test_task_is_read_with_its_columns_and_labels(
    tmp_path: Path, small: Small, config: str, folder: str, header: str, line: str, row: dict
) -> None:
    small(config, train=1, validation=1)
    for name in ("train.tsv", "dev.tsv"):
        write(tmp_path / folder / name, [line], header)
    assert read_splits(tmp_path, config)["validation"] == [row | {"idx": 0}]
    task = TASKS[config]
    assert row.keys() == {*task.text, "label"}
    # The number means what the task table says.
    expected = {"cola": "unacceptable", "sst2": "positive", "qnli": "not_entailment", "wnli": "entailment"}
    if config in expected:
        assert task.labels[row["label"]] == expected[config]


def test_mnli_has_two_dev_splits_and_the_gold_label_last(tmp_path: Path, small: Small) -> None:
    small("mnli", train=1, validation_matched=2, validation_mismatched=1)
    columns = "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse"
    header = f"{columns}\tsentence2_parse\tsentence1\tsentence2\tlabel1\tgold_label"
    start = "0\t1\t1n\tfiction\t(\t(\t(\t("
    write(tmp_path / "MNLI/train.tsv", [f"{start}\tA\tB\tneutral\tneutral"], header)
    matched = [f"{start}\tA\tB\tneutral\tcontradiction", f"{start}\tC\tD\tneutral\tentailment"]
    write(tmp_path / "MNLI/dev_matched.tsv", matched, header)
    write(tmp_path / "MNLI/dev_mismatched.tsv", [f"{start}\tE\tF\tcontradiction\tneutral"], header)
    splits = read_splits(tmp_path, "mnli")
    assert [row["label"] for rows in splits.values() for row in rows] == [1, 2, 0, 1]
    assert splits["validation_mismatched"] == [{"premise": "E", "hypothesis": "F", "label": 1, "idx": 0}]
    assert list(splits) == ["train", "validation_matched", "validation_mismatched"]


def test_broken_lines_are_skipped_in_qqp_and_refused_elsewhere(tmp_path: Path, small: Small) -> None:
    small("qqp", train=2, validation=1)
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate"
    write(tmp_path / "QQP/train.tsv", ["1\t1\t2\tA\tB\t1", "2\t3\t4\tbroken", "3\t5\t6\tC\tD\t0"], header)
    write(tmp_path / "QQP/dev.tsv", ["1\t1\t2\tA\tB\t1"], header)
    assert [(row["question1"], row["idx"]) for row in read_splits(tmp_path, "qqp")["train"]] == [("A", 0), ("C", 2)]

    small("sst2", train=1, validation=1)
    write(tmp_path / "SST-2/train.tsv", ["fine\t1", "broken"], "sentence\tlabel")
    with pytest.raises(SteadyTuneError, match=r"SST-2/train.tsv: line 3: not as GLUE has it: no column 'label'"):
        read_splits(tmp_path, "sst2")
    write(tmp_path / "SST-2/train.tsv", ["fine\tpositive"], "sentence\tlabel")
    with pytest.raises(SteadyTuneError, match=r"SST-2/train.tsv: line 2: not as GLUE has it: label 'positive'"):
        read_splits(tmp_path, "sst2")


MRPC_HEADER = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"
PAIRS = ['1\t10\t20\tA "said"\tB', "0\t11\t21\tC\tD", "1\t20\t10\tE\tF"]


def test_mrpc_dev_split_follows_its_list_of_ids(tmp_path: Path, small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    small("mrpc", train=2, validation=1)
    monkeypatch.setattr(classic_glue, "MRPC_TEST", ("msr_paraphrase_test.txt", 1))
    write(tmp_path / "MRPC/msr_paraphrase_train.txt", PAIRS, MRPC_HEADER, mark=True)
    write(tmp_path / "MRPC/dev_ids.tsv", ["10\t20"])  # the third pair has the same ids in the other order
    splits = read_splits(tmp_path, "mrpc")
    assert [(row["idx"], row["label"]) for row in splits["train"]] == [(1, 0), (2, 1)]
    assert splits["validation"] == [{"sentence1": 'A "said"', "sentence2": "B", "label": 1, "idx": 0}]
    assert "test" not in splits
    write(tmp_path / "MRPC/msr_paraphrase_test.txt", ["0\t1\t2\tG\tH"], MRPC_HEADER, mark=True)
    assert read_splits(tmp_path, "mrpc")["test"] == [{"sentence1": "G", "sentence2": "H", "label": 0, "idx": 0}]


def test_mrpc_without_a_list_of_ids_needs_files_already_split(tmp_path: Path, small: Small) -> None:
    small("mrpc", train=2, validation=1)
    write(tmp_path / "MRPC/msr_paraphrase_train.txt", PAIRS, MRPC_HEADER, mark=True)
    with pytest.raises(SteadyTuneError, match=r"MRPC/dev_ids.tsv: not there.*mrpc_dev_ids.tsv"):
        read_splits(tmp_path, "mrpc")
    write(tmp_path / "MRPC/train.tsv", PAIRS[:2], MRPC_HEADER)
    write(tmp_path / "MRPC/dev.tsv", PAIRS[2:], MRPC_HEADER)
    assert [row["sentence1"] for row in read_splits(tmp_path, "mrpc")["validation"]] == ["E"]


@pytest.mark.parametrize("rows", [276, 278])
def test_missing_file_or_wrong_number_of_rows_is_refused(tmp_path: Path, rows: int) -> None:
    header = "index\tsentence1\tsentence2\tlabel"
    write(tmp_path / "RTE/train.tsv", [f"{i}\tA\tB\tentailment" for i in range(2490)], header)
    write(tmp_path / "RTE/dev.tsv", [f"{i}\tA\tB\tentailment" for i in range(rows)], header)
    with pytest.raises(SteadyTuneError, match=rf"RTE/dev.tsv: {rows} rows where GLUE has 277"):
        read_splits(tmp_path, "rte")
    (tmp_path / "RTE/dev.tsv").unlink()
    with pytest.raises(SteadyTuneError, match=r"RTE/dev.tsv: not there"):
        read_splits(tmp_path, "rte")


def test_file_that_is_not_utf8_or_is_too_short_is_refused(tmp_path: Path) -> None:
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE/train.tsv").write_bytes("index\tsentence1\n0\tZürich".encode("latin-1"))
    with pytest.raises(SteadyTuneError, match=r"RTE/train.tsv: byte 0xfc is not UTF-8"):
        read_splits(tmp_path, "rte")
    write(tmp_path / "MRPC" / MRPC_WHOLE, ["1\tA\tB"], "Quality\t#1 String\t#2 String")
    write(tmp_path / "MRPC/dev_ids.tsv", ["1\t2"])
    with pytest.raises(SteadyTuneError, match=rf"MRPC/{MRPC_WHOLE}: \d+ rows where GLUE has"):
        read_splits(tmp_path, "mrpc")


# Importing into the store

KEY = "nyu-mll/glue/rte"
UNPINNED = {"repo": "nyu-mll/glue", "unpinned": True, "files": {"rte/train-00000-of-00001.parquet": {}}}


@pytest.fixture
def folder(tmp_path: Path, small: Small) -> Path:
    """A GLUE folder with a small RTE."""
    small("rte", train=2, validation=1)
    header = "index\tsentence1\tsentence2\tlabel"
    write(tmp_path / "glue/RTE/train.tsv", ["0\tA\tB\tentailment", "1\tC\tD\tnot_entailment"], header)
    write(tmp_path / "glue/RTE/dev.tsv", ["0\tE\tF\tnot_entailment"], header)
    return tmp_path / "glue"


def test_imported_task_loads_and_its_receipt_says_imported(folder: Path, tmp_path: Path) -> None:
    lock, store = lock_of(KEY, hub=UNPINNED), tmp_path / "store"
    receipt = stage("datasets", KEY, lock, Sources(order=("hub",)), store, Imports(glue=folder))
    assert (receipt.source, receipt.origin, receipt.pinned_by) == ("imported", "the classic GLUE folder, RTE", "import")
    train = load_split(TASKS["rte"], "train", store)
    assert (train["text_a"][:], train["text_b"][:], train["label"][:]) == (["A", "C"], ["B", "D"], [0, 1])
    name = "validation-00000-of-00001.parquet"
    rows = pq.read_table(store / "datasets" / KEY / name).to_pylist()
    assert read_receipt(store / "datasets" / KEY).files[name].rows_sha256 == hash_rows(rows)


def test_imported_task_is_kept_until_different_rows_are_imported(folder: Path, tmp_path: Path) -> None:
    lock, store, sources = lock_of(KEY, hub=UNPINNED), tmp_path / "store", Sources(order=("hub",))

    def run(imports: Imports | None) -> tuple[int, object]:
        receipt = stage("datasets", KEY, lock, sources, store, imports)
        return (store / "datasets" / KEY / "receipt.json").stat().st_mtime_ns, receipt

    first = run(Imports(glue=folder))
    # Rewriting the receipt would retrain every cell that read it.
    assert run(None) == run(Imports(glue=folder)) == first
    path = folder / "RTE/dev.tsv"
    path.write_text(path.read_text().replace("E\tF", "E\tG"))
    assert run(Imports(glue=folder))[1] != first[1]


def test_folder_without_glue_tasks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyTuneError, match=r"not a GLUE folder: expected one of CoLA, SST-2, MRPC"):
        Imports(glue=tmp_path)

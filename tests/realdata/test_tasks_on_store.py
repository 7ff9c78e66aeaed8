"""The task table against a staged store: the manifest's counts, and encoding with a real tokenizer.

Question answering, which has no labels to count, is in test_spans_on_store.py.
"""

import csv
import json
from collections import Counter

import pytest
from staged_store import MANIFEST, STORE

from steadytune.tasks.data import encode, load_split
from steadytune.tasks.table import TASKS, Task

TOKENIZER = STORE / "models/sentence-transformers/all-MiniLM-L6-v2"


def _splits() -> list[tuple[Task, str, dict[str, str]]]:
    """Every split in the manifest that a task of the table reads, with its row of the manifest."""
    if not MANIFEST.is_file():
        return []
    with MANIFEST.open(encoding="utf-8") as handle:
        rows = {row["path"]: row for row in csv.DictReader(handle)}
    found = []
    for path, row in rows.items():
        folder, _, file = path.removeprefix("datasets/").rpartition("/")
        split = file.removesuffix("-00000-of-00001.parquet")
        found += [(task, split, row) for task in TASKS.values() if task.dataset_key == folder and not task.span]
    return found


SPLITS = _splits()


def test_store_has_the_expected_splits_and_tasks() -> None:
    staged = {(task.name, split) for task, split, _ in SPLITS}
    expected = {("rte", "train"), ("rte", "validation"), ("mnli", "validation_matched"), ("scitail-test", "test")}
    assert expected <= staged
    # The store lacks MNLI mismatched, but has the file that its entry shares with mnli.
    held = {task.dataset_key for task, _, _ in SPLITS}
    assert {name for name, _ in staged} == {task.name for task in TASKS.values() if task.dataset_key in held}


@pytest.mark.parametrize(
    ("task", "split", "manifest"), SPLITS, ids=[f"{task.name}-{split}" for task, split, _ in SPLITS]
)
def test_split_matches_the_manifest_and_encodes(task: Task, split: str, manifest: dict[str, str]) -> None:
    from transformers import AutoTokenizer

    data = load_split(task, split, STORE)
    assert len(data) == int(manifest["rows"])
    labels = data["label"][:]
    if task.regression:
        counts = Counter(str(float(round(value))) for value in labels)
    else:
        counts = Counter(str(task.values[value]) for value in labels)
    assert counts == json.loads(manifest["labels"])
    encoded = encode(data.select(range(50)), AutoTokenizer.from_pretrained(TOKENIZER), max_length=128)
    assert len(encoded) == len(encoded.rows) == len(encoded.labels) == 50
    assert all(ids[0] == 101 and ids[-1] == 102 for ids in encoded.input_ids)
    assert encoded.token_type_ids is not None
    # A second text makes a second segment.
    assert all(segments.max() == len(task.text) - 1 for segments in encoded.token_type_ids)
    assert encoded.lengths.mean() > 5 and encoded.lengths.max() <= 128

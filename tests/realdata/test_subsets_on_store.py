"""The published index lists against a staged store: each is what the rule draws from the store's rows."""

import numpy as np
import pytest
from staged_store import REPOSITORY, STORE

from steadytune.tasks.data import load_split
from steadytune.tasks.publish import SIZES
from steadytune.tasks.subsets import read_list
from steadytune.tasks.table import TASKS, find_task

LISTS = sorted((REPOSITORY / "published/subsets").iterdir())


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_published_list_has_the_rows_that_training_uses(path, monkeypatch, caplog):
    monkeypatch.chdir(REPOSITORY)
    task = find_task(path.stem)
    assert task.train
    assert load_split(task, task.train, STORE, task.size)["row"][:] == read_list(path).rows.tolist()
    assert caplog.text == "", "the list is for other rows"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_published_list_is_stratified_by_label(path):
    task = find_task(path.stem)
    whole = load_split(task, task.train or "", STORE)
    strata = dict(zip(whole["row"][:], np.rint(whole["label"][:]).tolist(), strict=True))
    shares = np.array([list(strata.values()).count(label) for label in sorted(set(strata.values()))]) / len(whole)
    chosen = [strata[row] for row in read_list(path).rows.tolist()]
    counts = np.array([chosen.count(label) for label in sorted(set(strata.values()))])
    assert (abs(counts - shares * task.size) < 1).all()


def test_every_large_enough_set_has_its_published_lists():
    expected = set()
    for task in TASKS.values():
        files = (STORE / "datasets" / task.dataset_key).glob(f"{(task.train or '?').partition('[')[0]}-*.parquet")
        if any(files) and not task.span:
            whole = load_split(task, task.train or "", STORE)
            expected |= {f"{task.name}@{size // 1000}k" for size in SIZES if size < len(whole)}
    assert {path.stem for path in LISTS} == expected


def test_mnli_dev_training_and_evaluation_share_no_premise():
    task = TASKS["mnli-dev"]
    train, rest = (load_split(task, split, STORE) for split in (task.train or "", task.evaluation))
    assert (len(train), len(rest)) == (5097, 4718)
    assert len(train) + len(rest) == 9815
    assert set(train["text_a"][:]).isdisjoint(rest["text_a"][:])
    assert set(train["row"][:]).isdisjoint(rest["row"][:])

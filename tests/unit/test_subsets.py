"""The published index lists: their format, and that a subset that differs from its list is noticed."""

import logging
from pathlib import Path

import numpy as np
import pytest
from test_data import write

from steadytune.cli import main
from steadytune.errors import SteadyTuneError
from steadytune.tasks import subsets
from steadytune.tasks.data import load_split
from steadytune.tasks.publish import publish
from steadytune.tasks.subsets import content_digest, list_path, read_list
from steadytune.tasks.table import TASKS, find_task

SHIPPED = Path(__file__).parents[2] / "published/subsets"
RTE = TASKS["rte"]


@pytest.mark.parametrize("path", sorted(SHIPPED.iterdir()), ids=lambda path: path.stem)
def test_shipped_list_is_complete_and_sorted(path):
    task = find_task(path.stem)
    rows = read_list(path).rows
    assert task.train and task.size == len(rows) == len(set(rows))
    assert (np.diff(rows) > 0).all() and rows[0] >= 0
    header = path.read_text(encoding="utf-8").split("\n")[0]
    assert header.startswith(f"# {path.stem}: {task.size} of the ")
    assert f"of {task.dataset_key}, split {task.train}" in header


def test_shipped_lists_are_small_and_nested():
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 200_000
    for small in SHIPPED.glob("*@1k.txt"):
        large = small.with_name(small.name.replace("@1k", "@5k"))
        if large.exists():
            outside = set(read_list(small).rows) - set(read_list(large).rows)
            # Rounding moves about one row per class.
            assert len(outside) <= 6


@pytest.fixture
def store(tmp_path, monkeypatch) -> Path:
    """A store with forty RTE rows, two without a gold label; lists of 5 and 1000 rows are to be published."""
    monkeypatch.chdir(tmp_path)
    # The lock file marks the folder as the project's.
    (tmp_path / "config").mkdir()
    (tmp_path / "config/lock.yaml").touch()
    monkeypatch.setattr("steadytune.tasks.publish.SIZES", (5, 1000))
    write_rows(tmp_path, [-1, *[0, 1] * 19, -1])
    return tmp_path


def write_rows(store: Path, labels: list[int]) -> None:
    texts = [f"text {i}" for i in range(len(labels))]
    write(store, RTE, "train", sentence1=texts, sentence2=texts, label=labels)


def test_published_list_matches_the_training_subset(store):
    (path,) = publish(store)
    assert path == list_path(RTE, 5) == Path("published/subsets/rte@5.txt")
    rows = load_split(RTE, "train", store, subset=5)["row"][:]
    assert read_list(path).rows.tolist() == rows
    assert all(1 <= row <= 38 for row in rows)
    lines = path.read_text().split("\n")
    assert lines[0].startswith(
        "# rte@5: 5 of the 38 rows of nyu-mll/glue/rte, split train, numbered from 0; rows of SHA"
    )
    assert lines[1:] == [*map(str, rows), ""]


def test_subsets_command_writes_and_prints_the_lists(store, capsys):
    assert main(["subsets", "--store", str(store)]) == 0
    assert capsys.readouterr().out == "published/subsets/rte@5.txt\n"


def test_subsets_command_reports_an_empty_or_missing_store(tmp_path, capsys):
    assert main(["subsets", "--store", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}: no list written: none of its data sets has a published subset\n"
    assert main(["subsets", "--store", f"{tmp_path}/nope"]) == 2
    assert capsys.readouterr().err == (
        f"steadytune: --store: '{tmp_path}/nope': expected a folder with data sets, as `steadytune stage` makes\n"
    )


def test_sampling_rule_that_contradicts_the_list_is_refused(store, monkeypatch):
    publish(store)
    monkeypatch.setattr(subsets.subset_rows, "__defaults__", ("another stream",))
    with pytest.raises(SteadyTuneError, match=r"published/subsets/rte@5\.txt: the rule draws other rows"):
        load_split(RTE, "train", store, subset=5)
    # Other sizes have no list.
    load_split(RTE, "train", store, subset=6)


def test_list_for_other_rows_only_causes_a_warning(store, caplog):
    (path,) = publish(store)
    write_rows(store, [0, 1] * 20)
    with caplog.at_level(logging.WARNING):
        load_split(RTE, "train", store, subset=5)
    assert f"{path} is for rows in another order or of another copy" in caplog.text


def test_evaluation_subsets_are_not_checked_against_training_lists(store, caplog):
    publish(store)
    columns = {"sentence1": list("abcdefgh"), "sentence2": list("abcdefgh"), "label": [0, 1] * 4}
    write(store, RTE, "validation", **columns)
    load_split(RTE, "validation", store, subset=5)
    assert caplog.text == ""


@pytest.mark.parametrize(
    "text",
    ["", "1\n2\n", "# no digest\n1\n", "# x SHA-256 ab\n2\n1\n", "# x SHA-256 ab\n1\n1\n", "# x SHA-256 ab\nx\n"],
)
def test_malformed_list_gives_a_one_line_error(text, tmp_path):
    path = tmp_path / "rte@2.txt"
    path.write_text(text)
    with pytest.raises(SteadyTuneError) as error:
        read_list(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_content_digest_depends_on_rows_and_their_order():
    first = content_digest([["a", "b"], [0, 1]])
    assert first == content_digest(iter([("a", "b"), np.array([0, 1])]))
    others = ([["b", "a"], [0, 1]], [["a", "b"], [1, 1]], [["ab", ""], [0, 1]], [["a"], ["b", 0, 1]])
    assert first not in {content_digest(other) for other in others}

"""The task table and task names."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from steadytune.errors import SteadyTuneError
from steadytune.evaluation.formulas import METRICS
from steadytune.store.lock import load_lock
from steadytune.tasks.labels import shared_space
from steadytune.tasks.parts import PARTS, split_name
from steadytune.tasks.table import TASKS, Task, find_task

REPOSITORY = Path(__file__).parents[2]
DOCUMENTATION = REPOSITORY / "docs/tasks.md"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_task_entry_is_consistent(task: Task) -> None:
    assert len(task.text) in (1, 2)
    assert len(task.values) == len(task.labels) == len(set(task.values))
    assert task.num_labels == (1 if task.regression else len(task.labels))
    assert task.metric in task.metrics
    assert set(task.metrics) <= set(METRICS)
    kinds = {"pearson_spearman"} if task.regression else {"accuracy", "f1", "matthews"}
    assert task.metric in ({"span_f1"} if task.span else kinds)
    if task.span:
        assert (task.text, task.label, task.num_labels) == (("question", "context"), "answers", 2)
    for split in (task.train, task.evaluation):
        _, part = split_name(split or "")
        assert not part or (part in PARTS and task.group)
    if "f1" in task.metrics:
        # F1 is computed for class 1.
        assert len(task.labels) == 2 and task.labels[1] in ("equivalent", "duplicate")
    assert all((task.citation, task.licence, task.description, task.dataset, task.config))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_transfer_sets_exist_and_share_labels(task: Task) -> None:
    assert task.name not in task.transfer
    assert len(set(task.transfer)) == len(task.transfer)
    for name in task.transfer:
        shared_space(task.labels, TASKS[name].labels)
        # A set must not be the data that the model was trained on, or a part of it.
        other = TASKS[name]
        trained_on = split_name(task.train or "")[0]
        assert (other.dataset_key, split_name(other.evaluation)[0]) != (task.dataset_key, trained_on)


@pytest.mark.parametrize(
    "task", [task for task in TASKS.values() if task.dataset != "steadytune/mini"], ids=lambda task: task.name
)
def test_documentation_lists_the_task(task: Task) -> None:
    splits = f"`{task.train}` / `{task.evaluation}`" if task.train else f"– / `{task.evaluation}`"
    labels = ", ".join(task.labels) or "a number"
    cells = (f"`{task.name}`", f"`{task.dataset_key}`", splits, ", ".join(task.text), labels, task.metric)
    row = f"| {' | '.join((*cells, task.citation, task.licence))} |"
    assert row in DOCUMENTATION.read_text(encoding="utf-8").split("\n")


def test_table_includes_glue_nli_and_adversarial_tasks() -> None:
    glue = {"cola", "sst2", "mrpc", "stsb", "qqp", "mnli", "mnli-mm", "qnli", "rte", "wnli"}
    inference = {"snli", "sick", "scitail", "hans", "anli-r1", "anli-r2", "anli-r3", "cb", "breaking-nli"}
    adversarial = {f"adv-{name}" for name in ("sst2", "qqp", "mnli", "mnli-mm", "qnli", "rte")}
    assert glue | inference | adversarial <= set(TASKS)


def test_lock_has_every_data_set() -> None:
    lock = load_lock(REPOSITORY / "config/lock.yaml")
    for task in TASKS.values():
        lock.entry("datasets", task.dataset_key)


def test_headline_metrics_match_hype_table_10() -> None:
    expected = {
        "mrpc": "f1",
        "rte": "accuracy",
        "stsb": "pearson_spearman",
        "cola": "matthews",
        "qnli": "accuracy",
        "qqp": "f1",
        "sst2": "accuracy",
        "mnli": "accuracy",
    }
    assert {name: TASKS[name].metric for name in expected} == expected
    assert {"accuracy", "f1"} <= set(TASKS["mrpc"].metrics) & set(TASKS["qqp"].metrics)


def test_mini_tasks_copy_their_originals() -> None:
    for base in ("rte", "mnli", "mrpc", "stsb", "cola", "sst2"):
        mini, real = TASKS[f"mini-{base}"], TASKS[base]
        assert (mini.text, mini.labels, mini.values, mini.metrics) == (
            real.text,
            real.labels,
            real.values,
            real.metrics,
        )
        assert (mini.dataset_key, mini.train, mini.evaluation) == (f"steadytune/mini/{base}", "train", "validation")
        shifted = TASKS[f"mini-{base}-vocabulary"]
        assert (shifted.dataset_key, shifted.train, shifted.evaluation) == (mini.dataset_key, None, "vocabulary")
    assert TASKS["mini-mnli-overlap"].labels == ("entailment", "not_entailment")
    assert TASKS["mini-mnli-overlap"].values == (0, 1)
    assert "mini-sst2-overlap" not in TASKS


@pytest.mark.parametrize(
    ("name", "base", "size"),
    [("rte", "rte", None), ("rte@1k", "rte", 1000), ("mnli-mm@50", "mnli-mm", 50), ("snli@12k", "snli", 12000)],
)
def test_find_task_parses_the_base_task_and_size(name: str, base: str, size: int | None) -> None:
    assert find_task(name) == replace(TASKS[base], size=size)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rtee", "unknown task 'rtee' (did you mean 'rte'?)"),
        ("mini-rt@1k", "unknown task 'mini-rt' (did you mean 'mini-rte'?)"),
        ("rte@", "task 'rte@': expected a number of examples after '@', such as rte@500 or rte@1k"),
        ("rte@0", "task 'rte@0': expected a number of examples after '@', such as rte@500 or rte@1k"),
        ("rte@-5", "task 'rte@-5': expected a number of examples after '@', such as rte@500 or rte@1k"),
        ("rte@1m", "task 'rte@1m': expected a number of examples after '@', such as rte@500 or rte@1k"),
        ("rte@1000", "task 'rte@1000': write rte@1k"),
        ("rte@0500", "task 'rte@0500': write rte@500"),
    ],
)
def test_find_task_refuses_a_bad_name_with_a_hint(name: str, message: str) -> None:
    with pytest.raises(SteadyTuneError) as error:
        find_task(name)
    assert str(error.value) == message


def test_table_labels_and_metrics_import_nothing_heavy() -> None:
    code = (
        "import sys, steadytune.tasks.table, steadytune.tasks.labels, steadytune.tasks.data, "
        "steadytune.evaluation.transfer\n"
        "heavy = {'torch', 'transformers', 'datasets', 'evaluate', 'pandas', 'pyarrow', 'sklearn', 'scipy'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

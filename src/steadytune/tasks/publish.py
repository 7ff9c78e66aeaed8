"""Write the index lists of fixed subsets that the project publishes."""

from pathlib import Path

import numpy as np

from steadytune.files import write_text
from steadytune.layout import dataset_folder
from steadytune.tasks.data import load_split
from steadytune.tasks.reading import split_of
from steadytune.tasks.subsets import list_path, split_digest, subset_rows
from steadytune.tasks.table import TASKS, Task, spell_size

SIZES = (1000, 5000)
"""The subset sizes for which lists are published."""


def publish(store: Path) -> list[Path]:
    """Write the list of every training subset of `SIZES` that is smaller than its split, for the data sets in `store`.

    Generated data get no list: every machine generates them, and the lock pins their rows.
    """
    written = []
    for task in TASKS.values():
        if task.train is None or task.dataset == "steadytune/mini" or not _is_staged(task, store):
            continue
        whole = load_split(task, task.train, store)
        labels, numbers = np.array(whole["label"][:]), np.array(whole["row"][:])
        for size in SIZES:
            if size < len(whole):
                rows = numbers[subset_rows(labels, size)]
                about = f"{task.name}@{spell_size(size)}: {size} of the {len(whole)} rows of {task.dataset_key}"
                header = f"# {about}, split {task.train}, numbered from 0; rows of SHA-256 {split_digest(whole)}"
                path = list_path(task, size)
                write_text(path, "\n".join([header, *map(str, rows)]) + "\n")
                written.append(path)
    return written


def _is_staged(task: Task, store: Path) -> bool:
    split = (task.train or "").partition("[")[0]
    return any(split_of(path) == split for path in dataset_folder(store, task.dataset_key).rglob("*.parquet"))

"""The task table: every task by name, and task names with a size.

The entries are in `tasks/entries.py` and `tasks/mini_entries.py`; a suite may add its own tasks.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from steadytune.errors import SteadyTuneError, unknown
from steadytune.tasks.entries import ADVERSARIAL, QUESTIONS, SENTENCES_AND_PAIRS
from steadytune.tasks.mini_entries import MINI
from steadytune.tasks.task import Task

__all__ = ["TASKS", "Task", "find_task", "spell_size", "split_size"]

TASKS: dict[str, Task] = {task.name: task for task in (*SENTENCES_AND_PAIRS, *ADVERSARIAL, *QUESTIONS, *MINI)}


def find_task(name: str, own: Mapping[str, Task] = MappingProxyType({})) -> Task:
    """Find a task by name, with the size of its fixed subset if the name gives one: `rte@1k` is RTE with size 1000.

    A size has only one valid spelling, the short one, because names become paths: `@1k`, not `@1000`.

    Args:
        name: a task's name, with or without a size.
        own: a suite's own tasks by name, in addition to those of the table.

    Raises:
        SteadyTuneError: the task is unknown, or the size is not a positive number in its short spelling.
    """
    base, size = split_size(name)
    task = own.get(base) or TASKS.get(base)
    if task is None:
        raise unknown("task", base, {**TASKS, **own})
    return replace(task, size=size) if size else task


def split_size(name: str) -> tuple[str, int | None]:
    """Split a name into the task and the size of its fixed subset, or None: `rte@1k` gives `rte` and 1000.

    Raises:
        SteadyTuneError: the size is not a positive number in its short spelling.
    """
    base, at, size = name.partition("@")
    if not at:
        return base, None
    match = re.fullmatch(r"(\d+)(k?)", size, flags=re.ASCII)
    count = int(match[1]) * (1000 if match[2] else 1) if match else 0
    if count < 1:
        raise SteadyTuneError(
            f"task '{name}': expected a number of examples after '@', such as {base}@500 or {base}@1k"
        )
    if size != spell_size(count):
        raise SteadyTuneError(f"task '{name}': write {base}@{spell_size(count)}")
    return base, count


def spell_size(count: int) -> str:
    """A number of examples as spelt in task names: 1000 is `1k`, 1500 is `1500`."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)

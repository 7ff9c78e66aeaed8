"""The task table: every task by name, and names of tasks with a size.

The entries are in `tasks/entries.py`.
"""

import re

from steadytune.errors import SteadyTuneError, unknown
from steadytune.tasks.entries import ADVERSARIAL, MINI, QUESTIONS, SENTENCES_AND_PAIRS
from steadytune.tasks.task import Task

__all__ = ["TASKS", "Task", "parse_task", "spell_size"]

TASKS: dict[str, Task] = {task.name: task for task in (*SENTENCES_AND_PAIRS, *ADVERSARIAL, *QUESTIONS, *MINI)}


def parse_task(name: str) -> tuple[Task, int | None]:
    """The task that `name` names, and the size of its fixed subset: `rte@1k` -> (RTE, 1000), `rte` -> (RTE, None).

    A subset has one spelling only, the short one, because names become paths: `@1k`, not `@1000`.

    Raises:
        SteadyTuneError: an unknown task, or a subset that is not a positive number in its one spelling.
    """
    base, at, size = name.partition("@")
    if base not in TASKS:
        raise unknown("task", base, TASKS)
    if not at:
        return TASKS[base], None
    match = re.fullmatch(r"(\d+)(k?)", size, flags=re.ASCII)
    count = int(match[1]) * (1000 if match[2] else 1) if match else 0
    if count < 1:
        raise SteadyTuneError(
            f"task '{name}': expected a number of examples after '@', such as {base}@500 or {base}@1k"
        )
    if size != spell_size(count):
        raise SteadyTuneError(f"task '{name}': write {base}@{spell_size(count)}")
    return TASKS[base], count


def spell_size(count: int) -> str:
    """A number of examples as names spell it: 1000 -> `1k`, 1500 -> `1500`."""
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)

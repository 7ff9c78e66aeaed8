"""Whether the fixed subsets that a suite names, such as `rte@1k`, fit into their splits. Does not import torch."""

from collections.abc import Callable, Iterator

from steadytune.suite.start import Start
from steadytune.suite.suite import Suite
from steadytune.tasks.task import Task

CountRows = Callable[[Task, str], int | None]
"""The number of rows in a split of a task; None if it is unknown."""


def size_problems(suite: Suite, count_rows: CountRows, what: str = "rows") -> Iterator[str]:
    """One line per subset that is larger than its split.

    Args:
        suite: a suite without other mistakes.
        count_rows: looks up the number of rows.
        what: what it counts, for messages.
    """
    for place, name, split in dict.fromkeys(_subsets(suite)):
        task = suite.task(name)
        rows = count_rows(task, split)
        if rows is not None and task.size and task.size > rows:
            yield f"{suite.path}: {place}: '{name}': the {split} split has {rows:,} {what}"


def _subsets(suite: Suite) -> Iterator[tuple[str, str, str]]:
    """Every subset that is read: its place in the suite's file, its name and the split that it is drawn from."""
    for place, name, evaluated in _names(suite):
        task = suite.task(name)
        split = task.evaluation if evaluated else task.train or task.evaluation
        if task.size:
            yield place, name, split


def _names(suite: Suite) -> Iterator[tuple[str, str, bool]]:
    """Names of tasks in the suite's file, each with its place and whether its evaluation split is read."""
    file = suite.file
    for place, block in enumerate(file.grid):
        yield from ((f"grid.{place}.tasks", name, False) for name in block.tasks)
        starts = filter(None, map(Start.of, block.named_methods))
        yield from ((f"grid.{place}.start.task", start.task, False) for start in starts)
    for key, targets in file.transfer.items():
        yield from ((f"transfer.{key}", name, True) for name in targets)
    yield from (("variability.tasks", name, False) for name in file.variability.tasks)
    yield from (("inside.probes", name, False) for name in (file.inside.probes if file.inside else ()))

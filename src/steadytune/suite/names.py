"""Unknown encoders, methods and tasks in a suite's grid, reported together before any data are read."""

from collections.abc import Iterator
from itertools import chain

from steadytune.errors import unknown
from steadytune.methods import registry
from steadytune.suite.file import Grid
from steadytune.suite.suite import Suite
from steadytune.tasks.table import TASKS


def unknown_names(suite: Suite) -> list[str]:
    """A line for each unknown name in the grid. Own tasks need not be pinned."""
    blocks = enumerate(suite.file.grid)
    return list(dict.fromkeys(chain.from_iterable(_in_block(suite, block, place) for place, block in blocks)))


def _in_block(suite: Suite, block: Grid, place: int) -> Iterator[str]:
    methods = [part for method in block.methods for part in registry.part_names(method)]
    named = {
        "encoder": (block.encoders, suite.file.encoders),
        "method": (methods, registry.methods()),
        "task": ([name.partition("@")[0] for name in block.tasks], {**TASKS, **suite.file.tasks}),
    }
    for kind, (names, known) in named.items():
        for name in names:
            if name not in known:
                yield str(unknown(kind, name, known, f"{suite.path}: grid.{place}.{kind}s"))

"""The staged examples of evaluation sets with their gold labels, with which recorded predictions are compared."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from steadytune.evaluation.outputs import HELD_OUT
from steadytune.suite.cell import Spec

if TYPE_CHECKING:
    import numpy as np

Gold: TypeAlias = "tuple[np.ndarray, np.ndarray]"
"""For each example of an evaluation set, the number of its row in the files, and its label; both (n,)."""


class StagedGold:
    """Reads each set once, however many cells are evaluated on it."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self._found: dict[tuple[str, float | bool], Gold] = {}

    def __call__(self, spec: Spec, name: str) -> Gold:
        """The examples of the set `name`, which may be `HELD_OUT`, as a cell is evaluated on it.

        Raises:
            SteadyTuneError: its files are missing, or malformed in the way that the message says.
        """
        # A transfer set may be a fixed subset; the task's own evaluation set is whole.
        held_out = name == HELD_OUT
        key = (spec.task, spec.protocol.holdout) if held_out else (name, name in spec.transfer)
        if key not in self._found:
            self._found[key] = self._read(spec, name)
        return self._found[key]

    def _read(self, spec: Spec, name: str) -> Gold:
        import numpy as np

        # Imports `datasets`, which takes a second.
        from steadytune.tasks.data import load_split, split_off

        if name == HELD_OUT:
            task = spec.tasks[spec.task]
            _, data = split_off(load_split(task, task.train or "", self.store, task.size), spec.protocol.holdout)
        else:
            task = spec.tasks[name]
            data = load_split(task, task.evaluation, self.store, task.size if name in spec.transfer else None)
        return np.array(data["row"][:]), np.array(data["label"][:])

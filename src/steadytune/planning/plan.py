"""What a suite still has to run, and the cost of its cells, as described by `steadytune plan`."""

from dataclasses import dataclass
from functools import cached_property

from steadytune.cells.freshness import CellStatus, statuses
from steadytune.planning.device import Device, stated_device, this_device
from steadytune.planning.estimates import Estimate, Estimator
from steadytune.planning.records import read_runs
from steadytune.planning.sizes import Sizes
from steadytune.store.lock import suite_lock
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite


@dataclass(frozen=True)
class Plan:
    """A suite, the statuses of its cells, and an estimator of their cost."""

    suite: Suite
    estimator: Estimator
    found: list[CellStatus]
    """The status of every cell."""

    @classmethod
    def make(cls, suite: Suite, device: str | None = None, cells_at_once: int | None = None) -> "Plan":
        """A plan for this machine, or for `device` as given to `--device`."""
        found = statuses(suite, scores=True)
        of = stated_device(device, cells_at_once) if device else this_device(suite.protocols.base.threads)
        return cls(suite, Estimator(read_runs(), of, Sizes(suite.file.store, suite_lock(suite))), found)

    @cached_property
    def done(self) -> frozenset[Cell]:
        """Cells that `steadytune run` does not train: fresh, trained by other code, or with inputs no longer staged."""
        return frozenset(status.cell for status in self.found if not status.needs_training())

    @property
    def device(self) -> Device:
        """The device that the plan is for."""
        return self.estimator.device

    @property
    def missing(self) -> list[Cell]:
        """Cells that `steadytune run` trains."""
        return [cell for cell in self.suite.cells if cell not in self.done]

    def estimate(self, cell: Cell) -> Estimate:
        """The estimated cost of a cell."""
        return self.estimator.estimate(self.suite.spec(cell))

    def hours(self, cell: Cell) -> float:
        """Device hours of a cell, divided by the number of cells that share a device; NaN if unknown."""
        return self.estimate(cell).seconds / 3600 / self.device.cells_a_device

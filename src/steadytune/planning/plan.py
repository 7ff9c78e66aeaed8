"""What a suite still has to run, and what its cells take: what `steadytune plan` describes."""

from dataclasses import dataclass

from steadytune.layout import record_path
from steadytune.planning.device import Device, stated_device, this_device
from steadytune.planning.estimates import Estimate, Estimator
from steadytune.planning.records import read_runs
from steadytune.planning.sizes import Sizes
from steadytune.store.lock import suite_lock
from steadytune.suite.cell import Cell
from steadytune.suite.suite import Suite


@dataclass(frozen=True)
class Plan:
    """A suite, what is known of its cells, and what they would take."""

    suite: Suite
    estimator: Estimator
    done: frozenset[Cell]

    @classmethod
    def make(cls, suite: Suite, device: str | None = None, cells_at_once: int | None = None) -> "Plan":
        """For this machine, or for `device` as `--device` spells it."""
        of = stated_device(device, cells_at_once) if device else this_device(suite.protocols.base.threads)
        done = frozenset(cell for cell in suite.cells if record_path(suite, cell).exists())
        return cls(suite, Estimator(read_runs(), of, Sizes(suite.file.store, suite_lock(suite))), done)

    @property
    def device(self) -> Device:
        """Where the cells would run."""
        return self.estimator.device

    @property
    def missing(self) -> list[Cell]:
        """Cells without a record."""
        return [cell for cell in self.suite.cells if cell not in self.done]

    def estimate(self, cell: Cell) -> Estimate:
        """What a cell takes."""
        return self.estimator.estimate(self.suite.spec(cell))

    def hours(self, cell: Cell) -> float:
        """Of a device that a cell has to itself, or its share of one that several run on; NaN where not known."""
        return self.estimate(cell).seconds / 3600 / self.device.cells_a_device

"""Cells that start from another cell's fine-tuned encoder: `vanilla@mnli` is vanilla on an encoder tuned on MNLI."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator

from steadytune.errors import SteadyTuneError
from steadytune.schema import StrictModel, matching
from steadytune.suite.cell import Cell, parse_seed

SAME = "same"


def _parent_seed(value: Any) -> int | None:
    if value in (None, SAME):
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"'{SAME}' (each seed has its own parent) or a seed, 0 or more (one parent for all seeds)")
    return value


class Start(StrictModel):
    """The parent: the cell whose fine-tuned encoder a cell starts from. The cell's own head is newly initialised."""

    task: Annotated[str, matching("[^~,]+", "a task's name")]
    """The task that the parent is trained on."""
    method: Annotated[str, matching("[^~@,]+", "a method's name, without settings")] = "vanilla"
    """The parent's method, with the suite's settings and without a grid."""
    seed: Annotated[int | None, BeforeValidator(_parent_seed)] = None
    """The parent's seed; None (written `same`) for the cell's own seed."""

    def __str__(self) -> str:
        """The start as written after `@` in a method's name: `mnli`, `mnli,hype-n`, `mnli,seed-0`."""
        method = "" if self.method == "vanilla" else f",{self.method}"
        return f"{self.task}{method}" + ("" if self.seed is None else f",seed-{self.seed}")

    def added_to(self, method: str) -> str:
        """A method's name with this start added: `hype-n~sigma=0.01` -> `hype-n@mnli~sigma=0.01`."""
        name, *values = method.split("~")
        if "@" in name:
            raise SteadyTuneError(f"method '{method}' already says where it starts")
        return "~".join([f"{name}@{self}", *values])

    @classmethod
    def of(cls, method: str) -> Self | None:
        """The start in a method's name; None if there is none.

        Raises:
            SteadyTuneError: the name is not of the form `METHOD@TASK[,PARENT-METHOD][,seed-N]`.
        """
        _, at, text = method.partition("~")[0].partition("@")
        if not at:
            return None
        task, *options = text.split(",")
        seed = parse_seed(options[-1]) if options else None
        parent_method, *others = (options if seed is None else options[:-1]) or ["vanilla"]
        if not task or not parent_method or others or "@" in parent_method or parent_method.startswith("seed-"):
            raise SteadyTuneError(f"method '{method}': expected METHOD@TASK[,PARENT-METHOD][,seed-N]")
        return cls(task=task, method=parent_method, seed=seed)

    def parent(self, cell: Cell) -> Cell:
        """The cell that `cell` starts from."""
        return Cell(cell.encoder, self.method, self.task, cell.seed if self.seed is None else self.seed)

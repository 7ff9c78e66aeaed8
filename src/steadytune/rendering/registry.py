"""Registries of tables and figures by name. A decorator registers the function that makes each one."""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from steadytune.errors import unknown
from steadytune.results.description import Description
from steadytune.results.model import Results
from steadytune.results.selection import select
from steadytune.suite.variants import base

Made = TypeVar("Made")


class OneEncoder(NamedTuple):
    """The encoders that a single-encoder figure is drawn for."""

    planned: Callable[[Description], Sequence[str]]
    """The encoders planned in a suite; if there are several, each gets a version of the figure."""
    found: Callable[[Results], str]
    """The encoder shown if none is requested."""


@dataclass(frozen=True)
class Item(Generic[Made]):
    """A registered table or figure."""

    make: Callable[[Results], Made]
    caption: str
    every_variant: bool
    named_variants: bool
    reads_predictions: bool
    compares: bool
    empty: str
    encoder: OneEncoder | None


class Registry(dict[str, Item[Made]]):
    """All items of one kind, `table` or `figure`, by name."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def register(
        self,
        name: str,
        caption: str = "",
        *,
        every_variant: bool = False,
        named_variants: bool = False,
        reads_predictions: bool = False,
        compares: bool = False,
        empty: str = "",
        encoder: OneEncoder | None = None,
    ) -> Callable[[Callable[[Results], Made]], Callable[[Results], Made]]:
        """Register a function under a name.

        Args:
            name: the name used in suite files.
            caption: for figures only; a table's caption depends on the results.
            every_variant: show every variant of a grid, not just the one that the suite's selection picks.
            named_variants: show the variants that the suite lists by name as separate methods.
            reads_predictions: use data computed from single predictions (`results/predictions.py`); the workflow
                computes them only for suites that name such an item.
            compares: for figures that draw only `Results.compared_tasks`; the caption names the others.
            empty: for tables, the note that replaces the table's other notes if it has no rows.
            encoder: for single-encoder figures, the encoders to draw.
        """

        def add(make: Callable[[Results], Made]) -> Callable[[Results], Made]:
            if name in self:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self[name] = Item(make, caption, every_variant, named_variants, reads_predictions, compares, empty, encoder)
            return make

        return add

    def make(self, name: str, results: Results) -> tuple[Made, Results]:
        """Make a table or figure; also return the results with the variants that it shows.

        Raises:
            SteadyTuneError: no table or figure has that name.
        """
        shown = self.shown(name, results)
        return self[name].make(shown), shown

    def shown(self, name: str, results: Results) -> Results:
        """The results with the variants that a table or figure shows.

        Raises:
            SteadyTuneError: no table or figure has that name.
        """
        if name not in self:
            raise unknown(self.kind, name, self, where=f"suite '{results.name}'")
        item = self[name]
        if item.every_variant:
            return results
        shown = select(results, every=item.named_variants)
        if item.named_variants and results.suite.named:
            names = _listed_names(results.suite.named)
            shown = shown.only(lambda key: key[1] in names)
        return shown

    def import_modules(self, package: str) -> None:
        """Import every module of a package, so that its decorators register their tables or figures."""
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{found.name}")


def _listed_names(named: Iterable[str]) -> set[str]:
    """The methods and variants that the suite lists. A method's only variant has the plain name, as in other tables."""
    names: dict[str, list[str]] = {}
    for name in named:
        names.setdefault(base(name), []).append(name)
    return {method if len(found) == 1 else name for method, found in names.items() for name in found}

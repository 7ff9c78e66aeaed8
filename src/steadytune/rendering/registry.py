"""The tables and figures by name, each registered by a decorator on the function that makes it."""

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from steadytune.errors import unknown
from steadytune.results.description import Description
from steadytune.results.model import Results
from steadytune.results.selection import select

Made = TypeVar("Made")


class OneEncoder(NamedTuple):
    """Which encoders a figure of one encoder is drawn for."""

    planned: Callable[[Description], Sequence[str]]
    """Those of a suite."""
    found: Callable[[Results], str]
    """The one that it shows if none is asked for."""


@dataclass(frozen=True)
class Item(Generic[Made]):
    """A registered table or figure."""

    make: Callable[[Results], Made]
    caption: str
    every_variant: bool
    named_variants: bool
    reads_predictions: bool
    empty: str
    encoder: OneEncoder | None


class Registry(dict[str, Item[Made]]):
    """Everything of one kind, `table` or `figure`, by name."""

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
        empty: str = "",
        encoder: OneEncoder | None = None,
    ) -> Callable[[Callable[[Results], Made]], Callable[[Results], Made]]:
        """Register a function under a name.

        Args:
            name: the name in a suite's file.
            caption: of a figure; a table brings its own, which depends on the results.
            every_variant: shows every variant of a grid, and not only the one that the suite's selection picks.
            named_variants: shows the variants that the suite lists by their names as methods of their own.
            reads_predictions: uses what is computed from single predictions (`results/predictions.py`); the workflow
                computes that only for suites that name such an item.
            empty: of a table, the note that stands alone if it has no rows.
            encoder: of a figure of one encoder, which it is drawn for.
        """

        def add(make: Callable[[Results], Made]) -> Callable[[Results], Made]:
            if name in self:
                raise ValueError(f"{self.kind} '{name}' is registered twice")
            self[name] = Item(make, caption, every_variant, named_variants, reads_predictions, empty, encoder)
            return make

        return add

    def make(self, name: str, results: Results) -> tuple[Made, Results]:
        """The table or figure of a suite's results, and these results with the variants that it shows.

        Raises:
            SteadyTuneError: nothing has that name.
        """
        if name not in self:
            raise unknown(self.kind, name, self, where=f"suite '{results.name}'")
        item = self[name]
        shown = results if item.every_variant else select(results, every=item.named_variants)
        if item.named_variants and (named := results.suite.named):
            # A plain name that the suite does not list stands for its variants, which are there by themselves.
            shown = shown.only(lambda key: key[1] in named)
        return item.make(shown), shown

    def import_modules(self, package: str) -> None:
        """Import every module of a package, so that its decorators register what it has."""
        for found in pkgutil.iter_modules(importlib.import_module(package).__path__):
            importlib.import_module(f"{package}.{found.name}")

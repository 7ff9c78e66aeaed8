"""The protocols of a suite's cells: the file's settings, then matching overrides, then values in a variant's name."""

from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from steadytune.errors import problems_of, raise_all, suggestion
from steadytune.methods.spelling import read
from steadytune.schema import check_settings
from steadytune.suite.cell import Cell
from steadytune.suite.file import SuiteFile
from steadytune.suite.protocol import Protocol
from steadytune.suite.variants import SHORT_NAMES


class Protocols:
    """The protocols of the suite whose file is at `path`. Cells with the same settings share one `Protocol`."""

    def __init__(self, file: SuiteFile, path: Path) -> None:
        self._file, self._path = file, path
        self._found: dict[tuple[Any, ...], Protocol] = {}

    @cached_property
    def base(self) -> Protocol:
        """The protocol before overrides, for measurements that belong to no cell.

        Raises:
            SteadyTuneError: an unknown setting or an invalid value.
        """
        return self.check(self._file.protocol.settings, f"{self._path}: protocol")

    def of(self, cell: Cell, variant: Mapping[str, str]) -> Protocol:
        """The protocol of a cell.

        Args:
            cell: the cell; its names decide which overrides match.
            variant: values in its method's name that are not settings of the method, by key.

        Raises:
            SteadyTuneError: an unknown setting or an invalid value.
        """
        matching = tuple(place for place, override in enumerate(self._file.overrides) if override.matches(cell))
        key = (matching, *variant.items())
        if key not in self._found:
            settings = self._file.protocol.settings
            for place in matching:
                settings = settings | self._file.overrides[place].protocol
            self._found[key] = self.check(settings | spelled_out(variant), f"{self._path}: protocol")
        return self._found[key]

    @staticmethod
    def check(settings: Mapping[str, Any], where: str, others: Iterable[str] = ()) -> Protocol:
        """Check settings and return them as a `Protocol`.

        Args:
            settings: by name; unknown names are refused.
            where: their place in the suite's file, which begins every message.
            others: further names that are valid in that place, to suggest for a misspelt one.

        Raises:
            SteadyTuneError: one line per mistake.
        """
        known = {field.name for field in fields(Protocol)}
        own = {key: value for key, value in settings.items() if key in known}
        problems = [f"{where}: unknown key '{key}'{suggestion(SHORT_NAMES.get(key, key), {*known, *others})}"
                    for key in settings if key not in known]  # fmt: skip
        if problems:
            raise_all([*problems, *problems_of([partial(check_settings, Protocol, own, where)])])
        return check_settings(Protocol, own, where)


def spelled_out(variant: Mapping[str, str]) -> dict[str, Any]:
    """The protocol settings in a variant's name, under their full names."""
    kinds = {field.name: field.type for field in fields(Protocol)}
    named = {SHORT_NAMES.get(key, key): value for key, value in variant.items()}
    return {key: read(value, kinds.get(key)) for key, value in named.items()}

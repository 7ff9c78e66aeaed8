"""What a suite's file says beyond its schema: every name in it is known, and means something. Free of torch."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING

from steadytune.errors import SteadyTuneError, unknown
from steadytune.methods import registry
from steadytune.rendering.figures import FIGURES
from steadytune.rendering.tables import TABLES
from steadytune.tasks.table import parse_task
from steadytune.tasks.task import Task
from steadytune.variants import expand

if TYPE_CHECKING:
    from steadytune.suite import Suite

PARTS = ("encoder", "method", "task")


def check_settings(suite: "Suite") -> None:
    """Look at every setting where it stands, before the cells put them together.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    base = suite.base_protocol
    _check_methods(suite)
    for place, override in enumerate(suite.file.overrides):
        suite.check_protocol(asdict(base) | override.protocol, f"{suite.path}: overrides.{place}.protocol")


def check_names(suite: "Suite") -> None:
    """Look at the names that resolving the cells does not look at.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    _check_overrides(suite)
    _check_tasks(suite)
    _check_variability(suite)
    _check_inside(suite)
    _check_selection(suite)
    for kind, names, known in (("table", suite.file.tables, TABLES), ("figure", suite.file.figures, FIGURES)):
        _all_known(names, known, kind, f"{suite.path}: {kind}s")


def _check_methods(suite: "Suite") -> None:
    """Settings and grids are those of methods that there are, whether or not a cell uses them."""
    for name, entry in suite.file.methods.items():
        where = f"{suite.path}: methods.{name}"
        for variant in expand(name, {name: entry.grid}, {}):
            try:
                _, rest = registry.parse(variant, {name: entry.settings})
            except SteadyTuneError as error:
                raise SteadyTuneError(f"{where}: {error}") from None
            suite.check_protocol(suite.file.protocol.settings | suite.spelled_out(rest), where)


def _check_overrides(suite: "Suite") -> None:
    """An override that changes no cell is a mistake in one of its patterns."""
    for place, override in enumerate(suite.file.overrides):
        where = f"{suite.path}: overrides.{place}"
        if not any(map(override.matches, suite.cells)):
            for part in PARTS:
                names = {getattr(cell, part) for cell in suite.cells}
                if not any(map(override.pattern_of(part), names)):
                    raise unknown(part, getattr(override, part), names, where)
            raise SteadyTuneError(f"{where}: no cell of the suite has these names together")


def _check_tasks(suite: "Suite") -> None:
    """Tasks that are keys of a mapping are those that cells are trained on."""
    tasks = {cell.task for cell in suite.cells}
    _all_known(suite.file.transfer, tasks, "task", f"{suite.path}: transfer")
    for name, entry in suite.file.encoders.items():
        _all_known(entry.models, tasks, "task", f"{suite.path}: encoders.{name}.models")


def _check_variability(suite: "Suite") -> None:
    """Encoders that the suite has, and tasks that have classes."""
    _all_known(suite.file.variability.encoders, suite.file.encoders, "encoder", f"{suite.path}: variability")
    for name in suite.file.variability.tasks:
        _with_classes(suite, name, "variability.tasks")


def _check_inside(suite: "Suite") -> None:
    """Names that cells of the suite have, and tasks that a probe can be trained on."""
    block = suite.file.inside
    if block is None:
        return
    for kind in PARTS:
        known = {getattr(cell, kind) for cell in suite.cells}
        for name in getattr(block, f"{kind}s"):
            if known.isdisjoint(suite.variants(name, block) if kind == "method" else [name]):
                raise unknown(kind, name, known, f"{suite.path}: inside.{kind}s")
    if not suite.inside_cells:
        raise SteadyTuneError(f"{suite.path}: inside: no cell of the suite has these names and seeds together")
    for name in (*block.tasks, *block.probes):
        if _with_classes(suite, name, "inside.probes").train is None:
            raise SteadyTuneError(f"{suite.path}: inside.probes: task '{name}' is for evaluation only")


def _check_selection(suite: "Suite") -> None:
    """Nested selection needs something to look at."""
    nested = suite.file.selection == "nested"
    if nested or "selection" in suite.file.tables:
        wanted = "selection: nested" if nested else "tables: selection"
        for cell in suite.cells:
            if not suite.spec(cell).protocol.holdout:
                raise SteadyTuneError(f"{suite.path}: {wanted}: expected `protocol.holdout` above 0, but {cell} has 0")


def _with_classes(suite: "Suite", name: str, key: str) -> Task:
    """The task that a key of the file names, which has classes or scores for answers, and no spans."""
    try:
        task, _ = parse_task(name)
    except SteadyTuneError as error:
        raise SteadyTuneError(f"{suite.path}: {key}: {error}") from None
    if task.span:
        raise SteadyTuneError(f"{suite.path}: {key}: '{name}' has spans for answers, and no classes")
    return task


def _all_known(names: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    for name in names:
        if name not in known:
            raise unknown(kind, name, known, where)

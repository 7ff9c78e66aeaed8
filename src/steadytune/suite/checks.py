"""Checks of a suite's file beyond its schema: every setting is known, and has an effect. Does not import torch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields

from steadytune.errors import SteadyTuneError, unknown
from steadytune.methods import registry
from steadytune.suite.file import Grid
from steadytune.suite.protocol import Protocol
from steadytune.suite.protocols import spelled_out
from steadytune.suite.start import Start
from steadytune.suite.suite import Suite
from steadytune.suite.variants import SHORT_NAMES, Axes, base, expand
from steadytune.tasks.table import TASKS
from steadytune.tasks.task import Task


def check_settings(suite: Suite) -> None:
    """Check every setting in its place, before cells combine them.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    for check in BEFORE_PINS:
        check(suite)
    for place, block in enumerate(suite.file.grid):
        _check_block(suite, block, f"{suite.path}: grid.{place}")
    for name, targets in suite.file.transfer.items():
        for target in targets:
            task_of(suite, target, f"{suite.path}: transfer.{name}")


def problems_before_pins(suite: Suite) -> list[str]:
    """The first problem in each kind of setting that can be checked before own tasks and encoders are pinned."""
    problems = []
    for check in BEFORE_PINS:
        try:
            check(suite)
        except SteadyTuneError as error:
            problems.append(str(error))
    return problems


def _check_plan(suite: Suite) -> None:
    plan = suite.file.analysis_plan
    if plan and not (suite.path.parent / plan).is_file():
        raise SteadyTuneError(f"{suite.path}: analysis_plan: no file '{suite.path.parent / plan}'")


def _check_protocol(suite: Suite) -> None:
    """The protocol's settings and grid, and what overrides make of it."""
    settings = asdict(suite.protocols.base)
    check_axes(suite.file.protocol.grid, f"{suite.path}: protocol.grid")
    for place, override in enumerate(suite.file.overrides):
        suite.protocols.check(settings | override.protocol, f"{suite.path}: overrides.{place}.protocol")


def _check_own_names(suite: Suite) -> None:
    """No own task has the name of a task in the task table."""
    for name in suite.file.tasks:
        if name in TASKS:
            raise SteadyTuneError(
                f"{suite.path}: tasks.{name}: the task table has a task '{name}': choose another name"
            )


def _check_methods(suite: Suite) -> None:
    """Settings and grids belong to known methods, whether or not a cell uses them.

    Raises:
        SteadyTuneError: a line for each method with a mistake.
    """
    problems = []
    for name in suite.file.methods:
        try:
            _check_method(suite, name)
        except SteadyTuneError as error:
            problems.append(str(error))
    if problems:
        raise SteadyTuneError("\n".join(problems))


def _check_method(suite: Suite, name: str) -> None:
    where = f"{suite.path}: methods.{name}"
    if name not in registry.methods():
        raise unknown("method", name, registry.methods(), where)
    _check_variant(suite, name, where)
    for variant in expand(name, {name: suite.file.methods[name].grid}, {}):
        _check_variant(suite, variant, f"{where}.grid")


def _check_grids(suite: Suite) -> None:
    """The methods in the grid's blocks, with the values in their names, and the blocks' own grids."""
    for place, block in enumerate(suite.file.grid):
        where = f"{suite.path}: grid.{place}"
        for method in block.named_methods:
            _check_variant(suite, method, f"{where}.methods")
        check_axes(block.grid, f"{where}.grid")
        _check_meaning(suite, block, where)
        for variant in (variant for method in block.named_methods for variant in suite.variants(method, block)):
            _check_variant(suite, variant, where)


def _check_block(suite: Suite, block: Grid, where: str) -> None:
    """The names and values of a block of cells, alone and combined."""
    all_known(block.encoders, suite.file.encoders, "encoder", f"{where}.encoders")
    for method in block.named_methods:
        _check_start(suite, method, block, where)
    parts = [part for method in block.named_methods for variant in suite.variants(method, block)
             for part in _check_variant(suite, variant, where)]  # fmt: skip
    selecting = [part.name for part in parts if part.reads_selection]
    for name in block.tasks:
        task = task_of(suite, name, f"{where}.tasks")
        if task.train is None:
            raise SteadyTuneError(f"{where}.tasks: task '{name}' is for evaluation only")
        if task.span and selecting:
            raise SteadyTuneError(
                f"{where}: method '{selecting[0]}' reads the variability of classes: '{name}' has none"
            )


BEFORE_PINS = (_check_plan, _check_protocol, _check_methods, _check_own_names, _check_grids)
"""The checks that do not need the labels of own tasks, nor own encoders."""


def _check_start(suite: Suite, method: str, block: Grid, where: str) -> None:
    """Check where a method starts: on a task that can be trained on, by a method that trains the whole encoder."""
    with prefixed(f"{where}.methods"):
        start = Start.of(method)
    if start is None:
        return
    key = f"{where}.start"
    task = task_of(suite, start.task, f"{key}.task")
    if task.train is None or start.task in block.tasks:
        why = "is for evaluation only" if task.train is None else "is a task of the block itself"
        raise SteadyTuneError(f"{key}.task: '{start.task}' {why}")
    for part in _check_variant(suite, start.method, f"{key}.method"):
        if registry.methods()[part.name][0].freezes_weights or part.reads_selection:
            raise SteadyTuneError(f"{key}.method: '{part.name}': expected a method that trains the whole encoder")
    for part in _check_variant(suite, method, where):
        if part.reads_selection:
            raise SteadyTuneError(
                f"{where}: method '{part.name}' reads layers that are measured before any fine-tuning; no start"
            )


def check_axes(axes: Axes, where: str) -> None:
    """Every key of a grid is a setting of the protocol or of some method; `_check_variant` checks which method's."""
    declared = [Protocol, *(cls.Settings for cls, _ in registry.methods().values())]
    known = {*SHORT_NAMES, *(field.name for settings in declared for field in fields(settings))}
    # `part.key` is a setting of one part of a composition.
    all_known((key.rpartition(".")[2] for key in axes), known, "key", where)


def _check_meaning(suite: Suite, block: Grid, where: str) -> None:
    """Refuse a grid of a protocol setting that some method has too: `steps` and `epsilon` are settings of some.

    The method would take the value for its own. A block's grid is allowed if every method of the block takes it.
    """
    grids = {f"{suite.path}: protocol.grid": suite.file.protocol.grid, f"{where}.grid": block.grid}
    for place, axes in grids.items():
        for key in axes.keys() & {*SHORT_NAMES, *(field.name for field in fields(Protocol))}:
            owners = [registry.owner(base(method), key) for method in block.methods]
            taking = [owner for owner in owners if owner]
            if taking and (axes is not block.grid or len(taking) < len(owners)):
                raise SteadyTuneError(
                    f"{place}: '{key}' is a setting of method '{taking[0]}' too, which would take it for its own; "
                    "expected no grid of it beside that method"
                )


def _check_variant(suite: Suite, variant: str, where: str) -> tuple[registry.Part, ...]:
    """A method with the values in its name: each is a setting of the method or else of the protocol."""
    with prefixed(where):
        parts, rest = registry.parse(variant, suite.settings)
    own = [name for part in parts for name in part.settings]
    settings = suite.file.protocol.settings | spelled_out(rest)
    suite.protocols.check(settings, f"{where}: {variant}", (*SHORT_NAMES, *own))
    return parts


def task_of(suite: Suite, name: str, where: str) -> Task:
    """A task by name; an error names the place in the suite's file."""
    with prefixed(where):
        return suite.task(name)


@contextmanager
def prefixed(where: str) -> Iterator[None]:
    """Prefix errors with the place in the suite's file."""
    try:
        yield
    except SteadyTuneError as error:
        raise SteadyTuneError(f"{where}: {error}") from None


def all_known(names: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    """Refuse names that are not among the known ones of a `kind`."""
    for name in names:
        if name not in known:
            raise unknown(kind, name, known, where)

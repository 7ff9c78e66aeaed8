"""What a suite's file says beyond its schema: every setting in it is known, and means something. Free of torch."""

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
    """Look at every setting where it stands, before the cells put them together.

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
    """The first thing wrong in each kind of setting that has a meaning before own tasks and encoders are pinned."""
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
    """No own task has the name of one of the table."""
    for name in suite.file.tasks:
        if name in TASKS:
            raise SteadyTuneError(
                f"{suite.path}: tasks.{name}: the task table has a task '{name}': choose another name"
            )


def _check_methods(suite: Suite) -> None:
    """Settings and grids are those of methods that there are, whether or not a cell uses them."""
    for name, entry in suite.file.methods.items():
        where = f"{suite.path}: methods.{name}"
        if name not in registry.methods():
            raise unknown("method", name, registry.methods(), where)
        _check_variant(suite, name, where)
        for variant in expand(name, {name: entry.grid}, {}):
            _check_variant(suite, variant, f"{where}.grid")


def _check_grids(suite: Suite) -> None:
    """Methods of the grid's blocks with the values in their names, and the blocks' own grids."""
    for place, block in enumerate(suite.file.grid):
        where = f"{suite.path}: grid.{place}"
        for method in block.named_methods:
            _check_variant(suite, method, f"{where}.methods")
        check_axes(block.grid, f"{where}.grid")
        _check_meaning(suite, block, where)
        for variant in (variant for method in block.named_methods for variant in suite.variants(method, block)):
            _check_variant(suite, variant, where)


def _check_block(suite: Suite, block: Grid, where: str) -> None:
    """Names and values of a block of cells, as they stand there and as they combine."""
    all_known(block.encoders, suite.file.encoders, "encoder", f"{where}.encoders")
    for method in block.named_methods:
        _check_start(suite, method, block, where)
    parts = [part for method in block.named_methods for variant in suite.variants(method, block)
             for part in _check_variant(suite, variant, where)]  # fmt: skip
    selecting = [part.name for part in parts if part.build().reads_selection]
    for name in block.tasks:
        task = task_of(suite, name, f"{where}.tasks")
        if task.train is None:
            raise SteadyTuneError(f"{where}.tasks: task '{name}' is for evaluation only")
        if task.span and selecting:
            raise SteadyTuneError(
                f"{where}: method '{selecting[0]}' reads the variability of classes: '{name}' has none"
            )


BEFORE_PINS = (_check_plan, _check_protocol, _check_methods, _check_own_names, _check_grids)
"""The checks that look at no own task's labels and at no own encoder."""


def _check_start(suite: Suite, method: str, block: Grid, where: str) -> None:
    """Check where a method starts: on a task that can be trained on, by a method that trains the whole encoder."""
    with said_at(f"{where}.methods"):
        start = Start.of(method)
    if start is None:
        return
    said = f"{where}.start"
    task = task_of(suite, start.task, f"{said}.task")
    if task.train is None or start.task in block.tasks:
        why = "is for evaluation only" if task.train is None else "is a task of the block itself"
        raise SteadyTuneError(f"{said}.task: '{start.task}' {why}")
    for part in _check_variant(suite, start.method, f"{said}.method"):
        if registry.methods()[part.name][0].freezes_weights or part.build().reads_selection:
            raise SteadyTuneError(f"{said}.method: '{part.name}': expected a method that trains the whole encoder")
    for part in _check_variant(suite, method, where):
        if part.build().reads_selection:
            raise SteadyTuneError(
                f"{where}: method '{part.name}' reads layers that are measured before any fine-tuning; no start"
            )


def check_axes(axes: Axes, where: str) -> None:
    """Settings that there are, of the protocol or of a method; whether a method has them is its variants' matter."""
    declared = [Protocol, *(cls.Settings for cls, _ in registry.methods().values())]
    known = {*SHORT_NAMES, *(field.name for settings in declared for field in fields(settings))}
    # `part.key` is a setting of one part of a composition.
    all_known((key.rpartition(".")[2] for key in axes), known, "key", where)


def _check_meaning(suite: Suite, block: Grid, where: str) -> None:
    """Refuse a grid of the protocol that a method would take for its own: `steps` and `epsilon` are settings of some.

    So, too, a grid of the block that means the protocol to some of its methods only.
    """
    grids = {f"{suite.path}: protocol.grid": suite.file.protocol.grid, f"{where}.grid": block.grid}
    for said, axes in grids.items():
        for key in axes.keys() & {*SHORT_NAMES, *(field.name for field in fields(Protocol))}:
            owners = [registry.owner(base(method), key) for method in block.methods]
            taking = [owner for owner in owners if owner]
            if taking and (axes is not block.grid or len(taking) < len(owners)):
                raise SteadyTuneError(
                    f"{said}: '{key}' is a setting of method '{taking[0]}' too, which would take it for its own; "
                    "expected no grid of it beside that method"
                )


def _check_variant(suite: Suite, variant: str, where: str) -> tuple[registry.Part, ...]:
    """A method with the values in its name: what of them is no setting of its own has to be the protocol's."""
    with said_at(where):
        parts, rest = registry.parse(variant, suite.settings)
    own = [name for part in parts for name in part.settings]
    settings = suite.file.protocol.settings | spelled_out(rest)
    suite.protocols.check(settings, f"{where}: {variant}", (*SHORT_NAMES, *own))
    return parts


def task_of(suite: Suite, name: str, where: str) -> Task:
    """A task by its name at a place in the suite's file."""
    with said_at(where):
        return suite.task(name)


@contextmanager
def said_at(where: str) -> Iterator[None]:
    """Put the place in the suite's file before what is wrong there."""
    try:
        yield
    except SteadyTuneError as error:
        raise SteadyTuneError(f"{where}: {error}") from None


def all_known(names: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    """Refuse a name of a `kind` that is not among those known."""
    for name in names:
        if name not in known:
            raise unknown(kind, name, known, where)

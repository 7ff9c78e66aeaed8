"""What a suite's file says beyond its schema: every name in it is known, and means something. Free of torch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields

from steadytune.errors import SteadyTuneError, unknown
from steadytune.methods import registry
from steadytune.suite.file import Grid
from steadytune.suite.protocol import Protocol
from steadytune.suite.start import Start
from steadytune.suite.suite import Suite
from steadytune.suite.variants import SHORT_NAMES, Axes, base, expand
from steadytune.tasks.labels import shared_space
from steadytune.tasks.task import Task

PARTS = ("encoder", "method", "task")


def check_settings(suite: Suite) -> None:
    """Look at every setting where it stands, before the cells put them together.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    plan = suite.file.analysis_plan
    if plan and not (suite.path.parent / plan).is_file():
        raise SteadyTuneError(f"{suite.path}: analysis_plan: no file '{suite.path.parent / plan}'")
    base = suite.base_protocol
    _check_axes(suite.file.protocol.grid, f"{suite.path}: protocol.grid")
    _check_methods(suite)
    for place, block in enumerate(suite.file.grid):
        _check_block(suite, block, f"{suite.path}: grid.{place}")
    for place, override in enumerate(suite.file.overrides):
        suite.check_protocol(asdict(base) | override.protocol, f"{suite.path}: overrides.{place}.protocol")
    for name, targets in suite.file.transfer.items():
        for target in targets:
            _task(suite, target, f"{suite.path}: transfer.{name}")


def check_names(suite: Suite) -> None:
    """Look at the names that resolving the cells does not look at.

    Raises:
        SteadyTuneError: one line naming the file, the key, the value and the nearest valid name.
    """
    _check_overrides(suite)
    _check_tasks(suite)
    _check_lengths(suite)
    _check_variability(suite)
    _check_inside(suite)
    _check_selection(suite)


def _check_methods(suite: Suite) -> None:
    """Settings and grids are those of methods that there are, whether or not a cell uses them."""
    for name, entry in suite.file.methods.items():
        where = f"{suite.path}: methods.{name}"
        if name not in registry.methods():
            raise unknown("method", name, registry.methods(), where)
        _check_variant(suite, name, where)
        for variant in expand(name, {name: entry.grid}, {}):
            _check_variant(suite, variant, f"{where}.grid")


def _check_block(suite: Suite, block: Grid, where: str) -> None:
    """Names and values of a block of cells, as they stand there and as they combine."""
    _all_known(block.encoders, suite.file.encoders, "encoder", f"{where}.encoders")
    for method in block.named_methods:
        _check_variant(suite, method, f"{where}.methods")
        _check_start(suite, method, block, where)
    _check_axes(block.grid, f"{where}.grid")
    _check_meaning(suite, block, where)
    parts = [part for method in block.named_methods for variant in suite.variants(method, block)
             for part in _check_variant(suite, variant, where)]  # fmt: skip
    selecting = [part.name for part in parts if part.build().reads_selection]
    for name in block.tasks:
        task = _task(suite, name, f"{where}.tasks")
        if task.train is None:
            raise SteadyTuneError(f"{where}.tasks: task '{name}' is for evaluation only")
        if task.span and selecting:
            raise SteadyTuneError(
                f"{where}: method '{selecting[0]}' reads the variability of classes: '{name}' has none"
            )


def _check_start(suite: Suite, method: str, block: Grid, where: str) -> None:
    """Check where a method starts: on a task that can be trained on, by a method that trains the whole encoder."""
    with _said_at(f"{where}.methods"):
        start = Start.of(method)
    if start is None:
        return
    said = f"{where}.start"
    task = _task(suite, start.task, f"{said}.task")
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


def _check_axes(axes: Axes, where: str) -> None:
    """Settings that there are, of the protocol or of a method; whether a method has them is its variants' matter."""
    declared = [Protocol, *(cls.Settings for cls, _ in registry.methods().values())]
    known = {*SHORT_NAMES, *(field.name for settings in declared for field in fields(settings))}
    # `part.key` is a setting of one part of a composition.
    _all_known((key.rpartition(".")[2] for key in axes), known, "key", where)


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
    with _said_at(where):
        parts, rest = registry.parse(variant, suite.settings)
    own = [name for part in parts for name in part.settings]
    settings = suite.file.protocol.settings | suite.spelled_out(rest)
    suite.check_protocol(settings, f"{where}: {variant}", (*SHORT_NAMES, *own))
    return parts


def _check_overrides(suite: Suite) -> None:
    """An override that changes no cell is a mistake in one of its patterns."""
    for place, override in enumerate(suite.file.overrides):
        where = f"{suite.path}: overrides.{place}"
        if not any(map(override.matches, suite.cells)):
            for part in PARTS:
                names = {getattr(cell, part) for cell in suite.cells}
                if not any(map(override.pattern_of(part), names)):
                    raise unknown(part, getattr(override, part), names, where)
            raise SteadyTuneError(f"{where}: no cell of the suite has these names together")


def _check_tasks(suite: Suite) -> None:
    """Tasks that are keys of a mapping are those that cells are trained on."""
    tasks = {cell.task for cell in suite.cells}
    _all_known(suite.file.transfer, tasks, "task", f"{suite.path}: transfer")
    _all_known(suite.file.predict, tasks, "task", f"{suite.path}: predict")
    for name in suite.file.predict:
        if suite.task(name).span:
            raise SteadyTuneError(f"{suite.path}: predict: '{name}': expected classes or scores, not answers")
    for name, targets in suite.file.transfer.items():
        for target in targets:
            with _said_at(f"{suite.path}: transfer.{name}: {target}"):
                shared_space(suite.task(name).labels, suite.task(target).labels)
    for name, entry in suite.file.encoders.items():
        _all_known(entry.models, tasks, "task", f"{suite.path}: encoders.{name}.models")


def _check_lengths(suite: Suite) -> None:
    """No cell asks an own encoder for more tokens than it reads."""
    for cell in suite.cells:
        entry = suite.file.encoders[cell.encoder]
        if entry.own and cell.task not in entry.models:
            asked, limit = suite.spec(cell).protocol.max_length, suite.own_lock.encoders[cell.encoder].max_length
            if limit and asked > limit:
                raise SteadyTuneError(
                    f"{suite.path}: protocol.max_length: {asked} for {cell}, but encoder '{cell.encoder}' reads "
                    f"{limit} tokens at most"
                )


def _check_variability(suite: Suite) -> None:
    """Encoders that the suite has, and tasks that have classes."""
    _all_known(suite.file.variability.encoders, suite.file.encoders, "encoder", f"{suite.path}: variability")
    for name in suite.file.variability.tasks:
        _with_classes(suite, name, "variability.tasks")


def _check_inside(suite: Suite) -> None:
    """Names that cells of the suite have, and tasks that a probe can be trained on."""
    block = suite.file.inside
    if block is None:
        return
    _check_axes(block.grid, f"{suite.path}: inside.grid")
    for kind in PARTS:
        known = {getattr(cell, kind) for cell in suite.cells}
        for name in block.named_methods if kind == "method" else getattr(block, f"{kind}s"):
            if known.isdisjoint(suite.variants(name, block) if kind == "method" else [name]):
                raise unknown(kind, name, known, f"{suite.path}: inside.{kind}s")
    if not suite.inside_cells:
        raise SteadyTuneError(f"{suite.path}: inside: no cell of the suite has these names and seeds together")
    for name in (*block.tasks, *block.probes):
        if _with_classes(suite, name, "inside.probes").train is None:
            raise SteadyTuneError(f"{suite.path}: inside.probes: task '{name}' is for evaluation only")
    if block.forgetting:
        _with_classes(suite, block.forgetting, "inside.forgetting")


def _check_selection(suite: Suite) -> None:
    """Nested selection needs something to look at."""
    nested = suite.file.selection == "nested"
    if nested or "selection" in suite.file.tables:
        wanted = "selection: nested" if nested else "tables: selection"
        for cell in suite.cells:
            if not suite.spec(cell).protocol.holdout:
                raise SteadyTuneError(f"{suite.path}: {wanted}: expected `protocol.holdout` above 0, but {cell} has 0")


def _with_classes(suite: Suite, name: str, key: str) -> Task:
    """The task that a key of the file names, which has classes or scores for answers, and no spans."""
    task = _task(suite, name, f"{suite.path}: {key}")
    if task.span:
        raise SteadyTuneError(f"{suite.path}: {key}: '{name}' has spans for answers, and no classes")
    return task


def _task(suite: Suite, name: str, where: str) -> Task:
    with _said_at(where):
        return suite.task(name)


@contextmanager
def _said_at(where: str) -> Iterator[None]:
    """Put the place in the suite's file before what is wrong there."""
    try:
        yield
    except SteadyTuneError as error:
        raise SteadyTuneError(f"{where}: {error}") from None


def _all_known(names: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    for name in names:
        if name not in known:
            raise unknown(kind, name, known, where)

"""Checks of a suite's file beyond its schema: every setting is known and has an effect. Does not import torch."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from typing import Any

from steadytune.errors import SteadyTuneError, problems_of, raise_all, unknown
from steadytune.files import nearest_file
from steadytune.methods import registry
from steadytune.suite.file import Grid
from steadytune.suite.protocol import Protocol
from steadytune.suite.protocols import spelled_out
from steadytune.suite.start import Start
from steadytune.suite.suite import Suite
from steadytune.suite.variants import SHORT_NAMES, Axes, base, expand
from steadytune.tasks.table import TASKS, split_size
from steadytune.tasks.task import Task


def setting_problems(suite: Suite, *, pinned: bool = True) -> list[str]:
    """One line per mistake in a single name or setting; if there are none, one per mistake in their combinations.

    Args:
        suite: a suite whose file fits the schema.
        pinned: whether its own tasks and encoders are pinned; if not, checks that depend on them are skipped.
    """
    blocks = {f"{suite.path}: grid.{place}": block for place, block in enumerate(suite.file.grid)}
    alone = [partial(_check_plan, suite), partial(_check_protocol, suite)]
    alone += [partial(_check_method, suite, name) for name in suite.file.methods]
    alone.append(partial(_check_own_names, suite))
    alone += [partial(_check_names, suite, block, where) for where, block in blocks.items()]
    for name, targets in suite.file.transfer.items():
        alone += [partial(_check_task_name, suite, target, f"{suite.path}: transfer.{name}") for target in targets]
    alone += [partial(_check_predicted, suite, name) for name in suite.file.predict]
    together = [partial(_check_block, suite, block, where, pinned) for where, block in blocks.items()]
    return problems_of(alone) or problems_of(together)


def _check_plan(suite: Suite) -> None:
    plan = suite.file.analysis_plan
    if plan and not (suite.path.parent / plan).is_file():
        path = suite.path.parent / plan
        raise SteadyTuneError(f"{suite.path}: analysis_plan: {path}: no such file{nearest_file(path)}")


def _check_protocol(suite: Suite) -> None:
    """Check the settings of the protocol and of each override, and the protocol's grid.

    Each can be checked separately, because no setting's bounds depend on another's value.
    """
    settings = {"protocol": suite.file.protocol.settings}
    for place, override in enumerate(suite.file.overrides):
        settings[f"overrides.{place}.protocol"] = override.protocol
    checks = [partial(suite.protocols.check, value, f"{suite.path}: {key}") for key, value in settings.items()]
    raise_all(problems_of([*checks, partial(check_axes, suite.file.protocol.grid, f"{suite.path}: protocol.grid")]))


def _check_own_names(suite: Suite) -> None:
    """Refuse own tasks with a name from the task table, and encoder or task names that differ only in case.

    Such names share a folder on some disks.
    """
    raise_all(
        f"{suite.path}: tasks.{name}: the task table has a task '{name}': choose another name"
        for name in suite.file.tasks
        if name in TASKS
    )
    used = (name for block in suite.file.grid for task in block.tasks if (name := task.partition("@")[0]) in TASKS)
    for key, names in (("encoders", suite.file.encoders), ("tasks", dict.fromkeys((*used, *suite.file.tasks)))):
        first: dict[str, str] = {}
        raise_all(
            f"{suite.path}: {key}.{name}: differs from '{other}' in case alone, which some disks ignore: "
            "choose another name"
            for name in names
            if (other := first.setdefault(name.lower(), name)) != name
        )


def _check_method(suite: Suite, name: str) -> None:
    """Check the settings and the grid of a method, even if no cell uses it."""
    where = f"{suite.path}: methods.{name}"
    all_known([name], registry.methods(), "method", where)
    _check_variant(suite, name, where)
    for variant in expand(name, {name: suite.file.methods[name].grid}, {}):
        _check_variant(suite, variant, f"{where}.grid")


def _check_block(suite: Suite, block: Grid, where: str, pinned: bool) -> None:
    """Check the combination of a block's methods, grid and tasks."""
    _check_grid(suite, block, where)
    if pinned:
        for method in block.named_methods:
            _check_start(suite, method, block, where)
        _check_tasks(suite, block, where)


def _check_names(suite: Suite, block: Grid, where: str) -> None:
    """Check the names in a block, including values in method names. Own tasks need not be pinned."""
    named = {
        "encoder": (block.encoders, suite.file.encoders),
        "method": ([part for method in block.methods for part in registry.part_names(method)], registry.methods()),
    }
    checks = [partial(all_known, names, known, kind, f"{where}.{kind}s") for kind, (names, known) in named.items()]
    tasks = [(name, f"{where}.tasks") for name in block.tasks]
    tasks += [(block.start.task, f"{where}.start.task")] if block.start else []
    checks += [partial(_check_task_name, suite, name, place) for name, place in tasks]
    raise_all(problems_of([*checks, partial(check_axes, block.grid, f"{where}.grid")]))
    # Without the suite's settings, whose mistakes are reported in their own place.
    raise_all(problems_of(partial(_check_variant, suite, method, f"{where}.methods", {}) for method in block.methods))


def _check_task_name(suite: Suite, name: str, where: str) -> None:
    """Check that there is a task of this name, and the spelling of a subset's size. Own tasks need not be pinned."""
    with prefixed(where):
        base, _ = split_size(name)
    all_known([base], {**TASKS, **suite.file.tasks}, "task", where)


def _check_predicted(suite: Suite, name: str) -> None:
    """Check that the splits to predict for a task do not have known labels, as every split of an own task has."""
    where, base = f"{suite.path}: predict.{name}", name.partition("@")[0]
    if base in suite.file.tasks:
        raise SteadyTuneError(
            f"{where}: all splits of an own task have labels: expected a task of the task table; for new rows without "
            "labels, see 'Label new texts' in docs/own-data.md"
        )
    if base in TASKS:
        alike = [task for task in TASKS.values() if task.dataset_key == TASKS[base].dataset_key]
        labelled = {split.partition("[")[0] for task in alike for split in (task.train, task.evaluation) if split}
        raise_all(
            f"{where}: '{split}' has labels, and cells are scored on them: expected a split with hidden labels"
            for split in suite.file.predict[name]
            if split.partition("[")[0] in labelled
        )


def _check_grid(suite: Suite, block: Grid, where: str) -> None:
    """Check the values in the names of a block's methods, and those of its grid."""
    raise_all(problems_of(partial(_check_variant, suite, name, f"{where}.methods") for name in block.named_methods))
    _check_meaning(suite, block, where)
    for variant in (variant for method in block.named_methods for variant in suite.variants(method, block)):
        _check_variant(suite, variant, where)


def _check_tasks(suite: Suite, block: Grid, where: str) -> None:
    """Check that each method of a block can be trained on each of its tasks."""
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


def _check_start(suite: Suite, method: str, block: Grid, where: str) -> None:
    """Check a method's start: a task with a training split, and a parent method that trains the whole encoder."""
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
                f"{where}: method '{part.name}' reads layers measured before any fine-tuning; expected no start"
            )


def check_axes(axes: Axes, where: str) -> None:
    """Check that every key of a grid is a setting of the protocol or of some method.

    `_check_variant` checks that it belongs to the right method.
    """
    declared = [Protocol, *(cls.Settings for cls, _ in registry.methods().values())]
    known = {*SHORT_NAMES, *(field.name for settings in declared for field in fields(settings))}
    # `part.key` is a setting of one part of a composition.
    all_known((key.rpartition(".")[2] for key in axes), known, "key", where)


def _check_meaning(suite: Suite, block: Grid, where: str) -> None:
    """Refuse a grid over a protocol setting that a method has too, such as `steps` or `epsilon`.

    The method would take the value as its own. A block's grid is allowed if every method of the block has the setting.
    """
    grids = {f"{suite.path}: protocol.grid": suite.file.protocol.grid, f"{where}.grid": block.grid}
    for place, axes in grids.items():
        for key in axes.keys() & {*SHORT_NAMES, *(field.name for field in fields(Protocol))}:
            owners = [registry.owner(base(method), key) for method in block.methods]
            taking = [owner for owner in owners if owner]
            if taking and (axes is not block.grid or len(taking) < len(owners)):
                raise SteadyTuneError(
                    f"{place}: '{key}' is also a setting of method '{taking[0]}', which would take the values; "
                    "expected no such grid for that method"
                )


def _check_variant(
    suite: Suite, variant: str, where: str, settings: dict[str, dict[str, Any]] | None = None
) -> tuple[registry.Part, ...]:
    """The parts of a method's name, after checking that each value in it is a setting of the method or the protocol.

    settings: settings by method; the suite's by default.
    """
    with prefixed(where):
        parts, rest = registry.parse(variant, suite.settings if settings is None else settings)
    own = [name for part in parts for name in part.settings]
    suite.protocols.check(spelled_out(rest), f"{where}: {variant}", (*SHORT_NAMES, *own))
    return parts


def task_of(suite: Suite, name: str, where: str) -> Task:
    """A task by name; errors name the place in the suite's file."""
    with prefixed(where):
        return suite.task(name)


@contextmanager
def prefixed(where: str) -> Iterator[None]:
    """Prefix every line of an error with the place in the suite's file."""
    try:
        yield
    except SteadyTuneError as error:
        raise_all(f"{where}: {line}" for line in str(error).splitlines())


def all_known(names: Iterable[str], known: Iterable[str], kind: str, where: str) -> None:
    """Refuse names that are not among the known ones of a `kind`."""
    raise_all(str(unknown(kind, name, known, where)) for name in names if name not in known)

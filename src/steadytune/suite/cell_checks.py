"""Checks of a suite's file that need its resolved cells, such as names that select cells. Does not import torch."""

from functools import partial

from steadytune.errors import SteadyTuneError, problems_of, raise_all, unknown
from steadytune.suite.checks import all_known, check_axes, prefixed, task_of
from steadytune.suite.suite import Suite
from steadytune.tasks.labels import shared_space
from steadytune.tasks.task import Task

PARTS = ("encoder", "method", "task")


def cell_problems(suite: Suite) -> list[str]:
    """One line per mistake that only the resolved cells reveal."""
    checks = (_check_tasks, _check_lengths, _check_variability, _check_inside, _check_selection)
    overrides = [partial(_check_override, suite, place) for place in range(len(suite.file.overrides))]
    return problems_of([*overrides, *(partial(check, suite) for check in checks)])


def _check_override(suite: Suite, place: int) -> None:
    """Refuse an override that matches no cell, naming the pattern at fault."""
    override, where = suite.file.overrides[place], f"{suite.path}: overrides.{place}"
    if any(map(override.matches, suite.cells)):
        return
    for part in PARTS:
        names = {getattr(cell, part) for cell in suite.cells}
        if not any(map(override.pattern_of(part), names)):
            raise unknown(part, getattr(override, part), names, where)
    raise SteadyTuneError(f"{where}: no cell of the suite has these names together")


def _check_tasks(suite: Suite) -> None:
    """Check that the keys of mappings by task are tasks that cells are trained on.

    Labels of transfer sets must be comparable with the task's, and tasks in `predict` must not have spans for answers.
    """
    tasks, file = {cell.task for cell in suite.cells}, suite.file
    mappings = {"transfer": file.transfer, "predict": file.predict}
    mappings |= {f"encoders.{name}.models": entry.models for name, entry in file.encoders.items()}
    checks = [partial(all_known, by_task, tasks, "task", f"{suite.path}: {key}") for key, by_task in mappings.items()]
    raise_all(problems_of(checks))
    checks = [partial(_check_transfer, suite, name, target) for name, sets in file.transfer.items() for target in sets]
    raise_all([
        *problems_of(checks),
        *(f"{suite.path}: predict: '{name}': expected classes or scores, not answers"
          for name in file.predict if suite.task(name).span),
    ])  # fmt: skip


def _check_transfer(suite: Suite, name: str, target: str) -> None:
    """Check that the labels of a task and of an evaluation set can be compared."""
    with prefixed(f"{suite.path}: transfer.{name}: {target}"):
        shared_space(suite.task(name).labels, suite.task(target).labels)


def _check_lengths(suite: Suite) -> None:
    """Check that no cell gives an own encoder more tokens than it can read."""
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
    """Check that `variability` names encoders of the suite, and tasks with classes."""
    all_known(suite.file.variability.encoders, suite.file.encoders, "encoder", f"{suite.path}: variability")
    for name in suite.file.variability.tasks:
        _with_classes(suite, name, "variability.tasks")


def _check_inside(suite: Suite) -> None:
    """Check that `inside` names encoders, methods and tasks of the suite's cells, and probes that can be trained."""
    block = suite.file.inside
    if block is None:
        return
    check_axes(block.grid, f"{suite.path}: inside.grid")
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
    """Check that every cell holds out training data if nested selection or the selection table needs its scores."""
    nested = suite.file.selection == "nested"
    if nested or "selection" in suite.file.tables:
        wanted = "selection: nested" if nested else "tables: selection"
        for cell in suite.cells:
            if not suite.spec(cell).protocol.holdout:
                raise SteadyTuneError(f"{suite.path}: {wanted}: expected `protocol.holdout` above 0, but {cell} has 0")


def _with_classes(suite: Suite, name: str, key: str) -> Task:
    """The task that a key of the file names; an error if its answers are spans."""
    task = task_of(suite, name, f"{suite.path}: {key}")
    if task.span:
        raise SteadyTuneError(f"{suite.path}: {key}: '{name}' has spans for answers, and no classes")
    return task

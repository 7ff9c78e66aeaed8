"""Run short cells to measure their cost. Their records belong to a separate suite, and planning reads them like any."""

import logging
from collections.abc import Mapping

from steadytune.cells.leases import leased_gpu
from steadytune.layout import record_path
from steadytune.methods.registry import composition
from steadytune.store.inventory import inspect, inventory
from steadytune.store.lock import suite_lock
from steadytune.suite.cell import Cell
from steadytune.suite.file import Override
from steadytune.suite.suite import Suite

log = logging.getLogger(__name__)

STEPS = 20
"""Steps per probe, enough for the slow first step to matter little."""

Pair = tuple[str, str]
"""What a probe measures: a model, and a method without a variant's values."""
MEASURED = "measurement of layers"
REASONS = {
    "missing": "not staged",
    "later": "not trained yet",
    MEASURED: "not probed where the layer is measured first",
}
"""Why a cell is left out, by state; words that explain themselves are not listed. `MEASURED`: the method reads l*."""


def probe(suite: Suite) -> None:
    """Run one cell of each encoder and method for a few steps, on the first task whose data are staged.

    Pairs that cannot be probed are logged with the reason; methods that read l* never can be. The records belong to
    the suite `<name>-probe`.
    """
    short = Override(protocol={"steps": STEPS, "evaluate_epochs": False})
    changes = {"suite": f"{suite.name}-probe", "overrides": (*suite.file.overrides, short)}
    probing = Suite(suite.file.model_copy(update=changes), suite.path)
    lock = suite_lock(suite)
    states = {finding.item.where: finding.state for finding in inspect(inventory(suite, lock), suite, lock)}
    chosen, left = choose(probing, states)
    _run(probing, list(chosen.values()))
    if left:
        log.warning("%s", _left_out(suite, chosen, left))


def choose(suite: Suite, states: Mapping[str, str]) -> tuple[dict[Pair, Cell], dict[Pair, dict[str, str]]]:
    """Choose the first cell of each pair that can run; for the other pairs, find what their first cell waits for.

    Args:
        suite: the suite of short cells.
        states: for each folder below the store, `ok` or a word for what is wrong.

    Returns:
        The cells by pair; and for the other pairs, what is missing, with its state.
    """
    chosen: dict[Pair, Cell] = {}
    waiting: dict[Pair, dict[str, str]] = {}
    for cell in suite.cells:
        spec = suite.spec(cell)
        pair = (spec.model, composition(cell.method))
        keys = {task.dataset_key for task in spec.tasks.values()}
        needed = [f"models/{spec.model}", *(f"datasets/{key}" for key in sorted(keys))]
        lacking = {where: states[where] for where in needed if states[where] != "ok"}
        if spec.reads_selection:
            lacking |= {cell.method: MEASURED}
        if not lacking:
            chosen.setdefault(pair, cell)
        waiting.setdefault(pair, lacking)
    return chosen, {pair: lacking for pair, lacking in waiting.items() if pair not in chosen}


def _run(suite: Suite, cells: list[Cell]) -> None:
    """Run the cells that have no record yet."""
    from steadytune.cells.run import run_cell

    new = [cell for cell in cells if not record_path(suite, cell).exists()]
    if len(new) < len(cells):
        log.info("%d of %d cells were probed before: results/%s", len(cells) - len(new), len(cells), suite.name)
    with leased_gpu():
        for cell in new:
            log.info("probing %s", cell)
            run_cell(suite, cell)


def _left_out(suite: Suite, chosen: Mapping[Pair, Cell], left: Mapping[Pair, Mapping[str, str]]) -> str:
    """One line: what was not probed, why, and the commands that provide what is missing."""
    what = f"not probed: {', '.join(f'{method} of {model}' for model, method in left)}" if chosen else "nothing probed"
    by_state: dict[str, set[str]] = {}
    for lacking in left.values():
        for name, state in lacking.items():
            by_state.setdefault(state, set()).add(name)
    why = "; ".join(f"{REASONS.get(state, state)}: {', '.join(sorted(names))}" for state, names in by_state.items())
    commands = []
    if by_state.keys() - {"later", MEASURED}:
        commands.append(f"`steadytune stage {suite.argument}` fetches them")
    if "later" in by_state:
        commands.append(f"`steadytune run {suite.argument}` trains its encoders")
    return "; ".join([f"{what}: {why}", *commands])

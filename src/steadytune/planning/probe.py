"""Short cells, run to know what cells take: ordinary records of a suite of their own, which planning reads like any."""

import logging

from steadytune.layout import LOCK, record_path
from steadytune.leases import leased_gpu
from steadytune.store.inventory import inspect, inventory
from steadytune.store.lock import load_lock
from steadytune.suite import Suite
from steadytune.suite_file import Override
from steadytune.tasks.table import parse_task

log = logging.getLogger(__name__)

STEPS = 20
"""Enough that the first, slow one counts little."""


def probe(suite: Suite) -> None:
    """Run the first seed of each encoder and method for a few steps, on the first task whose data are staged.

    What is not staged is left out. The records are those of the suite `<name>-probe`.
    """
    from steadytune.training.run import run_cell

    short = Override(protocol={"steps": STEPS, "evaluate_epochs": False})
    changes = {"suite": f"{suite.name}-probe", "overrides": (*suite.file.overrides, short)}
    probing = Suite(suite.file.model_copy(update=changes), suite.path)
    lock = load_lock(LOCK)
    staged = {finding.item.key for finding in inspect(inventory(suite, lock), suite, lock) if finding.state == "ok"}
    probed: set[tuple[str, str]] = set()
    with leased_gpu():
        for cell in probing.cells:
            spec = probing.spec(cell)
            keys = {spec.model, *(parse_task(name)[0].dataset_key for name in (spec.task, *spec.transfer))}
            if (cell.encoder, cell.method) in probed or not keys <= staged or spec.reads_selection:
                continue
            probed.add((cell.encoder, cell.method))
            if not record_path(probing, cell).exists():
                log.info("probing %s", cell)
                run_cell(probing, cell)

"""What staging says about an entry that it has brought: whether training can read it, and what a person should see."""

import logging
from typing import TYPE_CHECKING

from steadytune.encoders.folder import examine
from steadytune.errors import SteadyTuneError
from steadytune.layout import staged_folder
from steadytune.store.inventory import Item
from steadytune.store.receipt import RECEIPT
from steadytune.tasks.data import load_unlabelled
from steadytune.tasks.summary import summarise
from steadytune.tasks.task import OWN

if TYPE_CHECKING:
    from steadytune.suite.suite import Suite

logger = logging.getLogger(__name__)


def check_staged(suite: "Suite", item: Item) -> None:
    """Read what was staged as training will read it, and log a summary; without a receipt it counts as not staged.

    Raises:
        SteadyTuneError: one line for every task that cannot be read, with all that is wrong in its files.
    """
    problems = []
    for task in suite.read_tasks() if item.kind == "datasets" else ():
        if task.dataset_key == item.key:
            try:
                for line in summarise(task, suite.file.store, empty_texts=suite.file.empty_texts):
                    logger.info("%s", line)
                for name, splits in suite.file.predict.items():
                    for split in splits if suite.task(name).name == task.name else ():
                        load_unlabelled(task, split, suite.file.store)
            except SteadyTuneError as error:
                problems.append(str(error))
    if item.kind == "models" and item.key.startswith(f"{OWN}/"):
        logger.info("%s: %s", item.key, examine(staged_folder(suite.file.store, item.kind, item.key)).facts)
    if problems:
        (staged_folder(suite.file.store, item.kind, item.key) / RECEIPT).unlink()
        raise SteadyTuneError("\n".join(dict.fromkeys(problems)))

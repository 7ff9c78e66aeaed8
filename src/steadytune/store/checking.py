"""Check what was staged: whether training can read it, and what users should know about it."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from steadytune.encoders.folder import examine
from steadytune.errors import SteadyTuneError, raise_all
from steadytune.layout import staged_folder
from steadytune.staged import RECEIPT
from steadytune.store.inventory import Item
from steadytune.store.staging import alone
from steadytune.suite.subset_sizes import size_problems
from steadytune.tasks.data import load_split, load_unlabelled
from steadytune.tasks.summary import EmptyTexts, summarise
from steadytune.tasks.task import OWN, Task

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

    from steadytune.suite.suite import Suite

SAMPLED_ROWS = 5000
SHOWN_UNKNOWN = 0.01
"""Unknown tokens are reported from this share on: the texts may be in another script or language."""

logger = logging.getLogger(__name__)


def check_staged(suite: "Suite", item: Item) -> None:
    """Read what was staged as training will read it, and log a summary.

    A data set that cannot be read loses its receipt, and so counts as not staged. If only this suite's `empty_texts` or
    `predict` objects to it, it stays staged, because other suites share the store.

    Raises:
        SteadyTuneError: everything wrong with the files of each task, including violations of `empty_texts` and
            `predict`, and subsets larger than their split.
    """
    store, damaged, problems = suite.file.store, False, []
    for task in suite.read_tasks() if item.kind == "datasets" else ():
        if task.dataset_key == item.key:
            try:
                found = summarise(task, store, empty_texts=suite.file.empty_texts)
                for line in found.facts:
                    logger.info("%s", line)
                for line in found.warnings:
                    logger.warning("%s", line)
            except SteadyTuneError as error:
                damaged |= not isinstance(error, EmptyTexts)
                problems.append(str(error))
            problems += _hidden_problems(suite, task)
    if not problems and item.kind == "datasets":
        problems += _size_problems(suite, item)
    if item.kind == "models" and item.key.startswith(f"{OWN}/"):
        logger.info("%s: %s", item.key, examine(staged_folder(store, item.kind, item.key)).facts)
    if damaged:
        # A read-only shared store is left unchanged.
        with suppress(OSError), alone(store, item.where):
            (staged_folder(store, item.kind, item.key) / RECEIPT).unlink(missing_ok=True)
    raise_all(problems)


def _hidden_problems(suite: "Suite", task: Task) -> Iterator[str]:
    """Problems with the splits of a task that are predicted but not scored."""
    for name, splits in suite.file.predict.items():
        for split in splits if suite.task(name).name == task.name else ():
            try:
                load_unlabelled(task, split, suite.file.store)
            except SteadyTuneError as error:
                yield str(error)


def _size_problems(suite: "Suite", item: Item) -> Iterator[str]:
    """Problems with subsets of a data set: only now is it known how many rows have a label."""

    def count(task: Task, split: str) -> int | None:
        return len(load_split(task, split, suite.file.store)) if task.dataset_key == item.key else None

    return size_problems(suite, count, "rows with a label")


def describe_cuts(suite: "Suite") -> Iterator[str]:
    """For each staged encoder and task, say which share of inputs `max_length` truncates, and report unknown tokens.

    For long splits, a fixed sample of rows is tokenized. Tasks with span answers are left out: their long texts are
    read in windows, so nothing is truncated.

    Raises:
        SteadyTuneError: `max_length` is more than an encoder can read.
    """
    import numpy as np

    from steadytune.encoders.loading import load_tokenizer
    from steadytune.tasks.data import check_length, encode

    store, done = suite.file.store, set()
    for cell in suite.cells:
        spec, task = suite.spec(cell), suite.task(cell.task)
        limit, key = spec.protocol.max_length, (cell.encoder, task.name, spec.protocol.max_length)
        staged = [staged_folder(store, "models", spec.model), staged_folder(store, "datasets", task.dataset_key)]
        if key in done or task.span or not all((folder / RECEIPT).is_file() for folder in staged):
            continue
        done.add(key)
        try:
            tokenizer, cut = load_tokenizer(staged[0]), []
        except SteadyTuneError as error:
            yield f"{cell.encoder} on {task.name}: not tokenized: {error}"
            continue
        try:
            check_length(tokenizer, limit)
        except SteadyTuneError as error:
            raise SteadyTuneError(f"{suite.path}: {cell.encoder} on {task.name}: {error}") from None
        for split in dict.fromkeys((task.train or task.evaluation, task.evaluation)):
            rows = load_split(task, split, store)
            rows = rows.select(range(0, len(rows), -(-len(rows) // SAMPLED_ROWS)))
            encoded = encode(rows, tokenizer, limit)
            median = int(np.median(encoded.lengths))
            unknown = _unknown_share(tokenizer, encoded.input_ids)
            lost = f", {unknown:.0%} of all tokens unknown" if unknown >= SHOWN_UNKNOWN else ""
            cut.append(f"{split} {encoded.truncated / len(rows):.1%}, {median} tokens in the median{lost}")
        yield f"{cell.encoder} on {task.name}: max_length {limit} cuts {'; '.join(cut)}"


def _unknown_share(tokenizer: "PreTrainedTokenizerBase", input_ids: "list[np.ndarray]") -> float:
    """The share of unknown tokens among the tokens of the texts."""
    import numpy as np

    around = tokenizer("")["input_ids"]
    ids = np.concatenate(input_ids)
    # Some tokenizers also use the unknown token as the one that begins or ends a text.
    count = 0 if tokenizer.unk_token_id in around else int((ids == tokenizer.unk_token_id).sum())
    return count / max(1, len(ids) - len(around) * len(input_ids))

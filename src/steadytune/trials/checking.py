"""`steadytune check-method`: run every check of a method, each in an empty folder."""

import inspect
import logging
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from steadytune.errors import nearest
from steadytune.methods import registry
from steadytune.trials import checks, declared
from steadytune.trials.tiny import EVERY


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    check: str
    passed: bool | None
    """None if the check does not apply; `detail` says why."""
    detail: str = ""


def check_method(name: str) -> Iterator[Finding]:
    """Run the checks of a registered method one by one, with the settings that its name gives."""
    by_label: dict[str, checks.Check] = {
        "its own settings do something": declared.does_something,
        "switched off it is vanilla, bit for bit": checks.off_is_vanilla,
        "evaluation adds and draws nothing": checks.evaluation_is_plain,
        "order, head and dropout are vanilla's": checks.common_numbers,
        "interrupted and resumed: the same bits": checks.resumes,
        "parts of a batch add up": checks.parts_add_up,
        "words that no example reads": declared.unread_words_follow,
        "added parameters": declared.added_parameters,
        "what it changes, as declared": declared.says_what_it_changes,
        "passes, as declared": declared.passes_as_declared,
        "bf16": checks.in_half_precision,
        **{f"architecture {layout}": partial(checks.on_layout, layout) for layout in EVERY},
        "trained parameters": declared.trained_parameters,
        "time of a step over vanilla's": checks.time_over_vanilla,
    }
    with _quiet():
        for label, check in by_label.items():
            yield make(label, check, name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the training log, and use one thread: encoders this small gain nothing from a second."""
    logger, threads = logging.getLogger("steadytune"), torch.get_num_threads()
    level = logger.level
    logger.setLevel(logging.WARNING)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        logger.setLevel(level)
        torch.set_num_threads(threads)


def make(label: str, check: checks.Check, name: str) -> Finding:
    """Run one check in a temporary folder; an exception fails it."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Finding(label, *check(name, Path(folder)))
        except Exception as error:
            said = f"{type(error).__name__}: {error}".splitlines()[0]
            return Finding(label, False, said + _hint(error) + _line_of(name, error))


def _hint(error: Exception) -> str:
    """Advice on a frequent mistake; empty if there is none."""
    if isinstance(error, AttributeError) and error.name:
        return nearest(error.name, [name for name in dir(error.obj) if not name.startswith("_")])
    if "must have the same dtype" in str(error):
        return ": create parameters with the device and dtype of the encoder's"
    return ""


def _line_of(name: str, error: Exception) -> str:
    """The innermost line of the method's file in an error's traceback; empty if there is none."""
    file = inspect.getfile(registry.methods()[name][0])
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f" ({Path(file).name} line {lines[-1].lineno}, {lines[-1].name})" if lines else ""

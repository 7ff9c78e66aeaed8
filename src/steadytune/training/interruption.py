"""SIGTERM, which schedulers send some seconds before they kill, and Ctrl-C: training ends at its next step.

It leaves a checkpoint.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(SystemExit):
    """The process was asked to end; the checkpoint is written, and the same command resumes from it."""

    def __init__(self) -> None:
        # What a shell reports of a process that SIGTERM ended: the job has failed, and is run again.
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def termination() -> Iterator[Callable[[], bool]]:
    """While the block runs, SIGTERM and SIGINT only set a mark, which the function that is handed out reads."""
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

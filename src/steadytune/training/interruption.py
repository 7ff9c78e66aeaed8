"""SIGTERM, which schedulers send some seconds before they kill: training ends at its next step, with a checkpoint."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(SystemExit):
    """The process was asked to end; the checkpoint is written, and the same command goes on from it."""

    def __init__(self) -> None:
        # What a shell says of a process that SIGTERM ended: the job has failed, and is run again.
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def termination() -> Iterator[Callable[[], bool]]:
    """While the block runs, SIGTERM only sets a mark, which the function that is handed out reads."""
    asked = False

    def note(*_: object) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)

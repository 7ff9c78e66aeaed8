"""On Ctrl-C, and on the SIGTERM that schedulers send seconds before they kill, end training after the current step.

Training leaves a checkpoint.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Interrupted(SystemExit):
    """The process was asked to end. The checkpoint is written, and the same command resumes from it."""

    def __init__(self) -> None:
        # The status that a shell reports for a process ended by SIGTERM: the job counts as failed and is run again.
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def termination() -> Iterator[Callable[[], bool]]:
    """While the block runs, SIGTERM and SIGINT only set a flag; yields a function that returns the flag."""
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

"""Make the Snakemake inside a cluster's job pass SIGTERM on: by default, it only waits for the job to end.

A batch system that tracks processes with cgroups asks only a job's first process to end, and kills the rest later.
"""

import os
import signal
import threading
from contextlib import suppress

import psutil

SHELLS = ("bash", "dash", "sh")
"""Not signalled: if a shell ends before its command, the job looks finished."""


def pass_on_termination() -> None:
    """From now on, pass SIGTERM on to all descendants of this process except shells.

    Call this in the main thread. Python writes each signal's number to a pipe, whichever handler is set: Snakemake sets
    its own after reading the Snakefile.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_pass_on, args=(reading,), daemon=True).start()


def _pass_on(reading: int) -> None:
    while numbers := os.read(reading, 64):
        if signal.SIGTERM in numbers:
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if process.name() not in SHELLS:
                        process.terminate()

"""The Snakemake inside a cluster's job passes SIGTERM on: left to itself, it only waits for the job to end.

A batch system that tracks processes with cgroups asks a job's first process alone to end, and kills the rest later.
"""

import os
import signal
import threading
from contextlib import suppress

import psutil

SHELLS = ("bash", "dash", "sh")
"""Left alone: a shell that ends before its command would look as if the job were over."""


def pass_on_termination() -> None:
    """From now on, what this process and its children have started is asked to end when this process is.

    To be called in the main thread. Python writes a signal's number to the pipe whoever handles the signal later:
    Snakemake sets its own handler after the Snakefile has been read.
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

"""The worker: it imports a command's modules when the first job with that command arrives, and forks for every job.

It forks only while it has a single thread and no CUDA context, so every job starts in the state of a new process after
its imports. If the package's code or the installed packages change on disk, it takes no further jobs.
"""

import atexit
import ctypes
import gc
import importlib
import logging
import multiprocessing
import os
import selectors
import shutil
import signal
import socket
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from steadytune.offline import go_offline
from steadytune.source import SOURCE
from steadytune.worker.request import ENDING, STATUS, Request, interpreter

log = logging.getLogger("steadytune.worker")

# transformers imports its modules on first use; BERT's modules import nearly everything that any encoder needs.
TRAINING = (
    "steadytune.cells.run",
    "steadytune.evaluation.glue_metrics",
    "steadytune.suite.loading",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
)
# What judges a product before and after it is made.
MAKING = ("steadytune.dag.products", "steadytune.suite.loading")
# What is imported only when a suite's names are checked and its results loaded.
SHOWING = ("steadytune.dag.checks", "steadytune.results.collect")
MODULES = {
    "finetune": (*TRAINING, "steadytune.cells.attempts", "steadytune.dag.ownership"),
    "pretrain": (*TRAINING, "steadytune.pretraining.train"),
    "variability": (*TRAINING, *MAKING, "steadytune.layers.stage"),
    "inside": (*TRAINING, *MAKING, "steadytune.layers.inside.stage"),
    "inside-before": (*TRAINING, *MAKING, "steadytune.layers.inside.stage"),
    "inside-table": (*MAKING, "steadytune.layers.inside.collect"),
    "collect": (*MAKING, "steadytune.results.collect"),
    "predictions": (*MAKING, "steadytune.results.prediction_tables"),
    "claims": (*MAKING, *SHOWING, "steadytune.claims.comparisons", "steadytune.rendering.claims"),
    "render": (*MAKING, *SHOWING, "steadytune.rendering.stage", "seaborn"),
}
"""The modules that each command needs. Staging is missing: it needs the network, and this process imports offline."""
REQUEST_SECONDS = 10
"""Time limit for a client to send its request."""
GRACE = 60
"""Seconds from SIGTERM to SIGKILL when the run is over."""
PR_SET_PDEATHSIG = 1


class Worker:
    """Serves one run until it ends."""

    def __init__(self, listener: socket.socket, run: int) -> None:
        """`run` becomes readable when the run has ended."""
        self.listener, self.code = listener, code_state()
        self.ready = selectors.DefaultSelector()
        self.jobs: dict[BaseProcess, socket.socket] = {}
        self.imported: set[str] = set()
        self.over = 0.0
        self._watch(listener, self._accept)
        self._watch(run, self._end)

    def serve(self) -> None:
        """Serve jobs; return when the run and all of its jobs have ended."""
        while not self.over or self.jobs:
            for key, _ in self.ready.select(max(0.0, self.over - time.monotonic()) if self.over else None):
                key.data()
            if self.over and time.monotonic() > self.over:
                for job in self.jobs:
                    job.kill()

    def _watch(self, file: socket.socket | int, action: Callable[[], None]) -> None:
        self.ready.register(file, selectors.EVENT_READ, action)

    def _accept(self) -> None:
        if self.over or self.listener.fileno() < 0:
            return
        connection, streams, job = None, [], None
        # If there is no answer, for example for lack of memory, the client does the work itself.
        with suppress(OSError, ValueError):
            connection, _ = self.listener.accept()
            connection.settimeout(REQUEST_SECONDS)
            request, streams = Request.receive(connection)
            job = self._start(request, streams, connection) if self._can_do(request) else None
        for stream in streams:
            os.close(stream)
        if connection is not None and job is not None:
            self.jobs[job] = connection
            self._watch(job.sentinel, lambda: self._finish(job))
            self._watch(connection, lambda: self._relay(job))
        elif connection is not None:
            connection.close()

    def _can_do(self, request: Request) -> bool:
        """Whether a fork of this process, with the command's modules imported, can stand in for the client."""
        modules = MODULES.get(request.arguments[0]) if request.arguments else None
        if modules is None or request.interpreter != interpreter():
            return False
        if new := [name for name in modules if name not in self.imported]:
            try:
                for name in new:
                    importlib.import_module(name)
            except Exception:
                # The client will meet the same error and report it in the job's log.
                return False
            self.imported.update(new)
            # Otherwise garbage collection in a job would write to, and so copy, every page shared with this process.
            gc.collect()
            gc.freeze()
        if code_state() != self.code:
            return self._stop("the code or the installed packages have changed")
        if (threads := len(os.listdir("/proc/self/task"))) > 1:  # noqa: PTH208 (no paths are needed)
            return self._stop(f"{threads - 1} extra threads are running")
        return True

    def _stop(self, reason: str) -> bool:
        log.warning("no more jobs are forked: %s", reason)
        self.ready.unregister(self.listener)
        self.listener.close()
        return False

    def _start(self, request: Request, streams: list[int], connection: socket.socket) -> BaseProcess:
        fork = multiprocessing.get_context("fork")
        job = fork.Process(target=self._run, args=(request, streams, connection, os.getpid()))
        job.start()
        return job

    def _run(self, request: Request, streams: list[int], connection: socket.socket, worker: int) -> NoReturn:
        """Run a job in its own process, from fork to exit."""
        # A job must not outlive the worker, which reports the job's end. On SIGTERM the job leaves a checkpoint.
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != worker:
            sys.exit(128 + signal.SIGTERM)
        # An inherited connection would keep its client from noticing that the worker is gone.
        for file in [*self.jobs.values(), connection, self.listener, self.ready]:
            file.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        # `multiprocessing` has replaced it.
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (open for as long as the process)
        handlers = dict.fromkeys(ENDING, signal.SIG_DFL) | {signal.SIGINT: _interrupt_once}
        for number, handler in (handlers | dict.fromkeys(request.ignored, signal.SIG_IGN)).items():
            signal.signal(number, handler)
        os.umask(request.umask)
        os.chdir(request.folder)
        os.environ.clear()
        os.environ.update(request.environment)
        sys.argv[1:] = request.arguments
        tempfile.tempdir = None
        if threads := request.environment.get("OMP_NUM_THREADS"):
            # The libraries read the variable when they were loaded, with the worker's value.
            from threadpoolctl import threadpool_limits

            threadpool_limits(int(threads))
        from steadytune.cli import main

        try:
            sys.exit(main(request.arguments))
        finally:
            # `multiprocessing` skips them.
            atexit._run_exitfuncs()

    def _finish(self, job: BaseProcess) -> None:
        self.ready.unregister(job.sentinel)
        job.join()
        connection = self.jobs.pop(job)
        with suppress(KeyError):
            self.ready.unregister(connection)
        with suppress(OSError):
            connection.send(STATUS.pack(job.exitcode or 0))
        connection.close()
        job.close()

    def _relay(self, job: BaseProcess) -> None:
        """Pass on the client's signals. A client that is gone was killed, so kill its job too."""
        connection = self.jobs.get(job)
        if connection is None:
            return
        try:
            numbers = connection.recv(64)
        except OSError:
            numbers = b""
        if not numbers:
            self.ready.unregister(connection)
        for number in numbers or [signal.SIGKILL]:
            if job.pid and job.is_alive():
                os.kill(job.pid, number)

    def _end(self) -> None:
        """The run is over: accept no further jobs, and ask running ones to end."""
        self.over = time.monotonic() + GRACE
        for key in list(self.ready.get_map().values()):
            if key.data in (self._accept, self._end):
                self.ready.unregister(key.fileobj)
        for job in self.jobs:
            job.terminate()


def code_state() -> int:
    """A number that changes if the package's files or the installed packages change."""
    ours = [path for package in ("steadytune", "minilanguage") for path in (SOURCE / package).rglob("*.py")]
    files = [*ours, Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))]
    found = []
    for path in files:
        with suppress(OSError):
            state = path.stat()
            found.append((str(path), state.st_mtime_ns, state.st_size))
    return hash(tuple(sorted(found)))


def _interrupt_once(*_: object) -> NoReturn:
    """Interrupt a job only once: Ctrl-C reaches it twice, from the terminal and from its client."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> None:
    """Serve the run whose listening socket was inherited, until standard input closes."""
    # The worker ignores requests to end: it ends when its run has ended.
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    go_offline()
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        folder = Path(listener.getsockname()).parent
        Worker(listener, sys.stdin.fileno()).serve()
    shutil.rmtree(folder, ignore_errors=True)
    # Exit at once: nothing is left to do, and unloading the libraries takes time.
    os._exit(0)


if __name__ == "__main__":
    main()

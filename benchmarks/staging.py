"""A suite with its own store, and a warm worker, for benchmarks of whole processes."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from steadytune.suite.suite import STORE_VARIABLE
from steadytune.worker.launch import start_worker
from steadytune.worker.request import ADDRESS

ROOT = Path(__file__).resolve().parents[1]


def source_store() -> Path | None:
    """The store that STEADYTUNE_STORE names; None if it is not set."""
    return Path(os.environ[STORE_VARIABLE]).resolve() if STORE_VARIABLE in os.environ else None


def stage(folder: Path, suite: str) -> None:
    """Write `suite.yaml` to `folder`, and stage what it needs there from the store that `source_store` returns."""
    (folder / "suite.yaml").write_text(
        f"{suite}sources: {{order: [local], local: {json.dumps(str(source_store()))}}}\n"
    )
    python(["-m", "steadytune", "stage", "suite.yaml"], folder, environment(1))


@contextmanager
def worker() -> Iterator[None]:
    """Run a warm worker for the processes that `python` starts, and kill it afterwards.

    Raises:
        RuntimeError: the worker could not be started, so cold processes would be measured.
        OSError: the worker has stopped taking jobs.
    """
    binaries = f"{Path(sys.executable).parent}{os.pathsep}"
    if not os.environ["PATH"].startswith(binaries):
        # As in a run: the worker and the jobs have the same interpreter.
        os.environ["PATH"] = binaries + os.environ["PATH"]
    started = start_worker()
    if started is None:
        raise RuntimeError("no warm worker")
    try:
        yield
        # If the code changed meanwhile, the worker took no more jobs and cold processes were measured: fail then.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.environ[ADDRESS])
    finally:
        del os.environ[ADDRESS]
        started.kill()
        started.wait()


def environment(threads: int) -> dict[str, str]:
    """Environment variables of a process: its threads, no network, this project's package, and no STEADYTUNE_STORE."""
    kept = {key: value for key, value in os.environ.items() if key != STORE_VARIABLE}
    return kept | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")}


def python(arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> str:
    """Run a Python process in `folder`; return its standard output.

    Raises:
        RuntimeError: the process failed; the message has the end of its standard error.
    """
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=dict(variables), capture_output=True, text=True,
                          check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{arguments[:3]}: {done.stderr[-1500:]}")
    return done.stdout

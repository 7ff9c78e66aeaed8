"""Start a run's worker, which the Snakefile does before the first job."""

import atexit
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from steadytune.source import SOURCE, first_on_path
from steadytune.worker.request import ADDRESS

log = logging.getLogger(__name__)

# A process with threads cannot fork safely. The first variable keeps Arrow's allocator from starting a thread, the next
# three OpenMP and BLAS. The last keeps torch from opening CUDA when it only counts devices.
QUIET = {
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
}


def start_worker() -> subprocess.Popen | None:
    """Start a worker that ends with this process, and give jobs its address through the environment.

    The socket lies in a new temporary folder that only this user can enter, so no other run or user can reach it. If no
    worker can be started, a warning is logged and each job runs without one.

    Returns:
        The worker's process, or None if there is none: outside Linux, or if it could not be started.
    """
    if sys.platform != "linux":
        return None
    try:
        folder = tempfile.mkdtemp(prefix="steadytune-worker-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        address = str(Path(folder) / "socket")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(128)
            worker = _start(listener)
    except OSError as error:
        log.warning("no warm worker (%s): every job imports its libraries itself", error)
        return None
    os.environ[ADDRESS] = address
    return worker


def _start(listener: socket.socket) -> subprocess.Popen:
    path = first_on_path(SOURCE, "PYTHONPATH")
    # The write end of this pipe stays open until this process ends, however it ends; the worker notices that it closes.
    watched, _kept = os.pipe()
    try:
        return subprocess.Popen(
            # `python`, as in the jobs' commands: Snakemake's own interpreter may be another.
            ["python", "-m", "steadytune.worker.server", str(listener.fileno())],
            stdin=watched,
            stdout=subprocess.DEVNULL,
            pass_fds=(listener.fileno(),),
            env=os.environ | QUIET | {"PYTHONPATH": path},
        )
    finally:
        os.close(watched)

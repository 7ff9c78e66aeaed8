"""Lease one GPU to one process: the kernel holds the lease, and releases it however the process ends.

At best, plain Snakemake counts GPUs; it never says which one a job should take. Free memory does not show it either,
because a job chooses its GPU long before it uses any. A lock file for each GPU does, even between suites started by
hand.
"""

import logging
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import product, takewhile
from pathlib import Path

from steadytune.errors import SteadyTuneError
from steadytune.locks import hold

log = logging.getLogger(__name__)

SLOTS_VARIABLE = "STEADYTUNE_SLOTS_PER_GPU"
"""The environment variable that says how many cells may use one GPU at a time; 1 if it is not set."""
# A scheduler that assigns one GPU to a job has already done what a lease does.
SCHEDULED = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
POLL_SECONDS = 0.5
MOST_SECONDS = 120
"""Time limit for nvidia-smi, which may have to load the driver; without a limit, a hanging one would block the job."""
EXPECTED = "expected a list of the GPUs; with CUDA_VISIBLE_DEVICES= (empty) cells run on the processor"
WITHOUT_GPU = (6, 9, 12)
"""Exit statuses of nvidia-smi on a machine with nothing but the tool: no device, no driver, no driver library."""
LISTED = re.compile(r"(?:GPU \d+: (.+)|\s+(MIG \S+) +Device +\d+:) \(UUID: (\S+)\)")
"""A line of `nvidia-smi -L`: a GPU, or one of its partitions (MIG) below it. torch names a partition by both names."""


def visible_gpus() -> list[str]:
    """UUIDs of the GPUs that this process may use, found without torch: nvidia-smi's list, restricted as CUDA would.

    Numbers in CUDA_VISIBLE_DEVICES are nvidia-smi's, which equal CUDA's if CUDA_DEVICE_ORDER is PCI_BUS_ID or all GPUs
    are alike. A UUID may be abbreviated, and everything after an unknown entry is hidden. A GPU partition (MIG) is
    taken by the name given. Empty without an NVIDIA driver, and on a node where a scheduler hides the GPUs.

    Raises:
        SteadyTuneError: nvidia-smi fails in another way; assuming no GPU would leave the number of cells unlimited.
    """
    wanted = os.environ.get("CUDA_VISIBLE_DEVICES")
    by_index = dict(_queried("--query-gpu=index,uuid")) if wanted != "" else {}
    if wanted is None:
        return list(by_index.values())
    return list(dict.fromkeys(takewhile(bool, (_device(name.strip(), by_index) for name in wanted.split(",")))))


def gpu_name(gpu: str) -> str:
    """The name that torch gives a GPU from `visible_gpus`, or a partition of one (MIG); `gpu` if it is not listed."""
    name = ""
    for line in _nvidia_smi("-L"):
        if found := LISTED.match(line):
            whole, part, uuid = found.groups()
            name = whole or name
            if uuid.startswith(gpu):
                return f"{name} {part}" if part else name
    return gpu


def _nvidia_smi(*arguments: str) -> list[str]:
    """The lines that nvidia-smi prints; empty on a machine without a GPU."""
    if not shutil.which("nvidia-smi"):
        return []
    try:
        done = subprocess.run(
            ["nvidia-smi", *arguments], capture_output=True, text=True, check=False, timeout=MOST_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise SteadyTuneError(f"nvidia-smi did not answer within {MOST_SECONDS} s: {EXPECTED}") from None
    if done.returncode in WITHOUT_GPU:
        return []
    if done.returncode:
        said = (done.stdout + done.stderr).strip().partition("\n")[0]
        raise SteadyTuneError(f"nvidia-smi fails with status {done.returncode}: {said}: {EXPECTED}")
    return done.stdout.splitlines()


def _queried(query: str) -> list[tuple[str, str]]:
    """nvidia-smi's answer to a query for two fields, as pairs."""
    pairs = (line.partition(", ") for line in _nvidia_smi(query, "--format=csv,noheader"))
    return [(first, second) for first, _, second in pairs if second]


def _device(name: str, by_index: Mapping[str, str]) -> str:
    """The GPU or partition that an entry of CUDA_VISIBLE_DEVICES names; empty if there is none."""
    if name.startswith("MIG-"):
        return name
    found = [uuid for uuid in by_index.values() if name.startswith("GPU-") and uuid.startswith(name)]
    return by_index.get(name, found[0] if len(found) == 1 else "")


def slots_per_gpu() -> int:
    """How many cells may use one GPU at a time, as set on this machine.

    Raises:
        SteadyTuneError: the setting is not a whole number above 0.
    """
    text = os.environ.get(SLOTS_VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise SteadyTuneError(f"{SLOTS_VARIABLE} is '{text}', expected a whole number above 0")
    return int(text)


def gpu_slots() -> int:
    """How many cells may use the machine's GPUs at a time; 0 without a GPU."""
    return len(visible_gpus()) * slots_per_gpu()


def is_shared() -> bool:
    """Whether other processes share this process's GPU: by the machine's setting, or because they compute there now.

    Call it while this process holds memory on the GPU. It counts processes instead of looking for this one's PID, which
    is different outside a container.
    """
    if slots_per_gpu() > 1:
        return True
    mine = visible_gpus()[:1]
    return bool(mine) and [gpu for gpu, _ in _queried("--query-compute-apps=gpu_uuid,pid")].count(mine[0]) > 1


@contextmanager
def leased_gpu() -> Iterator[str | None]:
    """Lease a GPU and make it the only one that CUDA shows this process; its UUID, or None if nothing is leased.

    Enter this before CUDA starts. It waits while every slot of every GPU is taken. Nothing is leased on a machine
    without GPUs, or in a scheduler's job that has been given one GPU. If a job has several, each of its cells leases
    one.

    Raises:
        SteadyTuneError: `STEADYTUNE_SLOTS_PER_GPU` is not a whole number above 0, or nvidia-smi fails.
    """
    # First, so that a wrong setting is reported even if the cell would not lease a GPU.
    slots = slots_per_gpu()
    gpus = visible_gpus()
    if not gpus or (len(gpus) == 1 and any(os.environ.get(name) for name in SCHEDULED)):
        yield None
        return
    with ExitStack() as held:
        gpu = _lease(held, gpus, slots)
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        log.info("leased %s", gpu)
        try:
            yield gpu
        finally:
            if before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


def _lease(held: ExitStack, gpus: Sequence[str], slots: int) -> str:
    """Lock the first free slot and return its GPU; a GPU gets a second cell only when every GPU has one."""
    folder = Path(tempfile.gettempdir()) / "steadytune-leases"
    said = False
    while True:
        for slot, gpu in product(range(slots), gpus):
            with suppress(BlockingIOError), _made_for_every_user():
                folder.mkdir(mode=0o1777, exist_ok=True)
                held.enter_context(hold(folder / f"{gpu}-{slot}.lock", wait=False))
                return gpu
        if not said:
            log.info("every GPU is taken: waiting for one of %d slots", len(gpus) * slots)
            said = True
        time.sleep(POLL_SECONDS)


@contextmanager
def _made_for_every_user() -> Iterator[None]:
    """Let all users write files and folders created in the block: they share the leases as they share the GPUs."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)

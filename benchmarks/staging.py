"""A suite with a store of its own, staged without the lock, and a warm worker, for benchmarks of whole processes."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from measuring import MODEL

from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.suite import STORE_VARIABLE
from steadytune.worker.launch import start_worker
from steadytune.worker.request import ADDRESS

ROOT = Path(__file__).resolve().parents[1]


def source_store() -> Path | None:
    """What STEADYTUNE_STORE names."""
    return Path(os.environ[STORE_VARIABLE]).resolve() if STORE_VARIABLE in os.environ else None


def sources(store: Path, encoder: str, *tasks: str) -> dict[str, Path]:
    """Folders of an encoder and GLUE tasks by their place in a store; encoders of the project are in `published/`."""
    places = [f"datasets/nyu-mll/glue/{task}" for task in tasks]
    published = ROOT / "published/encoders" / Path(encoder).name
    model = store / "models" / encoder if encoder == MODEL else published
    return {place: store / place for place in places} | {f"models/{encoder}": model}


def stage(folder: Path, suite: str, inputs: Mapping[str, Path]) -> None:
    """Write `suite.yaml` to `folder`, and link `inputs`, folders by their place in a store, into a store beside it."""
    (folder / "suite.yaml").write_text(suite)
    for place, source in inputs.items():
        target = folder / "store" / place
        target.mkdir(parents=True)
        names = [path.name for path in source.iterdir() if path.is_file()]
        for name in names:
            (target / name).symlink_to(source / name)
        write_receipt(target, Receipt("local", "the benchmark's store", None, "lock", measure_all(target, names)))


@contextmanager
def worker() -> Iterator[None]:
    """A warm worker for the processes that `python` starts; it is killed afterwards.

    Raises:
        RuntimeError: it could not be started, so that cold processes would be measured.
    """
    binaries = f"{Path(sys.executable).parent}{os.pathsep}"
    if not os.environ["PATH"].startswith(binaries):
        # As in a run: the worker's interpreter is that of the jobs.
        os.environ["PATH"] = binaries + os.environ["PATH"]
    started = start_worker()
    if started is None:
        raise RuntimeError("no warm worker")
    try:
        yield
    finally:
        del os.environ[ADDRESS]
        started.kill()
        started.wait()


def environment(threads: int) -> dict[str, str]:
    """A process's variables: so many threads, no network, this project's package, and no suite's own store."""
    kept = {key: value for key, value in os.environ.items() if key != STORE_VARIABLE}
    return kept | {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT / "src")}


def python(arguments: Sequence[str], folder: Path, variables: Mapping[str, str]) -> str:
    """Standard output of a Python process in `folder`.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=dict(variables), capture_output=True, text=True,
                          check=False)  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{arguments[:3]}: {done.stderr[-1500:]}")
    return done.stdout

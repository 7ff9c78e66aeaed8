"""A suite with a store of its own, staged without the lock, for benchmarks that run whole processes."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from measuring import MODEL

from steadytune.store.receipt import Receipt, measure_all, write_receipt
from steadytune.suite.suite import STORE_VARIABLE

RTE = "datasets/nyu-mll/glue/rte"
ROOT = Path(__file__).resolve().parents[1]


def source_store() -> Path | None:
    """What STEADYTUNE_STORE names."""
    return Path(os.environ[STORE_VARIABLE]).resolve() if STORE_VARIABLE in os.environ else None


def sources(store: Path, *encoders: str) -> dict[str, Path]:
    """Where RTE and encoders lie: MiniLM in the store, the project's own ones in `published/encoders`."""
    found = {RTE: store / RTE}
    for key in encoders:
        found[f"models/{key}"] = (
            store / "models" / key if key == MODEL else ROOT / "published/encoders" / Path(key).name
        )
    return found


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
        raise RuntimeError(f"{arguments[:2]}: {done.stderr[-1500:]}")
    return done.stdout

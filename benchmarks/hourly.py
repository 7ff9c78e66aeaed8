"""Cells per hour: short cells of a small encoder as the DAG runs them, against a tuned Trainer's one by one.

    python benchmarks/hourly.py [--cells N] [--steps N] [--slots N] [--rounds R] [--precision bf16|fp32]

Ours: concurrent jobs of `steadytune finetune`, one thread each, forked from a worker whose start and imports count; on
a machine with a GPU they share it by leases. Peer: one process of `peer.py` per cell, with all threads; a few run one
by one, and their time is extrapolated to all cells. Both fine-tune tiny-en (2 layers x 128) on RTE for the same steps
and evaluate it. Needs a store (STEADYTUNE_STORE).
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from cells import ours, peer, write_suite
from measuring import PRECISIONS, Row, command, write
from staging import source_store, worker

from steadytune.cells.leases import SLOTS_VARIABLE, visible_gpus

MODEL, STEPS = "steadytune/tiny-en", 60
PEERS = 4
"""Number of the peer's cells that are run."""


def side_by_side(folder: Path, cells: int, slots: int) -> list[float]:
    """Run all our cells, `slots` jobs at a time; return their scores."""
    os.environ[SLOTS_VARIABLE] = str(slots)
    with worker(), ThreadPoolExecutor(slots) as pool:
        return list(pool.map(lambda seed: ours(folder, "rte", "rte", seed, 1), range(cells)))


def in_turn(folder: Path, cells: int, steps: int, precision: str) -> list[float]:
    """Run cells of the tuned Trainer, one by one; return their scores."""
    return [peer(folder, MODEL, "rte", 0, steps, seed, os.cpu_count() or 1, precision) for seed in range(cells)]


def measure(
    rounds: int, cells: int = 16, steps: int = STEPS, slots: int | None = None, precision: str = PRECISIONS[0]
) -> list[Row]:
    """The table's row; empty without a store."""
    if source_store() is None:
        write("cells per hour: not measured, STEADYTUNE_STORE names no store")
        return []
    slots = slots or (4 if visible_gpus() else os.cpu_count() or 1)
    counts = {"ours": cells, "peer": min(cells, PEERS)}
    ways: dict[str, Callable[[Path], list[float]]] = {
        "ours": partial(side_by_side, cells=cells, slots=slots),
        "peer": partial(in_turn, cells=counts["peer"], steps=steps, precision=precision),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                write_suite(Path(folder), MODEL, {"rte": "rte"}, 1, cells, precision, steps)
                start = time.perf_counter()
                scores[name] = way(Path(folder))
                seconds[name].append((time.perf_counter() - start) * cells / counts[name])
    write(f"\n{cells} cells of {MODEL} on RTE, {steps} steps of 16 in {precision}; ours {slots} at a time")
    for name, found in seconds.items():
        hourly = 3600 * cells / statistics.median(found)
        write(f"{name:6} {hourly:6.0f} cells an hour; accuracy {statistics.mean(scores[name]):.3f}")
    ratios = [theirs / own for own, theirs in zip(seconds["ours"], seconds["peer"], strict=True)]
    name = f"{cells} cells of tiny-en, {slots} at a time: tuned Trainer one by one over ours"
    return [Row(name, statistics.median(ratios), 6 if visible_gpus() else 3, at_least=True, unit="x")]


if __name__ == "__main__":
    command(__doc__ or "", measure, cells=16, steps=STEPS, rounds=1, slots=None, precision=PRECISIONS)

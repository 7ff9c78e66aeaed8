"""Whole processes of cells, from start to score: ours forked from a warm worker, against transformers.Trainer.

    python benchmarks/cells.py [--rounds R] [--threads T] [--share N] [--precision bf16|fp32]

Every cell fine-tunes MiniLM for one epoch on part of a GLUE task and evaluates it. Ours: `steadytune finetune`, handed
over to a worker that has done its imports, as in every run. Peers: `peer.py`, tuned and with run_glue's settings. They
take turns, with the same examples, batch size, optimiser, schedule and threads. Needs a store (STEADYTUNE_STORE).
"""

import json
import statistics
import tempfile
import time
from pathlib import Path

from measuring import MODEL, PRECISIONS, Row, command, write
from staging import ROOT, environment, python, source_store, stage, worker

EXAMPLES = {"rte": 500, "mrpc": 500, "stsb": 500, "cola": 1500}
METRIC = {"rte": "accuracy", "mrpc": "accuracy", "stsb": "pearson", "cola": "matthews"}
SUITE = """
suite: cells
title: Whole processes
encoders: {{encoder: {{model: {model}}}}}
protocol: {{epochs: 1, {steps}batch_size: 16, learning_rate: 1.0e-4, max_length: 128, precision: {precision},
            threads: {threads}, evaluate_epochs: false}}
grid: [{{encoders: [encoder], methods: [vanilla], tasks: [{tasks}], seeds: {seeds}}}]
transfer: {{{transfer}}}
"""


def write_suite(
    folder: Path, model: str, names: dict[str, str], threads: int, seeds: int, precision: str, steps: int = 0
) -> None:
    """Write a suite and stage its inputs; names: the suite's names of tasks, by GLUE's names."""
    tasks = ", ".join(names.values())
    text = SUITE.format(model=model, tasks=tasks, threads=threads, seeds=seeds, precision=precision,
                        steps=f"steps: {steps}, " * bool(steps),
                        transfer=", ".join(f"{name}: []" for name in names.values()))  # fmt: skip
    stage(folder, text)


def ours(folder: Path, name: str, task: str, seed: int, threads: int) -> float:
    """Run a cell and return its score."""
    cell = f"encoder/vanilla/{name}/seed-{seed}"
    python(["-m", "steadytune", "finetune", "suite.yaml", cell], folder, environment(threads))
    record = json.loads((folder / "results/cells/cells" / cell / "record.json").read_text())
    return record["evaluations"][0]["metrics"][METRIC[task]]


def peer(folder: Path, model: str, task: str, examples: int, steps: int, seed: int, threads: int, way: str) -> float:
    """Run a Trainer's process and return its score; way: as in `peer.py`."""
    arguments = ["store", model, task, str(examples), str(steps), str(seed), way]
    return float(python(["-P", str(ROOT / "benchmarks/peer.py"), *arguments], folder, environment(threads)).split()[-1])


def measure(rounds: int, threads: int, share: int = 1, precision: str = PRECISIONS[0]) -> list[Row]:
    """The table's rows; empty without a store. share: divisor of the number of examples, for a quick trial."""
    if source_store() is None:
        write("whole processes: not measured, STEADYTUNE_STORE names no store")
        return []
    sizes = {task: size // share for task, size in EXAMPLES.items()}
    names = {task: f"{task}@{size}" for task, size in sizes.items()}
    ratios: dict[str, dict[str, float]] = {"tuned": {}, "plain": {}}
    write(f"\nwhole process of a cell in {precision}, {threads} threads, medians of {rounds} rounds: s, score")
    with tempfile.TemporaryDirectory() as place, worker():
        folder = Path(place)
        write_suite(folder, MODEL, names, threads, rounds + 1, precision)
        # The worker imports on its first job, which happens once per run, not once per cell: do not time it.
        ours(folder, names["cola"], "cola", rounds, threads)
        for task, size in sizes.items():
            seconds: dict[str, list[float]] = {"ours": [], "tuned": [], "plain": []}
            scores: dict[str, list[float]] = {way: [] for way in seconds}
            for seed in range(rounds):
                for way, found in seconds.items():
                    # The plain peer is far slower, so it runs once: three rounds would take as long as everything else.
                    if way == "plain" and seed:
                        continue
                    start = time.perf_counter()
                    score = (
                        ours(folder, names[task], task, seed, threads)
                        if way == "ours"
                        else peer(folder, MODEL, task, size, 0, seed, threads, precision if way == "tuned" else way)
                    )
                    found.append(time.perf_counter() - start)
                    scores[way].append(score)
            middle = statistics.median
            shown = (f"{way} {middle(seconds[way]):5.1f} s {middle(scores[way]):5.2f}" for way in seconds)
            write(f"{names[task]:10} {', '.join(shown)}")
            for way, kept in ratios.items():
                kept[task] = statistics.median(a / b for a, b in zip(seconds[way], seconds["ours"], strict=False))
    rows = [
        Row(f"whole process of a cell, {names[task]}: tuned Trainer over ours", value, 2, at_least=True, unit="x")
        for task, value in ratios["tuned"].items()
    ]
    plain = ", ".join(f"{names[task]} {value:.2f}" for task, value in ratios["plain"].items())
    mean = statistics.mean(ratios["plain"].values())
    name = "whole process of a cell, mean: Trainer as run_glue sets it over ours"
    return [*rows, Row(name, mean, 5, at_least=True, unit="x", note=plain)]


if __name__ == "__main__":
    command(__doc__ or "", measure, rounds=3, threads=2, share=1, precision=PRECISIONS)

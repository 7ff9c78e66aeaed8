"""What a method costs, from the records of its cells: shared by the table and the figure."""

import math
import statistics
from collections.abc import Callable
from typing import Any

from steadytune.rendering.results import Results

MEASURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "trainable": lambda record: float(record["training"]["trainable_parameters"]),
    "total": lambda record: float(record["training"]["total_parameters"]),
    "seconds": lambda record: float(record["timing"]["train"]),
    "flops": lambda record: float(record["training"]["flops"]),
    "inference": lambda record: float(record["training"]["inference_flops"]),
    "memory": lambda record: float(record["memory"].get("device", record["memory"]["host"])),
}
RATIOS = ("seconds", "flops", "inference")
"""Given as multiples of the baseline's too, under `<name>_ratio`."""


def costs(results: Results, encoder: str, method: str, task: str) -> dict[str, float]:
    """Each measure's median over the seeds whose training came to its end; empty where none did.

    Units: parameters, seconds of training, FLOPs of training and of one example's inference, bytes.
    """
    found = _medians(results, encoder, method, task)
    base = _medians(results, encoder, results.baseline, task)
    if not found:
        return {}
    ratios = {f"{name}_ratio": found[name] / base[name] if base else math.nan for name in RATIOS}
    return found | ratios | {"trained_share": found["trainable"] / found["total"]}


def _medians(results: Results, encoder: str, method: str, task: str) -> dict[str, float]:
    records = [results.record(encoder, method, task, seed) for seed in results.cells.get((encoder, method, task), {})]
    whole = [record for record in records if record.get("training")]
    if not whole:
        return {}
    return {name: statistics.median(map(measure, whole)) for name, measure in MEASURES.items()}

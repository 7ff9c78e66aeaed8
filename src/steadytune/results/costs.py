"""What cells cost, from their records: a method's medians, and totals."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from steadytune.results.model import Results

MEASURES: dict[str, Callable[[dict[str, Any]], float]] = {
    "trainable": lambda record: float(record["training"]["trainable_parameters"]),
    "total": lambda record: float(record["training"]["total_parameters"]),
    "seconds": lambda record: float(record["timing"]["train"]),
    "epoch_seconds": lambda record: record["timing"]["train"] / _epochs(record),
    "flops": lambda record: float(record["training"]["flops"]),
    "inference": lambda record: float(record["training"]["inference_flops"]),
    "memory": lambda record: float(record["memory"].get("device", record["memory"]["host"])),
}
COUNTED = ("flops", "inference")
"""Costs that are the same on every machine."""


def costs(results: Results, encoder: str, method: str, task: str) -> dict[str, float]:
    """Each measure's median over the seeds that finished training; empty if none did.

    `flops_ratio`, `inference_ratio` and `seconds_ratio`, multiples of the baseline's cost, are the median ratio over
    the seeds that finished training on both sides; for seconds, only those trained on the same device model. NaN if
    there is none.

    Units: parameters, seconds of training and of one training epoch, FLOPs of training and of inference on one example,
    bytes.
    """
    records, baseline = (_trained(results, encoder, name, task) for name in (method, results.baseline))
    if not records:
        return {}
    found = {name: statistics.median(map(measure, records.values())) for name, measure in MEASURES.items()}
    # Seeds draw other batches, whose padding and cost differ: compare each seed with the same seed.
    pairs = [(records[seed], baseline[seed]) for seed in records if seed in baseline]
    ratios = {f"{name}_ratio": _ratio(name, pairs) for name in COUNTED}
    ratios["seconds_ratio"] = _ratio("seconds", [pair for pair in pairs if _on_same_device(*pair)])
    return found | ratios | {"trained_share": found["trainable"] / found["total"]}


def _epochs(record: dict[str, Any]) -> float:
    """Passes over the training split; the last one may be partial."""
    training = record["training"]
    return training["steps"] / math.ceil(training["examples"] / record["spec"]["protocol"]["batch_size"])


@dataclass(frozen=True)
class Total:
    """Totals over records; NaN for a value that some records lack."""

    cells: int
    timing: Counter[str]
    """Seconds by phase."""
    memory: dict[str, int]
    """Highest peak in bytes, by place."""
    joules: float
    flops: float
    """FLOPs of the cells that finished training."""
    rate: float
    """FLOP/s of their training."""
    utilisation: float

    def seconds(self, *phases: str) -> float:
        """Seconds of the given phases together."""
        return sum(self.timing[phase] for phase in phases)

    def data(self) -> dict[str, object]:
        """All totals as one row of a table."""
        phases = {f"seconds_{phase}": seconds for phase, seconds in sorted(self.timing.items())}
        peaks = {f"{place}_bytes": size for place, size in self.memory.items()}
        names = ("cells", "joules", "flops", "rate", "utilisation")
        return {**{name: getattr(self, name) for name in names}, **phases, **peaks}


def total(records: Iterable[dict[str, Any]]) -> Total:
    """The totals over records, including those of failed cells."""
    records = list(records)
    timing: Counter[str] = Counter()
    memory: dict[str, int] = {}
    for record in records:
        timing.update(record["timing"])
        memory |= {place: max(size, memory.get(place, 0)) for place, size in record["memory"].items()}
    whole = [record for record in records if record.get("training")]
    flops = sum(record["training"]["flops"] for record in whole)
    possible = sum(_or_nan(record["usage"]["peak_flops_per_second"]) * record["timing"]["train"] for record in whole)
    train = sum(record["timing"]["train"] for record in whole)
    return Total(
        cells=len(records),
        timing=timing,
        memory=memory,
        joules=sum(_or_nan(record["usage"]["joules"]) for record in records),
        flops=flops,
        rate=flops / train if train else math.nan,
        utilisation=flops / possible if possible else math.nan,
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _trained(results: Results, encoder: str, method: str, task: str) -> dict[int, dict[str, Any]]:
    """Seed -> record, for the seeds that finished training."""
    seeds = results.cells.get((encoder, method, task), {})
    records = {seed: results.record(encoder, method, task, seed) for seed in seeds}
    return {seed: record for seed, record in records.items() if record.get("training")}


def _ratio(name: str, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    """The median over pairs of records of how many times as much the first costs; NaN without a pair."""
    measure = MEASURES[name]
    return statistics.median(measure(one) / measure(other) for one, other in pairs) if pairs else math.nan


def _on_same_device(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one["environment"]["device_name"] == other["environment"]["device_name"]

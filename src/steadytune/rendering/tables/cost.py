"""What a method costs, from the records of its cells."""

import math
import statistics
from collections.abc import Callable
from typing import Any

from steadytune.rendering.entries import block_title
from steadytune.rendering.results import Results
from steadytune.rendering.table import Block, Line, Table, number
from steadytune.rendering.tables.registry import table

Measure = Callable[[dict[str, Any]], float]
MEASURES: dict[str, Measure] = {
    "trainable": lambda record: float(record["training"]["trainable_parameters"]),
    "total": lambda record: float(record["training"]["total_parameters"]),
    "seconds": lambda record: float(record["timing"]["train"]),
    "flops": lambda record: float(record["training"]["flops"]),
    "memory": lambda record: float(record["memory"].get("device", record["memory"]["host"])),
}


@table("cost")
def cost(results: Results) -> Table:
    """Trained parameters, training time, FLOPs and memory of every method, as shares of the baseline's."""
    blocks, data = [], []
    for encoder in results.encoders:
        rows: list[Line] = []
        for task in results.tasks_of(encoder):
            base = _medians(results, encoder, results.baseline, task)
            for method in results.methods_of(encoder):
                if not (found := _medians(results, encoder, method, task)):
                    continue
                ratios = {name: found[name] / base[name] if base else math.nan for name in ("seconds", "flops")}
                share = 100 * found["trainable"] / found["total"]
                rows.append(
                    (
                        method,
                        task,
                        number(share),
                        number(found["seconds"]),
                        number(ratios["seconds"], 2),
                        number(ratios["flops"], 2),
                        number(found["memory"] / 2**20, 0),
                    )
                )
                key = {"encoder": encoder, "method": method, "task": task}
                data.append(key | found | {f"{name}_ratio": value for name, value in ratios.items()})
        blocks.append(Block(tuple(rows), title=block_title(encoder, results)))
    notes = (
        f"Medians over the seeds; × : as a multiple of {results.baseline}'s, in the same suite.",
        "Seconds: of training alone, evaluations after each epoch included, on a machine that may have run other jobs.",
        "FLOPs: one counted forward pass (torch's FlopCounterMode) times the method's passes.",
        "MiB: peak memory of the device where there is one, else of the process.",
    )
    return Table(
        name="cost",
        title="Cost",
        caption="What each method trains and what its training takes.",
        columns=("Method", "Task", ("Trained", "% of parameters"), "Seconds", "× time", "× FLOPs", "MiB"),
        blocks=tuple(blocks),
        align="llrrrrr",
        notes=notes,
        data=tuple(data),
    )


def _medians(results: Results, encoder: str, method: str, task: str) -> dict[str, float]:
    """Each measure's median over the seeds whose training came to its end; empty where none did."""
    records = [results.record(encoder, method, task, seed) for seed in results.cells.get((encoder, method, task), {})]
    whole = [record for record in records if record.get("training")]
    if not whole:
        return {}
    return {name: statistics.median(map(measure, whole)) for name, measure in MEASURES.items()}

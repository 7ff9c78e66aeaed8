"""The costs of finished cells, of every suite under `results/`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadytune.layout import RESULTS, record_files
from steadytune.methods.registry import composition
from steadytune.record_reader import RecordReader


@dataclass(frozen=True)
class Run:
    """The cost of a finished cell, and what it depends on."""

    model: str
    method: str
    """The method without a variant's values, which seldom change the cost."""
    task: str
    protocol: dict[str, Any]
    device: str
    seconds: float
    """Duration of the whole job, including imports."""
    train: float
    evaluate: float
    flops: float
    """FLOPs of training."""
    tokens: int
    steps: int
    rows: int
    """Rows of predictions."""
    scored: int
    """All examples scored: `rows`, and with `evaluate_epochs` the task's own set after every epoch but the last."""
    folder: Path

    @property
    def other_seconds(self) -> float:
        """Seconds spent on neither training nor evaluation."""
        return self.seconds - self.train - self.evaluate

    @property
    def bytes(self) -> int:
        """Size of the cell's files without fine-tuned weights, which are deleted soon or counted in `space.py`."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.suffix != ".safetensors")


def read_runs() -> Iterator[Run]:
    """Read the records of cells whose training finished, skipping damaged ones (`steadytune status` reports them)."""
    reader = RecordReader()
    for path in sorted(path for results in RESULTS.glob("*") for path in record_files(results)):
        try:
            yield _run(reader.read(path.read_bytes()), path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
            # Damaged, not trained to the end, or set aside by another process in the meantime.
            continue


def _run(record: dict[str, Any], folder: Path) -> Run:
    """Convert a record; raises TypeError if the cell's training did not finish."""
    spec, timing, training = record["spec"], record["timing"], record["training"]
    protocol, evaluations = spec["protocol"], record["evaluations"]
    rows = sum(evaluation["n"] for evaluation in evaluations)
    own = sum(evaluation["n"] for evaluation in evaluations if evaluation["kind"] == "in_domain")
    epochs = math.ceil(training["steps"] / math.ceil(training["examples"] / protocol["batch_size"]))
    return Run(
        model=spec["model"],
        method=composition(spec["method"]),
        task=spec["task"],
        protocol=protocol,
        device=record["environment"]["device_name"],
        seconds=timing["total"],
        train=timing["train"],
        evaluate=timing.get("evaluate", 0.0),
        flops=training["flops"],
        tokens=training["tokens"],
        steps=training["steps"],
        rows=rows,
        scored=rows + own * (epochs - 1) * protocol["evaluate_epochs"],
        folder=folder,
    )

"""What finished cells took, of every suite under `results/`."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from steadytune.layout import RECORD, RESULTS
from steadytune.methods.registry import composition
from steadytune.record_reader import RecordReader


@dataclass(frozen=True)
class Run:
    """A finished cell's cost, and what it depends on."""

    model: str
    method: str
    """Without the values of a variant, which seldom change what it costs."""
    task: str
    protocol: dict[str, Any]
    device: str
    seconds: float
    """Of the whole job, imports included."""
    train: float
    evaluate: float
    flops: float
    """Of training."""
    tokens: int
    steps: int
    rows: int
    """Of predictions."""
    scored: int
    """Examples scored in all: these rows, and after every epoch but the last those of the task's own set."""
    folder: Path

    @property
    def aside(self) -> float:
        """Seconds of neither training nor evaluation."""
        return self.seconds - self.train - self.evaluate

    @property
    def bytes(self) -> int:
        """Of the files that it left. The fine-tuned weights of a cell that is looked into are gone soon."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if file.suffix != ".safetensors")


def read_runs() -> Iterator[Run]:
    """The records that came to the end of their training; of damaged ones, `steadytune status` tells."""
    reader = RecordReader()
    for path in sorted(RESULTS.glob(f"*/cells/*/*/*/seed-*/{RECORD}")):
        try:
            yield _run(reader.read(path.read_bytes()), path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
            # Another process may have set the record aside meanwhile.
            continue


def _run(record: dict[str, Any], folder: Path) -> Run:
    """Raises TypeError for a cell whose training came to no end."""
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

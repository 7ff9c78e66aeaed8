"""Code shared by the benchmarks: material from the store or random, fresh processes by turns, medians, one table."""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from steadytune.cells.determinism import set_determinism
from steadytune.cells.memory import keep_freed_memory
from steadytune.encoders.batching import Batcher
from steadytune.encoders.dropout import use_quick_dropout
from steadytune.encoders.encoder import Encoder
from steadytune.encoders.loading import load_encoder, load_tokenizer
from steadytune.methods import registry
from steadytune.methods.base import Composition, Setup
from steadytune.methods.support.objective import Classification, Regression
from steadytune.planning.precision import multiplies_in
from steadytune.streams import Streams
from steadytune.suite.protocol import Protocol
from steadytune.tasks.data import Encoded, encode, load_split
from steadytune.tasks.table import Task, find_task
from steadytune.training.loop import Fit, fit
from steadytune.training.precision import Precision
from steadytune.training.usage import processor_name

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MAX_LENGTH, BATCH, SEED = 128, 16, 1
# Mean number of tokens per input, to draw random texts if there is no store.
TOKENS = {"rte": 64, "mrpc": 53, "stsb": 31, "cola": 11}
TASKS = tuple(TOKENS)
PRECISIONS = ("bf16", "fp32") if multiplies_in("bf16") else ("fp32", "bf16")
"""The first is the default: without bf16 instructions, bf16 takes ten times as long as fp32."""


@dataclass(frozen=True)
class Cost:
    """The cost of one run."""

    wall: float
    """Wall-clock seconds."""
    processor: float
    """CPU seconds of this process: with one thread on a busy machine, steadier than wall-clock time."""
    score: float = float("nan")
    """The task's metric on the development examples."""


@dataclass(frozen=True)
class Row:
    """One line of the table: a ratio or seconds, and its target."""

    name: str
    value: float
    target: float | None = None
    at_least: bool = False
    unit: str = ""
    note: str = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"| {self.name} | {self.value:.2f}{self.unit}{note} | {self._bound()} |"

    def _bound(self) -> str:
        if self.target is None:
            return "–"
        met = self.value >= self.target if self.at_least else self.value <= self.target
        return f"{'>=' if self.at_least else '<='} {self.target:g}{self.unit}, {'met' if met else '**missed**'}"


HEAD = ("| benchmark | measured | target |", "|---|---|---|")


@contextmanager
def timed() -> Iterator[Callable[[], Cost]]:
    """Time a block; yield a function that returns the block's cost after it has ended."""
    wall, processor = time.perf_counter(), time.process_time()
    ends: list[float] = []
    yield lambda: Cost(ends[0] - wall, ends[1] - processor)
    ends += [time.perf_counter(), time.process_time()]


def by_turns(ways: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Run every way once per round, each in its own process; ways must be importable functions or partials of them."""
    found: dict[str, list[Cost]] = {name: [] for name in ways}
    # Fork from a process that has done the imports that all ways need: they would take longer than many runs.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["measuring", "transformers"])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for _ in range(rounds):
            for name, way in ways.items():
                found[name].append(pool.submit(way).result())
    return found


def median(costs: list[Cost], field: str = "wall") -> float:
    """The median over the rounds."""
    return statistics.median(getattr(cost, field) for cost in costs)


def ratio(one: list[Cost], other: list[Cost], field: str = "wall") -> float:
    """The median over the rounds of one cost over the other: the runs of a round share the machine's state."""
    return statistics.median(getattr(a, field) / getattr(b, field) for a, b in zip(one, other, strict=True))


@dataclass
class Material:
    """A task's examples and an encoder: from the store that STEADYTUNE_STORE names, or random with the same shapes."""

    task: Task
    encoder: Encoder
    train: Encoded
    development: Encoded

    @classmethod
    def load(cls, name: str, examples: int, development: int) -> "Material":
        """Load `examples` examples for training, and `development` ones (or all, if there are fewer) for evaluation."""
        if "STEADYTUNE_STORE" not in os.environ:
            return cls.drawn(name, examples, development)
        task, store = find_task(name), Path(os.environ["STEADYTUNE_STORE"])
        folder = store / "models" / MODEL
        tokenizer = load_tokenizer(folder)
        train = encode(load_split(task, task.train or "", store, examples), tokenizer, MAX_LENGTH)
        splits = load_split(task, task.evaluation, store)
        kept = encode(splits.select(range(min(development, len(splits)))), tokenizer, MAX_LENGTH)
        return cls(task, load_encoder(folder, task.num_labels, SEED), train, kept)

    @classmethod
    def drawn(cls, name: str, examples: int, development: int, **sizes: int) -> "Material":
        """Random texts and an encoder with random weights, of MiniLM's sizes unless others are given."""
        task = find_task(name)
        texts = (_draw(task, size, seed) for seed, size in enumerate((examples, development)))
        return cls(task, drawn_encoder(task.num_labels, **sizes), *texts)


def drawn_encoder(labels: int, layers: int = 6, width: int = 384, heads: int = 12) -> Encoder:
    """A BERT with random weights, by default of MiniLM's shape."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(SEED)
    sizes = {"hidden_size": width, "intermediate_size": 4 * width}
    sizes |= {"num_hidden_layers": layers, "num_attention_heads": heads}
    model = BertForSequenceClassification(BertConfig(**sizes, num_labels=labels))  # pyright: ignore [reportCallIssue]
    use_quick_dropout(model)
    return Encoder(model)


def _draw(task: Task, size: int, seed: int) -> Encoded:
    """Random texts: words follow Zipf's law; lengths are normal around the task's mean, with a quarter of it as sd."""
    generator = np.random.Generator(np.random.Philox(seed))
    lengths = generator.normal(TOKENS[task.name], TOKENS[task.name] / 4, size).clip(5, MAX_LENGTH).astype(int)
    texts = [1000 + generator.zipf(1.2, length) % 29000 for length in lengths]
    labels = 5 * generator.random(size) if task.regression else generator.integers(task.num_labels, size=size)
    return Encoded(texts, [np.zeros_like(text) for text in texts], labels, np.arange(size), 0)


def fine_tune(
    material: Material, protocol: Protocol, method: str = "vanilla", device: str = "cpu", **options: Any
) -> Fit:
    """Train one cell as the project does, without evaluation and record; `options` are passed to `fit`."""
    set_determinism(protocol.determinism, protocol.threads, device)
    keep_freed_memory()
    streams, task, encoder = Streams(SEED, device), material.task, material.encoder.to(device)
    batcher = Batcher(material.train, encoder.padding, protocol.batch_size)
    parts, _ = registry.parse(method)
    composition = Composition([part.build() for part in parts])
    objective = Regression() if task.regression else Classification()
    autocast = Precision(protocol.precision, device).autocast
    composition.prepare(Setup(encoder, streams, objective, batcher, autocast=autocast))
    with tempfile.TemporaryDirectory() as folder:
        options = {"checkpoint": Path(folder) / "checkpoint.safetensors"} | options
        return fit(encoder, composition, batcher, protocol, streams, objective=objective, fingerprint="", on_epoch=dict,
                   **options)  # fmt: skip


def children_seconds() -> float:
    """CPU seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> str:
    """Processor, cores, load and versions, as text."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{processor_name()}, {os.cpu_count()} cores, load {load}; Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )


def write(line: object = "") -> None:
    """Write one line to standard output, and flush it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def command(doc: str, measure: Callable[..., list[Row]], **defaults: int | str | tuple[str, ...] | None) -> None:
    """Run a benchmark from the command line, with an option for each argument of `measure`, and print its rows.

    doc: the module's docstring; its first line is the description.
    defaults: by option; None is a number that may be left out, a tuple lists the choices, the default first.
    """
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    for name, default in defaults.items():
        choices = default if isinstance(default, tuple) else None
        first = choices[0] if choices else default
        said = None if first is None else f"default {first}"
        parser.add_argument(
            f"--{name}", type=str if isinstance(first, str) else int, default=first, choices=choices, help=said
        )
    options = vars(parser.parse_args())
    write(machine())
    for row in measure(**options):
        write(row)

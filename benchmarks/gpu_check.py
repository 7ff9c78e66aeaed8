"""Check this project on a GPU in minutes: it must train correctly, and fast compared with transformers.Trainer.

    make gpu-check      or      PYTHONPATH=src python benchmarks/gpu_check.py [--json FILE] [--dry]

Needs torch, transformers and pydantic; the peer needs accelerate, and energy needs nvidia-ml-py. Texts and weights are
random, in the shapes of the tasks, of MiniLM and of BERT-large, unless STEADYTUNE_STORE names a store. `--dry` runs
every part on a CPU, as small as possible: it shows that this script works, but its timings are meaningless.
"""

import argparse
import hashlib
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch
from measuring import TASKS, Material, by_turns, fine_tune, machine, write
from training import PROTOCOL, ours, trainer

from steadytune.errors import SteadyTuneError
from steadytune.methods import registry
from steadytune.streams import Streams
from steadytune.training.interruption import Interrupted
from steadytune.training.loop import Fit
from steadytune.training.step import Step, is_out_of_memory
from steadytune.training.usage import energy_counter

LARGE = {"layers": 24, "width": 1024, "heads": 16}
SMALL = {"layers": 4, "width": 32, "heads": 2}
STEPS = 6


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    outcome: str
    """`ok`, `FAILED`, `measured` or `left out`."""
    detail: str


@dataclass(frozen=True)
class Plan:
    """The sizes of a run: on a GPU, or dry on a CPU."""

    device: str
    sizes: dict[str, int]
    """Sizes of the encoder for the correctness checks."""
    steps: int
    """Steps of a timed training."""
    rounds: int
    slots: tuple[int, ...]
    large: dict[str, int]
    shape: dict[str, int]
    """Sizes of the timed encoder; empty: the store's encoder, or MiniLM's sizes."""


def plan(dry: bool) -> Plan:
    """The plan for a GPU, or for a dry run."""
    if dry:
        return Plan("cpu", SMALL, 2, 1, (1, 2), SMALL, SMALL)
    return Plan("cuda", {"layers": 4, "width": 128, "heads": 4}, 32, 3, (1, 4, 8), LARGE, {})


def train(of: Plan, method: str = "vanilla", precision: str = "fp32", **options: Any) -> tuple[str, Fit]:
    """Train a small encoder for some steps; return a hash of its weights, and the result of `fit`."""
    material = Material.drawn("mrpc", 8 * STEPS, 1, **of.sizes)
    fitted = fine_tune(material, replace(PROTOCOL, batch_size=8, precision=precision), method, of.device, **options)
    weights = b"".join(value.detach().cpu().numpy().tobytes() for value in material.encoder.model.parameters())
    assert all(torch.isfinite(value).all() for value in material.encoder.model.parameters()), "weights are not finite"
    return hashlib.sha256(weights).hexdigest(), fitted


def check_methods(of: Plan) -> str:
    """Every method that needs no measured layer trains to finite weights."""
    left, count = [], 0
    for name in registry.methods():
        parts, _ = registry.parse(name)
        if parts[0].build().reads_selection:
            continue
        try:
            train(of, name)
            count += 1
        except ModuleNotFoundError as error:
            left.append(f"{name} ({error.name} is not installed)")
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
    return f"{count} methods" + (f"; left out: {', '.join(left)}" if left else "")


def check_precisions(of: Plan) -> str:
    """Every precision trains to finite weights, with attention's dropout."""
    names = ["fp32", "bf16", "fp16"] if of.device == "cuda" else ["fp32", "bf16"]
    for name in names:
        for method in ("vanilla", "hype-n"):
            train(of, method, name)
    return ", ".join(names)


def check_bitwise(of: Plan) -> str:
    """The same training twice gives the same bits."""
    for method in ("vanilla", "hype-n", "lnsr"):
        for precision in ("fp32", "bf16"):
            assert train(of, method, precision)[0] == train(of, method, precision)[0], f"{method} in {precision}"
    return "vanilla, hype-n, lnsr; fp32, bf16"


def check_resume(of: Plan) -> str:
    """A training that was interrupted and resumed gives the same bits as an uninterrupted one."""
    with TemporaryDirectory() as folder:
        steps = iter([False] * 2 + [True])
        checkpoint = Path(folder) / "checkpoint.safetensors"
        try:
            train(of, checkpoint=checkpoint, interrupted=lambda: next(steps))
        except Interrupted:
            resumed, fitted = train(of, checkpoint=checkpoint)
    assert fitted.resumed, "it did not resume"
    assert resumed == train(of)[0], "other bits"
    return f"interrupted at step 3 of {STEPS}"


def check_generators(of: Plan) -> str:
    """A step's noise is drawn on the device, and is the same when drawn again."""
    drawn = []
    for _ in range(2):
        streams = Streams(1, of.device)
        streams.at_step(3)
        drawn.append(torch.randn(8, device=of.device, generator=streams.noise))
    assert drawn[0].device.type == of.device
    assert drawn[0].equal(drawn[1])
    return str(drawn[0].device)


@contextmanager
def memory_for(of: Plan, rows: int) -> Iterator[None]:
    """Let a batch fit into memory only in parts, or not at all if `rows` is 0.

    On a GPU by its allocator's limit; else simulated, so that a part with at most `rows` examples fits.
    """
    if of.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        train(of)
        # 90 % of the peak is too little for the whole batch of 8 examples; 5 % is too little for even one of them.
        share = torch.cuda.max_memory_allocated() * (0.9 if rows else 0.05)
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(share / torch.cuda.get_device_properties(0).total_memory)
        try:
            yield
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        return
    accumulate = Step._accumulate

    def limited(self: Step, batch: Any, number: int, *, first: bool) -> torch.Tensor:
        if len(batch.rows) > rows * self.parts:
            raise torch.OutOfMemoryError("pretended")
        return accumulate(self, batch, number, first=first)

    with patch.object(Step, "_accumulate", limited):
        yield


def check_memory(of: Plan) -> str:
    """A batch that does not fit is split into parts; if not even one example fits, the error is recognised."""
    with memory_for(of, 2):
        parts = train(of)[1].parts
    assert parts > 1, "a batch that does not fit was not cut"
    try:
        with memory_for(of, 0):
            train(of)
    except Exception as error:
        assert is_out_of_memory(error), f"{type(error).__name__}: {error}"
        return f"{parts} parts; {type(error).__name__} if nothing fits"
    raise AssertionError("it fits into nothing")


def measure_training(of: Plan) -> str:
    """Training time of both Trainers over ours, by task."""
    said = []
    for task in TASKS:
        said.append(f"{task} {_compare(of, task, of.shape)}")
    return "; ".join(said)


def measure_large(of: Plan) -> str:
    """Training time of both Trainers over ours, for BERT-large."""
    return _compare(of, "rte", of.large)


def _compare(of: Plan, task: str, sizes: dict[str, int]) -> str:
    ways: dict[str, Callable] = {name: _Way(of, task, name, sizes) for name in ("plain", "bf16", "ours")}
    costs = by_turns(ways, of.rounds)
    own = statistics.median(cost.wall for cost in costs["ours"])
    ratios = [
        statistics.median(peer.wall / mine.wall for peer, mine in zip(costs[name], costs["ours"], strict=True))
        for name in ("plain", "bf16")
    ]
    return f"{ratios[0]:.2f}x plain, {ratios[1]:.2f}x tuned, {1e3 * own / of.steps:.1f} ms a step"


@dataclass(frozen=True)
class _Way:
    """One training, to be run in its own process."""

    of: Plan
    task: str
    name: str
    """`ours`, or a Trainer: `plain`, or tuned in `bf16`."""
    sizes: dict[str, int]

    def __call__(self):
        """Train, and return the cost."""
        if self.name == "ours":
            return ours(self.task, self.of.steps, 1, "bf16", self.of.device, **self.sizes)
        return trainer(self.task, self.of.steps, 1, self.name, self.of.device, **self.sizes)


def measure_slots(of: Plan) -> str:
    """Cells per hour for each number of concurrent processes on one device, including process starts."""
    said = []
    for slots in of.slots:
        started = time.perf_counter()
        with ProcessPoolExecutor(slots, multiprocessing.get_context("spawn")) as pool:
            list(pool.map(_run, [_Way(of, "rte", "ours", of.shape)] * 2 * slots))
        said.append(f"{slots}: {3600 * 2 * slots / (time.perf_counter() - started):.0f}")
    return ", ".join(said)


def _run(way: _Way) -> None:
    way()


def measure_energy(of: Plan) -> str:
    """Energy that the device uses during one training, in joules."""
    if of.device == "cpu":
        raise SteadyTuneError("no GPU")
    count = energy_counter()
    before = count()
    _Way(of, "rte", "ours", of.shape)()
    return f"{count() - before:.0f} J for {of.steps} steps"


CHECKS = (check_methods, check_precisions, check_bitwise, check_resume, check_generators, check_memory)
MEASURES = (measure_training, measure_large, measure_slots, measure_energy)


def results(of: Plan) -> Iterator[Result]:
    """Run every check and measurement; a failure does not stop the rest."""
    for function in (*CHECKS, *MEASURES):
        name = function.__name__.replace("_", " ")
        started = time.perf_counter()
        try:
            outcome, detail = "ok" if function in CHECKS else "measured", function(of)
        except Exception as error:
            # A measurement may lack a peer or an energy counter; a check lacks nothing.
            lacking = function in MEASURES and isinstance(error, (SteadyTuneError, ImportError))
            outcome, detail = "left out" if lacking else "FAILED", f"{type(error).__name__}: {error}".splitlines()[0]
        yield Result(name, outcome, f"{detail} ({time.perf_counter() - started:.0f} s)")


def main() -> int:
    """Print one table and write one JSON file; return 1 if a check or a measurement failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, default=Path("gpu-check.json"), help="default: %(default)s")
    parser.add_argument("--dry", action="store_true", help="on a CPU, as small as possible")
    options = parser.parse_args()
    if not options.dry and not torch.cuda.is_available():
        parser.error("no GPU found; --dry only tries this script")
    device = "dry, on a CPU" if options.dry else torch.cuda.get_device_name()
    write(f"{device}; {machine()}")
    found = []
    for result in results(plan(options.dry)):
        write(f"{result.name:20} {result.outcome:9} {result.detail}")
        found.append(result)
    text = {"device": device, "machine": machine(), "results": [asdict(result) for result in found]}
    options.json.write_text(json.dumps(text, indent=2) + "\n", encoding="utf-8")
    return int(any(result.outcome == "FAILED" for result in found))


if __name__ == "__main__":
    sys.exit(main())

"""Time per step of each method over vanilla's, and time of Child-Tuning-D's Fisher pass over a cell's training.

    python benchmarks/methods.py [--steps N] [--rounds R] [--threads T] [--precision bf16|fp32]

Methods take turns, each in its own process, and train on the same batches of RTE as vanilla. Every run first takes two
steps that are not timed.
"""

from dataclasses import replace
from functools import partial
from unittest.mock import patch

from measuring import BATCH, PRECISIONS, Cost, Material, Row, by_turns, command, fine_tune, median, ratio, timed, write
from training import PROTOCOL

from steadytune.methods.base import Setup
from steadytune.methods.child_tuning import ChildTuningD

TASK = "rte"
# Targets for the time over vanilla's, by the number of passes that a method makes: HyPe only adds noise.
TARGETS = {
    "hype-n": 1.03,
    "hype-n~hidden_dropout=0.1": 1.03,
    "lnsr": 1.6,
    "r3f": 2.0,
    "r-drop": 2.0,
    "smart~proximal_weight=0": 3.3,
    # Three passes may take 3.2 times as long; FreeLB makes four.
    "freelb": 4.3,
    "mixout": 1.25,
    "child-tuning-f": 1.1,
    "recadam~gamma=100": 1.1,
}


def train(method: str, steps: int, threads: int, precision: str) -> Cost:
    """Cost of training a cell with the method."""
    protocol = replace(PROTOCOL, threads=threads, precision=precision)
    fine_tune(Material.load(TASK, 2 * BATCH, 1), protocol)
    material = Material.load(TASK, steps * BATCH, 1)
    with timed() as cost:
        fine_tune(material, protocol, method)
    return cost()


def measure(steps: int, rounds: int, threads: int, precision: str = PRECISIONS[0]) -> list[Row]:
    """The table's rows."""
    ways = {name: partial(train, name, steps, threads, precision) for name in ("vanilla", *TARGETS)}
    costs = by_turns(ways, rounds)
    write(f"\nmethods on {TASK}: {steps} steps of {BATCH} in {precision}, {threads} threads, {rounds} rounds")
    for name, runs in costs.items():
        write(f"{name:28} {1e3 * median(runs) / steps:6.0f} ms a step ({1e3 * median(runs, 'processor') / steps:.0f})")
    return [
        Row(
            f"{name} over vanilla, a step",
            ratio(costs[name], costs["vanilla"]),
            target,
            unit="x",
            note=f"processor {ratio(costs[name], costs['vanilla'], 'processor'):.2f}",
        )
        for name, target in TARGETS.items()
    ]


def fisher_pass(examples: int, threads: int) -> Cost:
    """Cost of Child-Tuning-D's preparation: the Fisher information of `examples` examples."""
    prepare, found = ChildTuningD.prepare, []

    def timed_prepare(method: ChildTuningD, setup: Setup) -> None:
        with timed() as cost:
            prepare(method, setup)
        found.append(cost())

    material = Material.load(TASK, examples, 1)
    with patch.object(ChildTuningD, "prepare", timed_prepare):
        fine_tune(material, replace(PROTOCOL, threads=threads, steps=1), "child-tuning-d")
    return found[0]


def three_epochs(examples: int, threads: int, precision: str) -> Cost:
    """Cost of training a plain cell for three epochs, as papers do."""
    material = Material.load(TASK, examples, 1)
    with timed() as cost:
        fine_tune(material, replace(PROTOCOL, epochs=3, threads=threads, precision=precision))
    return cost()


def measure_fisher(batches: int, rounds: int, threads: int, precision: str) -> list[Row]:
    """The table's row; both costs are proportional to the examples. The Fisher pass is always in fp32."""
    examples = batches * BATCH
    ways = {
        "fisher": partial(fisher_pass, examples, threads),
        "training": partial(three_epochs, examples, threads, precision),
    }
    costs = by_turns(ways, rounds)
    name = "Child-Tuning-D: its Fisher pass over a plain cell's training (MiniLM, RTE, 3 epochs)"
    note = f"{1e3 * median(costs['fisher']) / examples:.0f} ms an example"
    return [Row(name, ratio(costs["fisher"], costs["training"]), 0.25, unit="x", note=note)]


if __name__ == "__main__":
    command(__doc__ or "", measure, steps=16, rounds=3, threads=2, precision=PRECISIONS)

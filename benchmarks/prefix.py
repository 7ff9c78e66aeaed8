"""Running frozen lower layers only once, against full fine-tuning: eight layers, the lower six frozen, three epochs.

python benchmarks/prefix.py [--steps N] [--rounds R] [--threads T] [--precision bf16|fp32]
"""

from dataclasses import replace
from functools import partial

from measuring import BATCH, PRECISIONS, Cost, Material, Row, by_turns, command, drawn_encoder, fine_tune, ratio, timed
from training import PROTOCOL

LAYERS = 8
PREFIX = f"layer-tune~count={LAYERS // 4}~cache=true"


def train(method: str, steps: int, threads: int, precision: str) -> Cost:
    """Cost of three epochs, including the pass over the frozen layers."""
    material = Material.load("rte", steps * BATCH, 1)
    material = replace(material, encoder=drawn_encoder(2, LAYERS))
    with timed() as cost:
        fine_tune(material, replace(PROTOCOL, epochs=3, threads=threads, precision=precision), method)
    return cost()


def measure(steps: int, rounds: int, threads: int, precision: str = PRECISIONS[0]) -> list[Row]:
    """The table's row."""
    costs = by_turns({name: partial(train, name, steps, threads, precision) for name in ("vanilla", PREFIX)}, rounds)
    processor = ratio(costs[PREFIX], costs["vanilla"], "processor")
    found = ratio(costs[PREFIX], costs["vanilla"])
    return [
        Row("frozen prefix over full tuning, three epochs", found, 0.4, unit="x", note=f"processor {processor:.2f}")
    ]


if __name__ == "__main__":
    command(__doc__ or "", measure, steps=10, rounds=3, threads=2, precision=PRECISIONS)
